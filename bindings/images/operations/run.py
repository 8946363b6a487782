"""A plan, done."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import BinaryIO

from PIL import AvifImagePlugin, GifImagePlugin, Image, JpegImagePlugin, MpoImagePlugin, PngImagePlugin, WebPImagePlugin  # noqa: F401  the formats that are read, before the doors close

from bindings.images.operations import reading, writing
from bindings.images.operations.effects import affected, drawn, on_background
from bindings.images.operations.geometry import Size, bordered, fitted, trimmed, turned
from bindings.images.operations.reading import Opened, check_size
from bindings.images.plan import Plan, Result, Step, Transform

AvifImagePlugin.DEFAULT_MAX_THREADS = 1


def info(file: BinaryIO) -> Result:
    if reading.is_svg(file):
        return Result(info={"format": reading.SVG})
    opened = Opened.of(file)
    width, height = opened.image.size
    file.seek(0, 2)
    return Result(info={"format": opened.format, "fileSize": file.tell(), "width": width, "height": height})


def output(files: Sequence[BinaryIO], plan: Plan, result: BinaryIO) -> Result:
    """What is drawn is read when it is drawn first; only the first image may be an animation."""
    assert plan.output is not None
    animated = plan.output.anim and plan.output.format in ("image/gif", "image/webp")
    images = [_Layer(file, animated and number == 0, _least(plan, number)) for number, file in enumerate(files)]
    for step in plan.steps:
        canvas = images[step.image]
        if step.transform is not None:
            canvas.change(_transformed(step.transform))
        if step.drawn is not None:
            canvas.change(_with(images[step.drawn].frames[0], step))
    canvas = images[0]
    frames, opened = canvas.frames, canvas.opened
    kind = writing.write(frames, opened.durations, opened.loop, opened.profile, plan.output, result)
    return Result(content_type=kind)


class _Layer:
    """One of the images, and what has become of it."""

    def __init__(self, file: BinaryIO, animated: bool, least: int | None) -> None:
        if reading.is_svg(file):
            raise reading.unsupported("svg")
        self.opened = Opened.of(file)
        self._animated, self._least = animated, least
        self._frames: list[Image.Image] = []

    @property
    def frames(self) -> list[Image.Image]:
        self._frames = self._frames or self.opened.frames(self._animated, self._least)
        return self._frames

    def change(self, how: Callable[[Image.Image, Size], Image.Image]) -> None:
        whole = None if self._frames else self.opened.size
        for at, frame in enumerate(self.frames):
            self._frames[at] = changed = how(frame, whole or frame.size)
            check_size(*changed.size)


def _least(plan: Plan, number: int) -> int | None:
    """The longest side that the first step leaves: an image of twice that need not be decoded at its full size."""
    first = next((step for step in plan.steps if step.image == number), None)
    if first is None or first.transform is None or first.transform.trim or first.transform.fit == "scale-up":
        return None
    sides = [side for side in (first.transform.width, first.transform.height) if side is not None]
    return round(max(sides)) + 1 if sides else None


def _transformed(transform: Transform) -> Callable[[Image.Image, Size], Image.Image]:
    def apply(image: Image.Image, whole: Size) -> Image.Image:
        if transform.trim is not None:
            image = trimmed(image, transform.trim)
            whole = image.size
        image = turned(image, transform)
        image = fitted(image, transform, whole[::-1] if transform.rotate in (90, 270) else whole)
        image = on_background(image, transform.background)
        return bordered(affected(image, transform), transform.border)

    return apply


def _with(layer: Image.Image, step: Step) -> Callable[[Image.Image, Size], Image.Image]:
    return lambda canvas, whole: drawn(canvas, layer, step.how)


__all__ = ["info", "output"]
