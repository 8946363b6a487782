"""Colours as CSS writes them."""

from __future__ import annotations

import re

from PIL import ImageColor

from bindings.images.failures import BAD_OPTIONS, ImageFailure

Color = tuple[int, int, int, int]
_RGB = re.compile(r"rgba?\(([^)]*)\)", re.IGNORECASE)


def parse_color(text: str) -> Color:
    """``red``, ``#f00``, ``#ff000080``, ``rgb(255 0 0 / 50%)``, ``hsl(0, 100%, 50%)``. Raises ImageFailure."""
    try:
        if text.strip().lower() == "transparent":
            return (0, 0, 0, 0)
        if match := _RGB.fullmatch(text.strip()):
            return _numbers(re.split(r"[\s,/]+", match[1].strip()))
        parts = ImageColor.getrgb(text.strip())
        return (*parts[:3], parts[3] if len(parts) == 4 else 255)
    except ValueError:
        raise ImageFailure(BAD_OPTIONS, f"{text[:60]!r} is not a colour") from None


def _numbers(parts: list[str]) -> Color:
    red, green, blue, *alpha = parts
    if len(alpha) > 1:
        raise ValueError
    return _part(red, 255), _part(green, 255), _part(blue, 255), _part(alpha[0], 1) if alpha else 255


def _part(text: str, whole: float) -> int:
    """0 to 255; ``whole`` is what stands for 255."""
    share = float(text[:-1]) / 100 if text.endswith("%") else float(text) / whole
    return round(255 * min(1, max(0, share)))


__all__ = ["Color", "parse_color"]
