"""``pilot r2``: the words of ``wrangler r2``, on the buckets of the worker here or of a host."""

from __future__ import annotations

import mimetypes
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode

import click

from bindings.r2.rest import local_api
from bindings.target import Target, Where, print_json, with_target
from runtime.errors import UserError

ROOT = "r2/buckets"
CHUNK_BYTES = 1024 * 1024
_HEADERS = ("content-type", "content-disposition", "content-encoding", "content-language", "cache-control", "expires")


@click.group(short_help="Read and write R2 buckets.")
def r2() -> None:
    """Read and write R2 buckets: of the worker here, also while it is served, or of a host."""


@r2.group("object")
def object_group() -> None:
    """Objects, named BUCKET/KEY."""


def _described(command: Callable[..., None]) -> Callable[..., None]:
    for header in _HEADERS:
        command = click.option(f"--{header}", help=f"Its {header}.")(command)
    return command


@object_group.command("put", short_help="Write an object.")
@click.argument("path", metavar="BUCKET/KEY")
@click.option("-f", "--file", "source", type=click.Path(path_type=Path, dir_okay=False, exists=True))
@click.option("-p", "--pipe", is_flag=True, help="Read standard input.")
@_described
@with_target
def put(path: str, source: Path | None, pipe: bool, where: Where, **described: str | None) -> None:
    """Write --file, or what is piped in, as BUCKET/KEY."""
    bucket, key = _split(path)
    if (source is None) == (not pipe):
        raise click.UsageError("give --file FILE, or --pipe")
    headers = {name: value for name in _HEADERS if (value := described[name.replace("-", "_")]) is not None}
    if source is not None:
        headers.setdefault("content-type", mimetypes.guess_type(source.name)[0] or "application/octet-stream")
    where.say(f'Creating object "{key}" in bucket "{bucket}".')
    stream = sys.stdin.buffer if source is None else source.open("rb")
    size = None if source is None else source.stat().st_size

    async def use(target: Target) -> Any:
        with where.bar(size) as done:
            answer = await target.send("PUT", _object(bucket, key), _chunks(stream, done), headers)
            return (await target.opened(answer))["result"]

    where.tell(where.run(local_api, use), "Upload complete.")


@object_group.command("get", short_help="Read an object.")
@click.argument("path", metavar="BUCKET/KEY")
@click.option("-f", "--file", "sink", type=click.Path(path_type=Path, dir_okay=False), help="Default: KEY's last part.")
@click.option("-p", "--pipe", is_flag=True, help="Write it to standard output.")
@with_target
def get(path: str, sink: Path | None, pipe: bool, where: Where) -> None:
    """Write BUCKET/KEY to --file, or to standard output."""
    bucket, key = _split(path)
    file = sink or Path(Path(key).name)
    if not pipe:
        where.say(f'Downloading "{key}" from "{bucket}".')

    async def use(target: Target) -> int:
        answer = await target.send("GET", _object(bucket, key))
        if answer.status != 200:
            await target.opened(answer)
        with where.bar(answer.size) as done:
            chunks = _counted(answer.chunks, done)
            return await _write(chunks, sys.stdout.buffer) if pipe else await _save(chunks, file)

    size = where.run(local_api, use)
    if not pipe:
        where.tell({"key": key, "size": size, "file": str(file)}, "Download complete.")


@object_group.command("delete", short_help="Remove an object.")
@click.argument("path", metavar="BUCKET/KEY")
@with_target
def delete(path: str, where: Where) -> None:
    """Remove BUCKET/KEY, whether it is there or not."""
    bucket, key = _split(path)
    where.say(f'Deleting object "{key}" from bucket "{bucket}".')
    done = where.run(local_api, lambda target: target.call("DELETE", _object(bucket, key)))
    where.tell(done, "Delete complete.")


