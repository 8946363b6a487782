"""An image beside the text (``image``), as the part of a message that every vision model reads.

Facts: docs/reference/workers-ai.md#tasks.
"""

from __future__ import annotations

import base64
from typing import Any

from bindings.ai.errors import bad_input
from bindings.ai.inputs.blobs import file_of
from bindings.ai.inputs.checks import Fields

HEADS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"BM": "bmp"}  # how a file of the kind begins


def part(value: Any) -> Fields:
    """The image as a ``data:`` URI. Raises AiError 5006, 5004."""
    image = file_of(value, "/image")
    address = f"data:image/{_kind(image)};base64,{base64.b64encode(image).decode()}"
    return {"type": "image_url", "image_url": {"url": address}}


def seen(fields: Fields) -> Fields:
    """``fields`` with ``image`` in the user's last message, or beside the prompt. Raises AiError 5006, 5004."""
    others = {name: value for name, value in fields.items() if name not in ("image", "prompt")}
    messages = fields.get("messages") or [{"role": "user", "content": fields.get("prompt")}]
    neither = "prompt" not in fields and "messages" not in fields
    if neither or not isinstance(messages, list) or not isinstance(messages[-1], dict):
        return others  # the checks say what is wrong
    last = messages[-1]
    content = [part(fields["image"]), *_parts(last.get("content"))]
    return {**others, "messages": [*messages[:-1], {**last, "content": content}]}


def _parts(content: Any) -> list[Any]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content if isinstance(content, list) else [] if content is None else [content]


def _kind(image: bytes) -> str:
    for head, kind in HEADS.items():
        if image.startswith(head):
            return kind
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "webp"
    raise bad_input("'/image' is no image: PNG, JPEG, WebP, GIF and BMP are read")


__all__ = ["part", "seen"]
