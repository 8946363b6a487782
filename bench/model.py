"""A model for vLLM to load and never run: two small layers without weights, and a tokenizer with whole words."""

from __future__ import annotations

import json
from pathlib import Path

TOKENS = "300-1299"  # ids that are plain text, the paced source's (bytes and special tokens come first)
_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTEXT = 65536


def make(folder: Path) -> Path:
    """The folder, filled. Needs ``tokenizers``, which comes with vLLM."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=2048,
        show_progress=False,
        special_tokens=["<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator([text()], trainer)
    tokenizer.save(str(folder / "tokenizer.json"))
    size = tokenizer.get_vocab_size()
    (folder / "config.json").write_text(
        json.dumps(
            {
                "architectures": ["LlamaForCausalLM"],
                "model_type": "llama",
                "vocab_size": size,
                "hidden_size": 64,
                "intermediate_size": 64,
                "num_hidden_layers": 1,
                "num_attention_heads": 1,
                "num_key_value_heads": 1,
                "head_dim": 64,
                "max_position_embeddings": CONTEXT,
                "tie_word_embeddings": True,
                "eos_token_id": 1,
                "bos_token_id": 0,
                "torch_dtype": "float32",
            }
        )
    )
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "eos_token": "<|im_end|>", "chat_template": _CHATML})
    )
    return folder


def text() -> str:
    """Two thousand words of three syllables: what the tokenizer learns from."""
    parts = ["ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "su", "ta", "ve", "wo"]
    return " ".join(a + b + c for a in parts for b in parts for c in parts)


if __name__ == "__main__":
    import sys

    print(make(Path(sys.argv[1])))
