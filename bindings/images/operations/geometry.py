"""What changes an image's size: trimming, turning, fitting, a border."""

from __future__ import annotations

from PIL import Image, ImageChops, ImageFilter, ImageStat

from bindings.images.operations.colors import Color, parse_color
from bindings.images.operations.reading import check_size
from bindings.images.plan import Border, Point, Transform, Trim, TrimBorder

Size = tuple[int, int]
_POINTS = {"left": Point(x=0), "right": Point(x=1), "top": Point(y=0), "bottom": Point(y=1), "center": Point()}
_TURNS = {90: Image.Transpose.ROTATE_270, 180: Image.Transpose.ROTATE_180, 270: Image.Transpose.ROTATE_90}
_WHITE: Color = (255, 255, 255, 255)
_FLIPS = {"h": Image.Transpose.FLIP_LEFT_RIGHT, "v": Image.Transpose.FLIP_TOP_BOTTOM}
_LOOKED_AT = 64  # pixels a side, of the copy in which details are looked for


def turned(image: Image.Image, transform: Transform) -> Image.Image:
    """Flipped, then rotated clockwise."""
    for letter in transform.flip:
        image = image.transpose(_FLIPS[letter])
    return image.transpose(_TURNS[transform.rotate]) if transform.rotate in _TURNS else image


def fitted(image: Image.Image, transform: Transform, whole: Size) -> Image.Image:
    """``whole``: the size it had before it was decoded at a smaller one."""
    if transform.width is None and transform.height is None:
        return image
    fit, box = transform.fit, _box(transform, whole)
    check_size(*box)
    if fit == "squeeze":
        return _resized(image, box)
    if fit == "pad":
        return _padded(_resized(image, _inside(whole, box)), box, transform.background)
    if transform.width is None or transform.height is None or fit in ("scale-down", "contain", "scale-up"):
        return _resized(image, _scaled(whole, box, fit))
    return _covered(image, transform, whole, box)


def _covered(image: Image.Image, transform: Transform, whole: Size, box: Size) -> Image.Image:
    """All of the box is filled, and what is outside of it goes. ``crop`` and ``aspect-crop`` enlarge nothing."""
    cut = _crop_box(image, transform.gravity, box)
    pixels = (whole[0] * (cut[2] - cut[0]) / image.width, whole[1] * (cut[3] - cut[1]) / image.height)
    if transform.fit != "cover" and pixels[0] < box[0]:
        return image.crop(cut) if transform.fit == "aspect-crop" else _smaller(image, transform, box)
    return image.resize(box, Image.Resampling.LANCZOS, box=cut, reducing_gap=3.0)


def _smaller(image: Image.Image, transform: Transform, box: Size) -> Image.Image:
    """``crop`` of an image that does not fill the box: what sticks out is cut off."""
    size = min(image.width, box[0]), min(image.height, box[1])
    return image.crop(_crop_box(image, transform.gravity, size, scale=False))


def _box(transform: Transform, whole: Size) -> Size:
    """What was asked for; a side that was not is the other's, by the image's ratio."""
    width, height = transform.width, transform.height
    if width is None and height is not None:
        width = height * whole[0] / whole[1]
    elif height is None and width is not None:
        height = width * whole[1] / whole[0]
    return max(1, round(width or 1)), max(1, round(height or 1))


def _scaled(whole: Size, box: Size, fit: str) -> Size:
    inside = _inside(whole, box)
    larger = inside[0] > whole[0] or inside[1] > whole[1]
    kept = (fit == "scale-up" and not larger) or (fit in ("scale-down", "crop", "aspect-crop") and larger)
    return whole if kept else inside


def _inside(whole: Size, box: Size) -> Size:
    scale = min(box[0] / whole[0], box[1] / whole[1])
    return max(1, round(whole[0] * scale)), max(1, round(whole[1] * scale))


