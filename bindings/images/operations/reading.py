"""From bytes to frames. Nothing is decoded before its size has been looked at."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import BinaryIO

from PIL import Image, ImageOps, ImageSequence, UnidentifiedImageError

from bindings.images.failures import NO_IMAGE, TOO_LARGE, TOO_MANY_PIXELS, UNKNOWN_FORMAT, ImageFailure
from bindings.images.limits import MAX_ANIMATION_AREA, MAX_AREA, MAX_SIDE

FORMATS = {"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif",
           "AVIF": "image/avif"}  # fmt: skip
SVG = "image/svg+xml"
_SVG = re.compile(rb"\s*(?:<\?xml[^>]*>\s*|<!--.*?-->\s*|<!DOCTYPE[^>]*>\s*)*<svg[\s>]", re.DOTALL | re.IGNORECASE)
_HEAD_BYTES = 4096
_ORIENTATION = 0x0112  # of EXIF; from 5 on the image lies on its side

Image.MAX_IMAGE_PIXELS = None  # it warns first; here the size is looked at before anything is decoded


class Opened:
    """An image whose head has been read. ``of`` raises ImageFailure."""

    def __init__(self, image: Image.Image) -> None:
        self.image, self.format = image, FORMATS[str(image.format)]
        on_its_side = image.format == "JPEG" and image.getexif().get(_ORIENTATION, 1) >= 5
        self.size = image.size[::-1] if on_its_side else image.size  # upright
        self.durations: list[int] = []  # ms, of each frame of an animation
        self.loop: int | None = image.info.get("loop")
        self.profile: bytes | None = image.info.get("icc_profile") if image.mode not in ("CMYK", "L", "LA") else None

    @classmethod
    def of(cls, file: BinaryIO) -> Opened:
        try:
            image = Image.open(file, formats=("JPEG", "PNG", "WEBP", "GIF", "AVIF"))
        except UnidentifiedImageError:
            raise _no_image(file) from None
        check_size(*image.size)
        return cls(image)

    def frames(self, animated: bool, least: int | None) -> list[Image.Image]:
        """Upright, in RGB or RGBA; one unless ``animated``. ``least``: no side is needed longer than that, so a JPEG
        need not be decoded at its full size."""
        if not animated or not getattr(self.image, "is_animated", False):
            if least is not None:
                self.image.draft(None, (least, least))
            return [_upright(self.image)]
        return list(self._animation())

    def _animation(self) -> Iterator[Image.Image]:
        left = MAX_ANIMATION_AREA
        for frame in ImageSequence.Iterator(self.image):
            left -= frame.width * frame.height
            if left < 0:
                what = f"the animation has more than {MAX_ANIMATION_AREA // 10**6} megapixels; with anim=False its"
                raise ImageFailure(TOO_MANY_PIXELS, f"{what} first frame is taken")
            self.durations.append(int(frame.info.get("duration", 100)))
            yield _upright(frame)


def is_svg(file: BinaryIO) -> bool:
    file.seek(0)
    found = _SVG.match(file.read(_HEAD_BYTES).removeprefix(b"\xef\xbb\xbf")) is not None
    file.seek(0)
    return found


def check_size(width: int, height: int) -> None:
    """Raises ImageFailure for what no image here may be."""
    if width * height > MAX_AREA:
        raise ImageFailure(TOO_MANY_PIXELS, f"the image has more than {MAX_AREA // 10**6} megapixels")
    if max(width, height) > MAX_SIDE:
        raise ImageFailure(TOO_LARGE, f"the image is more than {MAX_SIDE} pixels wide or high")


def _no_image(file: BinaryIO) -> ImageFailure:
    file.seek(0)
    head = file.read(32)
    if head[4:8] == b"ftyp" and head[8:12] in (b"heic", b"heix", b"mif1", b"msf1", b"hevc"):
        return unsupported("heif")
    for name, start in (("tiff", b"II*\0"), ("tiff", b"MM\0*"), ("bmp", b"BM"), ("pdf", b"%PDF")):
        if head.startswith(start):
            return unsupported(name)
    return ImageFailure(NO_IMAGE, "Input buffer contains unsupported image format")


def unsupported(name: str) -> ImageFailure:
    what = f"ERROR: Unsupported image type {name}, expected one of: JPEG, SVG, PNG, WebP, GIF or AVIF"
    return ImageFailure(UNKNOWN_FORMAT, what)


def _upright(image: Image.Image) -> Image.Image:
    image.load()
    upright = ImageOps.exif_transpose(image)
    clear = upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info
    mode = "RGBA" if clear else "RGB"
    return upright.copy() if upright.mode == mode else upright.convert(mode)


__all__ = ["FORMATS", "SVG", "Opened", "check_size", "is_svg", "unsupported"]
