"""What the commands of ``pilot kv`` share: which namespace is meant, what is sent, what is read and printed."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable, Sequence
from typing import IO, Any
from urllib.parse import quote

import click
import msgspec

from bindings.kv.product import KV, KVTable
from bindings.kv.rest import NO_KEY, local_api
from bindings.target import Answer, Target, Where, with_target
from runtime.errors import UserError
from runtime.web import Blob, FormData, Response

BATCH = 1000  # pairs of one call


def namespaced(command: Callable[..., None]) -> Callable[..., None]:
    """The options that name a namespace."""
    for option in (
        click.option("--preview", is_flag=True, hidden=True),  # what is local is the preview already
        click.option("--namespace-id", metavar="ID", help="The namespace, by its id."),
        click.option("--binding", metavar="NAME", help="The namespace, by its name in env."),
    ):
        command = option(command)
    return with_target(command)


def chosen(where: Where, binding: str | None, namespace_id: str | None, preview: bool) -> tuple[str, str]:
    """(its id, what to call it). Raises UserError."""
    if binding is not None and namespace_id is not None:
        raise click.UsageError("--binding and --namespace-id exclude each other")
    if namespace_id is not None:
        return namespace_id, f'id: "{namespace_id}"'
    tables = KV.tables(where.config)
    found = [table for table in tables if binding in (None, table.binding)]
    if len(found) != 1:
        raise _unclear(where, binding, tables)
    id = KV.deployed_id(where.config, found[0]) if where.host is not None else KV.local_id(found[0])
    return id, f'binding: "{found[0].binding}" (id: "{id}")'


def _unclear(where: Where, binding: str | None, tables: Sequence[KVTable]) -> UserError:
    names = ", ".join(table.binding for table in tables) or "it has none"
    what = f"there is no KV namespace bound as {binding!r}" if binding else "which KV namespace?"
    remedy = f"Write:  --binding NAME   or:  --namespace-id ID\nBindings: {names}"
    return UserError(what, where=where.config.at("kv_namespaces"), remedy=remedy)


def value_path(id: str, key: str) -> str:
    return f"storage/kv/namespaces/{quote(id, '')}/values/{quote(key, '')}"


def put_body(content: bytes, metadata: str | None) -> tuple[bytes, dict[str, str]]:
    """With metadata, a form, as the API wants it."""
    if metadata is None:
        return content, {"content-type": "application/octet-stream"}
    try:
        msgspec.json.decode(metadata)
    except msgspec.MsgspecError:
        raise UserError(f"{metadata!r} is not JSON", where="--metadata", remedy="""Write:  '{"a": 1}'""") from None
    form = FormData()
    form.append("value", Blob([content]))
    form.append("metadata", metadata)
    sent = Response(form)
    body = sent.take_body()
    assert isinstance(body, bytes)
    return body, {"content-type": str(sent.headers.get("content-type"))}


async def is_missing_key(target: Target, answer: Answer) -> bool:
    """Or it is the namespace that is missing. Raises UserError."""
    content = await answer.bytes()
    codes = {error["code"] for error in msgspec.json.decode(content)["errors"]}
    if NO_KEY in codes:
        return True
    raise UserError("namespace not found", where=target.name, remedy="pilot kv namespace list   has those there are")


async def print_value(chunks: AsyncIterator[bytes], text: bool, as_json: bool) -> None:
    out = sys.stdout.buffer
    if text:
        shown = b"".join([chunk async for chunk in chunks]).decode("utf-8", "replace")
        out.write(msgspec.json.encode(shown) + b"\n" if as_json else shown.encode())
    else:
        async for chunk in chunks:
            out.write(chunk)
    out.flush()


def send_batches(where: Where, path: str, method: str, items: Sequence[object]) -> None:
    """In batches, with a bar on a terminal."""

    async def use(target: Target) -> None:
        hidden = where.as_json or not sys.stderr.isatty() or len(items) <= BATCH
        with click.progressbar(length=len(items), file=sys.stderr, hidden=hidden) as bar:
            for at in range(0, len(items), BATCH):
                batch = items[at : at + BATCH]
                await target.call(method, path, batch)
                bar.update(len(batch))

    where.run(local_api, use)


def read_json(file: IO[bytes], kind: Any) -> Any:
    try:
        return msgspec.json.decode(file.read(), type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise UserError(
            f"is not the JSON that is wanted: {error}", where=file.name, remedy='[{"key": "a", "value": "b"}, ...]'
        ) from None


def keys_in(file: IO[bytes]) -> list[str]:
    """``["a", {"name": "b"}]``, as wrangler reads it."""
    items = read_json(file, list[str | dict[str, Any]])
    return [item if isinstance(item, str) else str(item.get("name", "")) for item in items]


def shown(value: dict[str, Any] | None) -> dict[str, Any]:
    if value is None:
        return {"value": None}
    return {"value": value["value"]} | ({"metadata": value["metadata"]} if value["metadata"] is not None else {})


__all__ = [
    "BATCH", "chosen", "is_missing_key", "keys_in", "namespaced", "print_value", "put_body", "read_json",
    "send_batches", "shown", "value_path",
]  # fmt: skip
