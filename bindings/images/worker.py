"""``env.IMAGES``, as the worker sees it. Facts: docs/reference/bindings.md#images."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

from bindings.client import BindingClient
from bindings.images.failures import USED, worded
from runtime.values import JsDict, JsException, to_wire
from runtime.web import Blob, ReadableStream, Response

_CHUNK_BYTES = 256 * 1024  # of bytes that are sent as a stream


class ImagesBinding(BindingClient):
    """https://developers.cloudflare.com/images/optimization/binding/"""

    product = "ImagesBinding"

    async def info(self, stream: object, *args: object, **options: object) -> JsDict:
        """``{format, fileSize, width, height}``; of an SVG its format alone. ``encoding="base64"``: of the stream."""
        return JsDict(await self._call("info", (_image(stream, _given(args, options)),)))

    def input(self, stream: object, *args: object, **options: object) -> ImageTransformer:
        """The beginning of a chain: ``input(stream).transform(width=100).output(format="image/webp")``."""
        return ImageTransformer(self, _image(stream, _given(args, options)))


class ImageTransformer:
    """What is to be done with one image. It can be used once."""

    def __init__(self, binding: ImagesBinding, image: object) -> None:
        self._binding, self._image = binding, image
        self._steps: list[tuple[Any, ...]] = []  # (options,) or (the image that is drawn, how)
        self._used = False

    def transform(self, *args: object, **options: object) -> Self:
        """``transform(width=100, height=80, fit="cover", rotate=90 ...)``."""
        self._steps.append((_given(args, options),))
        return self

    def draw(self, image: object, *args: object, **options: object) -> Self:
        """Lay an image, or what another chain makes, on this one: ``draw(logo, bottom=5, right=5, opacity=0.8)``."""
        layer = image if isinstance(image, ImageTransformer) else ImageTransformer(self._binding, _image(image, {}))
        layer._consume()
        self._steps.append((layer, _given(args, options)))
        return self

    async def output(self, *args: object, **options: object) -> ImageTransformationResult:
        """``output(format="image/webp", quality=80, background=None, anim=True)``."""
        self._consume()
        images: list[object] = []
        plan = {"steps": self._walk(images), "output": _without_none(_given(args, options))}
        answer = await self._binding._call("output", (plan, *images))
        return ImageTransformationResult(answer)

    def _consume(self) -> None:
        if self._used:
            what = "ImageTransformer consumed; you may only call .output() or draw a transformer once"
            message, code = worded("TRANSFORM", USED, what)
            raise JsException(message, code=code)
        self._used = True

    def _walk(self, images: list[object]) -> list[dict[str, Any]]:
        """The steps of this image and of all that are drawn on it; those join ``images``."""
        number, steps = len(images), list[dict[str, Any]]()
        images.append(self._image)
        for first, *how in self._steps:
            if isinstance(first, ImageTransformer):
                drawn = len(images)
                steps += first._walk(images)
                steps.append({"image": number, "drawn": drawn, "how": _without_none(how[0])})
            else:
                steps.append({"image": number, "transform": _without_none(first)})
        return steps


class ImageTransformationResult:
    """An image that is made: it can be read once."""

    def __init__(self, answer: Any) -> None:
        self._type: str = answer.meta["contentType"]
        self._stream = ReadableStream(answer, length=answer.meta["length"])

    def contentType(self) -> str:
        return self._type

    def image(self, *args: object, **options: object) -> ReadableStream:
        """Its bytes; with ``encoding="base64"`` as base64."""
        encoded = _given(args, options).get("encoding") == "base64"
        return ReadableStream(_encoded(self._stream)) if encoded else self._stream

    def response(self) -> Response:
        return Response(self._stream, headers={"content-type": self._type})


def _given(args: tuple[object, ...], options: Mapping[str, object]) -> dict[str, Any]:
    """The options, be they a dict or keywords."""
    value = args[0] if args else dict(options)
    if not isinstance(value, dict):
        raise TypeError(f"options are a dict or keyword arguments, not {type(value).__name__}")
    return to_wire(value)  # type: ignore[no-any-return]


def _without_none(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _image(value: object, options: Mapping[str, object]) -> object:
    """What can be sent: bytes and any async iterator are streams."""
    if isinstance(value, Blob):
        value = bytes(value)
    if isinstance(value, bytes | bytearray | memoryview):
        value = ReadableStream(_chunks(bytes(value)))
    if hasattr(value, "__aiter__") and not isinstance(value, ReadableStream):
        value = ReadableStream(value)
    if not isinstance(value, ReadableStream):
        raise TypeError(f"an image is a ReadableStream or bytes, not {type(value).__name__}")
    return ReadableStream(_decoded(value)) if options.get("encoding") == "base64" else value


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), _CHUNK_BYTES):
        yield content[at : at + _CHUNK_BYTES]


async def _decoded(stream: ReadableStream) -> AsyncIterator[bytes]:
    left = b""
    async for chunk in stream:
        text = left + chunk
        whole = len(text) - len(text) % 4
        left = text[whole:]
        yield base64.b64decode(text[:whole])
    if left:
        yield base64.b64decode(left + b"=" * (-len(left) % 4))


async def _encoded(stream: ReadableStream) -> AsyncIterator[bytes]:
    left = b""
    async for chunk in stream:
        content = left + chunk
        whole = len(content) - len(content) % 3
        left = content[whole:]
        yield base64.b64encode(content[:whole])
    yield base64.b64encode(left)


__all__ = ["ImageTransformationResult", "ImageTransformer", "ImagesBinding"]
