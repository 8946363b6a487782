"""LoRA adapters, made by hand."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

GOOD = {"peft_type": "LORA", "r": 8, "model_type": "mistral", "base_model_name_or_path": "mistralai/Mistral-7B"}
LORA_A, LORA_B = "base_model.model.layers.0.q_proj.lora_A.weight", "base_model.model.layers.0.q_proj.lora_B.weight"


def safetensors(shapes: dict[str, list[int]], *, spare: bytes = b"", **changes: Any) -> bytes:
    """A file of these tensors, all zeros; ``changes`` to each one's header entry."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, shape in shapes.items():
        start, end = end, end + 2 * math.prod(shape)
        header[name] = {"dtype": "F16", "shape": shape, "data_offsets": [start, end], **changes}
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + bytes(end) + spare


ADAPTER = safetensors({LORA_A: [8, 64], LORA_B: [64, 8]})
