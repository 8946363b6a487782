"""toMarkdown: documents in, Markdown out, each converted in a limited process of its own (contract §2.4)."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import msgspec

from bindings.ai.error_table import INTERNAL
from bindings.ai.errors import AiError, bad_input
from bindings.ai.markdown.formats import FORMATS, ending_of
from bindings.ai.markdown.process import LONGEST, SECONDS, WALL, Answer, Request

_AT_ONCE = max(1, min(4, (os.cpu_count() or 1) // 2))  # conversions; the rest wait their turn
_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "SYSTEMROOT", "VIRTUAL_ENV")


class File(msgspec.Struct, frozen=True, rename="camel"):
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


class Markdown:
    """Converts a few files at once, whoever asks."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_AT_ONCE)

    async def transform(self, files: Sequence[File], options: Any = None) -> list[dict[str, Any]]:
        """One result per file, in their order; a file that cannot be converted has ``format: "error"``.

        ``options``: the contract's ``conversionOptions``. Raises AiError when they are wrong, or when the
        library is not installed.
        """
        _check_installed()
        wanted = _options(options)
        return list(await asyncio.gather(*(self._result(file, wanted) for file in files)))

    def supported(self) -> list[dict[str, str]]:
        """Raises AiError when the library is not installed."""
        _check_installed()
        return [{"extension": ending, "mimeType": kind} for ending, (kind, _) in FORMATS.items()]

    async def _result(self, file: File, options: MarkdownOptions) -> dict[str, Any]:
        ending = ending_of(file.name, file.mime_type)
        kind = FORMATS[ending][0] if ending else file.mime_type or "application/octet-stream"
        told = {"id": str(uuid.uuid4()), "name": file.name, "mimeType": kind}
        if ending is None:
            return {**told, "format": "error", "error": f"files of the type {kind} cannot be converted here"}
        html = options.html if kind == "text/html" else _Html()
        async with self._turns:
            answer = await _converted(Request(ending, html.css_selector, html.hostname), file.data)
        if answer.error is not None:
            return {**told, "format": "error", "error": answer.error}
        form = "text" if kind == "text/plain" else "markdown"
        return {**told, "format": form, "tokens": _estimate(answer.text), "data": answer.text}


async def _converted(request: Request, content: bytes) -> Answer:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-B", "-m", "bindings.ai.markdown.process", msgspec.json.encode(request).decode(),
        stdin=PIPE, stdout=PIPE, stderr=DEVNULL, cwd="/", env=_environment(), start_new_session=True,
    )  # fmt: skip
    try:
        async with asyncio.timeout(WALL):
            return await _exchanged(process, content)
    except TimeoutError:
        return Answer(error=f"the conversion took more than {WALL} s")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def _exchanged(process: Process, content: bytes) -> Answer:
    said, _ = await asyncio.gather(_read(process), _write(process, content))
    if said is None:
        return Answer(error=f"the text is longer than {LONGEST} bytes")
    try:
        return msgspec.json.decode(said, type=Answer)
    except msgspec.DecodeError:  # it ended before it could answer
        status = await process.wait()
        slow = status == -signal.SIGXCPU or status == -signal.SIGKILL
        why = f"it took more than {SECONDS} s of processor time" if slow else f"its process ended ({status})"
        return Answer(error=f"the file cannot be converted: {why}")


async def _read(process: Process) -> bytes | None:
    """Everything it says, unless that is too much."""
    assert process.stdout is not None
    said = bytearray()
    while block := await process.stdout.read(1 << 16):
        said += block
        if len(said) > LONGEST:
            return None
    return bytes(said)


async def _write(process: Process, content: bytes) -> None:
    assert process.stdin is not None
    with suppress(ConnectionError):  # it ended without reading
        process.stdin.write(content)
        await process.stdin.drain()
        process.stdin.close()


def _environment() -> dict[str, str]:
    """Nothing of the supervisor's secrets; one thread, for threads reserve memory that counts."""
    kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {**kept, "HOME": "/", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _options(given: Any) -> MarkdownOptions:
    try:
        options = msgspec.convert({} if given is None else given, MarkdownOptions)
    except msgspec.ValidationError as error:
        raise bad_input(f"conversionOptions: {error}") from None
    if any(part.images.convert for part in (options.html, options.docx, options.pdf)):
        raise bad_input("conversionOptions: images.convert is not served here: pictures are not described")
    return options


def _check_installed() -> None:
    if find_spec("markitdown") is None:
        remedy = "pip install -e '.[markdown]'"
        raise AiError(INTERNAL, f"toMarkdown is not installed on this machine; it needs: {remedy}")


def _estimate(text: str) -> int:
    """Tokens: about four bytes of UTF-8 each."""
    return -(-len(text.encode()) // 4)


__all__ = ["File", "Markdown"]
