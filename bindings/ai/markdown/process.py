"""One conversion in a process of its own: ``python -P -B -m bindings.ai.markdown.process REQUEST``.

The process limits itself as ``bindings.limited`` says. It has the bytes (standard input) and the
``ConversionRequest`` (its argument, JSON); the ``ConversionResult`` goes to standard output as JSON.
"""

from __future__ import annotations

import io
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING
from urllib.parse import urljoin

import msgspec

from bindings.ai.markdown.formats import FORMATS
from bindings.limited import child

if TYPE_CHECKING:
    from markitdown import DocumentConverter

MEMORY_BYTES = 1 << 30  # of address space, the libraries' own included
CPU_S = 30  # processor time
WALL_S = 90
MAX_RESULT_BYTES = 32 << 20


class ConversionRequest(msgspec.Struct, frozen=True):
    """``ending`` is one of FORMATS. ``selector`` and ``hostname`` are for HTML alone."""

    ending: str
    selector: str | None = None
    hostname: str | None = None


class ConversionResult(msgspec.Struct, frozen=True, omit_defaults=True):
    """``text``, or the reason why there is none."""

    text: str = ""
    error: str | None = None


def main() -> None:
    output = os.fdopen(os.dup(1), "wb")
    child.silence()
    child.limit(memory=MEMORY_BYTES, cpu_s=CPU_S, wall_s=WALL_S)
    request = msgspec.json.decode(sys.argv[1], type=ConversionRequest)
    output.write(msgspec.json.encode(_result(request)))
    output.flush()
    os._exit(0)  # nothing of a library's runs any more


def _result(request: ConversionRequest) -> ConversionResult:
    try:
        converter = _converter(request)
        child.seal()
        text = _convert(converter, request, sys.stdin.buffer.read())
    except MemoryError:
        return ConversionResult(error="the file needs more memory than a conversion may have")
    except Exception as error:
        return ConversionResult(error=f"{type(error).__name__}: {error}"[:500])
    if len(text) > MAX_RESULT_BYTES // 4:  # JSON may write a character as several bytes
        return ConversionResult(error=f"the text is longer than {MAX_RESULT_BYTES // 4} characters")
    return ConversionResult(text.encode("utf-8", "replace").decode())


def _converter(request: ConversionRequest) -> DocumentConverter:
    """Imported before the doors close; made without ``MarkItDown``, which would look for plugins and fetch URLs."""
    import mimetypes

    mimetypes.init()  # reads files in /etc
    converters = import_module("markitdown.converters")
    converter: DocumentConverter = getattr(converters, FORMATS[request.ending][1])()
    return converter


def _convert(converter: DocumentConverter, request: ConversionRequest, content: bytes) -> str:
    from markitdown import StreamInfo

    if request.selector or request.hostname:
        content = _html(content, request)
    info = StreamInfo(extension=request.ending, mimetype=FORMATS[request.ending][0], charset=_charset(content))
    text = converter.convert(io.BytesIO(content), info).markdown
    return text.strip()


def _charset(content: bytes) -> str | None:
    """UTF-8 where it can be: guessing takes long, and errs. None: the converter is to guess."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return None
    return "utf-8"


def _html(content: bytes, request: ConversionRequest) -> bytes:
    """The elements that ``selector`` finds, their links made absolute on ``hostname``."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(content, "html.parser")
    for attribute in ("href", "src") if request.hostname else ():
        for element in soup.select(f"[{attribute}]"):
            element[attribute] = urljoin(f"https://{request.hostname}/", str(element[attribute]))
    elements = soup.select(request.selector) if request.selector else [soup]
    return "".join(str(element) for element in elements).encode()


if __name__ == "__main__":
    main()
