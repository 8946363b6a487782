"""``env.AI.toMarkdown``, the worker's half (docs/reference/workers-ai.md#the-binding)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from runtime.web import Blob

Call = Callable[..., Awaitable[Any]]


class ToMarkdown:
    """What ``env.AI.toMarkdown()`` is without files. ``call`` is the way to the host's half."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def transform(self, files: Any, options: Any = None) -> Any:
        """A list of results for a list of files, one result for one file.

        A file is ``{"name": "a.pdf", "blob": Blob}`` (bytes will do) or a ``File``; ``options`` may hold
        ``conversionOptions``. A file that cannot be converted has ``format: "error"``.
        """
        many = isinstance(files, list | tuple)
        sent = [_sent(file) for file in (files if many else [files])]
        found = await self._call("markdown", sent, _conversion(options))
        return found if many else found[0]

    async def supported(self) -> Any:
        """``[{"extension": ".pdf", "mimeType": "application/pdf"}, …]``"""
        return await self._call("markdown_supported")


def _sent(file: Any) -> dict[str, Any]:
    file = file.to_py() if hasattr(file, "to_py") else file
    name, blob = getattr(file, "name", None), file
    if isinstance(file, Mapping):
        name, blob = file.get("name"), file.get("blob")
    if not isinstance(name, str) or not isinstance(blob, Blob | bytes | bytearray | memoryview):
        raise TypeError("env.AI.toMarkdown takes files of the form {'name': 'a.pdf', 'blob': Blob}, or File objects")
    return {"name": name, "mimeType": blob.type if isinstance(blob, Blob) else "", "data": bytes(blob)}


def _conversion(options: Any) -> Any:
    options = options.to_py() if hasattr(options, "to_py") else options
    return options.get("conversionOptions") if isinstance(options, Mapping) else None


__all__ = ["ToMarkdown"]
