"""Images, through a worker: what it says of a picture, what becomes of it, and what hostile ones come to."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import struct
import zlib
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest
import pytest_asyncio
from PIL import Image, ImageDraw, ImageStat

from bindings.base import CallError
from bindings.images import binding
from bindings.images.limits import CPU_S
from bindings.limited.spare import Spare
from serving import Served, serving, without, write

pytestmark = pytest.mark.asyncio(loop_scope="module")
ENTRY = Path(__file__).with_name("images_worker.py").read_text("utf-8")
CONFIG = '[images]\nbinding = "IMAGES"\n'
RED, BLUE = (255, 0, 0), (0, 0, 255)
_BLUR = {"transform": {"blur": 250}}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder = tmp_path_factory.mktemp("images")
    write(folder, ENTRY, CONFIG)
    async with serving(folder) as served:
        yield served


def picture(kind: str = "PNG", size: tuple[int, int] = (60, 40), mode: str = "RGB", **options: Any) -> bytes:
    """Red on its left half, blue on its right."""
    image = Image.new(mode, size, RED)
    image.paste(BLUE, (size[0] // 2, 0, *size))
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


async def ask(pilot: Served, path: str, content: bytes, **query: Any) -> tuple[int, str, bytes]:
    """(status, content type, body)."""
    params = {key: json.dumps(value) for key, value in query.items()}
    async with pilot.http.post(f"{pilot.url}/{path}", data=content, params=params) as response:
        return response.status, response.headers.get("content-type", ""), await response.read()


async def changed(pilot: Served, content: bytes, *steps: Any, format: str = "image/png", **output: Any) -> Image.Image:
    status, kind, body = await ask(pilot, "change", content, steps=steps, output={"format": format, **output})
    assert status == 200, body
    assert kind == format
    return Image.open(io.BytesIO(body))


async def refused(pilot: Served, path: str, content: bytes, **query: Any) -> tuple[str, int]:
    status, _, body = await ask(pilot, path, content, **query)
    told = json.loads(body)
    assert (status, told["name"]) == (500, "Error")
    return told["error"], told["code"]


def near(image: Image.Image, at: tuple[int, int], color: tuple[int, ...]) -> bool:
    """Whether the pixel is that colour, as far as compression lets it."""
    found = image.convert("RGBA" if len(color) == 4 else "RGB").getpixel(at)
    assert isinstance(found, tuple)
    return all(abs(one - other) < 12 for one, other in zip(found, color, strict=True))


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is that large."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(100_000))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "AVIF"])
async def test_info(pilot: Served, kind: str) -> None:
    content = picture(kind)
    status, _, body = await ask(pilot, "info", content)
    expected = {"format": f"image/{kind.lower()}", "fileSize": len(content), "width": 60, "height": 40}
    assert (status, json.loads(body)) == (200, expected)


@pytest.mark.parametrize(
    "text", ["<svg xmlns='http://www.w3.org/2000/svg'/>", "<?xml version='1.0'?>\n<!-- a -->\n<svg >"]
)
async def test_an_svg_is_known_and_not_drawn(pilot: Served, text: str) -> None:
    assert json.loads((await ask(pilot, "info", text.encode()))[2]) == {"format": "image/svg+xml"}
    message, code = await refused(pilot, "change", text.encode())
    assert code == 9520
    assert message.startswith("IMAGES_TRANSFORM_ERROR 9520: ERROR: Unsupported image type svg, expected one of: JPEG")


@pytest.mark.parametrize("format", ["image/png", "image/jpeg", "image/webp", "image/avif", "image/gif"])
async def test_every_format_is_written(pilot: Served, format: str) -> None:
    image = await changed(pilot, picture(), format=format)
    assert (image.size, image.format) == ((60, 40), format.removeprefix("image/").upper())
    assert near(image, (5, 20), RED)
    assert near(image, (55, 20), BLUE)


async def test_raw_pixels_are_written(pilot: Served) -> None:
    status, _, body = await ask(pilot, "change", picture(), output={"format": "rgba"})
    assert (status, len(body), body[:4]) == (200, 60 * 40 * 4, b"\xff\0\0\xff")


async def test_a_jpeg_is_what_comes_without_a_format_and_quality_counts(pilot: Served) -> None:
    small, large = [(await ask(pilot, "change", picture(size=(600, 400)), output={"quality": q})) for q in (5, 95)]
    assert small[1] == large[1] == "image/jpeg"
    assert len(small[2]) < len(large[2])


FITS = [  # options → size, what is at the left and the right end of the middle row
    ({"width": 30}, (30, 20), RED, BLUE),
    ({"width": 600}, (60, 40), RED, BLUE),
    ({"width": 600, "fit": "contain"}, (600, 400), RED, BLUE),
    ({"width": 30, "height": 30}, (30, 20), RED, BLUE),
    ({"width": 120, "height": 120, "fit": "contain"}, (120, 80), RED, BLUE),
    ({"width": 30, "height": 30, "fit": "squeeze"}, (30, 30), RED, BLUE),
    ({"width": 10, "height": 40, "fit": "cover", "gravity": "left"}, (10, 40), RED, RED),
    ({"width": 10, "height": 40, "fit": "cover", "gravity": "right"}, (10, 40), BLUE, BLUE),
    ({"width": 10, "height": 40, "fit": "cover", "gravity": {"x": 1, "y": 0.5}}, (10, 40), BLUE, BLUE),
    ({"width": 10, "height": 40, "fit": "cover", "gravity": {"x": 0.2, "mode": "box-center"}}, (10, 40), RED, RED),
    ({"width": 20, "height": 20, "fit": "cover", "gravity": "auto"}, (20, 20), RED, BLUE),
    ({"width": 120, "height": 120, "fit": "cover"}, (120, 120), RED, BLUE),
    ({"width": 100, "height": 20, "fit": "crop"}, (60, 20), RED, BLUE),
    ({"width": 30, "height": 30, "fit": "scale-up"}, (60, 40), RED, BLUE),
    ({"width": 60, "height": 60, "fit": "pad"}, (60, 60), RED, BLUE),
    ({"rotate": 180}, (60, 40), BLUE, RED),
    ({"flip": "h"}, (60, 40), BLUE, RED),
    ({"flip": "v"}, (60, 40), RED, BLUE),
    ({"rotate": 90, "width": 20}, (20, 30), RED, BLUE),
    ({"trim": {"left": 40}}, (20, 40), BLUE, BLUE),
    ({"trim": {"width": 20, "height": 10, "left": 5}}, (20, 10), RED, RED),
    ({"border": {"color": "rgb(255 0 0 / 100%)", "right": 10}}, (70, 40), RED, RED),
]  # fmt: skip


@pytest.mark.parametrize(("options", "size", "left", "right"), FITS, ids=lambda value: str(value)[:60])
async def test_its_size_and_its_place(
    pilot: Served, options: dict[str, Any], size: tuple[int, int], left: tuple[int, ...], right: tuple[int, ...]
) -> None:
    image = await changed(pilot, picture(), options)
    assert image.size == size
    if options.get("rotate") == 90:  # the left is on top
        assert near(image, (size[0] // 2, 0), left)
        assert near(image, (size[0] // 2, size[1] - 1), right)
    else:
        assert near(image, (0, size[1] // 2), left)
        assert near(image, (size[0] - 1, size[1] // 2), right)


async def test_steps_are_done_in_their_order(pilot: Served) -> None:
    turned_first = await changed(pilot, picture(), {"rotate": 90}, {"flip": "v"}, {"width": 20})
    assert turned_first.size == (20, 30)
    assert near(turned_first, (10, 0), BLUE)


async def test_a_picture_on_its_side_is_upright(pilot: Served) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    content = picture("JPEG", (1200, 800), exif=exif.tobytes())
    image = await changed(pilot, content, {"width": 80})  # decoded at an eighth of its size
    assert image.size == (80, 120)
    assert near(image, (40, 2), RED)
    assert near(image, (40, 118), BLUE)


async def test_a_background_shows_where_it_is_clear(pilot: Served) -> None:
    clear = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(clear, "PNG")
    assert near(await changed(pilot, clear.getvalue()), (4, 4), (0, 0, 0, 0))
    assert near(await changed(pilot, clear.getvalue(), format="image/jpeg"), (4, 4), (255, 255, 255))
    assert near(await changed(pilot, clear.getvalue(), {"background": "#00f"}), (4, 4), BLUE)
    padded = await changed(pilot, picture(), {"width": 60, "height": 60, "fit": "pad", "background": "hsl(0,100%,50%)"})
    assert near(padded, (55, 2), RED)


async def test_a_border_of_one_colour_is_trimmed(pilot: Served) -> None:
    image = Image.new("RGB", (50, 50), "white")
    ImageDraw.Draw(image).rectangle((10, 20, 29, 34), "black")
    content = io.BytesIO()
    image.save(content, "PNG")
    assert (await changed(pilot, content.getvalue(), {"trim": "border"})).size == (20, 15)
    keep = {"trim": {"border": {"keep": 5, "tolerance": 3}}}
    assert (await changed(pilot, content.getvalue(), keep)).size == (30, 25)


EFFECTS: list[tuple[dict[str, Any], Any]] = [
    ({"brightness": 0.5}, lambda before, after: sum(after.mean) < sum(before.mean) * 0.6),
    ({"contrast": 0.1}, lambda before, after: max(after.stddev) < max(before.stddev) * 0.2),
    ({"saturation": 0}, lambda before, after: max(after.mean) - min(after.mean) < 2),
    ({"gamma": 0.5}, lambda before, after: sum(after.mean) < sum(before.mean)),
    ({"blur": 20}, lambda before, after: max(after.stddev) < max(before.stddev)),
    ({"sharpen": 5}, lambda before, after: max(after.stddev) > max(before.stddev)),
]


@pytest.mark.parametrize(("options", "holds"), EFFECTS, ids=[next(iter(options)) for options, _ in EFFECTS])
async def test_effects(pilot: Served, options: dict[str, Any], holds: Any) -> None:
    slope = Image.radial_gradient("L").convert("RGB").resize((64, 64))
    slope.putpixel((0, 0), (200, 120, 40))
    slope = Image.blend(slope, Image.new("RGB", slope.size, (200, 60, 60)), 0.5)
    content = io.BytesIO()
    slope.save(content, "PNG")
    after = await changed(pilot, content.getvalue(), options)
    assert holds(ImageStat.Stat(slope), ImageStat.Stat(after))


DRAWN: list[tuple[dict[str, Any], tuple[int, int]]] = [  # where on it → a pixel that has become blue, over red
    ({"left": 0, "top": 0}, (5, 9)),
    ({"left": 10, "bottom": 5}, (15, 34)),
    ({"right": 45, "top": 3}, (10, 12)),
    ({"left": -5, "top": 5}, (2, 14)),
    ({"left": 3, "top": 3, "repeat": True}, (23, 32)),
    ({"left": 3, "top": 3, "repeat": "x"}, (23, 12)),
]


@pytest.mark.parametrize(("how", "at"), DRAWN, ids=str)
async def test_drawing(pilot: Served, how: dict[str, Any], at: tuple[int, int]) -> None:
    """What is drawn is red above and blue below."""
    status, kind, body = await ask(pilot, "stamp", picture(), how=how)
    assert (status, kind) == (200, "image/png")
    image = Image.open(io.BytesIO(body))
    assert image.size == (60, 40)
    assert near(image, at, BLUE)
    assert near(image, (at[0], at[1] - 6), RED)


async def test_it_is_drawn_in_the_middle_and_half_through(pilot: Served) -> None:
    image = Image.open(io.BytesIO((await ask(pilot, "stamp", picture(), how={"opacity": 0.5}))[2]))
    assert near(image, (27, 23), (127, 0, 127))
    assert near(image, (33, 17), (127, 0, 127))
    assert near(image, (33, 23), BLUE)


async def test_an_animation_stays_one(pilot: Served) -> None:
    frames = [Image.new("RGB", (40, 20), color) for color in (RED, BLUE, RED)]
    content = io.BytesIO()
    frames[0].save(content, "GIF", save_all=True, append_images=frames[1:], duration=[50, 120, 70], loop=3)
    for format in ("image/gif", "image/webp"):
        image = await changed(pilot, content.getvalue(), {"width": 20}, format=format)
        assert (getattr(image, "n_frames", 1), image.size) == (3, (20, 10))
        image.seek(1)
        image.load()
        assert near(image, (10, 5), BLUE)
        assert image.info["duration"] == 120
    still = await changed(pilot, content.getvalue(), format="image/webp", anim=False)
    assert getattr(still, "n_frames", 1) == 1


async def test_base64(pilot: Served) -> None:
    _, _, body = await ask(pilot, "both", base64.b64encode(picture("JPEG")))
    assert Image.open(io.BytesIO(base64.b64decode(body, validate=True))).size == (60, 40)


async def test_a_result_has_its_length(pilot: Served) -> None:
    async with pilot.http.post(pilot.url + "/change", data=picture()) as response:
        assert response.headers["content-length"] == str(len(await response.read()))


async def test_a_chain_is_used_once(pilot: Served) -> None:
    what = "ImageTransformer consumed; you may only call .output() or draw a transformer once"
    assert await refused(pilot, "twice", picture()) == (f"IMAGES_TRANSFORM_ERROR 9525: {what}", 9525)


WRONG: list[tuple[Any, Any, str]] = [
    ([{"width": 0}], {}, "`transform.width`"),
    ([{"width": 12_001}], {}, "`transform.width`"),
    ([{"width": "wide"}], {}, "`transform.width`"),
    ([{"fit": "nope"}], {}, "`transform.fit`"),
    ([{"rotate": 45}], {}, "`transform.rotate`"),
    ([{"segment": "foreground"}], {}, "`transform.segment`"),
    ([{"background": "no colour", "width": 100, "height": 9, "fit": "pad"}], {}, "'no colour' is not a colour"),
    ([{"border": {"width": 1, "color": "rgb(1 2)"}}], {}, "is not a colour"),
    ([], {"format": "image/tiff"}, "`output.format`"),
    ([{"blur": 1e9}], {}, "`transform.blur`"),
    ([{"width": 10} for _ in range(4000)], {}, "the transforms take more than 64 KB"),
]


@pytest.mark.parametrize(("steps", "output", "text"), WRONG, ids=lambda value: str(value)[:40])
async def test_wrong_options_are_named(pilot: Served, steps: Any, output: Any, text: str) -> None:
    if len(steps) > 100:
        await pilot.save(ENTRY.replace('query.get("steps") or "[]"', f"'{json.dumps([steps[0]])}'").replace(
            'json.loads(\'[{"width": 10}]\')', 'json.loads(\'[{"width": 10}]\') * 4000'))  # fmt: skip
        message, code = await refused(pilot, "change", picture())
        await pilot.save(ENTRY)
    else:
        message, code = await refused(pilot, "change", picture(), steps=steps, output=output)
    assert code == 9401
    assert message.startswith("IMAGES_TRANSFORM_ERROR 9401: ")
    assert text in message


async def test_what_cannot_be_sent_is_a_type_error(pilot: Served) -> None:
    status, _, body = await ask(pilot, "wrong", b"")
    text, options, method = json.loads(body)
    assert (status, text) == (200, "an image is a ReadableStream or bytes, not str")
    assert "tuple" in options
    assert method.startswith("env.IMAGES (ImagesBinding) has no 'get_info'; it has: info, input")


NOT_IMAGES: list[tuple[bytes, int, str]] = [
    (b" ", 9523, "Unexpected error response 500: Input buffer contains unsupported image format"),
    (b"hello", 9523, "Unexpected error response 500: Input buffer contains unsupported image format"),
    (b"BM" + bytes(60), 9520, "IMAGES_INFO_ERROR 9520: ERROR: Unsupported image type bmp, expected one of: JPEG, SVG"),
    (b"II*\0" + bytes(60), 9520, "IMAGES_INFO_ERROR 9520: ERROR: Unsupported image type tiff"),
    (b"\0\0\0\x18ftypheic" + bytes(60), 9520, "IMAGES_INFO_ERROR 9520: ERROR: Unsupported image type heif"),
    (bomb(50_000, 50_000), 9413, "IMAGES_INFO_ERROR 9413: the image has more than 100 megapixels"),
    (bomb(20_000, 1), 9402, "IMAGES_INFO_ERROR 9402: the image is more than 12000 pixels wide or high"),
]


@pytest.mark.parametrize(("content", "code", "text"), NOT_IMAGES, ids=lambda value: str(value)[:20])
async def test_what_is_no_image_is_told(pilot: Served, content: bytes, code: int, text: str) -> None:
    message, number = await refused(pilot, "info", content)
    assert number == code
    assert message.startswith(text)


async def test_a_broken_image_and_too_many_of_them(pilot: Served) -> None:
    message, code = await refused(pilot, "change", picture(size=(600, 400))[:-400])
    assert (code, "IMAGES_TRANSFORM_ERROR 9523: ERROR: " in message) == (9523, True), message
    message, code = await refused(pilot, "many", picture())
    assert (code, "34 images; 32 are the most" in message) == (9401, True)


async def test_a_bomb_of_frames_ends_in_the_process_that_reads_it(pilot: Served) -> None:
    """Ten thousand frames of nothing, each a megapixel: a few kilobytes."""
    frame = Image.new("P", (1000, 1000))
    content = io.BytesIO()
    frame.save(content, "GIF")
    body = content.getvalue()
    head, frames = body[:13 + 3 * 256], body[13 + 3 * 256:-1]  # fmt: skip
    message, code = await refused(pilot, "change", head + frames * 200 + b";", output={"format": "image/gif"})
    assert (code, "50 megapixels" in message) == (9413, True), message


async def test_a_large_picture_takes_nothing_of_the_supervisor(pilot: Served) -> None:
    before = psutil.Process(pilot.process.pid).memory_info().rss
    large = await changed(pilot, picture(), {"width": 9_000, "height": 9_900, "fit": "squeeze"}, format="image/jpeg")
    assert large.size == (9_000, 9_900)
    assert psutil.Process(pilot.process.pid).memory_info().rss < before + 50 * 1024 * 1024
    message, code = await refused(pilot, "change", picture(), steps=[{"border": {"left": 12_000}}])
    assert (code, "more than 12000 pixels" in message) == (9402, True)


@pytest.mark.e2e
async def test_endless_work_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binding, "WALL_S", 1)
    plan = {"steps": [{"transform": {"width": 6000, "height": 6000, "fit": "squeeze"}}] + [_BLUR] * 50, "output": {}}
    with pytest.raises(CallError, match="IMAGES_TRANSFORM_ERROR 9522: it took more than 1 s") as caught:
        await binding.serve(limited := binding.Processes(), "output", [plan, picture()])
    assert caught.value.fields == {"code": 9522}
    await limited.aclose()


async def test_a_client_that_leaves_ends_the_work(pilot: Served) -> None:
    """Work that takes seconds: its process goes with the request."""

    def at_work() -> bool:
        """One has its request, and has limited itself."""
        for process in processes(pilot):
            with suppress(psutil.Error):
                if process.rlimit(psutil.RLIMIT_CPU)[0] == CPU_S:
                    return True
        return False

    steps = [{"width": 6000, "height": 6000, "fit": "squeeze"}, *[{"blur": 250} for _ in range(30)]]
    asking = asyncio.create_task(ask(pilot, "change", picture(), steps=steps, output={"format": "image/png"}))
    async with asyncio.timeout(60):
        while not at_work():
            await asyncio.sleep(0.01)
        asking.cancel()
        while at_work():
            await asyncio.sleep(0.01)


async def test_the_next_process_is_there_before_its_request(pilot: Served) -> None:
    """Each serves one, and one that has ended while it waited is replaced."""
    await ask(pilot, "info", picture())
    served = [await waiting(pilot)]
    for _ in range(2):
        assert (await ask(pilot, "info", picture()))[0] == 200
        served.append(await waiting(pilot, *served))
    served[-1].kill()
    with suppress(psutil.NoSuchProcess):  # it has been waited for
        while served[-1].status() != psutil.STATUS_ZOMBIE:
            await asyncio.sleep(0)
    assert (await ask(pilot, "info", picture()))[0] == 200


@pytest.mark.e2e
async def test_a_process_that_waits_too_long_ends() -> None:
    spare = Spare("bindings.images.process", idle_s=0.1)
    async with spare.running(b"{}", 60, []):
        pass
    me = psutil.Process()
    async with asyncio.timeout(60):
        while any("bindings.images.process" in child.cmdline() for child in me.children()):
            await asyncio.sleep(0.01)
    await spare.aclose()


def processes(pilot: Served) -> list[psutil.Process]:
    """Those of images, as far as they are still there."""
    found = []
    for child in psutil.Process(pilot.process.pid).children(True):
        with suppress(psutil.Error):
            if "bindings.images.process" in child.cmdline():
                found.append(child)
    return found


async def waiting(pilot: Served, *before: psutil.Process) -> psutil.Process:
    """The one that is there and does nothing, once those ``before`` it have ended."""
    async with asyncio.timeout(60):
        while len(found := processes(pilot)) != 1 or found[0] in before:
            await asyncio.sleep(0.01)
    return found[0]


async def test_without_pillow_it_says_what_to_install(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG)
    async with serving(tmp_path, env=without(tmp_path, "PIL")) as pilot:
        status, _, body = await ask(pilot, "info", picture())
        assert status == 500
        told = json.loads(body)["error"]
        assert told.startswith("env.IMAGES needs Pillow, which is not installed on this machine: ")
        assert "pip install" in told
        assert "[images]" in told


async def test_remote_is_refused_at_start(tmp_path: Path) -> None:
    write(tmp_path, ENTRY, CONFIG + "remote = true\n")
    with pytest.raises(AssertionError, match="is remote, and Pilotlight keeps everything local"):
        async with serving(tmp_path):
            pass
