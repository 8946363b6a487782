"""Image-to-Text (contract §4): an image and a prompt make one user message for a model that sees."""

from __future__ import annotations

import base64
from typing import Any

from bindings.ai import task_checks as check
from bindings.ai.blobs import file_of
from bindings.ai.checks import Fields
from bindings.ai.errors import bad_input
from bindings.ai.shapes import text_generation
from bindings.ai.tasks import Job

PROMPT = "Generate a caption for this image"
MAX_TOKENS = 512
HEADS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"BM": "bmp"}  # how a file of the kind begins


async def answer(inputs: Any, job: Job) -> dict[str, Any]:
    """``{image, prompt?, max_tokens?, …}``, or the image alone as bytes → ``{description}``."""
    fields = {"image": inputs} if isinstance(inputs, bytes) else check.fields_of(inputs)
    if "image" not in fields:
        raise bad_input(check.missing("image"))
    return {"description": await job.generate(text_generation(_as_chat(fields), job.model))}


def _as_chat(fields: Fields) -> Fields:
    image = file_of(fields["image"], "/image")
    address = f"data:image/{_kind(image)};base64,{base64.b64encode(image).decode()}"
    content = [{"type": "image_url", "image_url": {"url": address}},
               {"type": "text", "text": fields.get("prompt") or PROMPT}]
    others = {name: value for name, value in fields.items() if name not in ("image", "prompt", "stream", "raw")}
    return {"max_tokens": MAX_TOKENS, **others, "messages": [{"role": "user", "content": content}]}


def _kind(image: bytes) -> str:
    for head, kind in HEADS.items():
        if image.startswith(head):
            return kind
    if image[:4] == b"RIFF" and image[8:12] == b"WEBP":
        return "webp"
    raise bad_input("'/image' is no image: PNG, JPEG, WebP, GIF and BMP are read")


__all__ = ["answer"]