def _resized(image: Image.Image, size: Size) -> Image.Image:
    return image if image.size == size else image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _padded(image: Image.Image, box: Size, background: str | None) -> Image.Image:
    color = parse_color(background) if background else _WHITE
    canvas = Image.new("RGBA", box, color)
    canvas.alpha_composite(image.convert("RGBA"), ((box[0] - image.width) // 2, (box[1] - image.height) // 2))
    return canvas if color[3] < 255 else canvas.convert("RGB")


def _crop_box(
    image: Image.Image, gravity: Point | str, size: Size, *, scale: bool = True
) -> tuple[float, float, float, float]:
    """The largest part with the box's ratio; with ``scale`` False, of its very size."""
    width, height = image.size
    factor = min(width / size[0], height / size[1]) if scale else 1
    across, down = size[0] * factor, size[1] * factor
    point = gravity if isinstance(gravity, Point) else _POINTS.get(gravity) or _details(image)
    left, top = _offset(width, across, point.x, point.mode), _offset(height, down, point.y, point.mode)
    return left, top, left + across, top + down


def _offset(whole: float, part: float, share: float, mode: str) -> float:
    if mode == "box-center":
        return min(max(0.0, whole * share - part / 2), whole - part)
    return (whole - part) * share


def _details(image: Image.Image) -> Point:
    """Where there is most to see: the middle of all edges."""
    small = image.convert("L").resize((_LOOKED_AT, _LOOKED_AT)).filter(ImageFilter.FIND_EDGES)
    small = small.crop((1, 1, _LOOKED_AT - 1, _LOOKED_AT - 1))  # the frame's own edge is none
    rows = small.resize((1, small.height), Image.Resampling.BOX).tobytes()
    columns = small.resize((small.width, 1), Image.Resampling.BOX).tobytes()
    return Point(_middle(columns), _middle(rows), "box-center")


def _middle(weights: bytes) -> float:
    total = sum(weights)
    return sum(weight * at for at, weight in enumerate(weights)) / total / (len(weights) - 1) if total else 0.5


def trimmed(image: Image.Image, trim: str | Trim) -> Image.Image:
    if trim == "border":
        return _without_border(image, TrimBorder())
    assert isinstance(trim, Trim)
    left, top = round(trim.left), round(trim.top)
    right = image.width - round(trim.right) if trim.width is None else left + round(trim.width)
    bottom = image.height - round(trim.bottom) if trim.height is None else top + round(trim.height)
    box = left, top, min(right, image.width), min(bottom, image.height)
    image = image.crop(box) if box[0] < box[2] and box[1] < box[3] else image
    border = TrimBorder() if trim.border is True else trim.border
    return _without_border(image, border) if border else image


def _without_border(image: Image.Image, border: TrimBorder) -> Image.Image:
    """``tolerance``: how far from the colour, which is the corner's unless one is given."""
    plain = image.convert("RGB")
    color = parse_color(border.color)[:3] if border.color else _corner(plain)
    apart = ImageChops.difference(plain, Image.new("RGB", plain.size, color)).convert("L")
    box = apart.point([255 if value > border.tolerance else 0 for value in range(256)]).getbbox()
    keep = round(border.keep)
    if box is None:
        return image
    return image.crop((max(0, box[0] - keep), max(0, box[1] - keep), min(image.width, box[2] + keep),
                       min(image.height, box[3] + keep)))  # fmt: skip


def _corner(image: Image.Image) -> tuple[int, int, int]:
    red, green, blue = ImageStat.Stat(image.crop((0, 0, 1, 1))).mean
    return round(red), round(green), round(blue)


def bordered(image: Image.Image, border: Border | None) -> Image.Image:
    if border is None:
        return image
    top, right, bottom, left = (
        round(border.width if side is None else side) for side in (border.top, border.right, border.bottom, border.left)
    )
    size = image.width + left + right, image.height + top + bottom
    check_size(*size)
    color = parse_color(border.color)
    mode = "RGBA" if image.mode == "RGBA" or color[3] < 255 else "RGB"
    canvas = Image.new(mode, size, color if mode == "RGBA" else color[:3])
    canvas.paste(image.convert(mode), (left, top))
    return canvas


__all__ = ["Size", "bordered", "fitted", "trimmed", "turned"]
