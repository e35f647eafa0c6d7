#!/usr/bin/python
# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module docker_engine: Docker Engine of a box, looked at and brought to its wanted state in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: docker_engine
short_description: Bring Docker Engine of a box to its wanted state
version_added: 0.1.0
description:
  - Looks at everything itself (distribution, packages, engine, command line plugins, daemon.json, what the running
    engine has loaded), so that a box that is as it should be costs one call.
  - Packages that are missing are reported in RV(install) and nothing else is done; the role C(gpubox.llm.docker_host)
    installs them and calls again.
  - daemon.json is merged. Keys of others stay; what was set here before and is not wanted any more goes away.
  - The engine is reloaded or restarted only when what it has loaded differs from what it shall use, whenever and by
    whomever the file was written. Running containers survive a restart when C(live-restore) is wanted.
  - An engine that answers but does not run on this box (Docker Desktop) is used as it is.
options:
  source:
    description:
      - Where a missing engine comes from, V(docker) being Docker's repository.
      - V(auto) is V(distribution) where that has a usable engine, else V(docker). On Debian 12 the distribution's
        packages are those of Debian 13.
    type: str
    choices: [auto, docker, distribution]
    default: auto
  docker_url:
    description: Base URL of Docker's repositories, or of a mirror.
    type: str
    default: https://download.docker.com/linux
  debian_url:
    description: Debian mirror that has Debian 13, for Debian 12.
    type: str
    default: http://deb.debian.org/debian
  debian_security_url:
    description: Mirror of Debian's security updates, for Debian 12. Empty for none.
    type: str
    default: http://deb.debian.org/debian-security
  packages:
    description: Further packages of the distribution that the box needs.
    type: list
    elements: str
    default: []
  config:
    description: Keys of daemon.json. A null leaves a key alone.
    type: dict
    default: {}
  ca:
    description: Certificates (PEM) that the box and its engine trust besides the public ones.
    type: str
    default: ''
  lan_drop:
    description:
      - Before Engine 28, drop what comes from the LAN for ports published on loopback and for container addresses.
    type: bool
    default: true
  start_timeout:
    description: Seconds to wait for the engine to answer.
    type: int
    default: 60
  signing_key:
    description: The armored key that was fetched from C(install.key.url), to be checked and stored.
    type: str
    default: ''
  installed:
    description: RV(install) was carried out; what is missing now is an error.
    type: bool
    default: false
attributes:
  check_mode:
    support: full
    description: Predicts without writing, also on a box without an engine.
  diff_mode:
    support: full
    description: Shows files before and after, and the steps.
  idempotent:
    support: full
    description: A second call changes nothing.
  platform:
    support: full
    platforms: debian, ubuntu, rhel
    description: Linux distributions with apt or dnf; elsewhere an engine that is there is used.
author:
  - gpubox.llm maintainers (@gpubox)
"""

EXAMPLES = r"""
---
- name: Look after the engine that is there
  gpubox.llm.docker_engine:

- name: Rotate logs, keep containers over a restart of the engine, publish on loopback
  gpubox.llm.docker_engine:
    source: distribution
    config:
      log-driver: json-file
      log-opts: {max-size: 10m, max-file: "3"}
      live-restore: true
      ip: 127.0.0.1
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order.
  type: list
  elements: str
  returned: success
  sample: ["write /etc/docker/daemon.json", "restart Docker Engine for ip, log-driver"]
install:
  description: What has to be installed first; empty when nothing is missing.
  type: dict
  returned: success
  contains:
    manager:
      description: The package manager, C(apt) or C(dnf).
      type: str
      returned: when something is missing
    base:
      description: Packages of the distribution's own sources.
      type: list
      elements: str
      returned: when something is missing
    engine:
      description: Packages of the engine.
      type: list
      elements: str
      returned: when something is missing
    state:
      description: C(latest) to upgrade an engine that is too old, else C(present).
      type: str
      returned: when something is missing
    files:
      description: Package sources and preferences to write first.
      type: list
      elements: dict
      returned: when something is missing
    key:
      description: Signing key of the source, with C(url), C(fingerprint) and C(dest); empty when none is needed.
      type: dict
      returned: when something is missing
