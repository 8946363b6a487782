"""``pilot vectorize``: the words of ``wrangler vectorize``, on the indexes of the worker here or of a host."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import IO, Any
from urllib.parse import quote, urlencode

import click
import msgspec

from bindings.target import Target, Where, print_json, with_target
from bindings.vectorize.rest import local_api
from bindings.vectorize.settings import METRICS, PRESETS
from runtime.errors import UserError

ROOT = "vectorize/v2/indexes"
BATCH = 1000  # vectors of one call


@click.group(short_help="Make, fill and search Vectorize indexes.")
def vectorize() -> None:
    """Make, fill and search Vectorize indexes: of the worker here, also while it is served, or of a host."""


@vectorize.command("create", short_help="Make an index.")
@click.argument("name")
@click.option("--dimensions", type=int, help="Of its vectors: 1 to 1536.")
@click.option("--metric", type=click.Choice(METRICS), help="How near is near.")
@click.option("--preset", type=click.Choice(tuple(PRESETS)), help="Dimensions and metric of a model.")
@click.option("--description", default="")
@with_target
def create(
    name: str, dimensions: int | None, metric: str | None, preset: str | None, description: str, where: Where
) -> None:
    """Make an index called NAME, and say what to write into the configuration."""
    if (preset is None) == (dimensions is None or metric is None):
        raise click.UsageError("give --dimensions N and --metric METRIC, or --preset MODEL")
    config = {"preset": preset} if preset else {"dimensions": dimensions, "metric": metric}
    where.say(f'Creating index: "{name}"')
    made = _call(where, "POST", "", {"name": name, "config": config, "description": description})
    binding = "".join(letter if letter.isalnum() and letter.isascii() else "_" for letter in name).upper()
    shown = f'[[vectorize]]\nbinding = "{binding}"\nindex_name = "{name}"'
    where.tell(made, f"Success!\nAdd this to your configuration:\n{shown}")


@vectorize.command("list", short_help="List indexes.")
@with_target
def list_indexes(where: Where) -> None:
    """Print them as JSON."""
    print_json(_call(where, "GET", ""))


@vectorize.command("get", short_help="What an index is.")
@click.argument("name")
@with_target
def get(name: str, where: Where) -> None:
    """Print what index NAME is, as JSON."""
    print_json(_call(where, "GET", _below(name)))


@vectorize.command("info", short_help="How many vectors an index has.")
@click.argument("name")
@with_target
def info(name: str, where: Where) -> None:
    """Print how many vectors index NAME has, and its last mutation, as JSON."""
    print_json(_call(where, "GET", _below(name, "info")))


@vectorize.command("delete", short_help="Remove an index.")
@click.argument("name")
@click.option("-y", "--force", is_flag=True, help="Do not ask.")
@with_target
def delete(name: str, force: bool, where: Where) -> None:
    """Remove index NAME and its vectors."""
    if not force and sys.stdin.isatty():
        click.confirm(f'Delete the index "{name}" and its vectors?', abort=True)
    _call(where, "DELETE", _below(name))
    where.tell({"name": name}, f'Deleted index "{name}"')


def _writing(method: str, text: str) -> Callable[[str, IO[bytes], int, Where], None]:
    def write(name: str, file: IO[bytes], batch_size: int, where: Where) -> None:
        lines = [line for line in file.read().splitlines() if line.strip()]
        if not lines:
            raise UserError("holds no vectors", where=file.name, remedy='A line each:  {"id": "1", "values": [0.5, 1]}')
        hidden = where.as_json or not sys.stderr.isatty() or len(lines) <= batch_size

        async def use(target: Target) -> str:
            mutation = ""
            with click.progressbar(length=len(lines), file=sys.stderr, hidden=hidden) as bar:
                for at in range(0, len(lines), batch_size):
                    batch = lines[at : at + batch_size]
                    answer = await target.send("POST", _below(name, method), b"\n".join(batch), _NDJSON)
                    mutation = (await target.opened(answer))["result"]["mutationId"]
                    bar.update(len(batch))
            return mutation

        mutation = where.run(local_api, use)
        where.tell({"count": len(lines), "mutationId": mutation}, f"{text} {len(lines)} vectors. Mutation: {mutation}")

    return write


_NDJSON = {"content-type": "application/x-ndjson"}


def _fills(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--batch-size", type=click.IntRange(1, 5000), default=BATCH, help="Vectors of one call."),
        click.option("--file", type=click.File("rb"), required=True, help="A line of JSON for each vector."),
        click.argument("name"),
    ):
        command = option(command)
    return with_target(command)


@vectorize.command("insert", short_help="Add vectors.")
@_fills
def insert(name: str, file: IO[bytes], batch_size: int, where: Where) -> None:
    """Add the vectors of --file to index NAME; those whose ids are there are left alone."""
    _writing("insert", "Inserted")(name, file, batch_size, where)


@vectorize.command("upsert", short_help="Add or replace vectors.")
@_fills
def upsert(name: str, file: IO[bytes], batch_size: int, where: Where) -> None:
    """Add the vectors of --file to index NAME, or replace those of the same ids."""
    _writing("upsert", "Upserted")(name, file, batch_size, where)


@vectorize.command("query", short_help="Search for the nearest vectors.")
@click.argument("name")
@click.option("--vector", help="The query: numbers with blanks or commas between.")
@click.option("--vector-id", help="The query: a vector that is there.")
@click.option("--top-k", type=int, default=5, show_default=True)
@click.option("--namespace", help="Only in this one.")
@click.option("--filter", "filter_", help='On metadata, as JSON: {"city": "Paris"}.')
@click.option("--return-values", is_flag=True)
@click.option("--return-metadata", type=click.Choice(("all", "indexed", "none")), default="none", show_default=True)
@with_target
def query(name: str, vector: str | None, vector_id: str | None, top_k: int, namespace: str | None, filter_: str | None,
          return_values: bool, return_metadata: str, where: Where) -> None:  # fmt: skip
    """Print the nearest vectors of index NAME, best first, as JSON."""
    if (vector is None) == (vector_id is None):
        raise click.UsageError("give --vector NUMBERS or --vector-id ID")
    options = {
        "topK": top_k, "namespace": namespace, "returnValues": return_values, "returnMetadata": return_metadata,
        "filter": None if filter_ is None else _json(filter_),
    }  # fmt: skip
    nearest_to = {"vectorId": vector_id} if vector is None else {"vector": _numbers(vector)}
    print_json(_call(where, "POST", _below(name, "query"), {**nearest_to, **options}))


@vectorize.command("get-vectors", short_help="Print vectors by id.")
@click.argument("name")
@click.option("--ids", multiple=True, required=True, metavar="ID", help="Repeat it for more.")
@with_target
def get_vectors(name: str, ids: tuple[str, ...], where: Where) -> None:
    """Print vectors of index NAME with values and metadata, as JSON."""
    print_json(_call(where, "POST", _below(name, "get_by_ids"), {"ids": ids}))


@vectorize.command("delete-vectors", short_help="Remove vectors by id.")
@click.argument("name")
@click.option("--ids", multiple=True, required=True, metavar="ID", help="Repeat it for more.")
@with_target
def delete_vectors(name: str, ids: tuple[str, ...], where: Where) -> None:
    """Remove vectors of index NAME, whether they are there or not."""
    done = _call(where, "POST", _below(name, "delete_by_ids"), {"ids": ids})
    where.tell(done, f"Deleted. Mutation: {done['mutationId']}")


@vectorize.command("list-vectors", short_help="List ids.")
@click.argument("name")
@click.option("--count", type=click.IntRange(1, 1000), default=100, show_default=True)
@click.option("--cursor", default="", help="nextCursor of the page before.")
@with_target
def list_vectors(name: str, count: int, cursor: str, where: Where) -> None:
    """Print a page of the ids of index NAME, as JSON."""
    print_json(_call(where, "GET", f"{_below(name, 'list')}?{urlencode({'count': count, 'cursor': cursor})}"))


@vectorize.command("create-metadata-index", short_help="Make a property one to filter by.")
@click.argument("name")
@click.option("--property-name", "--propertyName", required=True)
@click.option("--type", "kind", type=click.Choice(("string", "number", "boolean")), required=True)
@with_target
def create_metadata_index(name: str, property_name: str, kind: str, where: Where) -> None:
    """Let queries filter index NAME by a property, of the vectors that are added from now on."""
    body = {"propertyName": property_name, "indexType": kind}
    done = _call(where, "POST", _below(name, "metadata_index/create"), body)
    where.tell(done, f'Created a metadata index on "{property_name}". Mutation: {done["mutationId"]}')


@vectorize.command("list-metadata-index", short_help="List the properties to filter by.")
@click.argument("name")
@with_target
def list_metadata_index(name: str, where: Where) -> None:
    """Print the metadata indexes of index NAME, as JSON."""
    print_json(_call(where, "GET", _below(name, "metadata_index/list")))


@vectorize.command("delete-metadata-index", short_help="No longer filter by a property.")
@click.argument("name")
@click.option("--property-name", "--propertyName", required=True)
@with_target
def delete_metadata_index(name: str, property_name: str, where: Where) -> None:
    """Remove a metadata index of index NAME."""
    done = _call(where, "POST", _below(name, "metadata_index/delete"), {"propertyName": property_name})
    where.tell(done, f'Deleted the metadata index on "{property_name}". Mutation: {done["mutationId"]}')


def _call(where: Where, method: str, path: str, body: object = None) -> Any:
    def use(target: Target) -> Awaitable[Any]:
        return target.call(method, path or ROOT, body)

    return where.run(local_api, use)


def _below(name: str, path: str = "") -> str:
    return f"{ROOT}/{quote(name, '')}" + (f"/{path}" if path else "")


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.MsgspecError:
        raise UserError(f"{text!r} is not JSON", where="--filter", remedy="""Write:  '{"city": "Paris"}'""") from None


def _numbers(text: str) -> list[float]:
    try:
        return [float(number) for number in text.strip(" []").replace(",", " ").split()]
    except ValueError:
        raise UserError(f"{text!r:.80} are no numbers", where="--vector", remedy='Write:  "0.5 1 0"') from None
