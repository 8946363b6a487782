"""Workflows over Cloudflare's REST API, below ``workflows``. https://developers.cloudflare.com/api/resources/workflows/

Facts: docs/reference/bindings.md#workflows-over-rest.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bindings.base import ProductContext
from bindings.rest import BAD_BODY, Api, ApiError, Entry, Listed, body_of, number_of, page_of, query_of
from bindings.schedule.expression import BadExpression, parse
from bindings.storage.resources import Resources
from bindings.workflows import shown
from bindings.workflows.engine.rows import STATUSES
from bindings.workflows.engine.store import EMPTY, MAX_BATCH, From, New
from bindings.workflows.engine.workflow import Workflow
from bindings.workflows.errors import WorkflowError
from bindings.workflows.product import Workflows, serve
from bindings.workflows.settings import KEY, WorkflowTable, is_name, terms_of
from runtime.api import bounded_json
from runtime.values import to_wire
from runtime.web import Request

WORKFLOW_NOT_FOUND, INSTANCE_NOT_FOUND, REFUSED, ALREADY_EXISTS = 10200, 10400, 10401, 10405
_STATUSES = {INSTANCE_NOT_FOUND: 404, ALREADY_EXISTS: 409}  # of HTTP; the others: 400
_CODES = {"instance.not_found": INSTANCE_NOT_FOUND, "instance.already_exists": ALREADY_EXISTS}
_LAST = 2**62  # ms
MAX_PAGE = 100


class Deployed(msgspec.Struct):
    """What ``wrangler deploy`` says of a workflow once its worker is uploaded."""

    script_name: str
    class_name: str
    limits: dict[str, Any] | None = None
    concurrency: dict[str, Any] | None = None
    schedules: list[dict[str, Any]] | None = None
    default_retention: dict[str, Any] | None = None


class NewInstance(msgspec.Struct):
    instance_id: str | None = None
    id: str | None = None  # what wrangler --local calls it
    params: Any = msgspec.UNSET


class Status(msgspec.Struct):
    status: str
    from_: dict[str, Any] | None = msgspec.field(name="from", default=None)


class Ids(msgspec.Struct):
    instances: list[str]


class WorkflowsRest:
    """The handlers. ``context``: a supervisor's; None, for a command, which works beside one."""

    def __init__(self, resources: Resources[Workflow], context: ProductContext | None = None) -> None:
        self._resources, self._context = resources, context

    def entries(self) -> list[Entry]:
        one, instance = "{name}/instances", "{name}/instances/{id}"
        handlers: list[Entry] = [
            ("GET", "", self.list),
            ("GET", "{name}", self.get),
            ("PUT", "{name}", self.put),
            ("DELETE", "{name}", self.delete),
            ("GET", "{name}/versions", self.versions),
            ("GET", "{name}/versions/{version}", self.version),
            ("GET", one, self.instances),
            ("POST", one, self.create),
            ("POST", f"{one}/batch", self.create_batch),
            ("POST", f"{one}/batch/delete", self.delete_batch),
            ("PUT", f"{one}/terminate", self.terminate_all),
            ("GET", instance, self.instance),
            ("DELETE", instance, self.delete_instance),
            ("PATCH", f"{instance}/status", self.change),
            ("POST", f"{instance}/events/{{type}}", self.send_event),
        ]
        return [(method, path, _named(handler)) for method, path, handler in handlers]

    async def list(self, request: Request) -> object:
        return page_of([await self._shown(about.id) for about in self._resources.all()], query_of(request))

    async def get(self, request: Request, name: str) -> object:
        return await self._shown(name)

    async def put(self, request: Request, name: str) -> object:
        given = await body_of(request, Deployed)
        if self._context is None:
            raise ApiError(400, BAD_BODY, "a workflow is made by deploying its worker")
        if not is_name(name):
            raise ApiError(400, BAD_BODY, f"{name!r:.100} is no name of a workflow")
        serve(self._context, name, terms_of(given.script_name, _table(name, given)))
        return await self._shown(name)

    async def delete(self, request: Request, name: str) -> object:
        self._find(name)
        await self._resources.remove(name)
        return {"status": "ok", "success": True}

    async def versions(self, request: Request, name: str) -> object:
        return [shown.version(self._find(name).about)]

    async def version(self, request: Request, name: str, version: str) -> object:
        return shown.version(self._find(name).about)

    async def instances(self, request: Request, name: str) -> object:
        query, found = query_of(request), self._find(name)
        status = query.get("status") or None
        if status is not None and status not in STATUSES:
            raise ApiError(400, BAD_BODY, f"status must be one of {', '.join(STATUSES)}")
        page = number_of(query, "cursor" if query.get("cursor") else "page", 1, 1, 10**9)
        size = number_of(query, "per_page", 25, 1, MAX_PAGE)
        first, last = _ms(query, "date_start", 0), _ms(query, "date_end", _LAST)
        rows, total = await found.store.list(status, first, last, page, size)
        more = str(page + 1) if page * size < total else ""
        return Listed(
            [shown.instance(name, row) for row in rows],
            {"page": page, "per_page": size, "count": len(rows), "total_count": total,
             "total_pages": math.ceil(total / size), "cursor": more, "next_cursor": more},
        )  # fmt: skip

    async def create(self, request: Request, name: str) -> object:
        found = self._find(name)
        made = await found.store.create(_new(await body_of(request, NewInstance)), "api")
        await found.changed(made.id)
        return shown.instance(name, made)

    async def create_batch(self, request: Request, name: str) -> object:
        found, given = self._find(name), await body_of(request, list[NewInstance])
        if not 1 <= len(given) <= MAX_BATCH:
            raise ApiError(400, BAD_BODY, f"a batch has 1 to {MAX_BATCH} instances")
        made = await found.store.create_all(list(map(_new, given)), "api")
        await found.changed()
        return [shown.instance(name, instance) for instance in made if instance is not None]

    async def instance(self, request: Request, name: str, id: str) -> object:
        return {"id": id, **shown.details(await self._find(name).store.view(id))}

    async def change(self, request: Request, name: str, id: str) -> object:
        found, given = self._find(name), await body_of(request, Status)
        if (change := _CHANGES.get(given.status)) is None:
            raise ApiError(400, BAD_BODY, f"status must be one of {', '.join(_CHANGES)}")
        await change(found, id, given.from_)
        await found.changed(id)
        now = await found.store.get(id)
        return {"status": now.status, "timestamp": shown.moment(now.modified)}

    async def send_event(self, request: Request, name: str, id: str, type: str) -> object:
        found, content = self._find(name), await request.bytes()
        try:
            payload = bounded_json.decode(content or b"{}")
        except (msgspec.MsgspecError, RecursionError) as error:
            raise ApiError(400, BAD_BODY, f"the payload is no JSON: {error}") from None
        await found.store.send_event(id, type, _packed(payload))
        await found.changed(id)
        return {"id": id, "type": type}

    async def delete_instance(self, request: Request, name: str, id: str) -> object:
        found = self._find(name)
        await found.store.remove(id)
        await found.changed(id)
        return {"id": id}

    async def delete_batch(self, request: Request, name: str) -> object:
        found, given = self._find(name), await body_of(request, Ids)
        if not 1 <= len(given.instances) <= MAX_BATCH:
            raise ApiError(400, BAD_BODY, f"1 to {MAX_BATCH} instances can be deleted at a time")
        deleted, errors = [], []
        for id in given.instances:
            try:
                await found.store.remove(id)
                deleted.append({"id": id})
            except WorkflowError:
                errors.append({"id": id, "code": INSTANCE_NOT_FOUND, "message": "there is no such instance"})
        await found.changed()
        return {"deleted": deleted, "errors": errors}

    async def terminate_all(self, request: Request, name: str) -> object:
        found = self._find(name)
        await found.store.terminate_all(query_of(request).get("status") or None)
        await found.changed()
        return {"status": "ok"}

    def _find(self, name: str) -> Workflow:
        if (found := self._resources.find(name)) is None:
            raise ApiError(
                404, WORKFLOW_NOT_FOUND, f'there is no workflow "{name:.100}": a worker that has it makes it'
            )
        return found

    async def _shown(self, name: str) -> dict[str, object]:
        """Its terms may have changed since it was opened."""
        found = self._find(name)
        counts = await found.store.counts() if found.store.exists else {}
        return shown.workflow(self._resources.about(name) or found.about, counts)


