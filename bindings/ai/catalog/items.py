"""The catalog as upstream shows it (docs/reference/catalog.md#search): a model, its properties, its task, its author.

The facts are upstream's; only the price is this machine's, where nothing is billed.
"""

from __future__ import annotations

import datetime
import uuid
from typing import Any

from bindings.ai.catalog.models import TEXT_GENERATION, Model

Item = dict[str, Any]

TASKS = {  # upstream's name → its id (docs/reference/workers-ai.md#tasks) and what the task is
    TEXT_GENERATION: ("c329a1f9-323d-4e91-b2aa-582dd4188d34", "Generates text from a prompt or a conversation."),
    "Text Embeddings": ("0137cdcf-162a-4108-94f2-1ca59e8c65ee", "Turns texts into vectors that can be compared."),
    "Text Classification": ("19606750-23ed-4371-aab2-c20349b53a60", "Gives a text labels, or texts scores."),
    "Text-to-Image": ("3d6e1f35-341b-4915-a6c8-9a7142a9033a", "Makes an image from a description."),
    "Automatic Speech Recognition": ("dfce1c48-2a81-462e-a7fd-de97ce985207", "Writes down what is said."),
    "Translation": ("f57d07cb-9087-487a-bbbf-bc3e17fecc4b", "Translates a text into another language."),
    "Summarization": ("6f4e65d8-da0f-40d2-9aa4-db582a5a04fd", "Makes a text shorter."),
    "Image-to-Text": ("882a91d1-c331-4eec-bdad-834c919942a8", "Describes an image."),
    "Image Classification": ("00cd182b-bf30-4fc4-8481-84a3ab349657", "Gives an image labels."),
    "Object Detection": ("9c178979-90d9-49d8-9e2c-0f1cf01815d4", "Finds objects in an image."),
    "Sentence Similarity": ("69bf4e84-441e-401a-bdfc-256fd54d0fff", "Compares texts by their meaning."),
    "Text-to-Speech": ("", "Reads a text out."),  # upstream's id is not known
}
MODALITIES = {  # what goes in and what comes out, where either is not text
    "Text Embeddings": (["text"], ["embeddings"]),
    "Text-to-Image": (["text"], ["image"]),
    "Text-to-Speech": (["text"], ["audio"]),
    "Automatic Speech Recognition": (["audio"], ["text"]),
    "Image-to-Text": (["image", "text"], ["text"]),
    "Image Classification": (["image"], ["text"]),
    "Object Detection": (["image"], ["text"]),
}
FLAGS = ("lora", "function_calling", "reasoning", "vision", "async_queue", "beta", "require_workers_paid")
NUMBER_FIELDS = {  # property → the model's field
    "context_window": "context_window",
    "max_input_tokens": "max_input_tokens",
    "output_dimensions": "output_dimensions",
    "max_batch_size": "max_batch",
}
SAMPLING_PARAMETERS = (
    "temperature",
    "top_p",
    "top_k",
    "seed",
    "repetition_penalty",
    "frequency_penalty",
    "presence_penalty",
    "max_tokens",
    "stop",
)


def item(model: Model) -> Item:
    """One entry of models/search. Property values are strings; ``name`` is the id that people use."""
    return {
        "id": model.catalog_id,
        "source": source(model),
        "name": model.id,
        "description": model.description,
        "task": task(model.task),
        "created_at": model.created_at,
        "tags": [],
        "properties": [{"property_id": name, "value": value} for name, value in _properties(model).items()],
        "deprecated": is_deprecated(model),
    }


def openrouter(model: Model) -> Item:
    """The same in the marketplace's format, for ``format=openrouter``."""
    text = model.task == TEXT_GENERATION
    inputs, outputs = MODALITIES.get(model.task, (["text", "image"] if model.vision else ["text"], ["text"]))
    features = {"tools": model.function_calling, "reasoning": model.reasoning, "json_mode": model.json_mode}
    return {
        "id": model.id,
        "name": model.id.rpartition("/")[2],
        "created": unix_time(model.created_at),
        "hugging_face_id": weights(model),
        "context_length": model.context_window,
        "max_output_length": model.max_output_tokens,
        "input_modalities": inputs,
        "output_modalities": outputs,
        "pricing": {"prompt": "0", "completion": "0"},
        "supported_sampling_parameters": list(SAMPLING_PARAMETERS) if text else [],
        "supported_features": [name for name, has in features.items() if has],
    }


def task(name: str) -> Item:
    known, description = TASKS.get(name, ("", ""))
    return {"id": known or _own_id(f"task/{name}"), "name": name, "description": description}


def author(model: Model) -> str:
    """``meta`` of ``@cf/meta/llama-…``; empty for an id of the project's own making."""
    parts = model.id.split("/")
    return parts[1] if len(parts) > 2 and parts[0].startswith("@") else ""


def author_item(name: str) -> Item:
    return {"id": _own_id(f"author/{name}"), "name": name, "description": ""}


def source(model: Model) -> int:
    return 2 if model.id.startswith("@hf/") else 1


def is_deprecated(model: Model) -> bool:
    """Whether upstream's date for it has come; one who is "removed" has none."""
    date = _date(model)
    return date <= datetime.date.today() if date else model.deprecated is not None


def weights(model: Model) -> str | None:
    """The repository on Hugging Face, where the documentation names it or the id lets one conclude."""
    return (model.vllm or {}).get("model")


def _properties(model: Model) -> dict[str, Any]:
    properties: dict[str, Any] = {
        name: str(value) for name, field in NUMBER_FIELDS.items() if (value := getattr(model, field)) is not None
    }
    properties |= {name: "true" for name in FLAGS if getattr(model, name)}
    if (repository := weights(model)) and model.evidence.weights == "stated":
        properties["info"] = f"https://huggingface.co/{repository}"
    if date := _date(model):
        properties["planned_deprecation_date"] = date.isoformat()
    properties["price"] = [{"unit": unit, "price": 0, "currency": "USD"} for unit in _units(model)]
    return properties


def _units(model: Model) -> list[str]:
    return ["per M input tokens", *(["per M output tokens"] if model.task == TEXT_GENERATION else [])]


def _date(model: Model) -> datetime.date | None:
    try:
        return datetime.date.fromisoformat(model.deprecated or "")
    except ValueError:
        return None


def unix_time(created_at: str | None) -> int | None:
    """Upstream writes ``2023-09-25 19:21:11.898``, in UTC."""
    try:
        return int(datetime.datetime.fromisoformat(f"{created_at}+00:00").timestamp())
    except ValueError:
        return None


def _own_id(name: str) -> str:
    """A UUID that stays the same, for what upstream's is not known of."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://developers.cloudflare.com/workers-ai/{name}"))


__all__ = ["TASKS", "Item", "author", "author_item", "is_deprecated", "item", "openrouter", "source", "task", "weights"]
