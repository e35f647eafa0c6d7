# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Docker SDK, imported in one place and quickly. Private to this collection."""

from __future__ import annotations

import os
import sys
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._errors import EngineError


def _import_sdk() -> Any:
    """SDK 5 (Debian 12, Ubuntu) imports distutils; setuptools' stand-in for it takes 0.2 of 0.33 s."""
    hook = sys.modules.get("_distutils_hack")
    if hook:
        hook.remove_shim()
    try:
        import docker
    except ImportError:
        if hook is None:
            return None
        hook.add_shim()  # the standard library's distutils is not installed
        try:
            import docker
        except ImportError:
            return None
    return docker


docker = _import_sdk()

__all__ = ["EngineError", "client", "docker", "why_none"]


def client(timeout: int) -> Any:
    """A client of the engine at DOCKER_HOST or the default socket; None if none can be had.

    ``timeout`` is in seconds. Raises EngineError without permission.
    """
    if docker is None:
        return None
    url = os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    try:
        return docker.APIClient(base_url=url, version="auto", timeout=timeout)
    except docker.errors.DockerException as error:
        if "permission denied" in str(error).lower():
            raise EngineError(
                f"no permission for the Docker engine at {url}; run the play as root (become: true)"
            ) from error
        return None


def why_none() -> str:
    """Why there is no client, and what to do."""
    if docker is None:
        return (
            "the Docker SDK for Python cannot be imported on the box; "
            "the role docker_host installs the distribution's python3-docker"
        )
    return "no Docker engine answers on this box; the role docker_host installs and starts one"
