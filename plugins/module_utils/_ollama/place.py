# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where on the box a container keeps its models. Private to this collection."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._docker import client

__all__ = ["models_dir", "place"]


def models_dir(container: str) -> str:
    """The directory on this box; empty if it cannot be seen from here, as with an engine in a machine of its own."""
    api = client(60)
    found = place(api.inspect_container(container)) if api else ""
    return found if os.path.isdir(found) else ""


def place(seen: Mapping[str, Any]) -> str:
    """Where the models are, of a container as the engine describes it; empty if they are on no mount."""
    environment = dict(
        pair.split("=", 1) for pair in seen["Config"].get("Env") or [] if "=" in pair
    )
    home = environment.get("HOME", "/root")
    inside = environment.get("OLLAMA_MODELS") or f"{home}/.ollama/models"
    for mount in sorted(seen.get("Mounts") or [], key=lambda one: -len(one["Destination"])):
        if f"{inside}/".startswith(mount["Destination"].rstrip("/") + "/"):
            return os.path.normpath(
                os.path.join(mount["Source"], os.path.relpath(inside, mount["Destination"]))
            )
    return ""
