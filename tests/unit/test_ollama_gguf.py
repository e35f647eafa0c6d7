# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The head of a GGUF file, whole, cut and wrong."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

import gguf as reference
import numpy
import pytest
from ansible_collections.gpubox.llm.plugins.module_utils._ollama import gguf
from ansible_collections.gpubox.llm.plugins.module_utils._ollama.names import OllamaError


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A file as the format's own library writes it, with a key of every kind."""
    path = tmp_path_factory.mktemp("gguf") / "model.gguf"
    writer = reference.GGUFWriter(path, "llama")
    writer.add_file_type(reference.LlamaFileType.MOSTLY_F16)
    writer.add_token_list(["a", "bc"] * 50)
    writer.add_array("x.numbers", [1.5, 2.5])
    writer.add_bool("x.true", True)
    writer.add_tensor("a", numpy.zeros((64, 63), dtype=numpy.float16))
    writer.add_tensor("b", numpy.zeros(7, dtype=numpy.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path.read_bytes()


def write(tmp_path: Path, content: bytes) -> str:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    return str(path)


def test_a_whole_file_says_what_it_is(tmp_path: Path, whole: bytes) -> None:
    found = gguf.check(write(tmp_path, whole))
    assert found == gguf.Gguf(len(whole), "llama", "F16", "model")


def test_a_file_that_ends_early_is_refused_wherever_it_ends(tmp_path: Path, whole: bytes) -> None:
    padding = 4  # the last tensor has 28 bytes of 32
    for length in [*range(0, len(whole) - padding, 41), len(whole) - padding - 1]:
        with pytest.raises(OllamaError, match=r"end|empty"):
            gguf.check(write(tmp_path, whole[:length]))


def test_no_byte_in_the_head_can_do_more_than_be_refused(tmp_path: Path, whole: bytes) -> None:
    generator = random.Random(4)
    for _unused in range(500):
        content = bytearray(whole)
        for _also in range(3):
            content[generator.randrange(2500)] = generator.randrange(256)
        path = write(tmp_path, bytes(content))
        try:
            assert gguf.check(path).size == len(whole)
        except OllamaError as error:
            assert path in str(error)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "pointer of Git LFS"),
        (b"\n<!DOCTYPE html><html>", "web page"),
        (b"PK\x03\x04torch", "PyTorch"),
        (b"something else", "begins with b'some'"),
        (b"GGUF\1\0\0\0", "version other than 2 and 3"),
        (b"GGUF\0\0\0\3" + bytes(16), "other byte order"),
        (b"GGUF\3\0\0\0" + bytes(16), "which architecture"),
    ],
)
def test_what_is_no_model_is_named(tmp_path: Path, content: bytes, said: str) -> None:
    with pytest.raises(OllamaError, match=said):
        gguf.check(write(tmp_path, content))


def test_one_part_of_several_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "part.gguf"
    writer = reference.GGUFWriter(path, "llama")
    writer.add_uint16("split.count", 3)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()
    with pytest.raises(OllamaError, match="one of 3 parts"):
        gguf.check(str(path))


def test_a_path_that_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OllamaError, match="No such file"):
        gguf.check(str(tmp_path / "none"))
    with pytest.raises(OllamaError, match="directory"):
        gguf.check(str(tmp_path))


def test_sizes_of_tensors_are_those_of_the_reference() -> None:
    theirs = {kind.value: sizes for kind, sizes in reference.GGML_QUANT_SIZES.items()}
    assert {kind: theirs[kind] for kind in gguf.BLOCKS} == gguf.BLOCKS


def test_file_types_are_those_of_the_reference() -> None:
    theirs = {one.value: one.name.partition("_")[2] for one in reference.LlamaFileType}
    known = {number: name for number, name in gguf.FILE_TYPES.items() if name != "MXFP4"}
    assert {number: theirs[number] for number in known} == known


def test_the_digest_is_that_of_all_bytes(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    assert gguf.sha256(write(tmp_path, content)) == hashlib.sha256(content).hexdigest()
