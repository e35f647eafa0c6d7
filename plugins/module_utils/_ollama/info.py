# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What ollama_model_info reports. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Callable

from ansible_collections.gpubox.llm.plugins.module_utils._http import StatusError
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.client import (
    Loaded,
    Model,
    Ollama,
)

__all__ = ["describe", "report"]


def report(server: Ollama, warn: Callable[[str], None]) -> dict[str, Any]:
    """All of it, by three requests; servers before 0.14 are asked for each model's capabilities."""
    loaded = server.ps()
    return {
        "version": server.version(),
        "models": [
            describe(model, _capabilities(server, model, warn), loaded.get(model.name))
            for model in server.tags().values()
        ],
    }


def describe(model: Model, capabilities: Sequence[str], loaded: Loaded | None) -> dict[str, Any]:
    """One model."""
    return {
        "name": model.name.short,
        "digest": f"sha256:{model.digest}",
        "size": model.size,
        "family": _text(model.details, "family"),
        "parameter_size": _text(model.details, "parameter_size"),
        "quantization": _text(model.details, "quantization_level"),
        "capabilities": sorted(capabilities),
        "loaded": _memory(loaded) if loaded else None,
    }


def _memory(loaded: Loaded) -> dict[str, Any]:
    return {
        "size": loaded.size,
        "gpu_size": loaded.on_gpu,
        "gpu_percent": round(100 * loaded.on_gpu / loaded.size) if loaded.size else 0,
        "context": loaded.context,
        "expires_at": loaded.expires_at,
    }


def _capabilities(server: Ollama, model: Model, warn: Callable[[str], None]) -> Sequence[str]:
    if model.capabilities:
        return model.capabilities
    try:
        return server.show(model.name).get("capabilities") or ()
    except StatusError as error:
        warn(f"{model.name} cannot be looked at: {error}. Let ollama_model verify it.")
        return ()


def _text(details: Mapping[str, Any], key: str) -> str:
    return str(details.get(key) or "")
