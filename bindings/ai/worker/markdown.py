"""``env.AI.toMarkdown``, the worker's half, in the isolate: files as bytes, to the host's half.

The host's half, which has them converted in the supervisor, is ``bindings.ai.methods.markdown``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from runtime.web import Blob

Call = Callable[..., Awaitable[Any]]


class ToMarkdown:
    """What ``env.AI.toMarkdown()`` is without files. ``call`` is the way to the host's half."""

    def __init__(self, call: Call) -> None:
        self._call = call

    async def transform(self, files: object, options: object = None) -> Any:
        """A list of results for a list of files, one result for one file.

        A file is ``{"name": "a.pdf", "blob": Blob}`` (bytes will do) or a ``File``; ``options`` may hold
        ``conversionOptions``. A file that cannot be converted has ``format: "error"``.
        """
        if not isinstance(files, list | tuple):
            return (await self.transform([files], options))[0]
        return await self._call("markdown", [_document(file) for file in files], _conversion_options(options))

    async def supported(self) -> list[dict[str, str]]:
        """``[{"extension": ".pdf", "mimeType": "application/pdf"}, …]``"""
        formats: list[dict[str, str]] = await self._call("markdown_supported")
        return formats


def _document(file: object) -> dict[str, Any]:
    file = file.to_py() if hasattr(file, "to_py") else file
    name, blob = getattr(file, "name", None), file
    if isinstance(file, Mapping):
        name, blob = file.get("name"), file.get("blob")
    if not isinstance(name, str) or not isinstance(blob, Blob | bytes | bytearray | memoryview):
        raise TypeError("env.AI.toMarkdown takes files of the form {'name': 'a.pdf', 'blob': Blob}, or File objects")
    return {"name": name, "mimeType": blob.type if isinstance(blob, Blob) else "", "data": bytes(blob)}


def _conversion_options(options: object) -> object:
    options = options.to_py() if hasattr(options, "to_py") else options
    return options.get("conversionOptions") if isinstance(options, Mapping) else None


__all__ = ["ToMarkdown"]
