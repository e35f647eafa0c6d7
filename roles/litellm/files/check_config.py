# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check a configuration with the LiteLLM of this image: does it know every provider, does it accept the file."""

from __future__ import annotations

import sys
from pathlib import Path

import litellm
import yaml
from litellm.proxy.proxy_cli import run_server


def faults(config: dict) -> list[str]:
    """One line for every deployment whose provider LiteLLM does not know."""
    litellm.suppress_debug_info = True  # it would print a list of links for each
    found = []
    for entry in config["model_list"]:
        params = entry["litellm_params"]
        try:
            litellm.get_llm_provider(params["model"], params.get("custom_llm_provider"))
        except litellm.BadRequestError:
            found.append(
                f"model {entry['model_name']!r}: LiteLLM {version()} knows no provider for {params['model']!r}. "
                "Write it as provider/model with a provider that it has (https://docs.litellm.ai/docs/providers)."
            )
    return found


def version() -> str:
    """The version of the installed LiteLLM."""
    from importlib.metadata import version as installed

    return installed("litellm")


def main(path: str) -> None:
    """End with 1 and a message for people if the configuration would not work."""
    found = faults(yaml.safe_load(Path(path).read_text()))
    if found:
        sys.exit("\n".join(found))
    run_server(["--config", path, "--validate_config"])


if __name__ == "__main__":
    main(sys.argv[1])
