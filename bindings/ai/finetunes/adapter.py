"""The two files of a LoRA adapter, checked before an engine is given them (docs/reference/workers-ai.md#fine-tunes).

``adapter_config.json`` is PEFT's, with ``model_type`` added. ``adapter_model.safetensors`` begins with the length
of a JSON header that names every tensor with its type, shape and place; the tensors themselves are not read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from bindings.ai.engine.options import MAX_LORA_RANK
from bindings.ai.errors import ModelError, bad_input

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
FAMILIES = ("mistral", "gemma", "llama")
QUANTIZED = ("awq", "gptq", "gguf", "bnb", "4bit", "8bit", "int4", "int8")
MAX_CONFIG_BYTES = 1_000_000
MAX_HEADER_BYTES = 25_000_000  # safetensors' own limit is 100 MB
ELEMENT_BYTES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "F8_E4M3": 1,
    "F8_E5M2": 1,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}


def check_config(file: Path, base: str) -> None:
    """Raises ModelError 5006: no LoRA adapter's, rank over 32, or made for another kind of model than ``base``."""
    if file.stat().st_size > MAX_CONFIG_BYTES:
        raise _wrong(CONFIG, f"has more than {MAX_CONFIG_BYTES} bytes")
    config = _object(file.read_bytes(), CONFIG)
    if config.get("peft_type", "LORA") != "LORA":
        raise _wrong(CONFIG, "'peft_type' must be 'LORA'")
    rank, family = config.get("r"), config.get("model_type")
    if not isinstance(rank, int) or isinstance(rank, bool) or not 1 <= rank <= MAX_LORA_RANK:
        raise _wrong(CONFIG, f"the rank 'r' must be 1 to {MAX_LORA_RANK}, not {_short(rank)}")
    if family not in FAMILIES:
        raise _wrong(CONFIG, f"'model_type' must be one of '{', '.join(FAMILIES)}', not {_short(family)}")
    _check_base(family, str(config.get("base_model_name_or_path", "")).lower(), base)


def _check_base(family: str, trained_on: str, base: str) -> None:
    others = [other for other in FAMILIES if other in base.lower()]
    if others and family not in others:
        raise _wrong(CONFIG, f"'model_type' is {family!r}, and {base} is not")
    if any(mark in trained_on for mark in QUANTIZED):
        raise _wrong(CONFIG, f"the base model must not be quantized, as {_short(trained_on)} is")


def check_weights(file: Path, base: str) -> None:
    """Raises ModelError 5006 unless the header is sound and its tensors are LoRA's and fill the file."""
    size = file.stat().st_size
    with file.open("rb") as content:
        length = int.from_bytes(content.read(8), "little")
        if not 2 <= length <= min(MAX_HEADER_BYTES, size - 8):
            raise _wrong(WEIGHTS, "is not a safetensors file")
        header = _object(content.read(length), WEIGHTS)
    tensors = {name: _tensor(value) for name, value in header.items() if name != "__metadata__"}
    if not tensors or not all("lora" in name for name in tensors):
        raise _wrong(WEIGHTS, "must hold a LoRA adapter's tensors and no others")
    _check_places(tensors, size - 8 - length)


class _Tensor(msgspec.Struct):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def _tensor(entry: object) -> _Tensor:
    try:
        tensor = msgspec.convert(entry, _Tensor)
    except msgspec.ValidationError as error:
        raise _wrong(WEIGHTS, f"a tensor's entry is malformed: {error}") from None
    if tensor.dtype not in ELEMENT_BYTES or any(number < 1 for number in tensor.shape):
        raise _wrong(WEIGHTS, f"a tensor has the type {_short(tensor.dtype)} and the shape {_short(tensor.shape)}")
    if len(tensor.shape) == 2 and min(tensor.shape) > MAX_LORA_RANK:
        raise _wrong(WEIGHTS, f"a tensor of shape {tensor.shape} has a rank over {MAX_LORA_RANK}")
    return tensor


def _check_places(tensors: Mapping[str, _Tensor], size: int) -> None:
    """One after another, each as long as its type and shape say, to the end of the file."""
    end = 0
    for tensor in sorted(tensors.values(), key=lambda tensor: tensor.data_offsets):
        start, stop = tensor.data_offsets
        if start != end or stop - start != ELEMENT_BYTES[tensor.dtype] * math.prod(tensor.shape):
            raise _wrong(WEIGHTS, "its tensors do not lie one after another")
        end = stop
    if end != size:
        raise _wrong(WEIGHTS, f"should have {end} bytes of tensors, and has {size}")


def _object(content: bytes, name: str) -> dict[str, Any]:
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _wrong(name, f"is not a JSON object: {error}") from None


def _wrong(name: str, what: str) -> ModelError:
    return bad_input(f"{name}: {what}")


def _short(value: object) -> str:
    return repr(value)[:80]


CHECKS: dict[str, Callable[[Path, str], None]] = {CONFIG: check_config, WEIGHTS: check_weights}

__all__ = ["CHECKS", "CONFIG", "WEIGHTS"]