async def _pause(workflow: Workflow, id: str, origin: object) -> None:
    await workflow.store.pause(id)


async def _resume(workflow: Workflow, id: str, origin: object) -> None:
    await workflow.store.resume(id)


async def _terminate(workflow: Workflow, id: str, origin: object) -> None:
    await workflow.store.terminate(id)


async def _restart(workflow: Workflow, id: str, origin: object) -> None:
    await workflow.store.restart(id, From.read(origin))


_CHANGES: dict[str, Callable[[Workflow, str, object], Awaitable[None]]] = {
    "pause": _pause, "resume": _resume, "terminate": _terminate, "restart": _restart,
}  # fmt: skip


def api(context: ProductContext) -> Api:
    """Of a supervisor."""
    return Api(KEY, WorkflowsRest(Workflows.resources(context), context).entries())


def local_api(state: Path) -> tuple[Api, Resources[Workflow]]:
    """Of a state folder, for a command."""
    found: Resources[Workflow] = Resources(state, Workflows.folder, Workflow)
    return Api(KEY, WorkflowsRest(found).entries()), found


def _named(handler: Callable[..., Awaitable[object]]) -> Callable[..., Awaitable[object]]:
    """Its WorkflowErrors are the API's."""

    @functools.wraps(handler)
    async def named(*args: object, **path: object) -> object:
        try:
            return await handler(*args, **path)
        except WorkflowError as error:
            code = _CODES.get(error.code, REFUSED)
            what = "there is no such instance" if code == INSTANCE_NOT_FOUND else str(error)
            raise ApiError(_STATUSES.get(code, 400), code, what) from None

    return named


def _table(name: str, given: Deployed) -> WorkflowTable:
    """Raises ApiError."""
    table = {
        key: value for key, value in msgspec.to_builtins(given).items() if value is not None and key != "schedules"
    }
    crons = [item.get("cron") for item in given.schedules or []]
    try:
        found = msgspec.convert({**table, "name": name, "schedules": crons}, WorkflowTable)
        for text in found.crons:
            parse(text)
        return found
    except (msgspec.ValidationError, BadExpression) as error:
        raise ApiError(400, BAD_BODY, f"the workflow cannot be used: {error}") from None


def _new(given: NewInstance) -> New:
    return New(given.instance_id or given.id, EMPTY if given.params is msgspec.UNSET else _packed(given.params))


def _packed(value: object) -> bytes:
    return msgspec.msgpack.encode(to_wire(value))


def _ms(query: dict[str, str], name: str, default: int) -> int:
    if not (text := query.get(name)):
        return default
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise ApiError(400, BAD_BODY, f"{name} must be ISO 8601") from None
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1000)


__all__ = ["api", "local_api"]