@object_group.command("list", short_help="List objects.")
@click.argument("bucket")
@click.option("--prefix", default="", help="Only what begins with it.")
@click.option("--delimiter", default="", help="Fold what has it behind the prefix.")
@with_target
def list_objects(bucket: str, prefix: str, delimiter: str, where: Where) -> None:
    """Print the objects of BUCKET as JSON."""

    async def use(target: Target) -> list[Any]:
        found: list[Any] = []
        cursor = ""
        while True:
            query = urlencode({"prefix": prefix, "delimiter": delimiter, "cursor": cursor})
            page = await target.envelope("GET", f"{ROOT}/{quote(bucket, '')}/objects?{query}")
            found += [*page["result"], *({"prefix": name} for name in page["result_info"]["delimited"])]
            if not (cursor := page["result_info"]["cursor"]):
                return found

    print_json(where.run(local_api, use))


@r2.group()
def bucket() -> None:
    """Buckets."""


@bucket.command("list")
@with_target
def bucket_list(where: Where) -> None:
    """Print them as JSON."""
    print_json(where.run(local_api, lambda target: target.call("GET", ROOT))["buckets"])


@bucket.command("create", short_help="Make a bucket.")
@click.argument("name")
@with_target
def bucket_create(name: str, where: Where) -> None:
    """Make a bucket called NAME, and say what to write into the configuration."""
    where.say(f"Creating bucket '{name}'...")
    made = where.run(local_api, lambda target: target.call("POST", ROOT, {"name": name}))
    binding = name.replace("-", "_")
    shown = f'[[r2_buckets]]\nbinding = "{binding}"\nbucket_name = "{name}"'
    where.tell(made, f"Created bucket '{name}'.\nAdd this to your configuration:\n{shown}")


@bucket.command("info", short_help="How much a bucket holds.")
@click.argument("name")
@with_target
def bucket_info(name: str, where: Where) -> None:
    """Print how many objects and bytes NAME holds, as JSON."""

    async def use(target: Target) -> dict[str, Any]:
        about = await target.call("GET", f"{ROOT}/{quote(name, '')}")
        usage = await target.call("GET", f"{ROOT}/{quote(name, '')}/usage")
        return {**about, "object_count": int(usage["objectCount"]), "bucket_size": int(usage["payloadSize"])}

    print_json(where.run(local_api, use))


@bucket.command("delete", short_help="Remove an empty bucket.")
@click.argument("name")
@with_target
def bucket_delete(name: str, where: Where) -> None:
    """Remove NAME, which must be empty."""
    where.run(local_api, lambda target: target.call("DELETE", f"{ROOT}/{quote(name, '')}"))
    where.tell({"name": name}, f"Deleted bucket '{name}'.")


def _split(path: str) -> tuple[str, str]:
    bucket, slash, key = path.partition("/")
    if not slash or not bucket or not key:
        raise UserError(f"{path!r} names no object", where="BUCKET/KEY", remedy="Write:  files/report.pdf")
    return bucket, key


def _object(bucket: str, key: str) -> str:
    return f"{ROOT}/{quote(bucket, '')}/objects/{quote(key, '')}"


async def _chunks(source: BinaryIO, count: Callable[[int], object]) -> AsyncIterator[bytes]:
    with source:
        while chunk := source.read(CHUNK_BYTES):
            yield chunk
            count(len(chunk))


async def _counted(chunks: AsyncIterator[bytes], count: Callable[[int], object]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield chunk
        count(len(chunk))


async def _save(chunks: AsyncIterator[bytes], file: Path) -> int:
    """Whole, or not at all."""
    aside = file.with_name(f".{file.name}.part")
    try:
        with aside.open("wb") as out:
            size = await _write(chunks, out)
        aside.replace(file)
    except OSError as error:
        raise UserError(
            f"cannot be written: {error.strerror}", where=str(file), remedy="Name another:  --file"
        ) from None
    finally:
        aside.unlink(missing_ok=True)
    return size


async def _write(chunks: AsyncIterator[bytes], out: BinaryIO) -> int:
    size = 0
    async for chunk in chunks:
        size += out.write(chunk)
    out.flush()
    return size
