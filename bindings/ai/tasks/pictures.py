"""Image-to-Text: an image and a prompt make one user message for a model that sees.

Facts: docs/reference/workers-ai.md#tasks.
"""

from __future__ import annotations

from typing import Any

from bindings.ai.errors import bad_input
from bindings.ai.inputs.checks import Fields
from bindings.ai.inputs.images import image_part
from bindings.ai.inputs.text import text_generation
from bindings.ai.tasks import checks as check
from bindings.ai.tasks.registry import TaskRequest

DEFAULT_PROMPT = "Generate a caption for this image"
DEFAULT_MAX_TOKENS = 512


async def answer(inputs: object, request: TaskRequest) -> dict[str, Any]:
    """``{image, prompt?, max_tokens?, …}``, or the image alone as bytes → ``{description}``."""
    fields = {"image": inputs} if isinstance(inputs, bytes) else check.fields_of(inputs)
    if "image" not in fields:
        raise bad_input(check.missing(fields, "image"))
    return {"description": await request.generate(text_generation(_as_chat(fields), request.model))}


def _as_chat(fields: Fields) -> Fields:
    content = [image_part(fields["image"]), {"type": "text", "text": fields.get("prompt") or DEFAULT_PROMPT}]
    others = {name: value for name, value in fields.items() if name not in ("image", "prompt", "stream", "raw")}
    return {"max_tokens": DEFAULT_MAX_TOKENS, **others, "messages": [{"role": "user", "content": content}]}


__all__ = ["answer"]
