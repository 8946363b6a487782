"""``pilot deploy``: the files of the directory go to the host ahead of the worker, those alone that it has not got."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from bindings.assets.folder import ignored
from bindings.assets.settings import MAX_FILE_BYTES, MAX_FILES, META_FILES, AssetsTable
from bindings.deploying import HostApi, Sent
from runtime.errors import UserError
from runtime.web import File, FormData
from runtime.web.forms import encode

_CONFIGURED = ("html_handling", "not_found_handling", "run_worker_first", "base_path")


class AssetShipment:
    """``private``: files and folders that are never sent."""

    def __init__(self, folder: Path, table: AssetsTable, private: Sequence[Path]) -> None:
        self._folder, self._table = folder, table
        self._texts = {name: _text(folder / name) for name in META_FILES}
        self._paths = dict(_found(folder, ignored(self._texts[".assetsignore"]), private))
        if len(self._paths) > MAX_FILES:
            what = f"has {len(self._paths)} files; {MAX_FILES} are the most"
            raise UserError(what, where=str(folder), remedy="Name what is not to be sent in its .assetsignore.")
        self._listed = {path: _listed(file) for path, file in self._paths.items()}
        size = sum(item["size"] for item in self._listed.values())
        self.lines = [f"assets: {_files(len(self._listed))}, {_size(size)}"]
        real = folder.resolve()
        linked = [path for path, file in self._paths.items() if not file.resolve().is_relative_to(real)]
        if linked:
            self.lines.append(f"  among them, from elsewhere: {', '.join(linked[:5])}")

    def send(self, host: HostApi, worker: str, tell: Callable[[str], None], sent: Sent) -> Mapping[str, object]:
        begun = host.call("POST", f"scripts/{worker}/assets-upload-session", {"manifest": self._listed})
        jwt, buckets = begun["jwt"], begun["buckets"]
        if buckets:
            jwt = self._send(host.with_token(jwt), buckets, sent)
        count = sum(map(len, buckets))
        tell(f"assets: {count} new, {len(self._listed) - count} there already" if self._listed else "assets: none")
        return {"assets": {"jwt": jwt, "config": self._config()}}

    def _send(self, host: HostApi, buckets: Sequence[Sequence[str]], sent: Sent) -> str:
        """The token of the complete upload."""
        by_hash = {item["hash"]: self._paths[path] for path, item in self._listed.items()}
        sizes = {item["hash"]: item["size"] for item in self._listed.values()}
        done, whole = 0, sum(sizes[hash] for bucket in buckets for hash in bucket)
        for bucket in buckets:
            form = FormData()
            for hash in bucket:
                form.append(hash, File([base64.b64encode(by_hash[hash].read_bytes())], hash))
            jwt = host.call("POST", "assets/upload?base64=true", form=encode(form))["jwt"]
            done += sum(sizes[hash] for hash in bucket)
            sent(done, whole)
        if not jwt:
            raise UserError("the host has not got all assets", where=str(self._folder), remedy="pilot deploy, again")
        return str(jwt)

    def _config(self) -> dict[str, object]:
        config = {name: getattr(self._table, name) for name in _CONFIGURED}
        texts = {name: self._texts[name] for name in ("_headers", "_redirects") if self._texts[name]}
        return {**config, **texts}


def _found(folder: Path, ignores: Any, private: Sequence[Path]) -> Iterator[tuple[str, Path]]:
    """(its path in the site, the file). A file that is a link is what it leads to; a folder that is one is left out."""
    kept = tuple(f"{path}/" for path in private)
    for place, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            file = Path(place, name)
            path = file.relative_to(folder).as_posix()
            left_out = path in META_FILES or f"{file}/".startswith(kept) or (ignores and ignores.match_file(path))
            if not left_out and file.is_file():
                yield f"/{path}", file


def _listed(file: Path) -> dict[str, Any]:
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(
            f"cannot be read: {error.strerror}", where=str(file), remedy="Name it in .assetsignore, and it is left out."
        ) from None
    if len(content) > MAX_FILE_BYTES:
        what = f"has over {MAX_FILE_BYTES >> 20} MiB, which no asset may have"
        raise UserError(what, where=str(file), remedy="Name it in .assetsignore to leave it out.")
    return {"hash": hashlib.sha256(content).hexdigest()[:32], "size": len(content)}


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8-sig", "replace")
    except OSError:
        return ""


def _files(count: int) -> str:
    return f"{count} file{'s' if count != 1 else ''}"


def _size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 1e6 else f"{count / 1e3:.1f} kB"


__all__ = ["AssetShipment"]
