"""``[[workflows]] binding = "ORDERS", name = "orders", class_name = "Orders"``: Workflows.

Facts: docs/reference/bindings.md#workflows. What is heavy is imported once a worker has a workflow.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import partial
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.parse import urlsplit

import msgspec

from bindings.base import Binding, ProductContext, Route, rest_routes
from bindings.storage.keeping import KeepingProduct
from bindings.workflows import settings
from bindings.workflows.settings import Terms, WorkflowSettings, WorkflowTable, is_own, tables, terms_of
from runtime.config import Config
from runtime.errors import RequestError
from runtime.web import Request, Response

if TYPE_CHECKING:
    from bindings.storage.resources import Resources
    from bindings.workflows.engine.workflow import Workflow

LOCAL = "/cdn-cgi/local/explorer/api/workflows"  # where wrangler workflows --local asks


class Workflows(KeepingProduct):
    """One resource is a workflow, by its name. Whose configuration has no ``script_name`` runs it."""

    key, label, shape = settings.KEY, "Workflows", list[WorkflowTable]
    fronts = "calls"
    paths = ("/client/v4/", "/cdn-cgi/")
    worker_type = "bindings.workflows.env:WorkflowClient"
    settings = WorkflowSettings
    folder, resource = "workflows", "bindings.workflows.engine.workflow:Workflow"
    types = ("workflow",)
    explorer = "explorer.js"
    commands: ClassVar[Mapping[str, str]] = {"workflows": "bindings.workflows.commands:workflows"}

    @classmethod
    def names(cls, table: object) -> Sequence[str]:
        rows = table if isinstance(table, list) else []
        found = [row.get("binding") for row in rows if isinstance(row, dict)]
        return [name for name in found if isinstance(name, str)]

    @classmethod
    def check(cls, config: Config) -> None:
        settings.check(config)

    @classmethod
    async def start(cls, context: ProductContext) -> None:
        """On a host, what was under way goes on whichever worker is asked for first."""
        if not context.on_host:
            if context.config is not None and tables(context.config):
                cls.resources(context).claim()
            return
        from bindings.workflows.engine.workflow import terms_kept

        resources: Resources[Workflow] = cls.resources(context)
        for about in resources.all():
            found, terms = resources.find(about.id), terms_kept(about)
            if found is not None and terms is not None:
                found.serve(terms, context, _settings(context))

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        found = tables(config)
        if not found:
            return ()
        from bindings.workflows.binding import RunsBinding, WorkflowBinding

        resources: Resources[Workflow] = cls.resources(context)
        bindings: list[Binding] = []
        for table in found:
            if is_own(config, table):
                serve(context, table.name, terms_of(config.name, table), config)
            if table.binding is not None:
                bindings.append(WorkflowBinding(table.binding, table.name, resources))
        own = {table.name: table.class_name for table in found if is_own(config, table)}
        return [*bindings, *([RunsBinding(own, resources)] if own else [])]

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        """Those without a binding too, so that a host knows of them."""
        return [_uploaded(config, table) for table in tables(config)]

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        return [_restored(item) for item in uploaded]

    @classmethod
    def keeps(cls, config: Config) -> Sequence[str]:
        return [table.name for table in tables(config) if is_own(config, table)]

    @classmethod
    def routes(cls, context: ProductContext) -> Sequence[Route]:
        routes = rest_routes(cls.key, "bindings.workflows.rest:api", context)
        if context.on_host:
            return routes
        local = [
            Route("*", LOCAL + below, partial(_local, context), when=lambda: _is_local(context))
            for below in ("", "/{path:path}")
        ]
        return [*routes, *local]


async def _local(context: ProductContext, request: Request, path: str = "") -> Response:
    answer: Response = await resolve_name("bindings.workflows.rest:api")(context)(request, path)
    return answer


def _is_local(context: ProductContext) -> bool:
    """Whether nobody else can ask, as who asks there brings no token."""
    return urlsplit(context.url).hostname in ("127.0.0.1", "::1", "localhost") and "PILOT_API_TOKEN" not in os.environ


def serve(context: ProductContext, name: str, terms: Terms, config: Config | None = None) -> Workflow:
    """The workflow, which is run as these terms say from now on; ``config``: the worker's, whose settings count in dev.
    Raises UserError: the disk cannot be used."""
    resources: Resources[Workflow] = Workflows.resources(context)
    facts = msgspec.to_builtins(terms)
    found = resources.get(name, name, facts)
    about = resources.about(name)
    if about is not None and about.facts != facts:
        resources.describe(msgspec.structs.replace(about, facts=facts))
    found.serve(terms, context, _settings(context, config))
    return found


def _settings(context: ProductContext, config: Config | None = None) -> WorkflowSettings:
    """A host has its own."""
    whose = context.config if context.on_host or config is None else config
    return WorkflowSettings() if whose is None else whose.settings(WorkflowSettings)


def _uploaded(config: Config, table: WorkflowTable) -> Mapping[str, Any]:
    made: dict[str, Any] = {
        "name": table.binding or f".{table.name}", "type": "workflow", "workflow_name": table.name,
        "class_name": table.class_name,
    }  # fmt: skip
    if not is_own(config, table):
        return {**made, "script_name": table.script_name}
    terms, default = terms_of(config.name, table), Terms(config.name, table.class_name)
    return made | {
        field: msgspec.to_builtins(getattr(terms, field))
        for field in _TERMS if getattr(terms, field) != getattr(default, field)
    }  # fmt: skip


_TERMS = ("steps", "concurrency", "crons", "success_ms", "error_ms")


def _restored(item: Mapping[str, Any]) -> Mapping[str, Any]:
    for field in ("workflow_name", "class_name"):
        if not isinstance(item.get(field), str) or not item[field]:
            raise RequestError(400, f"the workflow binding {item['name']!r} has no {field}")
    table: dict[str, Any] = {"name": item["workflow_name"], "class_name": item["class_name"]}
    if not item["name"].startswith("."):
        table["binding"] = item["name"]
    if isinstance(item.get("script_name"), str):
        table["script_name"] = item["script_name"]
    for field, place in _PLACES.items():
        if field in item:
            _put(table, place, item[field])
    return table


_PLACES = {
    "steps": ("limits", "steps"), "concurrency": ("concurrency", "limit"), "crons": ("schedules",),
    "success_ms": ("default_retention", "success_retention"), "error_ms": ("default_retention", "error_retention"),
}  # fmt: skip


def _put(table: dict[str, Any], place: Sequence[str], value: object) -> None:
    *outer, last = place
    for name in outer:
        table = table.setdefault(name, {})
    table[last] = value


__all__ = ["Workflows", "serve"]
