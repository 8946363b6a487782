"""Models of a real shape without weights, and a tokenizer made in place: a GPU's work is the same."""

from __future__ import annotations

import json
from itertools import islice, product
from pathlib import Path
from typing import Any

_ROPE = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
SHAPES: dict[str, dict[str, Any]] = {
    "llama-3.1-8b": {
        "vocab_size": 128256, "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 131072,
        "rope_theta": 500000.0, "rope_scaling": _ROPE, "torch_dtype": "bfloat16", "tie_word_embeddings": False},
    "llama-3.2-1b": {
        "vocab_size": 128256, "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16,
        "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 64, "max_position_embeddings": 131072,
        "rope_theta": 500000.0, "rope_scaling": {**_ROPE, "factor": 32.0}, "torch_dtype": "bfloat16",
        "tie_word_embeddings": True},
    "tiny": {
        "vocab_size": 2048, "hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1,
        "num_attention_heads": 1, "num_key_value_heads": 1, "head_dim": 64, "max_position_embeddings": 8192,
        "torch_dtype": "float32", "tie_word_embeddings": True},
}  # fmt: skip
_PARTS = ("ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "su", "ta", "ve", "wo", "xi", "yo", "zu")


def make(shape: str, folder: Path) -> Path:
    """The folder, filled. No token ends a text, so every answer is as long as was asked. Needs ``tokenizers``."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    folder.mkdir(parents=True, exist_ok=True)
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "rms_norm_eps": 1e-5,
        "bos_token_id": None,
        "eos_token_id": None,
        **SHAPES[shape],
    }
    vocabulary = {token: number for number, token in enumerate(_words(config["vocab_size"]))}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}))
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def _words(count: int) -> list[str]:
    """The bytes first, then words of up to five syllables: every id says something."""
    from tokenizers import pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = ("Ġ" + "".join(parts) for length in range(1, 6) for parts in product(_PARTS, repeat=length))
    return [*alphabet, *islice(made, count - len(alphabet))]
