"""From frames to bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, BinaryIO

from PIL import Image

from bindings.images.operations.effects import on_background
from bindings.images.plan import Output

RAW = {"rgb": "RGB", "rgba": "RGBA"}
RAW_TYPE = "application/octet-stream"
_DEFAULT_QUALITY = 85
_WHITE = "white"  # under what is clear, where a format has no clearness


def write(
    frames: Sequence[Image.Image], durations: Sequence[int], loop: int | None, profile: bytes | None, output: Output,
    file: BinaryIO,
) -> str:  # fmt: skip
    """Its content type. Raises OSError."""
    kind = output.format
    if kind in RAW:
        frame = on_background(frames[0], output.background or (_WHITE if kind == "rgb" else None))
        file.write(frame.convert(RAW[kind]).tobytes())
        return RAW_TYPE
    background = output.background or (_WHITE if kind == "image/jpeg" else None)
    first, *others = [on_background(frame, background) for frame in frames]
    options: dict[str, Any] = _OPTIONS[kind](round(output.quality or _DEFAULT_QUALITY))
    if profile is not None and kind != "image/gif":
        options["icc_profile"] = profile
    if others and kind in ("image/gif", "image/webp"):
        options |= {"save_all": True, "append_images": others, "duration": list(durations), "loop": loop or 0}
        options |= {"disposal": 2} if kind == "image/gif" else {}
    first.save(file, kind.removeprefix("image/").upper(), **options)
    return kind


_OPTIONS: dict[str, Any] = {
    "image/jpeg": lambda quality: {"quality": quality, "progressive": True},
    "image/png": lambda quality: {},
    "image/gif": lambda quality: {},
    "image/webp": lambda quality: {"quality": quality},
    "image/avif": lambda quality: {"quality": quality, "speed": 8, "max_threads": 1},
}

__all__ = ["write"]
