# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The heads of GGUF files: written for tests, read as a server reads them."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from typing import Any

# The numbers of types in the format; strings and arrays are not of one size.
NUMBERS = {
    **{0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?"},
    **{10: "Q", 11: "q", 12: "d"},
}
STRING, ARRAY, UINT32 = 8, 9, 4
FILE_TYPES = {1: "F16", 2: "Q4_0", 7: "Q8_0", 14: "Q4_K_S", 15: "Q4_K_M", 32: "BF16"}


def gguf(architecture: str = "llama", file_type: int = 1, size: int = 0, **keys: Any) -> bytes:
    """A GGUF file without a tensor, padded to a size: enough for whoever reads only its head.

    Keys of the architecture are given without its name: ``gguf("bert", pooling_type=1)`` is an embedding model. Those
    of the general part with ``general_``: ``gguf(general_type="adapter")``.
    """
    pairs: dict[str, Any] = {
        "general.architecture": architecture,
        "general.file_type": file_type,
        f"{architecture}.context_length": 2048,
    }
    for key, value in keys.items():
        general = key.startswith("general_")
        pairs[key.replace("_", ".", 1) if general else f"{architecture}.{key}"] = value
    return (_head(pairs)).ljust(size, b"\0")


def quantized(content: bytes, file_type: int) -> bytes:
    """The same file, said to be of another type."""
    key = b"general.file_type" + struct.pack("<I", UINT32)
    start = content.index(key) + len(key)
    return content[:start] + struct.pack("<I", file_type) + content[start + 4 :]


@dataclass(frozen=True)
class Head:
    """What a server knows of a model from its file."""

    keys: dict[str, Any]  # arrays are None
    parameters: int
    tensors: tuple[dict[str, Any], ...]

    @property
    def architecture(self) -> str:
        return str(self.keys.get("general.architecture", "unknown"))

    @property
    def file_type(self) -> str:
        return FILE_TYPES.get(self.keys.get("general.file_type", 0), "unknown")

    def own(self, key: str) -> Any:
        """A value of the architecture's part."""
        return self.keys.get(f"{self.architecture}.{key}")


def read(content: bytes) -> Head:
    """The head of a file; ValueError where it ends too early."""
    if content[:4] != b"GGUF":
        raise ValueError("supplied file was not in GGUF format")
    reader = _Reader(content, 8)
    try:
        tensors, pairs = reader.number("Q"), reader.number("Q")
        keys = {reader.string(): reader.value(reader.number("I")) for _unused in range(pairs)}
        shapes = [_tensor(reader) for _unused in range(tensors)]
    except (struct.error, UnicodeDecodeError, KeyError):
        raise ValueError("unexpected EOF") from None
    parameters = sum(math.prod(tensor["shape"]) for tensor in shapes)
    return Head({**keys, "general.parameter_count": parameters}, parameters, tuple(shapes))


def _head(pairs: dict[str, Any]) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs))
    for key, value in pairs.items():
        head += struct.pack("<Q", len(key)) + key.encode()
        if isinstance(value, str):
            head += struct.pack("<IQ", STRING, len(value)) + value.encode()
        else:
            head += struct.pack("<II", UINT32, value)
    return head


def _tensor(reader: _Reader) -> dict[str, Any]:
    name, dimensions = reader.string(), reader.number("I")
    shape = [reader.number("Q") for _unused in range(dimensions)]
    kind, _offset = reader.number("I"), reader.number("Q")
    return {"name": name, "type": {0: "F32", 1: "F16"}.get(kind, str(kind)), "shape": shape}


class _Reader:
    def __init__(self, content: bytes, position: int) -> None:
        self._content = content
        self._position = position

    def number(self, kind: str) -> Any:
        found = struct.unpack_from(f"<{kind}", self._content, self._position)[0]
        self._position += struct.calcsize(kind)
        return found

    def string(self) -> str:
        length = self.number("Q")
        start, self._position = self._position, self._position + length
        if self._position > len(self._content):
            raise struct.error("ends in a string")
        return self._content[start : self._position].decode()

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.string()
        if kind != ARRAY:
            return self.number(NUMBERS[kind])
        inner, length = self.number("I"), self.number("Q")
        for _unused in range(length):
            self.value(inner)
        return None
