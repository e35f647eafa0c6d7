#!/usr/bin/python
# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module ollama_windows: where containers reach the Ollama that runs on the Windows side of WSL 2."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_windows
short_description: Find the Ollama that runs on the Windows side of WSL 2
version_added: 0.2.0
description:
  - Which address of Windows containers in WSL reach depends on WSL's networking mode, on the engine and on Windows'
    settings, and changes with each start of WSL. So it is found by asking, at every run.
  - All candidates are asked from inside a throw-away container, by the name by which containers will ask, which has to
    pass Ollama's own check.
  - If none answers, the message says for each what happened, and which setting or firewall rule of Windows is missing.
options:
  image:
    description:
      - Image with Python that the container is made of, usually the gateway's.
      - One that is not there is pulled. In check mode, or if it cannot be pulled, the box itself asks.
    type: str
    required: true
  addresses:
    description: Further addresses or names of Windows, asked first.
    type: list
    elements: str
    default: []
  port:
    description: Port of Ollama.
    type: int
    default: 11434
  timeout:
    description: How long a candidate may take to answer, in seconds.
    type: int
    default: 3
extends_documentation_fragment:
  - gpubox.llm._attributes
attributes:
  diff_mode:
    support: N/A
    description: Changes nothing.
  platform:
    support: full
    platforms: linux
    description: WSL 2 with Docker Engine or Docker Desktop.
requirements:
  - The Docker SDK for Python on the box
author:
  - gpubox.llm maintainers (@gpubox)
"""

EXAMPLES = r"""
---
- name: Find Ollama on Windows
  gpubox.llm.ollama_windows:
    image: ghcr.io/berriai/litellm:v1.106.2-stable
  register: ollama

- name: Look at a certain address first
  gpubox.llm.ollama_windows:
    image: ghcr.io/berriai/litellm:v1.106.2-stable
    addresses: [192.168.1.20]
"""

RETURN = r"""
address:
  description: Where containers reach it, to be given to them as C(host.docker.internal).
  type: str
  returned: success
  sample: 172.29.160.1
url:
  description: Where the box itself reaches it.
  type: str
  returned: success
  sample: http://172.29.160.1:11434
version:
  description: Its version.
  type: str
  returned: success
  sample: 0.35.0
found_as:
  description: Which candidate it was, V(given), V(desktop), V(gateway) or V(own).
  type: str
  returned: success
  sample: gateway
asked_from:
  description: Who asked, V(container) or V(box).
  type: str
  returned: success
  sample: container
"""

from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._ollama_windows.module import act
from ansible_collections.gpubox.llm.plugins.module_utils._runner import run


def argument_spec() -> dict[str, Any]:
    return {
        "image": {"type": "str", "required": True},
        "addresses": {"type": "list", "elements": "str", "default": []},
        "port": {"type": "int", "default": 11434},
        "timeout": {"type": "int", "default": 3},
    }


def main() -> None:
    run(argument_spec(), act)


if __name__ == "__main__":
    main()
