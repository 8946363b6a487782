"""``pyfetch`` and ``open_url``: the worker's own fetch by Pyodide's names."""

from __future__ import annotations

import io
from typing import Any

from runtime.isolate import suspending
from runtime.web import Response, fetch
from runtime.web.abort import AbortError
from runtime.web.body import BodyUsedError, HttpStatusError

FetchResponse = Response

suspending.want()  # for ``open_url``


async def pyfetch(request: object, *, signal: Any = None, fetcher: Any = None, **options: Any) -> Response:
    """The response; ``options`` are those of ``fetch``. Raises OSError where there is none."""
    try:
        if fetcher is not None:
            return await fetcher(request, options)  # type: ignore[no-any-return]
        return await fetch(request, None, signal=signal, **options)
    except TypeError as error:
        raise OSError(str(error)) from error


def open_url(url: str) -> io.StringIO:
    """The text at a URL. It waits, as ``run_sync`` does. Raises OSError, HttpStatusError."""

    async def load() -> str:
        response = await pyfetch(url)
        response.raise_for_status()
        return await response.text()

    return io.StringIO(suspending.run_sync(load()))


__all__ = ["AbortError", "BodyUsedError", "FetchResponse", "HttpStatusError", "open_url", "pyfetch"]
