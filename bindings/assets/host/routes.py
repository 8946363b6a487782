"""The upload of assets: a list of files, the answer which of them are missing, then those.

Facts: docs/reference/deploy-api.md#assets.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import errno
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Annotated, Any

import msgspec

from bindings.assets.host.store import AssetStore, Session
from bindings.assets.host.token import Tokens
from bindings.assets.settings import MAX_FILE_BYTES, MAX_FILES
from bindings.base import ProductContext, Route
from runtime.api import deploy_errors as table
from runtime.api import envelope
from runtime.api.error_code import ErrorCode
from runtime.errors import RequestError
from runtime.web import URL, File, Request, Response

_WORKERS = "/client/v4/accounts/{account}/workers"
_MAX_SESSION_BYTES = 16 * 1024 * 1024  # of a list of files
_MAX_UPLOAD_BYTES = 60 * 1024 * 1024  # of a bucket, in base64
_BUCKET_BYTES, _BUCKET_FILES = 20 * 1024 * 1024, 250  # that a client is asked to send at a time; a larger file is alone
_MAX_PATH_CHARS = 1000


class _Listed(msgspec.Struct):
    hash: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{32}$")]
    size: Annotated[int, msgspec.Meta(ge=0)]


class _Manifest(msgspec.Struct):
    manifest: dict[str, _Listed]


class UploadRoutes:
    """A session is begun with a token of the host's; what is sent in it comes with the session's own."""

    def __init__(self, context: ProductContext, store: AssetStore, tokens: Tokens) -> None:
        self._context, self._store, self._tokens = context, store, tokens

    def routes(self) -> list[Route]:
        session = f"{_WORKERS}/scripts/{{name}}/assets-upload-session"
        return [
            Route("POST", session, self._answered(self.begin), body_limit=_MAX_SESSION_BYTES, guarded=True),
            Route("POST", f"{_WORKERS}/assets/upload", self._answered(self.upload), body_limit=_MAX_UPLOAD_BYTES),
        ]

    async def begin(self, request: Request, account: str, name: str) -> Response:
        """``{manifest: {path: {hash, size}}}`` → ``{jwt, buckets: [[hash]]}``."""
        if not name or len(name) > 63 or not set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789_-"):
            return _refused(table.INVALID_NAME, table.INVALID_NAME.describe(name=name))
        session = _checked(await request.bytes())
        digest, missing = await asyncio.to_thread(self._store.begin, name, session)
        if missing:
            sizes = dict(session.values())
            buckets = list(_buckets(missing, sizes))
            return _ok({"jwt": self._tokens.sign(name, session=digest), "buckets": buckets})
        return _ok({"jwt": await self._completion(name, session), "buckets": []})

    async def upload(self, request: Request, account: str) -> Response:
        """A form of files by their hashes → ``{jwt}``, which is None until the last of them is here."""
        claims = self._tokens.open(_bearer(request))
        try:
            session = await asyncio.to_thread(self._store.session, claims.session)
        except FileNotFoundError:
            raise RequestError(400, "there is no such upload of assets any more; begin again") from None
        sizes, plain = dict(session.values()), URL(request.url).search_params.get("base64") != "true"
        try:
            form = await request.form_data()
        except TypeError as error:
            raise RequestError(400, str(error)) from None
        for hash, part in form.items():
            content = _content(hash, part, plain)
            if sizes.get(hash) != len(content):
                raise RequestError(400, f"{hash[:40]!r} is not in the list of files, or has another size there")
            await asyncio.to_thread(self._store.put, claims.worker, hash, content)
        jwt = await self._completion(claims.worker, session)
        return _ok({"jwt": jwt}, 202 if jwt is None else 201)

    async def _completion(self, worker: str, session: Session) -> str | None:
        site = await asyncio.to_thread(self._store.finish, worker, session)
        return None if site is None else self._tokens.sign(worker, site=site)

    def _answered(self, handler: Callable[..., Awaitable[Response]]) -> Callable[..., Awaitable[Response]]:
        async def answered(request: Request, **path: str) -> Response:
            try:
                return await handler(request, **path)
            except RequestError as error:
                row = table.NOT_ALLOWED if error.status == 403 else table.INVALID_SCRIPT
                return _refused(row, str(error), error.status)
            except OSError as error:
                if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG):
                    raise
                self._context.observer.warn(f"assets cannot be written: {error}")
                return _refused(table.CANNOT_WRITE, table.CANNOT_WRITE.describe(error=error))

        return answered


def _checked(content: bytes) -> Session:
    try:
        files = msgspec.json.decode(content, type=_Manifest).manifest
    except (msgspec.DecodeError, RecursionError) as error:
        raise RequestError(400, f"the list of assets cannot be used: {error}") from None
    if len(files) > MAX_FILES:
        raise RequestError(400, f"there are {len(files)} assets; {MAX_FILES} are the most")
    sizes: dict[str, int] = {}
    for path, file in files.items():
        if not path.startswith("/") or len(path) > _MAX_PATH_CHARS:
            raise RequestError(400, f"{path[:100]!r} cannot be the path of an asset")
        if file.size > MAX_FILE_BYTES:
            raise RequestError(400, f"{path} has {file.size} bytes; {MAX_FILE_BYTES} are the most")
        if sizes.setdefault(file.hash, file.size) != file.size:
            raise RequestError(400, f"{path} has the hash of another file, and another size")
    return {path: (file.hash, file.size) for path, file in files.items()}


def _buckets(hashes: list[str], sizes: Mapping[str, int]) -> Iterator[list[str]]:
    bucket: list[str] = []
    filled = 0
    for hash in hashes:
        if bucket and (filled + sizes[hash] > _BUCKET_BYTES or len(bucket) >= _BUCKET_FILES):
            yield bucket
            bucket, filled = [], 0
        bucket.append(hash)
        filled += sizes[hash]
    yield bucket


def _content(hash: str, part: object, plain: bool) -> bytes:
    content = bytes(part) if isinstance(part, File) else str(part).encode()
    try:
        return content if plain else base64.b64decode(content, validate=True)
    except binascii.Error:
        raise RequestError(400, f"{hash[:40]!r} is not base64") from None


def _bearer(request: Request) -> str:
    scheme, _, token = (request.headers.get("authorization") or "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def _ok(result: Mapping[str, Any], status: int = 200) -> Response:
    return _json(envelope.success(result), status)


def _refused(row: ErrorCode, text: str = "", status: int = 0) -> Response:
    return _json(envelope.failure([{"code": row.code, "message": text or row.text}]), status or row.status)


def _json(body: object, status: int) -> Response:
    return Response(msgspec.json.encode(body), status=status, headers={"content-type": "application/json"})


__all__ = ["UploadRoutes"]
