# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Model names, read and compared as Ollama does. Private to this collection."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

__all__ = ["DEFAULT_HOST", "Name", "OllamaError", "is_loopback"]

DEFAULT_HOST = "registry.ollama.ai"
DEFAULT_NAMESPACE = "library"
DEFAULT_TAG = "latest"

PARTS = {  # the first character is a letter, a digit or "_"; then how long, and which characters besides those
    "host": (350, "-.:"),
    "namespace": (80, "-"),
    "model": (80, "-."),
    "tag": (80, "-."),
}


class OllamaError(RuntimeError):
    """Something about a model is wrong; the message says what, why and what to do."""


@dataclass(frozen=True, eq=False)
class Name:
    """``[host/][namespace/]model[:tag]`` with nothing left out; case makes no difference, as in Ollama."""

    host: str
    namespace: str
    model: str
    tag: str

    @classmethod
    def of(cls, text: str) -> Name:
        """The name as a server wrote it, unchecked."""
        rest, tag = text, ""
        if text.rfind(":") > text.rfind("/"):
            rest, _unused, tag = text.rpartition(":")
        rest, _unused, model = rest.rpartition("/")
        host, _unused, namespace = rest.rpartition("/")
        return cls(
            _spelled(host, DEFAULT_HOST),
            _spelled(namespace, DEFAULT_NAMESPACE),
            model,
            _spelled(tag, DEFAULT_TAG),
        )

    @classmethod
    def parse(cls, text: str) -> Name:
        """The name as a person wrote it; OllamaError if Ollama would refuse it, or read it as something else."""
        fault = _fault(text)
        if fault:
            raise OllamaError(f"{text!r} is no model name: {fault}")
        return cls.of(text)

    @property
    def short(self) -> str:
        """As Ollama lists it: host and namespace only where they are not the default, always a tag."""
        if self.host != DEFAULT_HOST:
            return self.full
        if self.namespace != DEFAULT_NAMESPACE:
            return f"{self.namespace}/{self.model}:{self.tag}"
        return f"{self.model}:{self.tag}"

    @property
    def full(self) -> str:
        """With all its parts."""
        return f"{self.host}/{self.namespace}/{self.model}:{self.tag}"

    @property
    def is_cloud(self) -> bool:
        """Whether the model runs at Ollama's cloud, so that there is nothing to download."""
        tag = self.tag.lower()
        return tag == "cloud" or tag.endswith("-cloud")

    def at(self, host: str) -> Name:
        """The same model at another registry."""
        return Name(host, self.namespace, self.model, self.tag)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Name) and self.full.lower() == other.full.lower()

    def __hash__(self) -> int:
        return hash(self.full.lower())

    def __str__(self) -> str:
        return self.short


def is_loopback(host: str) -> bool:
    """Whether ``host``, with or without a port, is this machine by its name or number."""
    name = re.sub(r":\d+$", "", host).lower()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _spelled(part: str, default: str) -> str:
    """A part, or the default: registries know that in lower case only."""
    return default if part.lower() in ("", default) else part


def _fault(text: str) -> str:
    """Why ``text`` is no name; empty if it is one."""
    if "://" in text:
        return "it has a scheme. Write the registry's host alone, as in registry.example.com/library/llama3.2:3b"
    if "@" in text:
        return "it has a digest. Pin a model with its option digest"
    if ".." in text or text.count("/") > 2:
        return "it looks like a path. Write [host/][namespace/]model[:tag]"
    if text.endswith(":") or any(not part for part in text.split("/")):
        return "a part of it is empty. Write [host/][namespace/]model[:tag]"
    return _part_fault(Name.of(text))


def _part_fault(name: Name) -> str:
    for part, (longest, others) in PARTS.items():
        value = getattr(name, part)
        if len(value) > longest:
            return f"its {part} has {len(value)} characters. At most {longest} are allowed"
        if not re.fullmatch(rf"[A-Za-z0-9_][A-Za-z0-9_{re.escape(others)}]*", value):
            allowed = " ".join(("_", *others))
            return f"its {part} is {value!r}. Use letters, digits and {allowed}, and start with a letter, a digit or _"
    return ""
