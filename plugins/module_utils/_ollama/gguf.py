# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The head of a GGUF file, read before gigabytes of it are sent anywhere. Private to this collection."""

from __future__ import annotations

import hashlib
import math
import mmap
import os
import struct
from dataclasses import dataclass
from typing import Any

from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import OllamaError

__all__ = ["Gguf", "check", "sha256"]

STRING, ARRAY = 8, 9
NUMBERS = {  # how the format writes values, by the number of their type
    **{0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?"},
    **{10: "<Q", 11: "<q", 12: "<d"},
}
# Quantizations by the number in general.file_type, named as Ollama names them.
FILE_TYPES = {
    **{0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K"},
    **{11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S"},
    **{17: "Q5_K_M", 18: "Q6_K", 19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS"},
    **{23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL", 26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S"},
    **{29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 36: "TQ1_0", 37: "TQ2_0", 38: "MXFP4"},
}
# Tensors by the number of their type: so many numbers take so many bytes.
BLOCKS = {
    **{0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34)},
    **{10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176)},
    **{14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98)},
    **{19: (256, 50), 20: (32, 18), 21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1)},
    **{25: (1, 2), 26: (1, 4), 27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2)},
    **{34: (256, 54), 35: (256, 66), 39: (32, 17), 40: (64, 36)},
}
ALIGNMENT = 32
# What people hand over instead, by how it begins.
OTHERS = (
    (b"version https://git-lfs", "it is a pointer of Git LFS. Fetch the file itself: git lfs pull"),
    (b"<", "it is a web page. Download the file again, with a login if it needs one"),
    (b"PK", "it is a PyTorch checkpoint. Convert it, or take a GGUF file"),
    (b"\x80", "it is a PyTorch checkpoint. Convert it, or take a GGUF file"),
    (b"ggml", "it has a former format. Take a GGUF file"),
    (b"tjgg", "it has a former format. Take a GGUF file"),
)


@dataclass(frozen=True)
class Gguf:
    """What a file says of itself; what it does not say is empty."""

    size: int
    architecture: str
    file_type: str  # the quantization
    kind: str  # model, adapter, mmproj, ...


def check(path: str) -> Gguf:
    """What is in a file; OllamaError if it is not a whole file of a model."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if not size:
                raise OllamaError(f"{path} is empty. Give the path of a GGUF file.")
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _check(path, data, size)
    except OSError as error:
        raise OllamaError(
            f"{path} cannot be read on this box: {error.strerror}. Give the path of a GGUF file."
        ) from error


def sha256(path: str) -> str:
    """The digest under which Ollama keeps a file: 64 digits."""
    found = hashlib.sha256()
    buffer = memoryview(bytearray(1 << 20))
    with open(path, "rb", buffering=0) as file:
        while True:
            count = file.readinto(buffer)
            if not count:
                return found.hexdigest()
            found.update(buffer[:count])


def _check(path: str, data: Any, size: int) -> Gguf:
    _check_magic(path, data)
    try:
        keys, end = _Reader(data).head()
    except (struct.error, KeyError, TypeError, ValueError) as error:
        raise OllamaError(
            f"{path} is damaged or ends early: its head, within {size} bytes, makes no sense. "
            "Copy or download it again."
        ) from error
    if end > size:
        raise OllamaError(
            f"{path} ends early: it has {size} bytes, but its tensors need {end}. Copy or download it again."
        )
    if keys.get("split.count") not in (None, 0, 1):
        raise OllamaError(
            f"{path} is one of {keys['split.count']} parts. Join them first: llama-gguf-split --merge."
        )
    if not keys.get("general.architecture"):
        raise OllamaError(f"{path} does not say which architecture its model has. Take another.")
    return Gguf(
        size=size,
        architecture=str(keys["general.architecture"]),
        file_type=FILE_TYPES.get(keys.get("general.file_type", -1), ""),
        kind=str(keys.get("general.type", "model")),
    )


def _check_magic(path: str, data: Any) -> None:
    if data[:4] != b"GGUF":
        start = bytes(data[:32]).lstrip()
        meant = next((words for begins, words in OTHERS if start.startswith(begins)), "")
        raise OllamaError(
            f"{path} is no GGUF file: {meant or f'it begins with {bytes(data[:4])!r}. Give the path of one'}."
        )
    version = data[4:8] if len(data) >= 8 else b"\3"  # one that short is found damaged
    if version[:2] == b"\0\0":
        raise OllamaError(
            f"{path} is a GGUF file for machines of the other byte order. Take another."
        )
    if version[:1] not in (b"\2", b"\3"):
        raise OllamaError(f"{path} is a GGUF file of a version other than 2 and 3. Convert it.")


class _Reader:
    """Reads the head from start to end; whatever does not fit into the file is a struct.error."""

    def __init__(self, data: Any) -> None:
        self._data = data
        self._at = 8

    def head(self) -> tuple[dict[str, Any], int]:
        """The keys, with arrays as None, and where the last tensor ends."""
        tensors, pairs = self._number("<Q"), self._number("<Q")
        keys = {self._text(): self._value(self._number("<I")) for _unused in range(pairs)}
        ends = [self._tensor() for _unused in range(tensors)]
        alignment = keys.get("general.alignment") or ALIGNMENT
        start = math.ceil(self._at / alignment) * alignment
        return keys, start + max(ends) if ends else self._at

    def _tensor(self) -> int:
        """Where a tensor ends, counted from where tensors start."""
        self._text()
        count = math.prod(self._number("<Q") for _unused in range(self._number("<I")))
        block, taken = BLOCKS.get(self._number("<I"), (1, 0))  # of an unknown type: where it starts
        return self._number("<Q") + count // block * taken

    def _number(self, form: str) -> Any:
        found = struct.unpack_from(form, self._data, self._at)[0]
        self._at += struct.calcsize(form)
        return found

    def _skip(self, count: int) -> int:
        start, self._at = self._at, self._at + count
        if self._at > len(self._data):
            raise struct.error(f"ends before {self._at}")
        return start

    def _text(self) -> str:
        start = self._skip(self._number("<Q"))
        return str(self._data[start : self._at], "utf-8")

    def _value(self, kind: int) -> Any:
        if kind == STRING:
            return self._text()
        if kind != ARRAY:
            return self._number(NUMBERS[kind])
        inner, count = self._number("<I"), self._number("<Q")
        if inner in NUMBERS:
            self._skip(count * struct.calcsize(NUMBERS[inner]))
        else:
            for _unused in range(count):
                self._value(inner)
        return None
