#!/usr/bin/python
# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The module ollama_model: the models of one Ollama server."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ollama_model
short_description: Have models on an Ollama server, pulled, created, loaded or removed
version_added: 0.2.0
description:
  - Takes the whole list of models in one call, and pulls what is missing side by side. Downloads that were cut are
    resumed, also by the next run.
  - A model has changed if its digest has. Models that are there, or pinned by a digest that is there, cost no request
    to a registry; with nothing to do the module makes one request to the server.
  - Names mean what they mean to Ollama, so V(llama3.2) and V(Library/llama3.2:latest) are the same model. Cloud models
    (their tag is V(cloud) or ends in V(-cloud)) are not downloaded.
options:
  models:
    description: The models that the server shall have, or shall not have. No model may be named twice.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the model, as V([host/][namespace/]model[:tag]).
        type: str
        required: true
      state:
        description:
          - V(present) pulls or creates a model that is missing.
          - V(latest) also asks the registry for the tag's digest, by one request, and pulls if it has moved.
          - V(absent) removes the model; if it is in memory, it is unloaded first.
        type: str
        choices: [present, latest, absent]
        default: present
      digest:
        description:
          - SHA-256 that the model is pinned to, with or without C(sha256:) before its 64 digits.
          - If the registry's tag means another digest by now, the module fails before it downloads anything.
        type: str
      from:
        description:
          - Name of the model that this one is created from. It is pulled if it is neither there nor in the list.
        type: str
      file:
        description: Path, on the box, of the GGUF file that this model is created from.
        type: path
      system:
        description: System prompt of a created model.
        type: str
      template:
        description: Prompt template of a created model.
        type: str
      parameters:
        description: Parameters of a created model, such as C(temperature), C(num_ctx) and C(stop).
        type: dict
      adapters:
        description: Paths, on the box, of GGUF adapters (LoRA) that are applied to a created model.
        type: list
        elements: path
      quantize:
        description: Quantization that a created model gets, such as V(q4_K_M). Its file must hold F16, BF16 or F32.
        type: str
      loaded:
        description:
          - V(true) has the model in memory after the run, V(false) has it not.
          - What is in memory is left alone if this is not given.
        type: bool
      keep_alive:
        description:
          - For how long a model that O(models[].loaded=true) loads stays in memory without a request; seconds, or a
            duration such as V(24h). A negative value means for ever.
          - A model that is in memory already stays as it is.
        type: raw
  prune:
    description: Whether to remove the models that the list does not name.
    type: bool
    default: false
  url:
    description: URL of the Ollama server. Either this or O(container) is needed.
    type: str
  container:
    description:
      - Name of the container on this box in which Ollama runs. It needs no published port and no way to the Internet;
        models are pulled by a short-lived clone that shares its volumes.
      - If no such container runs, or it runs another O(image), nothing is done and RV(deferred) is true.
    type: str
  image:
    description: Image of the container and of the clone that pulls, with O(container); its own if not given.
    type: str
  network:
    description:
      - Docker network of the clone that pulls, with O(container). It must lead to the registries.
      - If it is not given, the clone gets one of its own, which ends with it.
    type: str
  environment:
    description: Environment of the clone that pulls, with O(container), such as C(HTTPS_PROXY).
    type: dict
    default: {}
  models_dir:
    description:
      - Directory, on the box, in which the server keeps its models. Free disk is checked and O(verify) works only
        where it is known. With O(container) it is found by itself.
    type: path
  api_key:
    description: Key that is sent as bearer token to O(url).
    type: str
  registry_mirror:
    description:
      - URL of a registry that is asked instead of registry.ollama.ai, for instance V(https://models.example.com).
      - A model is pulled under the mirror's name, copied to its own, and the mirror's name is removed.
    type: str
  registries:
    description: Registries that models may be pulled from, with port if they have one. The mirror is always allowed.
    type: list
    elements: str
    default: [registry.ollama.ai, hf.co]
  insecure:
    description: Whether to use HTTP for registries on a loopback address. All others are asked by HTTPS in any case.
    type: bool
    default: false
  verify:
    description:
      - Whether to read all files of the declared models and compare them with their digests. What is damaged is
        removed and pulled again.
    type: bool
    default: false
  concurrency:
    description: How many models are pulled at once.
    type: int
    default: 3
  min_free_bytes:
    description: How many bytes must stay free on the disk of O(models_dir).
    type: int
    default: 1073741824
  gpu_memory_bytes:
    description: Memory of the GPU. What is to be pulled or created is compared with it.
    type: int
  gpu_fit:
    description: What happens if a model does not fit into O(gpu_memory_bytes).
    type: str
    choices: [warn, refuse, ignore]
    default: warn
  retries:
    description:
      - How many times in a row a download is begun anew without getting further. That happens when it was cut, and when
        nothing came for O(stall_seconds).
    type: int
    default: 5
extends_documentation_fragment:
  - gpubox.llm._attributes
  - gpubox.llm._http
  - gpubox.llm._progress
requirements:
  - The Python package C(docker) on the box, with O(container)
attributes:
  check_mode:
    description:
      - Predicts the real run and only reads. Registries are asked for manifests, as in the real run.
  diff_mode:
    description:
      - Shows names and digests before and after. For a created model it says what the model is created from, because
        its digest is known only afterwards.
author:
  - gpubox.llm maintainers (@gpubox)
"""

EXAMPLES = r"""
---
- name: Have a model
  gpubox.llm.ollama_model:
    url: http://127.0.0.1:11434
    models:
      - name: llama3.2:3b

- name: Have exactly these models in the container, whatever was there before
  gpubox.llm.ollama_model:
    container: gpubox-ollama-1
    network: gpubox_egress
    prune: true
    gpu_memory_bytes: 25769803776
    models:
      - name: llama3.2:3b
        digest: sha256:a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72
        loaded: true
        keep_alive: 24h
      - name: nomic-embed-text
        state: latest
      - name: helpdesk
        from: llama3.2:3b
        system: You answer in one sentence.
        parameters: {temperature: 0.2, num_ctx: 8192}
      - name: own-model
        file: /srv/models/own-model-f16.gguf
        quantize: q4_K_M
"""

RETURN = r"""
models:
  description: The models that were declared, and those that were or, in check mode, would be removed.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the model, as Ollama lists it.
      type: str
      sample: llama3.2:3b
    digest:
      description:
        - SHA-256 of the model's manifest, as C(sha256:) and 64 digits. In check mode the one that is expected.
        - Empty if the model is not there, or if check mode cannot know it.
      type: str
      sample: sha256:a80c4f17acd55265feec403c7aef86be0c25983ab279d83f3bcd3abbcb5b8b72
    size:
      description: Bytes of all its files.
      type: int
      sample: 2019393189
    action:
      description: What happened, or in check mode would happen; one of none, pull, create, load, unload, delete.
      type: str
      sample: pull
deferred:
  description: Whether nothing was done because no such container runs or, in check mode, nobody answers at O(url).
  returned: always
  type: bool
version:
  description: Version of the server.
  returned: when something is pulled
  type: str
  sample: 0.35.0
"""

from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._ollama.task import act
from ansible_collections.gpubox.llm.plugins.module_utils._runner import (
    HTTP_OPTIONS,
    PROGRESS_OPTIONS,
    run,
)

MODEL: dict[str, dict[str, Any]] = {
    "name": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "latest", "absent"], "default": "present"},
    "digest": {"type": "str"},
    "from": {"type": "str"},
    "file": {"type": "path"},
    "system": {"type": "str"},
    "template": {"type": "str"},
    "parameters": {"type": "dict"},
    "adapters": {"type": "list", "elements": "path"},
    "quantize": {"type": "str"},
    "loaded": {"type": "bool"},
    "keep_alive": {"type": "raw"},
}
OPTIONS: dict[str, dict[str, Any]] = {
    "models": {"type": "list", "elements": "dict", "required": True, "options": MODEL},
    "prune": {"type": "bool", "default": False},
    "url": {"type": "str"},
    "container": {"type": "str"},
    "image": {"type": "str"},
    "network": {"type": "str"},
    "environment": {"type": "dict", "default": {}},
    "models_dir": {"type": "path"},
    "api_key": {"type": "str", "no_log": True},
    "registry_mirror": {"type": "str"},
    "registries": {"type": "list", "elements": "str", "default": ["registry.ollama.ai", "hf.co"]},
    "insecure": {"type": "bool", "default": False},
    "verify": {"type": "bool", "default": False},
    "concurrency": {"type": "int", "default": 3},
    "min_free_bytes": {"type": "int", "default": 1 << 30},
    "gpu_memory_bytes": {"type": "int"},
    "gpu_fit": {"type": "str", "choices": ["warn", "refuse", "ignore"], "default": "warn"},
    "retries": {"type": "int", "default": 5},
    **HTTP_OPTIONS,
    **PROGRESS_OPTIONS,
}


def main() -> None:
    """Act as the arguments say."""
    run(
        OPTIONS,
        act,
        required_one_of=[["url", "container"]],
        mutually_exclusive=[["url", "container"]],
    )


if __name__ == "__main__":
    main()
