"""A small random model that sees, as Hugging Face keeps them: Idefics3, which vLLM loads without torchvision."""

from __future__ import annotations

import json
from pathlib import Path

IMAGE_TOKENS = 4  # of an image: 64 pixels, patches of 16, four of which are one
SPECIAL = ["<|im_start|>", "<end_of_utterance>", "<fake_token_around_image>", "<image>", "<global-img>"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}:{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for p in m.content %}{% if p.type == 'image' %}<image>{% else %}{{ p.text }}{% endif %}{% endfor %}{% endif %}"
    "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}"
)
_HALF = [0.5, 0.5, 0.5]
PICTURES = {
    "image_processor_type": "Idefics3ImageProcessor", "processor_class": "Idefics3Processor", "do_convert_rgb": True,
    "do_image_splitting": False, "do_normalize": True, "do_pad": True, "do_rescale": True, "do_resize": True,
    "image_mean": _HALF, "image_std": _HALF, "max_image_size": {"longest_edge": 64}, "size": {"longest_edge": 64},
}  # fmt: skip


def tiny_idefics(folder: Path) -> Path:
    """1.2 MB, in two seconds. What it answers to a picture means nothing, but depends on it."""
    import torch
    from transformers import Idefics3Config, Idefics3ForConditionalGeneration

    size = _tokenizer(folder)
    torch.manual_seed(7)
    small = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 1, "num_attention_heads": 1}
    ids = {"bos_token_id": size - 5, "eos_token_id": size - 4, "pad_token_id": size - 4}
    text = {**small, **ids, "model_type": "llama", "vocab_size": size, "max_position_embeddings": 2048, "head_dim": 64,
            "initializer_range": 0.12, "num_key_value_heads": 1}  # fmt: skip
    seen = {**small, "image_size": 64, "patch_size": 16, "num_channels": 3, "initializer_range": 0.5}
    config = Idefics3Config(image_token_id=size - 2, scale_factor=2, text_config=text, vision_config=seen,
                            tie_word_embeddings=False, pad_token_id=size - 4)  # fmt: skip
    model = Idefics3ForConditionalGeneration(config)
    with torch.no_grad():  # what is seen must outweigh where it is seen
        model.model.vision_model.embeddings.patch_embedding.weight *= 20
        model.model.vision_model.embeddings.position_embedding.weight *= 0.1
        model.model.connector.modality_projection.proj.weight *= 50
    model.save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(PICTURES))
    told = {"image_seq_len": IMAGE_TOKENS, "processor_class": "Idefics3Processor"}
    (folder / "processor_config.json").write_text(json.dumps(told))
    return folder


def _tokenizer(folder: Path) -> int:
    """A token per byte, and the special ones; how many."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(name, special=True) for name in SPECIAL])
    start, end = SPECIAL[:2]
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=start, eos_token=end, pad_token=end, chat_template=TEMPLATE
    ).save_pretrained(folder)
    return tokenizer.get_vocab_size()
