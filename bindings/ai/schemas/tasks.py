"""JSON Schemas of the tasks other than text generation (docs/reference/workers-ai.md#tasks)."""

from __future__ import annotations

from collections.abc import Callable

from bindings.ai.catalog.models import Model
from bindings.ai.schemas.parts import ANY_TEXT, COUNT, FILE, NUMBER, OBJECT, TEXT, Schema, array, shape, usage
from bindings.ai.schemas.text import messages, options
from bindings.ai.tasks import embeddings, ranking, speech


def embedding_input(model: Model) -> Schema:
    return EMBEDDING_INPUTS.get(model.form, _plain_embedding)(_texts(model.max_batch or embeddings.MAX_TEXTS), model)


def _plain_embedding(texts: Schema, model: Model) -> Schema:
    return shape({"text": texts, "pooling": {"enum": list(embeddings.POOLINGS)}}, "text")


def _m3_embedding(texts: Schema, model: Model) -> Schema:
    contexts = _contexts(model.max_batch or embeddings.MAX_TEXTS)
    fields = {"text": texts, "query": TEXT, "contexts": contexts, "truncate_inputs": {"type": "boolean"}}
    return {**shape(fields), "anyOf": [{"required": ["text"]}, {"required": ["contexts"]}]}


def _qwen_embedding(texts: Schema, model: Model) -> Schema:
    fields = dict.fromkeys(("text", "queries", "documents"), texts)
    instruction = {**TEXT, "default": embeddings.DEFAULT_INSTRUCTION}
    return {**shape({**fields, "instruction": instruction}), "anyOf": [{"required": [name]} for name in fields]}


EMBEDDING_INPUTS: dict[str, Callable[[Schema, Model], Schema]] = {
    "text": _plain_embedding,
    "m3": _m3_embedding,
    "qwen": _qwen_embedding,
}


def embedding_output(model: Model) -> Schema:
    vectors = array(array(NUMBER))
    plain = shape(
        {"shape": array(COUNT), "data": vectors, "pooling": {"enum": list(embeddings.POOLINGS)}}, "shape", "data"
    )
    if model.form != "m3":
        return plain
    unnamed = shape({"response": vectors, "shape": array(COUNT), "pooling": ANY_TEXT}, "response", "shape")
    return {"oneOf": [plain, ranked(model), unnamed]}


def _texts(max_items: int) -> Schema:
    return {"anyOf": [TEXT, array(TEXT, minItems=1, maxItems=max_items)]}


def _contexts(max_items: int) -> Schema:
    return array(shape({"text": TEXT}, "text"), minItems=1, maxItems=max_items)


def reranking_input(model: Model) -> Schema:
    top = {"type": "integer", "minimum": 1}
    return shape({"query": TEXT, "contexts": _contexts(ranking.MAX_CONTEXTS), "top_k": top}, "query", "contexts")


def ranked(model: Model) -> Schema:
    return shape({"response": array(shape({"id": COUNT, "score": NUMBER}, "id", "score"))}, "response")


def classification_input(model: Model) -> Schema:
    return shape({"text": TEXT}, "text")


def classification_output(model: Model) -> Schema:
    return array(shape({"label": ANY_TEXT, "score": NUMBER}, "label", "score"))


def guard_input(model: Model) -> Schema:
    """The roles must alternate, beginning with the user's, which a schema cannot say."""
    form = shape({"type": {"const": "json_object"}}, "type")
    return shape({"messages": messages(model), **options(model), "response_format": form}, "messages")


def guard_output(model: Model) -> Schema:
    verdict = shape({"safe": {"type": "boolean"}, "categories": array(ANY_TEXT)}, "safe", "categories")
    return shape({"response": {"anyOf": [ANY_TEXT, verdict]}, "usage": usage()}, "response", "usage")


def speech_input(model: Model) -> Schema:
    fields = {"audio": FILE, "task": {"enum": list(speech.TASKS)}, "language": TEXT, "initial_prompt": TEXT}
    return {"anyOf": [FILE, shape(fields, "audio")]}


def speech_output(model: Model) -> Schema:
    return shape(
        {
            "text": ANY_TEXT,
            "word_count": COUNT,
            "vtt": ANY_TEXT,
            "segments": array(OBJECT),
            "transcription_info": OBJECT,
        },
        "text",
        "word_count",
        "vtt",
    )


def picture_input(model: Model) -> Schema:
    return {"anyOf": [FILE, shape({"image": FILE, "prompt": ANY_TEXT, **options(model)}, "image")]}


def picture_output(model: Model) -> Schema:
    return shape({"description": ANY_TEXT}, "description")


__all__ = [
    "classification_input",
    "classification_output",
    "embedding_input",
    "embedding_output",
    "guard_input",
    "guard_output",
    "picture_input",
    "picture_output",
    "ranked",
    "reranking_input",
    "speech_input",
    "speech_output",
]
