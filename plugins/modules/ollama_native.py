#!/usr/bin/python
# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module ollama_native: Ollama as a service of the box itself, looked at and brought to its state in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_native
short_description: Run Ollama as a systemd service of a box
version_added: 0.2.0
description:
  - Installs Ollama from the vendor's archive, sets up its service, and upgrades both in place.
  - It listens on the address of Docker's default bridge, where containers reach it as C(host.docker.internal). A small
    nftables table keeps away what comes neither from the box nor over a bridge, so that a neighbour on the LAN with a
    route to that address reaches nothing. It never listens on every address, also where the box boots without Docker.
  - A unit that is there is left as it is; everything is said in a drop-in beside it. What the unit and other drop-ins
    set in variables that begin with C(OLLAMA_) stays in force unless it is set here.
  - Packages that are missing are reported in RV(install) and nothing else is done; the role C(gpubox.llm.ollama)
    installs them and calls again.
  - State decides. The service is restarted only where the running process has another program, user or setting than it
    is to have, and a run that was killed is completed by the next one.
  - The previous program is kept until the new one answers, and comes back if that does not happen.
options:
  state:
    description:
      - V(present) installs and runs Ollama.
      - V(absent) stops it and removes what this module installed.
    type: str
    choices: [present, absent]
    default: present
  version:
    description: Version to run. Required for O(state=present).
    type: str
  archives:
    description:
      - Where that version comes from, if it is not there yet. One of them holds the program; others add libraries, for
        AMD cards for example.
      - A file C(.tar.zst) or C(.tgz) on the box, or an C(https) URL. C(http) is for servers on the box itself.
    type: list
    elements: dict
    default: []
    suboptions:
      source:
        description: The URL, or the path on the box. C({arch}) in it is the box's processor, V(amd64) or V(arm64).
        type: str
        required: true
      checksum:
        description: The SHA-256 of the archive, with or without C(sha256:) before it.
        type: str
        required: true
  allow_insecure_version:
    description: Whether a version with known holes (before 0.35.0) may be installed.
    type: bool
    default: false
  environment:
    description: Settings of the server, by the names of its environment variables. A null is not set.
    type: dict
    default: {}
  models_dir:
    description:
      - Directory of the models, owned by the user of the service. It may hold nothing else.
      - By default what an existing unit says, else C(/usr/share/ollama/.ollama/models).
    type: path
  port:
    description: Port to listen on.
    type: int
    default: 11434
  keep_models:
    description: Whether O(state=absent) leaves the models, and the user that owns them.
    type: bool
    default: true
  start_timeout:
    description: How long the service may take to answer after a start, in seconds.
    type: int
    default: 60
  installed:
    description: Whether RV(install) was carried out, so that what is missing now is an error.
    type: bool
    default: false
extends_documentation_fragment:
  - gpubox.llm._attributes
  - gpubox.llm._http
attributes:
  platform:
    support: full
    platforms: linux
    description: Linux with systemd, also in WSL 2, and with Docker Engine on the box.
author:
  - gpubox.llm maintainers (@gpubox)
"""

EXAMPLES = r"""
---
- name: Ollama on the box itself
  gpubox.llm.ollama_native:
    version: 0.35.0
    archives:
      - source: https://github.com/ollama/ollama/releases/download/v0.35.0/ollama-linux-amd64.tar.zst
        checksum: sha256:9f2b1c0d8e7a6f5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b

- name: Ollama with settings, its models on a disk of their own
  gpubox.llm.ollama_native:
    version: 0.35.0
    archives:
      - source: /srv/packages/ollama-linux-amd64.tar.zst
        checksum: sha256:9f2b1c0d8e7a6f5b4c3d2e1f0a9b8c7d6e5f4a3b2c1d0e9f8a7b6c5d4e3f2a1b
    environment:
      OLLAMA_CONTEXT_LENGTH: "8192"
      OLLAMA_KEEP_ALIVE: 24h
    models_dir: /srv/models

- name: No Ollama any more; the models stay
  gpubox.llm.ollama_native:
    state: absent
"""

RETURN = r"""
actions:
  description: What was done, or would be done in check mode, in order.
  type: list
  elements: str
  returned: success
  sample: ["install Ollama 0.35.0 (now 0.32.15)", "restart Ollama"]
install:
  description: Packages of the distribution to install first; empty when nothing is missing.
  type: list
  elements: str
  returned: success
  sample: ["nftables", "zstd"]
url:
  description: Where it listens.
  type: str
  returned: with O(state=present)
  sample: http://172.17.0.1:11434
address:
  description: The address of that URL, which is the address of Docker's default bridge.
  type: str
  returned: with O(state=present)
  sample: 172.17.0.1
version:
  description: The version that runs.
  type: str
  returned: with O(state=present)
  sample: 0.35.0
models_dir:
  description: The directory of the models.
  type: str
  returned: with O(state=present)
  sample: /usr/share/ollama/.ollama/models
adopted:
  description: Settings in force that the existing unit or others' drop-ins make.
  type: dict
  returned: with O(state=present)
  sample: {OLLAMA_NUM_PARALLEL: "4"}
"""

from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._ollama_native.module import act
from ansible_collections.gpubox.llm.plugins.module_utils._runner import HTTP_OPTIONS, run


def argument_spec() -> dict[str, Any]:
    archive = {"source": {"required": True}, "checksum": {"required": True}}
    return {
        "state": {"choices": ["present", "absent"], "default": "present"},
        "version": {"type": "str"},
        "archives": {"type": "list", "elements": "dict", "default": [], "options": archive},
        "allow_insecure_version": {"type": "bool", "default": False},
        "environment": {"type": "dict", "default": {}},
        "models_dir": {"type": "path"},
        "port": {"type": "int", "default": 11434},
        "keep_models": {"type": "bool", "default": True},
        "start_timeout": {"type": "int", "default": 60},
        "installed": {"type": "bool", "default": False},
        **HTTP_OPTIONS,
    }


def main() -> None:
    run(argument_spec(), act, required_if=[("state", "present", ["version"])])


if __name__ == "__main__":
    main()
