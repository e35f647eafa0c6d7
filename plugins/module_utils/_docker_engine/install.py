# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be installed before the engine can be looked after. Private to this collection."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.converge import Look
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.daemon import (
    HostError,
    version_tuple,
)
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.host import Host, read
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.packages import (
    Distribution,
    Offer,
    Urls,
    distribution,
    installed_source,
    offer,
    os_release,
)

__all__ = ["Install", "plan_install"]

ENGINE = (25,)  # health checks with start_interval, default-network-opts
COMPOSE = (2, 20, 2)  # start_interval, up --wait of named services
PYTHON = {"docker": "python3-docker", "requests": "python3-requests", "yaml": "python3-yaml"}
SYSTEM_PYTHONS = ("/usr/bin/python3", "/usr/libexec/platform-python")


class Install:
    """What the role installs; empty when the box has it all."""

    def __init__(self, system: Distribution) -> None:
        self.manager = system.manager
        self.base: list[str] = []
        self.engine: list[str] = []
        self.upgrade = False
        self.offer: Offer | None = None

    def __bool__(self) -> bool:
        return bool(self.base or self.engine)

    def result(self, sources: str) -> dict[str, Any]:
        """Return it in the form that the role's tasks read."""
        if not self:
            return {}
        source = self.offer if self.engine else None
        texts = dict(source.files) if source else {}
        key = dict(source.key) if source else {}
        if source and source.needle and re.search(source.needle, sources):
            # The box has this source already; naming it twice with another key is an error for apt.
            texts, key = (
                {path: text for path, text in texts.items() if "/preferences.d/" in path},
                {},
            )
        return {
            "manager": self.manager,
            "base": self.base,
            "engine": self.engine,
            "state": "latest" if self.upgrade else "present",
            "files": [{"path": path, "content": text} for path, text in texts.items()],
            "key": key,
        }


def plan_install(host: Host, seen: Look, params: Mapping[str, Any]) -> Install:
    """Compare what is there with what is needed; an engine that is there and new enough is never replaced."""
    system = distribution(os_release(read("/etc/os-release") or ""))
    urls = Urls(params["docker_url"], params["debian_url"], params["debian_security_url"])
    plan = Install(system)
    plan.base = [*_python(system), *host.absent_packages(params["packages"])]
    _engine(plan, host, seen, (system, params["source"], urls))
    if params["lan_drop"] and not shutil.which("nft") and _lacks_drop(plan, seen):
        plan.base.append("nftables")
    https = params["ca"] or (plan.engine and plan.offer and plan.offer.key)
    if (
        https
        and not os.path.exists("/etc/ssl/certs/ca-certificates.crt")
        and system.manager == "apt"
    ):
        plan.base.append("ca-certificates")
    if plan and not plan.manager:
        offer(system, params["source"], urls)  # says that this system is not known
    return plan


def _python(system: Distribution) -> list[str]:
    packages = [package for module, package in PYTHON.items() if find_spec(module) is None]
    if not packages:
        return []
    if os.path.realpath(sys.executable) not in {os.path.realpath(path) for path in SYSTEM_PYTHONS}:
        raise HostError(
            f"ansible_python_interpreter is {sys.executable}, which lacks what {', '.join(packages)} "
            f"bring, and packages bring it only to {SYSTEM_PYTHONS[0]}. Set ansible_python_interpreter to that."
        )
    if system.manager == "dnf":
        return [package.replace("python3-yaml", "python3-pyyaml") for package in packages]
    return packages


def _engine(plan: Install, host: Host, seen: Look, where: tuple[Distribution, str, Urls]) -> None:
    source = where[1]
    if seen.version is None:
        plan.offer = offer(*where)
        plan.engine = list(plan.offer.engine)
        return
    old = _too_old(seen)
    if not old and seen.compose is not None and seen.buildx is not None:
        return
    owner = "" if seen.foreign else installed_source(host.engine_package())
    if not owner:
        raise HostError(_cure_foreign(old, seen))
    if old and source != owner:
        raise HostError(
            f"{old} It was installed from {_origin(owner)}, and docker_host_source is {source}: nothing that is "
            f"there is replaced unasked. Set docker_host_source: {owner} to have it upgraded from there."
        )
    plan.offer = offer(where[0], owner, where[2])
    plan.upgrade = bool(old)
    missing = {"compose": seen.compose, "buildx": seen.buildx}
    names = [plan.offer.plugin(name) for name, there in missing.items() if there is None]
    plan.engine = list(plan.offer.engine) if old else names


def _too_old(seen: Look) -> str:
    if version_tuple(seen.version) < ENGINE:
        return f"Docker Engine {seen.version} is too old: {ENGINE[0]} or newer is needed."
    if seen.compose is not None and version_tuple(seen.compose) < COMPOSE:
        return f"Docker Compose {seen.compose} is too old: {'.'.join(map(str, COMPOSE))} or newer is needed."
    return ""


def _origin(source: str) -> str:
    return "Docker's repository" if source == "docker" else "the distribution's packages"


def _cure_foreign(old: str, seen: Look) -> str:
    what = old or "Docker Compose v2 or buildx is missing beside the engine that is there."
    if seen.foreign:
        return (
            f"{what} The engine that answers does not run on this system (Docker Desktop?): upgrade it there, and "
            "switch on its integration for this system, which brings the command line plugins."
        )
    return (
        f"{what} No package owns this dockerd, so it cannot be upgraded here: upgrade it the way it was installed, or "
        "remove it and let docker_host install one."
    )


def _lacks_drop(plan: Install, seen: Look) -> bool:
    if seen.version is None or plan.upgrade:
        return (
            plan.offer is None or plan.offer.source != "docker"
        )  # Docker's repository has 28 and newer
    return not seen.foreign and version_tuple(seen.version) < (28,)
