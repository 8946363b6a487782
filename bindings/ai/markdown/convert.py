"""toMarkdown: documents in, Markdown out, each converted in a limited process of its own.

``bindings.ai.markdown.process`` is that process. Facts: docs/reference/workers-ai.md#tomarkdown.
"""

from __future__ import annotations

import asyncio
import signal
import uuid
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import msgspec

from bindings.ai.error_table import INTERNAL
from bindings.ai.errors import ModelError, bad_input
from bindings.ai.markdown.formats import FORMATS, ending_of
from bindings.ai.markdown.process import CPU_S, MAX_RESULT_BYTES, WALL_S, ConversionRequest, ConversionResult
from bindings.limited.parent import MAX_PROCESSES, answer, running


class Document(msgspec.Struct, frozen=True, rename="camel"):
    """A document; ``mime_type`` counts where the name's ending says nothing."""

    name: str
    data: bytes
    mime_type: str = ""


class _Images(msgspec.Struct, frozen=True):
    convert: bool = False


class _Html(msgspec.Struct, frozen=True, rename="camel"):
    images: _Images = _Images()
    hostname: str | None = None
    css_selector: str | None = None


class _WithImages(msgspec.Struct, frozen=True):
    images: _Images = _Images()


class MarkdownOptions(msgspec.Struct, frozen=True):
    """``conversionOptions``, as upstream; what else is in them means nothing here."""

    html: _Html = _Html()
    docx: _WithImages = _WithImages()
    pdf: _WithImages = _WithImages()


class MarkdownConverter:
    """Converts a few files at once, whoever asks."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(MAX_PROCESSES)

    async def transform(self, documents: Sequence[Document], options: object = None) -> list[dict[str, Any]]:
        """One result per document, in their order; one that cannot be converted has ``format: "error"``.

        ``options``: upstream's ``conversionOptions``. Raises ModelError when they are wrong, or when the
        library is not installed.
        """
        _check_installed()
        conversion = _options(options)
        return list(await asyncio.gather(*(self._result(document, conversion) for document in documents)))

    def supported(self) -> list[dict[str, str]]:
        """Raises ModelError when the library is not installed."""
        _check_installed()
        return [{"extension": ending, "mimeType": kind} for ending, (kind, _) in FORMATS.items()]

    async def _result(self, document: Document, options: MarkdownOptions) -> dict[str, Any]:
        ending = ending_of(document.name, document.mime_type)
        kind = FORMATS[ending][0] if ending else document.mime_type or "application/octet-stream"
        described = {"id": str(uuid.uuid4()), "name": document.name, "mimeType": kind}
        if ending is None:
            return {**described, "format": "error", "error": f"files of the type {kind} cannot be converted here"}
        html = options.html if kind == "text/html" else _Html()
        async with self._turns:
            result = await _convert(ConversionRequest(ending, html.css_selector, html.hostname), document.data)
        if result.error is not None:
            return {**described, "format": "error", "error": result.error}
        form = "text" if kind == "text/plain" else "markdown"
        return {**described, "format": form, "tokens": _estimate(result.text), "data": result.text}


async def _convert(request: ConversionRequest, content: bytes) -> ConversionResult:
    try:
        async with running("bindings.ai.markdown.process", msgspec.json.encode(request), WALL_S) as process:
            return await _exchange(process, content)
    except TimeoutError:
        return ConversionResult(error=f"the conversion took more than {WALL_S} s")


async def _exchange(process: Process, content: bytes) -> ConversionResult:
    output, _ = await asyncio.gather(answer(process, MAX_RESULT_BYTES), _write(process, content))
    if output is None:
        return ConversionResult(error=f"the text is longer than {MAX_RESULT_BYTES} bytes")
    try:
        return msgspec.json.decode(output, type=ConversionResult)
    except msgspec.DecodeError:  # it ended before it could answer
        status = await process.wait()
        slow = status == -signal.SIGXCPU or status == -signal.SIGKILL
        why = f"it took more than {CPU_S} s of processor time" if slow else f"its process ended ({status})"
        return ConversionResult(error=f"the file cannot be converted: {why}")


async def _write(process: Process, content: bytes) -> None:
    assert process.stdin is not None
    with suppress(ConnectionError):  # it ended without reading
        process.stdin.write(content)
        await process.stdin.drain()
        process.stdin.close()


def _options(value: object) -> MarkdownOptions:
    try:
        options = msgspec.convert({} if value is None else value, MarkdownOptions)
    except msgspec.ValidationError as error:
        raise bad_input(f"conversionOptions: {error}") from None
    if any(part.images.convert for part in (options.html, options.docx, options.pdf)):
        raise bad_input("conversionOptions: images.convert is not served here: pictures are not described")
    return options


def _check_installed() -> None:
    if find_spec("markitdown") is None:
        remedy = "pip install -e '.[markdown]'"
        raise ModelError(INTERNAL, f"toMarkdown is not installed on this machine; it needs: {remedy}")


def _estimate(text: str) -> int:
    """Tokens: about four bytes of UTF-8 each."""
    return -(-len(text.encode()) // 4)


__all__ = ["Document", "MarkdownConverter"]
