# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what the quickstart serves: a real model where models can be reached, else the mock.

What is chosen is written once to inventories/quickstart/group_vars/all/models.yml, which is the user's from then on:
the next run chooses nothing and asks nobody. `make up MODEL=...` adds a model to it, by name or as a GGUF file.
"""

from __future__ import annotations

import os
import re
import ssl
import sys
import urllib.error
import urllib.request
from pathlib import Path

import yaml

FILE = Path("inventories/quickstart/group_vars/all/models.yml")
# Memory of the machine in GB, and the model that answers well and soon with it.
CHOICES = [(0, "qwen2.5:0.5b"), (6, "llama3.2:1b"), (12, "llama3.2:3b")]
# Where a model and the server's image come from.
MODELS = "https://registry.ollama.ai/v2/library/{}/manifests/{}"
IMAGES = "https://registry-1.docker.io/v2/"
SECONDS = 4
SERVER_ERROR = 500
HEAD = """\
---
# What the quickstart serves. This file is yours: the next `make up` brings the box to what it says.
llm_default_model: {name}
llm_models:
"""


def choose(memory_gb: float) -> str:
    """The largest of the choices that this much memory is enough for."""
    return [model for needed, model in CHOICES if memory_gb >= needed][-1]


def memory_gb() -> float:
    """Memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9


def unreachable(url: str) -> str:
    """Why nobody answers there; empty if somebody does, whatever the answer."""
    context = ssl.create_default_context(cafile=os.environ.get("PIP_CERT"))
    request = urllib.request.Request(url, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=SECONDS, context=context):
            return ""
    except urllib.error.HTTPError as error:
        return "" if error.code < SERVER_ERROR else f"status {error.code}"
    except (OSError, ValueError) as error:
        return str(getattr(error, "reason", error))


def entry(model: str) -> dict[str, object]:
    """The model as an entry of llm_models: by its name, or made of a GGUF file."""
    if not model.endswith(".gguf"):
        return {"name": model, "provider": "ollama"}
    path = Path(model).expanduser().resolve()
    if not path.is_file():
        raise SystemExit(f"MODEL={model}: there is no such file.")
    name = re.sub(r"[^a-z0-9._-]+", "-", path.stem.lower()).strip("-._")
    return {"name": name, "provider": "ollama", "ollama": {"file": str(path)}}


def add(wanted: dict[str, object]) -> None:
    """Write the file, or add the model to the one that is there; it becomes the default."""
    name = str(wanted["name"])
    text = FILE.read_text(encoding="utf-8") if FILE.exists() else HEAD.format(name=name)
    before = yaml.safe_load(text)
    listed = before.get("llm_models") or []
    if all(model.get("name") != name for model in listed):
        line = yaml.safe_dump(wanted, default_flow_style=True, sort_keys=False, width=1000).strip()
        text = f"{text.rstrip()}\n  - {line}\n"
        listed = [*listed, wanted]
    text = re.sub(r"(?m)^llm_default_model:.*$", f"llm_default_model: {name}", text)
    if yaml.safe_load(text) != {**before, "llm_models": listed, "llm_default_model": name}:
        raise SystemExit(
            f"{FILE} no longer ends with its list of models. Add this there yourself: {wanted}"
        )
    FILE.write_text(text, encoding="utf-8")


def main(model: str) -> None:
    """Add ``model``, or choose one where nothing was chosen yet."""
    if model:
        add(entry(model))
        return
    if FILE.exists():
        return
    chosen = choose(memory_gb())
    name, _unused, tag = chosen.partition(":")
    for what, url in (("models", MODELS.format(name, tag)), ("images", IMAGES)):
        if why := unreachable(url):
            print(
                f"The registry of {what} cannot be reached ({why}): a mock model answers.",
                flush=True,
            )
            return
    add(entry(chosen))
    print(
        f"{chosen} is what this machine's {memory_gb():.0f} GB of memory are good for; {FILE} says so.",
        flush=True,
    )


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "")
