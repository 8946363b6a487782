"""``pyfetch`` and ``open_url``: the worker's own fetch by Pyodide's names."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Self, TypeVar

from runtime.isolate import suspending
from runtime.values import JsException
from runtime.web import AbortController, AbortSignal, Request, Response, fetch
from runtime.web.abort import AbortError as _AbortedError
from runtime.web.abort import FetchError
from runtime.web.body import BodyUsedError, HttpStatusError

AbortError = FetchError
T = TypeVar("T")

suspending.want()  # for ``open_url``


class _AnyResponse(type):
    """The SDK's responses are Pyodide's, too."""

    def __instancecheck__(cls, value: object) -> bool:
        return isinstance(value, Response)

    def __subclasscheck__(cls, kind: type) -> bool:
        return issubclass(kind, Response) if isinstance(kind, type) else False


class FetchResponse(Response, metaclass=_AnyResponse):
    """A response that can be aborted."""

    def __init__(
        self, request: Request | str, js_response: Response, abort_controller: AbortController | None = None,
        abort_signal: AbortSignal | None = None,
    ) -> None:  # fmt: skip
        super().__init__(js_response)
        self.js_request = Request(request) if isinstance(request, str) and request else request or None
        self.abort_controller, self.abort_signal = abort_controller, abort_signal

    async def bytes(self) -> bytes:
        """Raises AbortError once it is aborted."""
        if (signal := self.abort_signal) is None:
            return await super().bytes()
        signal.throw_if_aborted()
        return await _answered(signal.race(super().bytes()))

    def clone(self) -> Self:
        other = super().clone()
        other.js_request, other.abort_controller = self.js_request, self.abort_controller
        other.abort_signal = self.abort_signal
        return other

    def abort(self, reason: object = None) -> None:
        """Raises ValueError where it has no controller."""
        if self.abort_controller is None:
            raise ValueError("abort_controller is not set")
        self.abort_controller.abort(None if reason is None else _AbortedError(reason))

    async def _into_file(self, file: Any) -> None:
        file.write(await (self.text() if isinstance(file, io.TextIOBase) else self.bytes()))

    async def _create_file(self, path: str) -> None:
        with Path(path).open("xb") as file:
            await self._into_file(file)

    async def unpack_archive(self, *, extract_dir: str | None = None, format: str | None = None) -> None:
        """Into ``extract_dir``, or the working directory. Raises ValueError for a format nobody knows."""
        import shutil

        with tempfile.TemporaryDirectory() as folder:
            packed = Path(folder) / (self.url.rsplit("/", 1)[-1] or "archive")
            await self._create_file(str(packed))
            shutil.unpack_archive(packed, extract_dir, format)


async def pyfetch(
    request: str | Request, /, *, signal: AbortSignal | None = None, fetcher: Any = None, **options: Any
) -> FetchResponse:
    """The response; ``options`` are those of ``fetch``. Raises AbortError, an OSError, where there is none."""
    controller = AbortController()
    signal = controller.signal if signal is None else AbortSignal.any([signal, controller.signal])
    asked = Request(request, signal=signal, **options)
    answer = await _answered(fetch(asked) if fetcher is None else fetcher(asked))
    return FetchResponse(asked, answer, controller, signal)


async def _answered(answer: Awaitable[T]) -> T:
    try:
        return await answer
    except (JsException, TimeoutError) as error:
        raise AbortError(getattr(error, "message", str(error))) from None


def open_url(url: str) -> io.StringIO:
    """The text at a URL. It waits, as ``run_sync`` does. Raises OSError, HttpStatusError."""

    async def load() -> str:
        response = await pyfetch(url)
        response.raise_for_status()
        return await response.text()

    return io.StringIO(suspending.run_sync(load()))


__all__ = ["AbortError", "BodyUsedError", "FetchResponse", "HttpStatusError", "open_url", "pyfetch"]
