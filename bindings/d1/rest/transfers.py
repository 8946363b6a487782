"""Imports and exports: the API hands out an address for a file, which wrangler then sends or fetches without a token.

The address has a secret in it, which is good for an hour.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import msgspec

from bindings.base import ProductContext
from bindings.d1.database import Database
from bindings.d1.dump import DumpOptions
from bindings.d1.names import FOLDER, TRANSFERS
from bindings.d1.sql.errors import D1Error
from bindings.d1.upkeep import export, run_script
from bindings.rest import ApiError, Entry, body_of, query_of
from bindings.storage.blobs import BlobStream, OpenBlob
from runtime.web import Request, Response

GOOD_S = 3600.0
INVALID = 7400


class Dumped(msgspec.Struct):
    """What shall be in an export."""

    no_schema: bool = False
    no_data: bool = False
    tables: list[str] = []


class Export(msgspec.Struct):
    output_format: str = "polling"
    current_bookmark: str | None = None
    dump_options: Dumped = msgspec.field(default_factory=Dumped)


class Import(msgspec.Struct):
    action: Literal["init", "ingest", "poll"]
    etag: str = ""  # the file's MD5
    filename: str = ""
    current_bookmark: str | None = None


@dataclass
class Transfer:
    """A file that is on its way; ``until`` is of the monotonic clock."""

    database: str  # its id
    name: str
    path: Path
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    until: float = field(default_factory=lambda: time.monotonic() + GOOD_S)
    md5: str = ""  # of what has arrived


class Transfers:
    """Those of one supervisor, by their names."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._open = folder, dict[str, Transfer]()
        self.close()  # what a server before this one has left

    def begin(self, database: str) -> Transfer:
        for transfer in list(self._open.values()):
            if transfer.until < time.monotonic():
                self.end(transfer)
        name = f"{secrets.token_hex(8)}.sql"
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._open[name] = Transfer(database, name, self._folder / name)
        return self._open[name]

    def find(self, name: str, request: Request) -> Transfer:
        """The one that an address means. Raises ApiError: there is none, or no longer."""
        found, secret = self._open.get(name), query_of(request).get("secret", "")
        if found is None or found.until < time.monotonic() or not hmac.compare_digest(found.secret, secret):
            raise ApiError(404, INVALID, "there is no such file, or no longer")
        return found

    def sent(self, database: str, name: str) -> Transfer:
        """One to that database. Raises ApiError."""
        found = self._open.get(name)
        if found is None or found.database != database:
            raise ApiError(400, INVALID, f"no file {name:.100} was sent")
        return found

    def close(self) -> None:
        self._open.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def end(self, transfer: Transfer) -> None:
        del self._open[transfer.name]
        transfer.path.unlink(missing_ok=True)


class TransferRest:
    """``import`` and ``export`` of a database. ``database`` raises ApiError."""

    def __init__(self, database: Callable[[str], Database], transfers: Transfers) -> None:
        self._database, self._transfers = database, transfers

    def entries(self) -> list[Entry]:
        return [
            ("POST", "{id}/export", self.export),
            ("POST", "{id}/import", self.import_),
            ("GET", "{id}/export/{name}", self.file),
            ("PUT", "{id}/import/{name}", self.arrives),
        ]

    async def file(self, request: Request, id: str, name: str) -> Response:
        """As at the address, for who has a token."""
        return _sent(self._transfers.sent(id, name))

    async def arrives(self, request: Request, id: str, name: str) -> object:
        return {"etag": await _receive(request, self._transfers.sent(id, name))}

    async def export(self, request: Request, id: str) -> object:
        wanted, database = (await body_of(request, Export)).dump_options, self._database(id)
        transfer = self._transfers.begin(id)
        options = DumpOptions(wanted.no_schema, wanted.no_data, wanted.tables)
        try:
            await export(database, transfer.path, options)
        except D1Error as error:
            self._transfers.end(transfer)
            return _said("export", database, "error", error=str(error))
        result = {"filename": transfer.name, "signed_url": _address(request, transfer)}
        return _said("export", database, "complete", result=result)

    async def import_(self, request: Request, id: str) -> object:
        body, database = await body_of(request, Import), self._database(id)
        if body.action == "init":
            transfer = self._transfers.begin(id)
            return _said("import", database, None, upload_url=_address(request, transfer), filename=transfer.name)
        if body.action == "poll":
            raise ApiError(400, INVALID, "Not currently importing anything.")
        transfer = self._transfers.sent(id, body.filename)
        if not transfer.md5 or transfer.md5 != body.etag.strip('"'):
            raise ApiError(400, INVALID, "the file that arrived is another one: its MD5 differs")
        try:
            done = await run_script(database, transfer.path)
        except D1Error as error:
            return _said("import", database, "error", error=str(error), errors=[str(error)])
        finally:
            self._transfers.end(transfer)
        meta = {"duration": done.duration_ms, "changes": done.changes, "last_row_id": done.last_row_id,
                "changed_db": done.rows_written > 0, "size_after": done.size, "rows_read": done.rows_read,
                "rows_written": done.rows_written}  # fmt: skip
        result = {"num_queries": done.queries, "final_bookmark": database.bookmark(), "meta": meta}
        return _said("import", database, "complete", result=result)


class FileRoutes:
    """The files themselves, for whoever has the address."""

    def __init__(self, transfers: Transfers) -> None:
        self._transfers = transfers

    async def get(self, request: Request, name: str) -> Response:
        try:
            return _sent(self._transfers.find(name, request))
        except (ApiError, OSError):
            return Response("Not found", status=404)

    async def put(self, request: Request, name: str) -> Response:
        try:
            transfer = self._transfers.find(name, request)
        except ApiError:
            return Response("Not found", status=404)
        return Response("", headers={"etag": f'"{await _receive(request, transfer)}"'})


def _sent(transfer: Transfer) -> Response:
    file = OpenBlob(transfer.path)
    headers = {"content-type": "application/sql", "content-length": str(file.size)}
    return Response(BlobStream(file), headers=headers)


async def _receive(request: Request, transfer: Transfer) -> str:
    """The MD5 of what has arrived."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(transfer.path, "wb") as file:  # noqa: ASYNC230
        if request.body is not None:
            async for chunk in request.body:
                digest.update(chunk)
                await asyncio.to_thread(file.write, chunk)
    transfer.md5 = digest.hexdigest()
    return transfer.md5


def _said(kind: str, database: Database, status: str | None, **more: object) -> Mapping[str, object]:
    return {"success": True, "type": kind, "status": status, "at_bookmark": database.bookmark(), "messages": [], **more}


def _address(request: Request, transfer: Transfer) -> str:
    """Where the client has found us."""
    scheme, netloc = urlsplit(request.url)[:2]
    return f"{scheme}://{request.headers.get('host') or netloc}{TRANSFERS}{transfer.name}?secret={transfer.secret}"


def transfers(context: ProductContext) -> Transfers:
    """Those of this supervisor."""
    found: Transfers | None = context.shared.get(TRANSFERS)
    if found is None:
        found = context.shared[TRANSFERS] = Transfers(context.state / FOLDER / ".transfers")
    return found


def files(context: ProductContext) -> FileRoutes:
    return FileRoutes(transfers(context))


__all__ = ["TransferRest", "Transfers", "files", "transfers"]
