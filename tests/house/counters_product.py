"""``[[counters]] binding = "HITS", start = 5``: a number per binding that outlives reloads and restarts. A product
to try out what a product can declare; ``test_new_product.py`` puts it into ``bindings/``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import msgspec

from bindings.base import Binding, CallError, Event, Product, ProductContext, Route
from runtime.config import Config
from runtime.errors import RequestError, UserError
from runtime.web import Response

OPTIONS = {"dev": [click.Option(["--counter-step"], type=int, help="How much a counter grows at once.")]}
"""Of the command line. In a file of its own where the product takes time to import."""


class Table(msgspec.Struct, frozen=True):
    binding: str
    start: int = 0


class CounterSettings(msgspec.Struct, frozen=True):
    counter_step: int = 1


@dataclass
class CounterBinding:
    name: str
    counts: dict[str, int]
    step: int
    file: Path
    client: str = "bindings.counters_worker:Counter"
    client_args: Mapping[str, Any] = field(default_factory=dict)

    @property
    def explored(self) -> Mapping[str, object]:
        return {"step": self.step}

    def describe(self) -> tuple[str, str]:
        return "counter", f"in steps of {self.step}"

    async def call(self, method: str, args: Sequence[Any]) -> Any:
        if method != "add":
            raise CallError("TypeError", f"env.{self.name}.{method} is not a function")
        self.counts[self.name] += self.step
        self.file.parent.mkdir(parents=True, exist_ok=True)
        self.file.write_text(str(self.counts[self.name]))
        return self.counts[self.name]


def kept_at(context: ProductContext, name: str) -> Path:
    return context.state / "counters" / name


class Counters(Product):
    key, label, shape = "counters", "Counters", list[Table]
    settings = CounterSettings
    types, paths = ("counter",), ("/__counters",)
    explorer = "counters_view.js"
    commands: Mapping[str, str] = {"counters": "bindings.counters:command"}  # noqa: RUF012

    @classmethod
    async def start(cls, context: ProductContext) -> None:
        context.shared[cls.key] = {}

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        counts = context.shared[cls.key]
        step = context.options.get("counter_step") or config.settings(CounterSettings).counter_step
        tables = config.typed(cls.key, list[Table]) if cls.key in config.products else []
        for table in tables:
            file = kept_at(context, table.binding)
            counts.setdefault(table.binding, int(file.read_text()) if file.exists() else table.start)
        return [CounterBinding(table.binding, counts, step, kept_at(context, table.binding)) for table in tables]

    @classmethod
    def keeps(cls, config: Config) -> Sequence[str]:
        return cls.names(config.products.get(cls.key))

    @classmethod
    async def purge(cls, context: ProductContext, id: str) -> None:
        context.shared[cls.key].pop(id, None)
        kept_at(context, id).unlink(missing_ok=True)

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        return [
            {"name": table["binding"], "type": "counter", "start": table.get("start", 0)}
            for table in config.products.get(cls.key, ())
        ]

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> Any:
        for item in uploaded:
            if not isinstance(item.get("start", 0), int):
                raise RequestError(400, f"the counter {item['name']!r} starts at no number")
        return [{"binding": item["name"], "start": item.get("start", 0)} for item in uploaded]

    @classmethod
    def routes(cls, context: ProductContext) -> Sequence[Route]:
        async def show(request: Any) -> Response:
            return Response.json(context.shared[cls.key])

        async def count(request: Any, worker: str) -> Response:
            event = Event("count", "bindings.counters_worker:Count", {"counts": context.shared[cls.key]})
            try:
                return Response.json(await context.dispatch(worker, event))
            except UserError as error:
                return Response(str(error), status=500)

        return [Route("GET", "/__counters", show), Route("POST", "/__counters/{worker}", count)]

    @classmethod
    def status(cls, context: ProductContext) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        return {"counters": [{"name": name, "count": count} for name, count in context.shared[cls.key].items()]}


@click.command()
def command() -> None:
    """What a counter is."""
    click.echo("A counter counts.")
