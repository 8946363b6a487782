"""Which kind of task a model is for, and in which mode an engine must run it.

A model's *kind* is its task, except where a field of its row says more (a reranker is filed under "Text
Classification", a guard under "Text Generation").
"""

from __future__ import annotations

from bindings.ai.catalog.models import TEXT_GENERATION, Model
from bindings.ai.engine.tasks import GENERATE

RUNNERS = {
    TEXT_GENERATION: GENERATE,
    "Guard": GENERATE,
    "Image-to-Text": GENERATE,
    "Text Embeddings": "pooling",
    "Reranking": "pooling",
    "Text Classification": "pooling",
    "Automatic Speech Recognition": "speech",
}
FILE_KINDS = ("Automatic Speech Recognition", "Image-to-Text", "Image Classification", "Object Detection")


def kind(model: Model) -> str:
    if model.guardrail:
        return "Guard"
    return "Reranking" if model.reranker else model.task


def takes_files(model: Model) -> bool:
    """Whether a body may be a recording or an image instead of JSON."""
    return kind(model) in FILE_KINDS


__all__ = ["RUNNERS", "kind", "takes_files"]
