"""Small random models for the tasks that vLLM's other runners serve, as Hugging Face keeps them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

WORDS = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "sun", "is", "hot", "in", "july", "people", "swim", "sea",
    "ledger", "of", "assets", "good", "bad", "film", "a",
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
    model = _class(kind)(BertConfig(
        vocab_size=len(WORDS), max_position_embeddings=64, initializer_range=0.5, **shape, **config)).eval()
    model.save_pretrained(folder)
    model.tokenizer = AutoTokenizer.from_pretrained(folder)
    return model


def _class(name: str) -> Any:
    import transformers

    return getattr(transformers, name)


def pooled_by_cls(folder: Path) -> None:
    """Say, as the bge models do, that the first token's vector is the text's."""
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
               {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
               {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}]
    pooling = {"word_embedding_dimension": 64, "pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}
    (folder / "1_Pooling").mkdir()
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))
