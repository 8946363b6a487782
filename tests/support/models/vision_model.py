"""A small random model that sees, as Hugging Face keeps them: the bench's, with weights."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[3]))  # bench/ is not installed

from bench.model import seeing  # noqa: E402

IMAGE_TOKENS = 4  # of an image: 64 pixels, patches of 16, four of which are one


def tiny_idefics(folder: Path) -> Path:
    """1.2 MB, in two seconds. What it answers to a picture means nothing, but depends on it."""
    import torch
    from transformers import Idefics3ForConditionalGeneration

    config = seeing(folder, pixels=64, patch=16, scale=2, context=2048)
    config.text_config.initializer_range, config.vision_config.initializer_range = 0.12, 0.5
    torch.manual_seed(7)
    model = Idefics3ForConditionalGeneration(config)
    with torch.no_grad():  # what is seen must outweigh where it is seen
        model.model.vision_model.embeddings.patch_embedding.weight *= 20
        model.model.vision_model.embeddings.position_embedding.weight *= 0.1
        model.model.connector.modality_projection.proj.weight *= 50
    model.save_pretrained(folder)
    return folder
