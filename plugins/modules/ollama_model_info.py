#!/usr/bin/python
# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module ollama_model_info: what one Ollama server has and runs."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_model_info
short_description: Read which models an Ollama server has, and which are in memory
version_added: 0.2.0
description:
  - Reports every model with its digest, size and capabilities, and for those in memory how much of them is on the GPU.
options:
  url:
    description: URL of the Ollama server. Either this or O(container) is needed.
    type: str
  container:
    description: Name of the running container on this box in which Ollama runs. It needs no published port.
    type: str
  api_key:
    description: Key that is sent as bearer token to O(url).
    type: str
requirements:
  - The Python package C(docker) on the box, with O(container)
extends_documentation_fragment:
  - gpubox.llm._attributes.info_module
  - gpubox.llm._http
seealso:
  - module: gpubox.llm.ollama_model
author:
  - gpubox.llm maintainers (@gpubox)
"""

EXAMPLES = r"""
---
- name: See what a server has
  gpubox.llm.ollama_model_info:
    url: http://127.0.0.1:11434

- name: Look into the container of the stack
  gpubox.llm.ollama_model_info:
    container: gpubox-ollama-1
  register: ollama

- name: Insist that what is in memory is wholly on the GPU
  ansible.builtin.assert:
    that: ollama.models | selectattr('loaded') | map(attribute='loaded.gpu_percent') | reject('eq', 100) | length == 0
"""

RETURN = r"""
version:
  description: Version of the server.
  returned: success
  type: str
  sample: 0.35.0
models:
  description: All models that the server has.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the model, as Ollama lists it.
      type: str
      sample: llama3.2:3b
    digest:
      description: SHA-256 of the model's manifest, as C(sha256:) and 64 digits.
      type: str
      sample: sha256:a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72
    size:
      description: Bytes of all its files.
      type: int
      sample: 2019393189
    family:
      description: Its architecture; empty if the server does not say.
      type: str
      sample: llama
    parameter_size:
      description: How many parameters it has; empty if the server does not say.
      type: str
      sample: 3.2B
    quantization:
      description: How its parameters are stored; empty if the server does not say.
      type: str
      sample: Q4_K_M
    capabilities:
      description: What it can be used for.
      type: list
      elements: str
      sample: [completion, tools]
    loaded:
      description: How it is in memory; null if it is not.
      type: dict
      contains:
        size:
          description: Bytes of memory that it takes.
          type: int
          sample: 3389837312
        gpu_size:
          description: How many of these bytes are on the GPU.
          type: int
          sample: 3389837312
        gpu_percent:
          description: The same as a percentage.
          type: int
          sample: 100
        context:
          description: Size of its context in tokens; 0 if the server does not say.
          type: int
          sample: 4096
        expires_at:
          description: When it leaves memory if nobody uses it.
          type: str
          sample: '2026-11-21T15:04:05.000000000Z'
"""

from ansible_collections.gpubox.llm.plugins.module_utils._http import Http
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.client import Ollama
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.container import address
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.info import report
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import OllamaError
from ansible_collections.gpubox.llm.plugins.module_utils._runner import (
    HTTP_OPTIONS,
    Outcome,
    Task,
    TaskError,
    run,
)

OPTIONS = {
    "url": {"type": "str"},
    "container": {"type": "str"},
    "api_key": {"type": "str", "no_log": True},
    **HTTP_OPTIONS,
}


def act(task: Task) -> Outcome:
    """Ask the server."""
    url = task.params["url"] or address(task.params["container"])
    if not url:
        raise TaskError(
            f"container: there is no running container {task.params['container']} on this box. "
            "Bring the stack up first, or check the name."
        )
    key = task.params["api_key"]
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        found = report(Ollama(Http(url, task.transport(), headers=headers)), task.warn)
    except OllamaError as error:
        raise TaskError(str(error)) from error
    return Outcome(changed=False, result=found)


def main() -> None:
    run(
        OPTIONS,
        act,
        mutually_exclusive=[("url", "container")],
        required_one_of=[("url", "container")],
    )


if __name__ == "__main__":
    main()
