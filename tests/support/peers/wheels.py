"""Wheels that a test makes, and an index (PEP 503) on 127.0.0.1 that has them."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


def wheel(house: Path, name: str, version: str, says: str, needs: str = "") -> None:
    """A wheel with one module, whose ``told()`` returns ``says``; it ``needs`` another, and tells of it too."""
    more = f"\n    import {needs}\n    return {says!r} + ' ' + {needs}.told()" if needs else f" return {says!r}"
    write_wheel(house, name, version, {f"{name}.py": f"def told():{more}\n".encode()}, needs=needs)


def write_wheel(
    house: Path, name: str, version: str, files: dict[str, bytes], tag: str = "py3-none-any", needs: str = ""
) -> None:
    info = f"{name}-{version}.dist-info"
    pure = str(tag.endswith("none-any")).lower()
    all_ = files | {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
        + (f"Requires-Dist: {needs}\n".encode() if needs else b""),
        f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: {pure}\nTag: {tag}\n".encode(),
    }
    all_[f"{info}/RECORD"] = ("".join(map(_row, all_, all_.values())) + f"{info}/RECORD,,\n").encode()
    with zipfile.ZipFile(house / f"{name}-{version}-{tag}.whl", "w") as archive:
        for path, content in all_.items():
            archive.writestr(path, content)


def _row(path: str, content: bytes) -> str:
    digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
    return f"{path},sha256={digest},{len(content)}\n"


def project(*needs: str) -> str:
    """A pyproject.toml; the requirements are in its line 5."""
    return f'[project]\nname = "w"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = {json.dumps(needs)}\n'


class Index:
    """``url``; ``asked``: the paths that were asked for; ``open``: cleared, it lets downloads wait."""

    def __init__(self, house: Path) -> None:
        self.asked: list[str] = []
        self.open = threading.Event()
        self.open.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, self, directory=str(house)))
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/simple"
        self.serve = self._server.serve_forever

    def close(self) -> None:
        self.open.set()
        self._server.shutdown()
        self._server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, index: Index, *args: Any, directory: str) -> None:
        self._index = index
        super().__init__(*args, directory=directory)

    def do_GET(self) -> None:
        self._index.asked.append(self.path)
        name = self.path.removeprefix("/simple/").strip("/").replace("-", "_")  # as files have it
        if not self.path.startswith("/simple/"):
            self._index.open.wait(60)
            return super().do_GET()
        found = [file.name for file in Path(self.directory).iterdir() if file.name.partition("-")[0] == name]
        page = "".join(f'<a href="/{html.escape(file)}">{file}</a>' for file in found).encode()
        self.send_response(200 if found else 404)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, *_: object) -> None: ...


@contextmanager
def indexing(house: Path) -> Iterator[Index]:
    index = Index(house)
    thread = threading.Thread(target=index.serve)
    thread.start()
    try:
        yield index
    finally:
        index.close()
        thread.join()


def environment(index: Index | None, folder: Path) -> dict[str, str]:
    """For a uv and a pilot that know this index alone, or none, and keep everything in ``folder``."""
    url = index.url if index is not None else "http://127.0.0.1:9/simple"
    kept = {"UV_CACHE_DIR": str(folder / "uv"), "PILOT_CACHE_DIR": str(folder / "pilot")}
    return {"UV_DEFAULT_INDEX": url, "UV_HTTP_RETRIES": "0", "UV_PYTHON_DOWNLOADS": "never", **kept}


__all__ = ["Index", "environment", "indexing", "project", "wheel", "write_wheel"]
