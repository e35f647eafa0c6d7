# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the tests of validate share: the real argument specs, and one sound site to break in one place at a time."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.gpubox.llm.plugins.module_utils._rules import Fault, faults

ROOT = Path(__file__).parents[2]
SPECS: dict[str, Any] = {
    path.parts[-3]: yaml.safe_load(path.read_text())["argument_specs"]["main"]
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml"))
}
SERVICES = ("litellm", "reverse_proxy")
ROUTES = {"openai": [{"path": "/v1/chat/completions", "methods": ["POST"]}]}
KEY = "canary-7f3a9c51e0b84d26"  # stands for every secret; no message may ever hold it

SITE: dict[str, Any] = {
    "llm_models": [
        {
            "name": "local",
            "provider": "ollama",
            "model": "llama3.2:3b",
            "base_url": "http://ollama:11434",
        },
        {
            "name": "cloud",
            "provider": "openai",
            "model": "gpt-4o-mini",
            "api_key": KEY,
            "fallbacks": ["local"],
        },
    ],
    "llm_default_model": "local",
    "reverse_proxy_sites": [
        {"host": "llm.example.com", "service": "litellm", "routes": "openai", "auth": "key"},
    ],
    "__reverse_proxy_routes": ROUTES,
}


def site(**changes: Any) -> dict[str, Any]:
    """The sound site with some variables replaced."""
    return {**copy.deepcopy(SITE), **changes}


def found(variables: dict[str, Any], **options: Any) -> list[Fault]:
    """The faults of variables as the real roles describe them."""
    return faults(SPECS, variables, services=SERVICES, **options)


def assert_only(variables: dict[str, Any], path: str, reason: str, cure: str) -> Fault:
    """There is exactly one fault, it is here, and its reason and cure say this; no secret is in it."""
    every = found(variables)
    assert [one.path for one in every] == [path]
    assert reason in every[0].reason
    assert cure in every[0].cure
    assert KEY not in str(every[0])
    return every[0]
