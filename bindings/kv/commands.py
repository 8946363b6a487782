"""``pilot kv``: the words of ``wrangler kv``, on the namespaces of the worker here or of a host."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, urlencode

import click

from bindings.kv.asking import (
    BATCH,
    chosen,
    is_missing_key,
    keys_in,
    namespaced,
    print_value,
    put_body,
    read_json,
    send_batches,
    shown,
    value_path,
)
from bindings.kv.rest import local_api
from bindings.target import Target, Where, print_json, with_target


@click.group(short_help="Read and write KV namespaces.")
def kv() -> None:
    """Read and write KV namespaces: of the worker here, also while it is served, or of a host."""


@kv.group()
def key() -> None:
    """Single keys."""


@key.command("put", short_help="Write a value.")
@click.argument("key")
@click.argument("value", required=False)
@click.option("--path", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="The value is in this file.")
@click.option("--ttl", type=int, help="Seconds until it expires.")
@click.option("--expiration", type=int, help="When it expires, in seconds since 1970.")
@click.option("--metadata", help="JSON.")
@namespaced
def key_put(
    key: str, value: str | None, path: Path | None, ttl: int | None, expiration: int | None, metadata: str | None,
    where: Where, **named: Any,
) -> None:  # fmt: skip
    """Write VALUE, or the file at --path, under KEY."""
    if (value is None) == (path is None):
        raise click.UsageError("give a value, or --path FILE")
    content = path.read_bytes() if path is not None else str(value).encode()
    id, name = chosen(where, **named)
    given = f'the contents of {path} to the key "{key}"' if path else f'the value "{value}" to key "{key}"'
    where.say(f"Writing {given} on namespace {name}.")
    times = {"expiration_ttl": ttl, "expiration": expiration}
    query = urlencode({name: number for name, number in times.items() if number is not None})

    async def use(target: Target) -> None:
        await target.opened(await target.send("PUT", f"{value_path(id, key)}?{query}", *put_body(content, metadata)))

    where.run(local_api, use)
    where.tell({"key": key, "namespace_id": id})


@key.command("get", short_help="Print a value.")
@click.argument("key")
@click.option("--text", is_flag=True, help="As text; what is not UTF-8 becomes U+FFFD.")
@namespaced
def key_get(key: str, text: bool, where: Where, **named: Any) -> None:
    """Print the value of KEY as it is."""
    id, _ = chosen(where, **named)

    async def use(target: Target) -> bool:
        answer = await target.send("GET", value_path(id, key))
        if answer.status == 404 and await is_missing_key(target, answer):
            return False
        if answer.status != 200:
            await target.opened(answer)
        await print_value(answer.chunks, text or where.as_json, where.as_json)
        return True

    if not where.run(local_api, use):
        click.echo("null" if where.as_json else "Value not found", err=not where.as_json)
        sys.exit(1)


@key.command("list", short_help="List keys.")
@click.option("--prefix", default="", help="Only what begins with it.")
@namespaced
def key_list(prefix: str, where: Where, **named: Any) -> None:
    """Print the keys as JSON: name, expiration, metadata."""
    id, _ = chosen(where, **named)

    async def use(target: Target) -> list[Any]:
        found, cursor = [], ""
        while True:
            query = urlencode({"prefix": prefix, "cursor": cursor, "limit": BATCH})
            page = await target.envelope("GET", f"storage/kv/namespaces/{quote(id, '')}/keys?{query}")
            found += page["result"]
            if not (cursor := page["result_info"]["cursor"]):
                return found

    print_json(where.run(local_api, use))


@key.command("delete", short_help="Delete keys.")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@namespaced
def key_delete(keys: tuple[str, ...], where: Where, **named: Any) -> None:
    """Delete each KEY, whether it is there or not."""
    id, name = chosen(where, **named)
    for key in keys:
        where.say(f'Deleting the key "{key}" on namespace {name}.')
    send_batches(where, f"storage/kv/namespaces/{quote(id, '')}/bulk/delete", "POST", keys)
    where.tell({"keys": keys, "namespace_id": id})


@kv.group()
def bulk() -> None:
    """Many keys, of a JSON file."""


@bulk.command("put", short_help="Write all of a file.")
@click.argument("file", type=click.File("rb"))
@namespaced
def bulk_put(file: IO[bytes], where: Where, **named: Any) -> None:
    """Write [{"key", "value", "base64", "expiration", "expiration_ttl", "metadata"}, ...] of FILE."""
    id, _ = chosen(where, **named)
    pairs = read_json(file, list[dict[str, Any]])
    send_batches(where, f"storage/kv/namespaces/{quote(id, '')}/bulk", "PUT", pairs)
    where.tell({"successful_key_count": len(pairs), "namespace_id": id}, "Success!")


@bulk.command("get", short_help="Print the values of a file's keys.")
@click.argument("file", type=click.File("rb"))
@namespaced
def bulk_get(file: IO[bytes], where: Where, **named: Any) -> None:
    """Print the values of the keys in FILE, ["key", ...], as JSON."""
    id, _ = chosen(where, **named)
    keys = keys_in(file)

    async def use(target: Target) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for at in range(0, len(keys), 100):
            body = {"keys": keys[at : at + 100], "withMetadata": True}
            values = (await target.call("POST", f"storage/kv/namespaces/{quote(id, '')}/bulk/get", body))["values"]
            found |= {key: shown(value) for key, value in values.items()}
        return found

    print_json(where.run(local_api, use))


@bulk.command("delete", short_help="Delete a file's keys.")
@click.argument("file", type=click.File("rb"))
@click.option("-f", "--force", is_flag=True, help="Do not ask.")
@namespaced
def bulk_delete(file: IO[bytes], force: bool, where: Where, **named: Any) -> None:
    """Delete the keys in FILE, ["key", ...]."""
    id, name = chosen(where, **named)
    keys = keys_in(file)
    if not force and sys.stdin.isatty():
        click.confirm(f"Delete {len(keys)} keys of namespace {name}?", abort=True)
    send_batches(where, f"storage/kv/namespaces/{quote(id, '')}/bulk/delete", "POST", keys)
    where.tell({"successful_key_count": len(keys), "namespace_id": id}, "Success!")


@kv.group()
def namespace() -> None:
    """Namespaces."""


@namespace.command("list")
@with_target
def namespace_list(where: Where) -> None:
    """Print them as JSON."""

    async def use(target: Target) -> list[Any]:
        found: list[Any] = []
        while page := await target.call("GET", f"storage/kv/namespaces?per_page=1000&page={1 + len(found) // 1000}"):
            found += page
            if len(page) < 1000:
                break
        return found

    print_json(where.run(local_api, use))


@namespace.command("create", short_help="Create a namespace.")
@click.argument("title")
@with_target
def namespace_create(title: str, where: Where) -> None:
    """Create a namespace called TITLE, and say what to write into the configuration."""
    where.say(f'Creating namespace with title "{title}"')
    body = {"title": title}
    made = where.run(local_api, lambda target: target.call("POST", "storage/kv/namespaces", body))
    name = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in title)
    shown = f'[[kv_namespaces]]\nbinding = "{name}"\nid = "{made["id"]}"'
    where.tell(made, f"Success!\nAdd this to your configuration:\n{shown}")
