"""What a repository holds, by the hub's API, and which of it a model needs."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import NamedTuple

import aiohttp
import msgspec

from bindings.ai.hub import refusals
from bindings.ai.hub.names import Wanted, quantization
from runtime.errors import UserError

_NEVER = ("original/*", "onnx/*", "openvino/*", "coreml/*", "*.msgpack", "*.h5", "*.ot", "*.onnx", "*.pth", "*.tflite")
_PREFERRED = ("Q4_K_M", "Q4_0", "Q8_0")  # where nobody says which: what llama.cpp takes, then what most have


class _Lfs(msgspec.Struct):
    sha256: str
    size: int


class _File(msgspec.Struct, rename="camel"):
    rfilename: str
    size: int | None = None
    blob_id: str | None = None
    lfs: _Lfs | None = None


class _Repository(msgspec.Struct):
    sha: str
    siblings: list[_File]


class Entry(NamedTuple):
    """``checksum``: SHA-256 of a large file (LFS), Git's SHA-1 of any other; the blob's name in the cache too."""

    path: str
    size: int
    checksum: str

    @property
    def is_lfs(self) -> bool:
        return len(self.checksum) == 64


class Listing(NamedTuple):
    """At ``commit``."""

    commit: str
    entries: Sequence[Entry]


async def listing(session: aiohttp.ClientSession, endpoint: str, repository: str) -> Listing:
    """Everything in it. Raises UserError: there is none, it is gated, or that is no hub."""
    url = f"{endpoint}/api/models/{repository}/revision/main"
    async with session.get(url, params={"blobs": "true"}) as response:
        if response.status != 200:
            raise refusals.of(response, endpoint, repository)
        try:
            found = msgspec.json.decode(await response.read(), type=_Repository)
            return Listing(_safe(found.sha), [_entry(file) for file in found.siblings])
        except (msgspec.DecodeError, ValueError) as error:
            raise UserError(f"does not answer as a hub does: {error}", where=refusals.public(endpoint),
                            remedy="HF_ENDPOINT names Hugging Face or a mirror of it") from None  # fmt: skip


def _entry(file: _File) -> Entry:
    """Raises ValueError: no path, or nothing to check it by."""
    size = file.lfs.size if file.lfs else file.size
    checksum = file.lfs.sha256 if file.lfs else file.blob_id
    if size is None or checksum is None:
        raise ValueError(f"it does not say the size and checksum of {file.rfilename}")
    if any(part in ("", ".", "..") for part in file.rfilename.split("/")) or "\\" in file.rfilename:
        raise ValueError(f"{file.rfilename!r} is no path")
    return Entry(file.rfilename, size, _safe(checksum))


def _safe(checksum: str) -> str:
    """It becomes a file's name. Raises ValueError."""
    int(checksum, 16)
    if len(checksum) not in (40, 64) or not checksum.isalnum():
        raise ValueError(f"{checksum!r} is no checksum")
    return checksum


def needed(entries: Sequence[Entry], wanted: Wanted) -> tuple[Wanted, list[Entry]]:
    """Of GGUF files the one that is meant, in all its parts, and its name; of anything else the weights in one format,
    and what lies beside them. Raises UserError."""
    usual = [one for one in entries if not any(fnmatch.fnmatch(one.path, never) for never in _NEVER)]
    gguf = [one for one in usual if one.path.endswith(".gguf") and "mmproj" not in one.path.lower()]
    if wanted.variant or (gguf and not any(one.path.endswith((".safetensors", ".bin")) for one in usual)):
        return _gguf(gguf, wanted)
    formats = (".safetensors", ".bin", ".pt")
    kept = next((ending for ending in formats if any(one.path.endswith(ending) for one in usual)), None)
    if kept is None:
        raise UserError("holds no weights", where=wanted.repository, remedy="Name a model's own repository.")
    others = {*formats, ".gguf"} - {kept}
    chosen = [one for one in usual if not one.path.endswith(tuple(others)) and not _is_duplicate(one, usual)]
    return wanted, chosen


def _is_duplicate(entry: Entry, beside: Sequence[Entry]) -> bool:
    """Mistral's own format of the same weights, where there is the usual one."""
    usual = any(one.path.startswith("model") and one.path.endswith(".safetensors") for one in beside)
    return usual and entry.path.startswith("consolidated")


def _gguf(entries: Sequence[Entry], wanted: Wanted) -> tuple[Wanted, list[Entry]]:
    for variant in [wanted.variant] if wanted.variant else _PREFERRED:
        meant = wanted._replace(variant=variant)
        if found := [one for one in entries if meant.means(_name(one))]:
            return meant, found
    if not wanted.variant and len(entries) == 1:
        return wanted._replace(variant=quantization(entries[0].path) or _name(entries[0])), list(entries)
    names = list(dict.fromkeys(quantization(one.path) or _name(one) for one in entries))
    what = f"has no GGUF file {wanted.variant}" if wanted.variant else "has several GGUF files"
    remedy = f"Name one of: {', '.join(names)}\npilot pull {wanted.repository}:{names[0]}" if names else ""
    raise UserError(
        what, where=wanted.repository, remedy=remedy or "It has none at all: leave out what follows the colon."
    )


def _name(entry: Entry) -> str:
    return entry.path.rpartition("/")[2]


__all__ = ["Entry", "Listing", "listing", "needed"]
