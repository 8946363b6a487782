"""What changes an image's colours, and what lies on another."""

from __future__ import annotations

from PIL import Image, ImageEnhance, ImageFilter

from bindings.images.operations.colors import parse_color
from bindings.images.plan import Draw, Transform


def affected(image: Image.Image, transform: Transform) -> Image.Image:
    """Blurred, sharpened, brighter and so on."""
    if transform.blur:
        image = image.filter(ImageFilter.GaussianBlur(transform.blur))
    if transform.sharpen:
        image = image.filter(ImageFilter.UnsharpMask(radius=1, percent=round(transform.sharpen * 100), threshold=0))
    for enhancer, factor in (
        (ImageEnhance.Brightness, transform.brightness),
        (ImageEnhance.Contrast, transform.contrast),
        (ImageEnhance.Color, transform.saturation),
    ):
        if factor != 1:
            image = enhancer(image).enhance(factor)
    return _gamma(image, transform.gamma) if transform.gamma not in (0, 1) else image


def _gamma(image: Image.Image, gamma: float) -> Image.Image:
    """More than 1 is brighter, as in the service's ``gamma``; what is clear stays so."""
    curve = [round(255 * (value / 255) ** (1 / gamma)) for value in range(256)]
    return image.point([*curve * 3, *range(256)] if image.mode == "RGBA" else curve * 3)


def on_background(image: Image.Image, color: str | None) -> Image.Image:
    """Laid on a colour, where it is clear."""
    if color is None or image.mode != "RGBA":
        return image
    parsed = parse_color(color)
    canvas = Image.new("RGBA", image.size, parsed)
    canvas.alpha_composite(image)
    return canvas if parsed[3] < 255 else canvas.convert("RGB")


def drawn(canvas: Image.Image, image: Image.Image, how: Draw) -> Image.Image:
    """``image`` laid on ``canvas``, as far as it is within."""
    layer = image.convert("RGBA")
    if how.opacity < 1:
        layer.putalpha(layer.getchannel("A").point([round(value * how.opacity) for value in range(256)]))
    left = _place(canvas.width, layer.width, how.left, how.right)
    top = _place(canvas.height, layer.height, how.top, how.bottom)
    result = canvas.convert("RGBA")
    for x in _places(canvas.width, layer.width, left, how.repeat in (True, "x")):
        for y in _places(canvas.height, layer.height, top, how.repeat in (True, "y")):
            _lay(result, layer, x, y)
    return result if canvas.mode == "RGBA" else result.convert("RGB")


def _place(whole: int, part: int, near: float | None, far: float | None) -> int:
    if near is not None:
        return round(near)
    return (whole - part) // 2 if far is None else whole - part - round(far)


def _places(whole: int, part: int, at: int, repeat: bool) -> range:
    return range(at % part - part, whole, part) if repeat else range(at, at + 1)


def _lay(canvas: Image.Image, layer: Image.Image, x: int, y: int) -> None:
    left, top = max(0, -x), max(0, -y)
    right, bottom = min(layer.width, canvas.width - x), min(layer.height, canvas.height - y)
    if left < right and top < bottom:
        canvas.alpha_composite(layer, (x + left, y + top), (left, top, right, bottom))


__all__ = ["affected", "drawn", "on_background"]
