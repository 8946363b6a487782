"""A tiny Llama that thinks aloud and calls tools, an adapter that makes it say something else, and a guard."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

from models_support import _silent_layer, _tokenizer, _write_model

END = "<|im_end|>"
CALL = '{"name": "get_weather", "arguments": {"city": "Paris"}}'
CHAINS = [  # each is entered with its first token, which the chat template writes
    ["<think>", " c", " d", "</think>", " a", " b", END],
    ["<tools>", "<tool_call>", CALL, "</tool_call>", END],
    [" f", " g", END],
]
VERDICT = "unsafe\nS1,S10"
GUARD_CHAINS = [["<verdict>", VERDICT, END]]
GUARD_TEMPLATE = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}<verdict>"
ADDED = ["<think>", "</think>", "<tools>", "<tool_call>", "</tool_call>", CALL, "<verdict>", VERDICT]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n<think>{% if not enable_thinking %}</think>{% endif %}"
    "{% if tools %}<tools>{% endif %}{% endif %}"
)
SIZE = 512


def guard_llama(folder: Path) -> Path:
    """A guard to whom everything is ``VERDICT``."""
    return talking_llama(folder, GUARD_CHAINS, GUARD_TEMPLATE)


def talking_llama(folder: Path, chains: list[list[str]] = CHAINS, template: str = TEMPLATE) -> Path:
    """The next token depends on the last alone: one of ``chains``, which ``template`` begins."""
    import numpy as np

    folder.mkdir(parents=True)
    tokenizer = _talking_tokenizer()
    output = np.zeros((SIZE, SIZE), np.float32)
    for chain in chains:
        for last, after in pairwise(map(tokenizer.token_to_id, map(_byte_level, chain))):
            output[after, last] = 0.33
    weights: dict[str, Any] = {
        "model.embed_tokens.weight": np.eye(SIZE, dtype=np.float32),
        "lm_head.weight": output,
        "model.norm.weight": np.ones(SIZE, np.float32),
    }
    for layer in range(2):
        weights |= _silent_layer(f"model.layers.{layer}.", SIZE)
    _write_model(folder, weights, SIZE, SIZE)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": END, "chat_template": template})
    )
    return folder


def adapter(folder: Path, rank: int = 8) -> Path:
    """With it `` g`` follows the end of the thoughts, where `` a`` did: the token is read as if it were `` f``."""
    import numpy as np
    from safetensors.numpy import save_file

    folder.mkdir(parents=True)
    tokenizer = _talking_tokenizer()
    end, other = tokenizer.token_to_id("</think>"), tokenizer.token_to_id(_byte_level(" f"))
    shapes = {"gate_proj": (64, SIZE), "up_proj": (64, SIZE), "down_proj": (SIZE, 64)}
    places = {"gate_proj": (0, end, 1.0), "up_proj": (0, end, 1.0), "down_proj": (other, 0, 1.0)}
    tensors = {}
    for name, (outer, inner) in shapes.items():
        a, b = np.zeros((rank, inner), np.float32), np.zeros((outer, rank), np.float32)
        row, column, weight = places[name]
        a[0, column], b[row, 0] = 1.0, weight
        at = f"base_model.model.model.layers.0.mlp.{name}"
        tensors |= {f"{at}.lora_A.weight": a, f"{at}.lora_B.weight": b}
    save_file(tensors, folder / "adapter_model.safetensors", {"format": "pt"})
    (folder / "adapter_config.json").write_text(
        json.dumps(
            {
                "peft_type": "LORA",
                "r": rank,
                "lora_alpha": rank,
                "target_modules": list(shapes),
                "bias": "none",
                "model_type": "llama",
            }
        )
    )
    return folder


def _talking_tokenizer() -> Any:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(_tokenizer())
    tokenizer.add_tokens(ADDED)
    assert tokenizer.get_vocab_size() <= SIZE
    return tokenizer


def _byte_level(token: str) -> str:
    return token if token in (*ADDED, END) else token.replace(" ", "Ġ")
