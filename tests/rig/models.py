# Copyright (c) 2026, gpubox.llm maintainers
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Models of a few hundred KB that a real Ollama loads and runs: random weights, the same ones each time.

What they say is noise, but it is computed as a real model's answer is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import gguf
import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

ARCHITECTURE = "llama"
WIDTH, LAYERS, HEADS, FEED_FORWARD, CONTEXT = 64, 2, 4, 192, 2048
# Every byte is a token of its own; before them what a vocabulary has to have.
SPECIAL = (b"<unk>", b"<s>", b"</s>")
TOKENS = [*SPECIAL, *(f"<0x{byte:02X}>".encode() for byte in range(256))]
RANK = 4


def tiny(path: Path, seed: int = 1, *, embedding: bool = False, half: bool = True) -> Path:
    """A model in 16 bit (or 32: ``half=False``); another seed, another model. It completes, or it embeds."""
    writer = _writer(path, gguf.LlamaFileType.MOSTLY_F16 if half else gguf.LlamaFileType.ALL_F32)
    _add_shape(writer)
    if embedding:
        writer.add_pooling_type(gguf.PoolingType.MEAN)
    _add_vocabulary(writer)
    random = np.random.default_rng(seed)
    for name, shape in _tensors().items():
        if len(shape) == 1:
            writer.add_tensor(name, np.ones(shape, np.float32))
        else:
            weights = random.normal(0, 0.05, shape)
            writer.add_tensor(name, weights.astype(np.float16 if half else np.float32))
    return _written(writer, path)


def adapter(path: Path, seed: int = 1) -> Path:
    """A LoRA adapter for any of the models above."""
    writer = _writer(path, gguf.LlamaFileType.MOSTLY_F16)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, RANK)
    random = np.random.default_rng(seed)
    for layer in range(LAYERS):
        for end, shape in (("a", (RANK, WIDTH)), ("b", (WIDTH, RANK))):
            weights = random.normal(0, 0.05, shape).astype(np.float16)
            writer.add_tensor(f"blk.{layer}.attn_q.weight.lora_{end}", weights)
    return _written(writer, path)


def _writer(path: Path, file_type: gguf.LlamaFileType) -> gguf.GGUFWriter:
    writer = gguf.GGUFWriter(path, ARCHITECTURE)
    writer.add_file_type(file_type)
    return writer


def _add_shape(writer: gguf.GGUFWriter) -> None:
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-5)


def _add_vocabulary(writer: gguf.GGUFWriter) -> None:
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL]
    writer.add_tokenizer_model("llama")
    writer.add_token_list(TOKENS)
    writer.add_token_scores([0.0] * len(TOKENS))
    writer.add_token_types([*kinds, *[gguf.TokenType.BYTE] * 256])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def _tensors() -> dict[str, tuple[int, ...]]:
    """Name and shape of everything with weights."""
    whole: dict[str, tuple[int, ...]] = {
        "token_embd.weight": (len(TOKENS), WIDTH),
        "output_norm.weight": (WIDTH,),
        "output.weight": (len(TOKENS), WIDTH),
    }
    square = dict.fromkeys(("attn_q", "attn_k", "attn_v", "attn_output"), (WIDTH, WIDTH))
    wide = dict.fromkeys(("ffn_gate", "ffn_up"), (FEED_FORWARD, WIDTH))
    norms = dict.fromkeys(("attn_norm", "ffn_norm"), (WIDTH,))
    parts: dict[str, tuple[int, ...]] = {**square, **wide, **norms}
    parts["ffn_down"] = (WIDTH, FEED_FORWARD)
    for layer in range(LAYERS):
        whole |= {f"blk.{layer}.{part}.weight": shape for part, shape in parts.items()}
    return whole


def _written(writer: gguf.GGUFWriter, path: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path
