"""What is to be done: from the worker's options to the process that does it, as JSON.

https://developers.cloudflare.com/images/optimization/features/
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from bindings.images.limits import MAX_SIDE

Side = Annotated[float, Meta(gt=0, le=MAX_SIDE)]  # pixels
Inset = Annotated[float, Meta(ge=0, le=MAX_SIDE)]
Share = Annotated[float, Meta(ge=0, le=1)]
Factor = Annotated[float, Meta(ge=0, le=100)]
Fit = Literal["scale-down", "contain", "cover", "crop", "pad", "squeeze", "scale-up", "aspect-crop"]
Format = Literal["image/jpeg", "image/png", "image/webp", "image/avif", "image/gif", "rgb", "rgba"]


class Point(Struct, frozen=True):
    """Where the middle of a crop is, as a share of the image's width and height."""

    x: Share = 0.5
    y: Share = 0.5
    mode: Literal["remainder", "box-center"] = "remainder"


class Border(Struct, frozen=True):
    """``width`` pixels, or each side's own."""

    color: str = "black"
    width: Inset = 0
    top: Inset | None = None
    right: Inset | None = None
    bottom: Inset | None = None
    left: Inset | None = None


class TrimBorder(Struct, frozen=True):
    color: str | None = None
    tolerance: Annotated[float, Meta(ge=0, le=255)] = 10
    keep: Inset = 0


class Trim(Struct, frozen=True):
    """Pixels to cut off each side; or a rectangle from ``left`` and ``top``; or what is all one colour."""

    top: Inset = 0
    right: Inset = 0
    bottom: Inset = 0
    left: Inset = 0
    width: Side | None = None
    height: Side | None = None
    border: bool | TrimBorder = False


class Transform(Struct, frozen=True):
    """What stands in one ``transform({...})``."""

    width: Side | None = None
    height: Side | None = None
    fit: Fit = "scale-down"
    gravity: Point | Literal["auto", "face", "entropy", "left", "right", "top", "bottom", "center"] = "center"
    background: str | None = None
    rotate: Literal[0, 90, 180, 270, 360] = 0
    flip: Literal["", "h", "v", "hv", "vh"] = ""
    trim: Literal["border"] | Trim | None = None
    border: Border | None = None
    blur: Annotated[float, Meta(ge=0, le=250)] = 0
    sharpen: Annotated[float, Meta(ge=0, le=10)] = 0
    brightness: Factor = 1
    contrast: Factor = 1
    saturation: Factor = 1
    gamma: Factor = 1
    segment: None = None  # cutting out a subject is not done here


class Draw(Struct, frozen=True):
    """How an image is put on another; in the middle where no edge is named."""

    opacity: Share = 1
    repeat: bool | Literal["x", "y"] = False
    top: float | None = None
    right: float | None = None
    bottom: float | None = None
    left: float | None = None

    def __post_init__(self) -> None:
        if (self.left is not None and self.right is not None) or (self.top is not None and self.bottom is not None):
            raise ValueError("left and right, or top and bottom, exclude each other")


class Step(Struct, frozen=True):
    """One ``transform`` of the image number ``image``, or the image number ``drawn`` put on it."""

    image: Annotated[int, Meta(ge=0)] = 0
    transform: Transform | None = None
    drawn: Annotated[int, Meta(ge=1)] | None = None
    how: Draw = Draw()


class Output(Struct, frozen=True):
    format: Format = "image/jpeg"
    quality: Annotated[float, Meta(ge=1, le=100)] | None = None
    background: str | None = None
    anim: bool = True


class Plan(Struct, frozen=True):
    """``output`` None: only what the image is. The first image is the one that all others are drawn on."""

    steps: list[Step] = []
    output: Output | None = None


class Request(Struct, frozen=True):
    """Its descriptors are those of so many ``images``, in the order of their numbers, and the one to write to."""

    plan: Plan
    images: int


class Result(Struct, frozen=True, omit_defaults=True):
    """Either an error, as the service words it; or what is in the result's file; or what ``info`` says."""

    code: int = 0
    error: str = ""
    content_type: str = ""
    info: dict[str, Any] = {}


def parse(value: object) -> Plan:
    """Raises ValueError with the option that is wrong."""
    try:
        return msgspec.convert(value, Plan)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(re.sub(r"`\$\.(steps\[[^]]*\]\.)?", "`", str(error))) from None


__all__ = ["Border", "Draw", "Output", "Plan", "Point", "Request", "Result", "Transform", "Trim", "TrimBorder", "parse"]
