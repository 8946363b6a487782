"""Small random models for the tasks that vLLM's other runners serve, as Hugging Face keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WORDS = [
    "[PAD]",
    "[UNK]",
    "[CLS]",
    "[SEP]",
    "[MASK]",
    "the",
    "sun",
    "is",
    "hot",
    "in",
    "july",
    "people",
    "swim",
    "sea",
    "ledger",
    "of",
    "assets",
    "good",
    "bad",
    "film",
    "a",
]


def tiny_bert(folder: Path, kind: str = "BertModel", **config: Any) -> Any:
    """A BERT of two layers, saved in ``folder``; returned as transformers has it, to compute with."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertTokenizerFast

    torch.manual_seed(7)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join(WORDS))
    BertTokenizerFast(vocab=str(folder / "vocab.txt"), model_max_length=64).save_pretrained(folder)
    shape = {"hidden_size": 64, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 64}
    model = _class(kind)(
        BertConfig(vocab_size=len(WORDS), max_position_embeddings=64, initializer_range=0.5, **shape, **config)
    ).eval()
    model.save_pretrained(folder)
    model.tokenizer = AutoTokenizer.from_pretrained(folder)
    return model


def _class(name: str) -> Any:
    import transformers

    return getattr(transformers, name)


def pooled_by_cls(folder: Path) -> None:
    """Say, as the bge models do, that the first token's vector is the text's."""
    modules = [
        {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
    ]
    pooling = {"word_embedding_dimension": 64, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (folder / "1_Pooling").mkdir()
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))


def tiny_whisper(folder: Path) -> Any:
    """A Whisper of one layer that knows two languages, saved in ``folder``; its answers are short and senseless."""
    import torch
    from transformers import WhisperConfig, WhisperFeatureExtractor, WhisperForConditionalGeneration

    torch.manual_seed(3)
    tokenizer = _whisper_tokenizer(folder)
    WhisperFeatureExtractor(feature_size=80).save_pretrained(folder)
    ids = {name: tokenizer.token_to_id(name) for name in ("<|endoftext|>", "<|startoftranscript|>")}
    end, start = ids.values()
    model = WhisperForConditionalGeneration(
        WhisperConfig(
            vocab_size=tokenizer.get_vocab_size(),
            d_model=64,
            encoder_layers=1,
            decoder_layers=1,
            num_mel_bins=80,
            encoder_attention_heads=2,
            decoder_attention_heads=2,
            encoder_ffn_dim=64,
            decoder_ffn_dim=64,
            max_target_positions=32,
            init_std=0.3,
            pad_token_id=end,
            bos_token_id=end,
            eos_token_id=end,
            decoder_start_token_id=start,
        )
    ).eval()
    letters = [tokenizer.token_to_id(letter) for letter in "abcdefghijklmnopqrstuvwxyz"]
    weight = torch.full((model.config.vocab_size, 1), 0.5)  # it prefers to say letters
    weight[:end], weight[letters] = 0.0, 1.0
    model.model.decoder.embed_tokens.weight.data *= weight
    model.generation_config.is_multilingual = True
    model.save_pretrained(folder)
    model.tokenizer = tokenizer
    return model


def greedy(model: Any, samples: Any, before: list[str]) -> list[str]:
    """What a Whisper says after the tokens ``before`` to 16 kHz ``samples``, as transformers computes it."""
    import torch
    from transformers import WhisperFeatureExtractor

    heard = WhisperFeatureExtractor(feature_size=80)(samples, sampling_rate=16_000, return_tensors="pt")
    tokens = [model.tokenizer.token_to_id(name) for name in before]
    with torch.no_grad():
        while len(tokens) < model.config.max_target_positions and tokens[-1] != model.config.eos_token_id:
            asked = {"input_features": heard.input_features, "decoder_input_ids": torch.tensor([tokens])}
            tokens.append(int(model(**asked).logits[0, -1].argmax()))
    return [model.tokenizer.id_to_token(token) for token in tokens[len(before) :]]


def _whisper_tokenizer(folder: Path) -> Any:
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(alphabet)}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(
        [
            "<|endoftext|>",
            "<|startoftranscript|>",
            "<|en|>",
            "<|de|>",
            "<|translate|>",
            "<|transcribe|>",
            "<|startofprev|>",
            "<|notimestamps|>",
        ]
    )
    tokenizer.add_tokens([f"<|{step * 0.02:.2f}|>" for step in range(1501)])
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(
        json.dumps(
            {
                "tokenizer_class": "WhisperTokenizerFast",
                "eos_token": "<|endoftext|>",
                "bos_token": "<|endoftext|>",
                "unk_token": "<|endoftext|>",
                "pad_token": "<|endoftext|>",
            }
        )
    )
    (folder / "vocab.json").write_text(json.dumps(tokenizer.get_vocab(with_added_tokens=False)))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    return tokenizer
