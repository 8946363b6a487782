"""What type checkers are told of ``env.NAME`` of ``[images]``: ``worker.py`` does it."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Literal, Self

from bindings.images.worker import ImageTransformationResult
from runtime.values import JsDict
from runtime.web import ReadableStream

_Image = ReadableStream | AsyncIterator[bytes] | bytes

class ImagesBinding:
    async def info(self, stream: _Image, *, encoding: Literal["base64"] = ...) -> JsDict: ...
    def input(self, stream: _Image, *, encoding: Literal["base64"] = ...) -> ImageTransformer: ...

class ImageTransformer:
    def transform(
        self,
        options: Mapping[str, Any] = ...,
        *,
        width: int = ...,
        height: int = ...,
        fit: Literal["scale-down", "contain", "pad", "squeeze", "cover", "crop"] = ...,
        rotate: Literal[0, 90, 180, 270] = ...,
        **more: Any,
    ) -> Self: ...
    def draw(self, image: _Image | ImageTransformer, options: Mapping[str, Any] = ..., **more: Any) -> Self: ...
    async def output(
        self,
        options: Mapping[str, Any] = ...,
        *,
        format: str = ...,
        quality: int = ...,
        background: str = ...,
        anim: bool = ...,
    ) -> ImageTransformationResult: ...
