"""A hub of models as Hugging Face's is: an API that lists files with their checksums, and files that a CDN has."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web

COMMIT = "c0ffee" * 6 + "c0ff"
LFS = (".safetensors", ".gguf", ".bin")
_PIECE = 1 << 14


@dataclass
class Hub:
    """``files``: path → content, of each repository. ``secret``: a token without which it is gated; ``wrong``: paths
    whose bytes come changed; ``breaks``: of a path, after how many bytes each of its connections ends; ``pause``:
    seconds between pieces; ``claims``: sizes that are listed instead."""

    files: dict[str, dict[str, bytes]]
    url: str = ""
    secret: str = ""
    wrong: set[str] = field(default_factory=set)
    breaks: dict[str, int] = field(default_factory=dict)
    pause: float = 0.0
    claims: dict[str, int] = field(default_factory=dict)
    statuses: list[int] = field(default_factory=list)  # of the next answers, instead
    sent: Counter[str] = field(default_factory=Counter)  # bytes that the CDN sent, by path
    tokens: list[str | None] = field(default_factory=list)  # that the CDN was shown

    async def listed(self, request: web.Request) -> web.Response:
        self._admit(request)
        files = self._files(request)
        return web.json_response({"sha": COMMIT, "siblings": [self._entry(*one) for one in files.items()]})

    def _entry(self, path: str, content: bytes) -> dict[str, Any]:
        size = self.claims.get(path, len(content))
        entry = {
            "rfilename": path,
            "size": size,
            "blobId": hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest(),
        }
        if path.endswith(LFS):
            entry["lfs"] = {"sha256": hashlib.sha256(content).hexdigest(), "size": size, "pointerSize": 130}
        return entry

    async def resolved(self, request: web.Request) -> web.Response:
        """A large file is elsewhere, and its checksum is in the answer that says so."""
        self._admit(request)
        content, path = self._files(request)[request.match_info["path"]], request.match_info["path"]
        headers = {"X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(content))}
        if path.endswith(LFS):
            headers["X-Linked-Etag"] = f'"{hashlib.sha256(content).hexdigest()}"'
        place = f"{self.url.replace('127.0.0.1', 'localhost')}/cdn/{request.match_info['repository']}/{path}"
        raise web.HTTPFound(place, headers=headers)

    async def delivered(self, request: web.Request) -> web.StreamResponse:
        self.tokens.append(request.headers.get("Authorization"))
        if self.statuses:
            return web.Response(status=self.statuses.pop(0))
        path = request.match_info["path"]
        content = self._files(request)[path]
        if path in self.wrong:
            content = content[:-1] + bytes([content[-1] ^ 1])
        start = request.http_range.start or 0
        response = web.StreamResponse(status=206 if start else 200)
        response.content_length = len(content) - start
        await response.prepare(request)
        end = min(len(content), start + self.breaks.get(path, len(content)))
        for at in range(start, end, _PIECE):
            piece = content[at : min(at + _PIECE, end)]
            await response.write(piece)
            self.sent[path] += len(piece)
            await asyncio.sleep(self.pause)
        if end < len(content) and request.transport is not None:
            request.transport.abort()
        return response

    def _files(self, request: web.Request) -> dict[str, bytes]:
        try:
            return self.files[request.match_info["repository"]]
        except KeyError:
            raise web.HTTPUnauthorized(headers={"X-Error-Code": "RepoNotFound"}) from None

    def _admit(self, request: web.Request) -> None:
        given = request.headers.get("Authorization")
        if self.secret and given != f"Bearer {self.secret}":
            refused = web.HTTPForbidden if given else web.HTTPUnauthorized
            raise refused(headers={"X-Error-Code": "GatedRepo"})


@asynccontextmanager
async def hub(files: dict[str, dict[str, bytes]], **options: Any) -> AsyncIterator[Hub]:
    served = Hub(files, **options)
    app = web.Application()
    repository = "{repository:[^/]+/[^/]+}"
    app.router.add_get(f"/api/models/{repository}/revision/main", served.listed)
    app.router.add_get(f"/{repository}/resolve/{COMMIT}/{{path:.+}}", served.resolved)
    app.router.add_get(f"/cdn/{repository}/{{path:.+}}", served.delivered)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield served
    finally:
        await runner.cleanup()


def contents(folder: Path) -> dict[str, bytes]:
    """The files of a model's folder, as a repository has them."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
