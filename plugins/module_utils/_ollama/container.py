# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The container in which an Ollama runs, as the engine of this box describes it. Private to this collection."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._docker import (
    EngineError,
    client,
    docker,
    why_none,
)

__all__ = ["PORT", "address", "engine", "environment_of", "models_dir", "url_of"]

PORT = 11434
API_SECONDS = 60


def address(container: str, image: str = "") -> str | None:
    """The URL of a running Ollama by its container's address; None if there is no such running container.

    With ``image``, one that runs another image does not count.
    """
    seen = _running(container)
    return url_of(seen) if seen and image in ("", seen["Config"]["Image"]) else None


def models_dir(container: str) -> str | None:
    """Where this box has the models of a running Ollama; None if it cannot see them, as in an engine's own machine."""
    seen = _running(container)
    found = _models(seen) if seen else None
    return found if found and os.path.isdir(found) else None


def engine() -> Any:
    """A client of this box's engine; EngineError says why there is none."""
    api = client(API_SECONDS)
    if api is None:
        raise EngineError(why_none())
    return api


def _running(container: str) -> Mapping[str, Any] | None:
    api = engine()  # without the SDK it ends here, before any of the SDK's errors is named
    try:
        seen: Mapping[str, Any] = api.inspect_container(container)
    except docker.errors.NotFound:
        return None
    return seen if seen["State"]["Running"] else None


def environment_of(seen: Mapping[str, Any]) -> dict[str, str]:
    """The variables with which a container was created."""
    return dict(pair.split("=", 1) for pair in seen["Config"].get("Env") or [] if "=" in pair)


def url_of(seen: Mapping[str, Any]) -> str:
    """Where the box reaches a container; one on the host's network has no address of its own."""
    networks: Iterable[Mapping[str, Any]] = seen["NetworkSettings"]["Networks"].values()
    found = [network["IPAddress"] for network in networks if network.get("IPAddress")]
    port = re.search(r":(\d+)/?$", environment_of(seen).get("OLLAMA_HOST", ""))
    return f"http://{found[0] if found else '127.0.0.1'}:{port[1] if port else PORT}"


def _models(seen: Mapping[str, Any]) -> str | None:
    variables = environment_of(seen)
    inside = variables.get("OLLAMA_MODELS") or f"{variables.get('HOME', '/root')}/.ollama/models"
    for mount in sorted(seen["Mounts"], key=lambda mount: -len(mount["Destination"])):
        rest = os.path.relpath(inside, mount["Destination"])
        if not rest.startswith("..") and mount["Source"]:
            return os.path.normpath(os.path.join(mount["Source"], rest))
    return None
