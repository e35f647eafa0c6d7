# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A model's manifest, by one request to its registry. Private to this collection."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.gpubox.llm.plugins.module_utils._http import (
    Http,
    NotFound,
    StatusError,
    Transport,
)
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import (
    DEFAULT_HOST,
    Name,
    OllamaError,
    is_loopback,
)

__all__ = ["Layer", "Manifest", "Registry"]

ACCEPT = "application/vnd.docker.distribution.manifest.v2+json"
RETRY_SECONDS = 20  # a person is waiting


@dataclass(frozen=True)
class Layer:
    """One file of a model."""

    digest: str  # begins with sha256:
    size: int
    kind: str  # the media type


@dataclass(frozen=True)
class Manifest:
    """What a model consists of."""

    digest: str  # 64 digits, as in Ollama's own list
    layers: tuple[Layer, ...]

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(layer.size for layer in self.layers)

    @classmethod
    def parse(cls, body: bytes, name: Name) -> Manifest:
        """From the bytes that the registry sends, whose SHA-256 is the model's digest."""
        try:
            data = json.loads(body)
            parts = [*data["layers"], *([data["config"]] if data.get("config") else [])]
            layers = tuple(_layer(part) for part in parts)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise OllamaError(
                f"{name}: what {name.host} sends is no manifest of a model. "
                "Check that it is a registry, and that no proxy answers in its place."
            ) from error
        return cls(hashlib.sha256(body).hexdigest(), layers)


class Registry:
    """The registries that models may come from; ``mirror`` is a URL that stands for the default one."""

    def __init__(
        self,
        transport: Transport,
        *,
        mirror: str = "",
        allowed: Collection[str] = (DEFAULT_HOST,),
        insecure: bool = False,
        server_version: str = "",
    ) -> None:
        self._transport = transport
        self._mirror = mirror_host(mirror)
        self._allowed = {host.lower() for host in [*allowed, self._mirror] if host}
        self._insecure = insecure or mirror.startswith("http://")
        # Registries refuse models that the server is too old for, by the version they are told.
        self._agent = f"ollama/{server_version or '0.0.0'} gpubox.llm"

    def origin(self, name: Name) -> Name:
        """The name under which a model is pulled: the mirror's, if there is one."""
        mirrored = self._mirror and name.host == DEFAULT_HOST
        return name.at(self._mirror) if mirrored else name

    def plain(self, name: Name) -> bool:
        """Whether a model is pulled by HTTP. That never leaves the machine."""
        return self._insecure and is_loopback(self.origin(name).host)

    def fault(self, name: Name) -> str:
        """Why a model may not be pulled; empty if it may."""
        host = self.origin(name).host
        if host.lower() in self._allowed:
            return ""
        return (
            f"{name}: its registry {host} is not among the allowed ones "
            f"({', '.join(sorted(self._allowed))}). Add it to registries if you trust it."
        )

    def manifest(self, name: Name) -> Manifest:
        """What the registry has under a name, by one request."""
        fault = self.fault(name)
        if fault:
            raise OllamaError(fault)
        origin = self.origin(name)
        scheme = "http" if self.plain(name) else "https"
        http = Http(
            f"{scheme}://{origin.host}",
            self._transport,
            headers={"Accept": ACCEPT, "User-Agent": self._agent},
            retry_seconds=RETRY_SECONDS,
        )
        path = f"/v2/{origin.namespace}/{origin.model}/manifests/{origin.tag}"
        try:
            return Manifest.parse(http.call("GET", path).body, origin)
        except NotFound as error:
            raise OllamaError(
                f"{name}: {origin.host} has no such model or tag. Check the name."
            ) from error
        except StatusError as error:
            if error.status == 412:
                raise OllamaError(
                    f"{name}: the server is too old for this model. Update Ollama. ({error})"
                ) from error
            raise


def mirror_host(mirror: str) -> str:
    """Host and port of the mirror's URL; OllamaError if the URL is not of that kind."""
    if not mirror:
        return ""
    parts = urlsplit(mirror)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        raise OllamaError(
            f"registry_mirror: {mirror!r} is no URL of a registry. "
            "Write scheme, host and, if need be, port, as in https://models.example.com."
        )
    if parts.username or parts.password:
        raise OllamaError("registry_mirror: its URL holds a user or a password. Leave them out.")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise OllamaError(
            f"registry_mirror: {mirror!r} is not encrypted. Use HTTPS; HTTP is for loopback addresses."
        )
    return parts.netloc


def _layer(part: Mapping[str, Any]) -> Layer:
    digest, size = part["digest"], part["size"]
    if not re.fullmatch(r"sha256:[0-9a-f]{64}", digest) or isinstance(size, bool) or size < 0:
        raise ValueError(f"not a layer: {part}")
    return Layer(digest, int(size), str(part.get("mediaType", "")))
