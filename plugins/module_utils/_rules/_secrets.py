# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rules about secrets: one line each, and a master key that cannot be guessed. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ._fault import UNKNOWN, Fault, fault, is_secret
from ._site import Rule, Site, text
from ._spec import BROKEN_SECRET

__all__ = ["RULES"]

_KNOWN_KEYS = (
    "sk-1234",
    "sk-12345",
    "sk-123456",
    "your-master-key",
    "sk-your-master-key",
    "changeme",
    "password",
    "secret",
)
_NO_EFFECT: Mapping[str, str] = {
    "LITELLM_MODEL_LIST": "List the models in llm_models.",
    "LITELLM_LOG_LEVEL": "Set litellm_log_level.",
    "LITELLM_PORT": "Remove it; the proxy knows where LiteLLM listens.",
    "LITELLM_API_KEYS": "Set litellm_master_key.",
}
_SHORTEST = 20  # characters, sk- included
_FEWEST = 8  # different characters


def master_key(site: Site) -> Iterator[Fault]:
    """The key to everything cannot be guessed."""
    path = "litellm_master_key"
    key = text(site.get(path))
    cure = "Remove the variable (a strong key is then made on the box), or give sk- and at least 32 random characters."
    if not key or key != key.strip():
        return
    if key.lower() in _KNOWN_KEYS:
        yield fault(
            path, key, "It is a well-known example, and the first that an attacker tries.", cure
        )
    elif not key.startswith("sk-"):
        yield fault(path, key, "LiteLLM takes only keys that begin with sk-.", cure)
    elif len(key) < _SHORTEST or len(set(key)) < _FEWEST:
        yield fault(
            path,
            key,
            "It is too easy to guess: fewer than 20 characters, or nearly all the same.",
            cure,
        )


def secrets(site: Site) -> Iterator[Fault]:
    """A secret in a free-form variable is one line, too."""
    for name in site.options:
        for path, value in _leaves(name, site.variables.get(name)):
            if is_secret(path) and re.search(r"[\0\r\n]", value):
                yield fault(path, value, *BROKEN_SECRET)


def _leaves(path: str, value: Any) -> Iterator[tuple[str, str]]:
    """Path and content of every non-empty text inside a value."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(f"{path}.{key}", inner)
    elif isinstance(value, (list, tuple)):
        for index, inner in enumerate(value):
            yield from _leaves(f"{path}[{index}]", inner)
    elif isinstance(value, str) and value:
        yield path, value


def visible(site: Site) -> Iterator[Fault]:
    """Secrets do not stand where `docker inspect` or a configuration file shows them."""
    places = {
        "litellm_environment": "docker inspect shows",
        "litellm_config_overrides": "a file of the stack shows",
    }
    for variable, who in places.items():
        for path, value in _leaves(variable, site.get(variable)):
            if (is_secret(path) and not value.startswith("os.environ/")) or re.search(
                r"://[^/@\s]*:[^/@\s]+@", value
            ):
                yield fault(
                    path,
                    value,
                    f"It is a secret, and {who} this variable to whoever asks.",
                    "Set litellm_master_key, or api_key and params of the model: those reach LiteLLM as files.",
                    secret=True,
                )


def no_effect(site: Site) -> Iterator[Fault]:
    """Names that circulate, and that LiteLLM does not read."""
    for name in site.mapping("litellm_environment"):
        if str(name) in _NO_EFFECT:
            reason = "LiteLLM reads no environment variable of this name."
            yield fault(f"litellm_environment.{name}", UNKNOWN, reason, _NO_EFFECT[str(name)])
    for name in site.mapping("litellm_config_overrides"):
        if str(name) == "model_list":
            reason = "It would replace every model of llm_models, unchecked."
            yield fault(
                f"litellm_config_overrides.{name}",
                UNKNOWN,
                reason,
                "List the models in llm_models.",
            )


RULES: tuple[Rule, ...] = (master_key, secrets, visible, no_effect)
