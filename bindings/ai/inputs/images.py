"""An image beside the text (``image``), as the part of a message that every vision model reads.

Facts: docs/reference/workers-ai.md#tasks.
"""

from __future__ import annotations

import base64
from typing import Any

from bindings.ai.errors import bad_input
from bindings.ai.inputs.blobs import file_of
from bindings.ai.inputs.checks import Fields

MAGIC = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"BM": "bmp"}  # a file's first bytes


def image_part(value: object) -> Fields:
    """The image as a ``data:`` URI. Raises ModelError 5006, 5004."""
    image = file_of(value, "/image")
    uri = f"data:image/{_type_of(image)};base64,{base64.b64encode(image).decode()}"
    return {"type": "image_url", "image_url": {"url": uri}}


def into_messages(fields: Fields) -> Fields:
    """``fields`` with ``image`` in the user's last message, or beside the prompt. Raises ModelError 5006, 5004."""
    others = {name: value for name, value in fields.items() if name not in ("image", "prompt")}
    messages = fields.get("messages") or [{"role": "user", "content": fields.get("prompt")}]
    neither = "prompt" not in fields and "messages" not in fields
    if neither or not isinstance(messages, list) or not isinstance(messages[-1], dict):
        return others  # the checks say what is wrong
    last = messages[-1]
    content = [image_part(fields["image"]), *_parts(last.get("content"))]
    return {**others, "messages": [*messages[:-1], {**last, "content": content}]}


def _parts(content: object) -> list[Any]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    return content if isinstance(content, list) else [] if content is None else [content]


def _type_of(image: bytes) -> str:
    for magic, kind in MAGIC.items():
        if image.startswith(magic):
            return kind
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "webp"
    raise bad_input("'/image' is no image: PNG, JPEG, WebP, GIF and BMP are read")


__all__ = ["image_part", "into_messages"]
