"""Models for the tests: what they are made of, and how each engine of the contract test is opened."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from bindings.ai.engine.protocol import Delta, Generate


def silent(stage: str, fraction: float | None) -> None:
    """A ``Progress`` nobody looks at."""


def ask(text: str = "Say hello to New York.", **fields: object) -> Generate:
    """A request for one user message, greedy unless the test says otherwise."""
    messages = [{"role": "user", "content": text}]
    return Generate(**{"messages": messages, "temperature": 0, "max_tokens": 16, **fields})


def text_of(deltas: list[Delta]) -> str:
    return "".join(delta.text for delta in deltas)


def tokens_of(deltas: list[Delta]) -> int:
    return sum(delta.tokens for delta in deltas)


class Said:
    """Somebody to tell things to (``bindings.ai.engine.client.Terminal``), who remembers them."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.stages: list[str] = []
        self.details: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def progress(self, what: str, stage: str, fraction: float | None, detail: str = "") -> None:
        self.stages.append(stage)
        self.details.append(detail)

    def progress_done(self, what: str, text: str) -> None:
        if text:
            self.notes.append(text)


RECITAL = "one two three four five six seven eight nine ten 🙂"


def tiny_llama(folder: Path) -> Path:
    """A Llama for vLLM that recites ``RECITAL`` over and over: 2 layers, 2 MB, made in a moment.

    Attention and MLP add nothing (all zeros), so the next token depends on the last one alone, through the
    output matrix: a chain of words and then the four bytes of 🙂. At temperature 0 it never errs; at 1 it strays,
    and comes back when it meets a word of the chain.
    """
    import numpy as np
    from tokenizers import Tokenizer

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer.from_str(_tokenizer())
    size, hidden = 512, 512
    chain = tokenizer.encode("\n " + RECITAL).ids
    output = np.zeros((size, hidden), np.float32)
    for last, after in zip(chain, [*chain[1:], chain[1]], strict=True):
        output[after, last] = 0.33
    weights = {
        "model.embed_tokens.weight": np.eye(size, hidden, dtype=np.float32),
        "lm_head.weight": output,
        "model.norm.weight": np.ones(hidden, np.float32),
    }
    for layer in range(2):
        weights |= _silent_layer(f"model.layers.{layer}.", hidden)
    _write_model(folder, weights, size, hidden)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def _tokenizer() -> str:
    """Byte-level BPE in which every word of the tests is one token and nothing of 🙂 is merged."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=512,
        min_frequency=1,
        show_progress=False,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    words = " one two three four five six seven eight nine ten a b c d e f g h"
    tokenizer.train_from_iterator([words] * 4, trainer)
    return str(tokenizer.to_str())


def _silent_layer(name: str, hidden: int) -> dict[str, Any]:
    import numpy as np

    shapes = {
        "mlp.gate_proj": (64, hidden),
        "mlp.up_proj": (64, hidden),
        "mlp.down_proj": (hidden, 64),
        **{f"self_attn.{part}_proj": (hidden, hidden) for part in "qkvo"},
    }
    layer = {f"{name}{part}.weight": np.zeros(shape, np.float32) for part, shape in shapes.items()}
    norms = ("input_layernorm", "post_attention_layernorm")
    return layer | {f"{name}{norm}.weight": np.ones(hidden, np.float32) for norm in norms}


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _write_model(folder: Path, weights: dict[str, Any], size: int, hidden: int) -> None:
    from safetensors.numpy import save_file

    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": size,
        "hidden_size": hidden,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": hidden // 64,
        "num_key_value_heads": hidden // 64,
        "head_dim": 64,
        "max_position_embeddings": 4096,
        "tie_word_embeddings": False,
        "eos_token_id": 1,
        "bos_token_id": 0,
        "torch_dtype": "float32",
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "chat_template": CHATML})
    )
