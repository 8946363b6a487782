"""One conversion in a process of its own: ``python -P -B -m bindings.ai.markdown.process REQUEST``.

Theory of operation
-------------------
Whoever sent the file may have made it to harm its reader: a small archive that unpacks to gigabytes, a
document nested without end, one that points at files or servers. So this process has the bytes (standard
input) and the ``ConversionRequest`` (its argument, JSON) and little else: an environment without secrets, no network
where the kernel lets an ordinary user give it up, limits on memory, processor time and wall time, and no file
of any size to write. What Python itself opens, connects to or starts is refused by an audit hook, except for
reading the installed packages. The ``ConversionResult`` goes to standard output as JSON; what libraries print does not.
"""

from __future__ import annotations

import io
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

import msgspec

from bindings.ai.markdown.formats import FORMATS

if TYPE_CHECKING:
    from markitdown import DocumentConverter

MEMORY_BYTES = 1 << 30  # of address space, the libraries' own included
CPU_S = 30  # processor time
WALL_S = 90
MAX_RESULT_BYTES = 32 << 20

_UNSHARE_NETWORK = 0x10000000 | 0x40000000  # CLONE_NEWUSER | CLONE_NEWNET
_REFUSED_EVENTS = (
    "socket.",
    "subprocess.",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "os.fork",
    "pty.",
    "os.remove",
    "os.rename",
    "os.rmdir",
    "os.mkdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
    "os.kill",
    "shutil.",
    "webbrowser.",
)
_WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


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
    _silence()
    _limit()
    request = msgspec.json.decode(sys.argv[1], type=ConversionRequest)
    output.write(msgspec.json.encode(_result(request)))
    output.flush()
    os._exit(0)  # nothing of a library's runs any more


def _result(request: ConversionRequest) -> ConversionResult:
    try:
        converter = _converter(request)
        _seal()
        text = _convert(converter, request, sys.stdin.buffer.read())
    except MemoryError:
        return ConversionResult(error="the file needs more memory than a conversion may have")
    except Exception as error:
        return ConversionResult(error=f"{type(error).__name__}: {error}"[:500])
    if len(text) > MAX_RESULT_BYTES // 4:  # JSON may write a character as several bytes
        return ConversionResult(error=f"the text is longer than {MAX_RESULT_BYTES // 4} characters")
    return ConversionResult(text.encode("utf-8", "replace").decode())


def _silence() -> None:
    """Libraries print: to nowhere."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for number in (1, 2):
        os.dup2(nowhere, number)


def _limit() -> None:
    """Where the system knows a limit; the parent has a clock of its own besides."""
    import ctypes
    import resource

    os.nice(10)  # tokens that stream on the same cores come first
    signal.alarm(WALL_S)
    if sys.platform == "linux":
        ctypes.CDLL(None).unshare(_UNSHARE_NETWORK)  # some kernels refuse: the audit hook is there in any case
    for name, limit in (("AS", MEMORY_BYTES), ("CPU", CPU_S), ("FSIZE", 0), ("CORE", 0)):
        with suppress(OSError, ValueError):
            resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (limit, limit))


def _converter(request: ConversionRequest) -> DocumentConverter:
    """Imported before the doors close; made without ``MarkItDown``, which would look for plugins and fetch URLs."""
    import mimetypes

    mimetypes.init()  # reads files in /etc
    converters = import_module("markitdown.converters")
    converter: DocumentConverter = getattr(converters, FORMATS[request.ending][1])()
    return converter


def _seal() -> None:
    packages = tuple({os.path.realpath(path) + os.sep for path in (sys.prefix, sys.base_prefix, sys.exec_prefix)})

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open":
            _check_open(args[0], args[2] or 0, packages)
        elif event.startswith(_REFUSED_EVENTS):
            raise PermissionError(f"a conversion may not use {event}")

    sys.addaudithook(hook)


def _check_open(path: int | str | bytes, flags: int, packages: tuple[str, ...]) -> None:
    """A number is a descriptor that is open already."""
    if isinstance(path, int):
        return
    if flags & _WRITE_FLAGS or not os.path.realpath(os.fsdecode(path)).startswith(packages):
        raise PermissionError("a conversion may not open files")


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
