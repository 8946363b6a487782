"""A model for vLLM to load and never run: two small layers without weights, and a tokenizer with whole words. And one
that sees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

TOKENS = "300-1299"  # ids that are plain text, the paced source's (bytes and special tokens come first)
_CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
CONTEXT = 65536


def make(folder: Path, hidden: int = 64) -> Path:
    """The folder, filled. ``hidden``: values of a token's vector. Needs ``tokenizers``, which comes with vLLM."""
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
                "hidden_size": hidden,
                "intermediate_size": 64,
                "num_hidden_layers": 1,
                "num_attention_heads": hidden // 64,
                "num_key_value_heads": hidden // 64,
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


_EYE_SPECIAL = ["<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>", "<global-img>"]
_EYE_CHAT = (
    "{% for m in messages %}<|im_start|>{{ m.role }}:{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for p in m.content %}{% if p.type == 'image' %}<image>{% else %}{{ p.text }}{% endif %}{% endfor %}{% endif %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)


def make_seeing(folder: Path) -> Path:
    """The same for a model that sees."""
    config = seeing(folder, pixels=512, patch=32, scale=4, context=CONTEXT)
    config.architectures = ["Idefics3ForConditionalGeneration"]
    config.save_pretrained(folder)
    return folder


def seeing(folder: Path, *, pixels: int, patch: int, scale: int, context: int) -> Any:
    """The configuration of a small Idefics3, which vLLM loads without torchvision; ``folder`` has its tokenizer and
    what its processors are told. A picture of ``pixels`` is (``pixels`` / ``patch`` / ``scale``)² tokens."""
    from transformers import Idefics3Config

    size = _eye_tokenizer(folder)
    small = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1}
    ids = {"bos_token_id": size - 5, "eos_token_id": size - 4, "pad_token_id": size - 4}
    text = {**small, **ids, "model_type": "llama", "vocab_size": size, "max_position_embeddings": context,
            "head_dim": 64, "num_key_value_heads": 1}  # fmt: skip
    seen = {**small, "image_size": pixels, "patch_size": patch, "num_channels": 3}
    half, longest = [0.5, 0.5, 0.5], {"longest_edge": pixels}
    pictures = {
        "image_processor_type": "Idefics3ImageProcessor", "processor_class": "Idefics3Processor", "do_pad": True,
        "do_convert_rgb": True, "do_image_splitting": False, "do_normalize": True, "do_rescale": True,
        "do_resize": True, "image_mean": half, "image_std": half, "max_image_size": longest, "size": longest,
    }  # fmt: skip
    (folder / "preprocessor_config.json").write_text(json.dumps(pictures))
    told = {"image_seq_len": (pixels // patch // scale) ** 2, "processor_class": "Idefics3Processor"}
    (folder / "processor_config.json").write_text(json.dumps(told))
    return Idefics3Config(image_token_id=size - 2, scale_factor=scale, text_config=text, vision_config=seen,
                          tie_word_embeddings=False, pad_token_id=size - 4)  # fmt: skip


def _eye_tokenizer(folder: Path) -> int:
    """A token per byte, and the special ones; how many."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in _EYE_SPECIAL])
    start, end = _EYE_SPECIAL[:2]
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=start, eos_token=end, pad_token=end, chat_template=_EYE_CHAT
    ).save_pretrained(folder)
    return tokenizer.get_vocab_size()


def text() -> str:
    """Two thousand words of three syllables: what the tokenizer learns from."""
    parts = ["ba", "de", "fi", "go", "lu", "ma", "ne", "pi", "ro", "su", "ta", "ve", "wo"]
    return " ".join(a + b + c for a in parts for b in parts for c in parts)


if __name__ == "__main__":
    import sys

    print(make(Path(sys.argv[1])))
