"""models/schema (docs/reference/catalog.md#schemas): a model's inputs and outputs as JSON Schemas.

They are made from the tables that the checks work with, so that a limit is written down once; a test holds
them against the checks themselves. Beyond them, null means absent everywhere and unknown keys are tolerated.
"""

from __future__ import annotations

from collections.abc import Callable

from bindings.ai.catalog.kinds import kind
from bindings.ai.catalog.models import Model
from bindings.ai.schemas import tasks as schema_tasks
from bindings.ai.schemas import text as schema_text
from bindings.ai.schemas.parts import OBJECT, Schema

DRAFT = "http://json-schema.org/draft-07/schema#"
Half = Callable[[Model], Schema]


def of(model: Model) -> dict[str, Schema]:
    """``{"input", "output"}``. What no engine serves takes and gives any JSON object."""
    inputs, outputs = KINDS.get(kind(model), (_anything, _anything))
    return {"input": {"$schema": DRAFT, **inputs(model)}, "output": {"$schema": DRAFT, **outputs(model)}}


def _anything(model: Model) -> Schema:
    return OBJECT


KINDS: dict[str, tuple[Half, Half]] = {
    "Text Generation": (schema_text.text_input, schema_text.text_output),
    "Text Embeddings": (schema_tasks.embedding_input, schema_tasks.embedding_output),
    "Reranking": (schema_tasks.reranking_input, schema_tasks.ranked),
    "Text Classification": (schema_tasks.classification_input, schema_tasks.classification_output),
    "Guard": (schema_tasks.guard_input, schema_tasks.guard_output),
    "Automatic Speech Recognition": (schema_tasks.speech_input, schema_tasks.speech_output),
    "Image-to-Text": (schema_tasks.picture_input, schema_tasks.picture_output),
}

__all__ = ["of"]