engine:
  description: The engine and its command line plugins as they are now.
  type: dict
  returned: success
  sample:
    version: 26.1.5
    compose: 2.26.1
    local: true
    images: {"nginx:1.30.6": {gpubox.llm.recipe: 6d1f}}
  contains:
    version:
      description: Version of the engine.
      type: str
    compose:
      description: Version of Docker Compose.
      type: str
    local:
      description: Whether the engine is a process of this box.
      type: bool
    images:
      description: Labels of this collection on each image, by the image's references.
      type: dict
"""

import json
import os
import re
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.box import Changes, trust
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.converge import (
    Look,
    converge,
    look,
)
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.daemon import HostError
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.host import (
    Engine,
    Host,
    read,
)
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.install import (
    Install,
    plan_install,
)
from ansible_collections.gpubox.llm.plugins.module_utils._docker_engine.packages import check_key


def argument_spec() -> dict[str, Any]:
    return {
        "source": {"choices": ["auto", "docker", "distribution"], "default": "auto"},
        "docker_url": {"default": "https://download.docker.com/linux"},
        "debian_url": {"default": "http://deb.debian.org/debian"},
        "debian_security_url": {"default": "http://deb.debian.org/debian-security"},
        "packages": {"type": "list", "elements": "str", "default": []},
        "config": {"type": "dict", "default": {}},
        "ca": {"default": ""},
        "lan_drop": {"type": "bool", "default": True},
        "start_timeout": {"type": "int", "default": 60},
        "signing_key": {"default": "", "no_log": False},  # a public key
        "installed": {"type": "bool", "default": False},
    }


def run(module: AnsibleModule) -> dict[str, Any]:
    if os.geteuid() != 0:
        raise HostError(
            "docker_host needs root on this host to install and set up Docker Engine. "
            "Set ansible_become: true for it (and ansible_become_password, if sudo asks for one)."
        )
    # Credentials inside URLs, of a proxy say, are shown nowhere, also not among the arguments at -vvv.
    module.no_log_values.update(
        re.findall(r"//[^/@\s\"]*:([^/@\s\"]+)@", json.dumps(module.params["config"]))
    )
    host = Host(lambda argv, data: module.run_command(argv, data=data, handle_exceptions=False))
    changes = Changes(module.check_mode)
    seen, params = look(host), module.params
    install = plan_install(host, seen, params)
    if install and params["installed"]:
        raise HostError(f"still missing after their installation: {_names(install)}.")
    if not seen.foreign:
        trust(host, params["ca"], changes)
    if install:
        _prepare(install, params["signing_key"], changes)
    if install and not changes.dry:
        return {
            **changes.result(),
            "install": install.result(host.sources()),
            "engine": _facts(seen),
        }
    if seen.version is None and install.offer and install.offer.source == "docker":
        seen = seen._replace(
            version="28"
        )  # check mode on a bare box: what its repository has, or newer
    if not seen.foreign:
        converge(host, seen, params, changes)
    return {
        **changes.result(),
        "install": {},
        "engine": _facts(look(host) if changes.actions else seen),
    }


def _prepare(install: Install, key: str, changes: Changes) -> None:
    """Say what check mode leaves undone, and store a signing key that was fetched."""
    if changes.dry:
        changes.act(f"install {_names(install)}")
    if key and install.offer and install.offer.key:
        wanted = install.offer.key
        text = check_key(key, wanted["fingerprint"], wanted["url"])
        if read(wanted["dest"]) != text:
            changes.file(wanted["dest"], read(wanted["dest"]), text)


def _names(install: Install) -> str:
    return ", ".join([*install.base, *install.engine])


def _facts(seen: Look) -> dict[str, Any]:
    return {
        "version": seen.version,
        "compose": seen.compose,
        "local": not seen.foreign,
        "images": images(),
    }


def images() -> dict[str, dict[str, str]]:
    return {
        reference: {k: v for k, v in (image["Labels"] or {}).items() if k.startswith("gpubox.llm.")}
        for image in Engine().get("/images/json") or []
        for reference in image["RepoTags"] or []
    }


def main() -> None:
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        module.exit_json(**run(module))
    except HostError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
