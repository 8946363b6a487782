"""``env.WORKFLOW``, the host's half; and ``.workflows``, through which the runs of a worker ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from bindings.base import CallError
from bindings.storage.resources import Resources
from bindings.workflows import errors
from bindings.workflows.engine.engine import BINDING
from bindings.workflows.engine.rows import Instance
from bindings.workflows.engine.store import EMPTY, MAX_BATCH, From, New
from bindings.workflows.engine.workflow import Workflow

_SHOWN_BYTES = 1024 * 1024  # of the outputs of steps, in what ``status`` tells


class WorkflowBinding:
    client = "bindings.workflows.worker.client:WorkflowClient"
    client_args: Mapping[str, Any] = {}

    def __init__(self, name: str, workflow: str, resources: Resources[Workflow]) -> None:
        self.name, self._workflow, self._resources = name, workflow, resources
        self.explored = {"name": workflow}

    def describe(self) -> tuple[str, str]:
        return "Workflow", self._workflow

    async def call(self, method: str, args: Sequence[Any]) -> object:
        serve = _METHODS.get(method)
        if serve is None:
            raise CallError("TypeError", f"env.{self.name}.{method} is not a function")
        found = self._resources.find(self._workflow)
        if found is None:
            raise errors.WorkflowError(f"WorkflowError: no worker has the workflow {self._workflow!r}")
        return await serve(found, *args)


class RunsBinding:
    """``classes``: of the workflows whose runs this version of the worker has, by their names."""

    name, client = BINDING, ""
    client_args: Mapping[str, Any] = {}

    def __init__(self, classes: Mapping[str, str], resources: Resources[Workflow]) -> None:
        self.classes, self._resources = classes, resources

    def describe(self) -> tuple[str, str]:
        return "Workflows", ", ".join(self.classes)

    async def call(self, method: str, args: Sequence[Any]) -> object:
        workflow, token, *rest = args
        found = self._resources.find(workflow) if workflow in self.classes else None
        run = found.engine.find(token) if found is not None and found.engine is not None else None
        if run is None:
            raise errors.aborted("The instance goes on in another run")
        return await run.call(method, rest)


async def _create(workflow: Workflow, id: object, params: object) -> object:
    made = await workflow.store.create(_new(id, params))
    await workflow.changed(made.id)
    return made.id


async def _create_batch(workflow: Workflow, batch: list[list[object]]) -> object:
    """Without those whose ids there are."""
    if not batch:
        raise errors.batch_size("should have at least 1 instance")
    if len(batch) > MAX_BATCH:
        raise errors.batch_size(f"only supports {MAX_BATCH} instances at a time")
    made = await workflow.store.create_all([_new(id, params) for id, params in batch])
    await workflow.changed()
    return [instance.id for instance in made if instance is not None]


def _new(id: object, params: object) -> New:
    if id is not None and not isinstance(id, str):
        raise errors.invalid_id()
    return New(id, EMPTY if params is None else params)  # type: ignore[arg-type]  # its size is looked at below


async def _get(workflow: Workflow, id: object) -> object:
    return (await workflow.store.get(id if isinstance(id, str) else "")).id


async def _status(workflow: Workflow, id: str) -> object:
    """Contents are packed."""
    view = await workflow.store.view(id)
    return {**_state(view.instance), "steps": list(_outputs([step.result for step in view.steps if step.kind == "do"]))}


def _state(instance: Instance) -> dict[str, object]:
    failure = instance.failure
    shown = None if failure is None else {"name": failure["name"], "message": failure["message"]}
    return {"status": instance.status, "output": instance.output, "error": shown}


def _outputs(results: Sequence[bytes | None]) -> Sequence[bytes]:
    found: list[bytes] = []
    for result in results:
        if result is not None and sum(map(len, found)) + len(result) <= _SHOWN_BYTES:
            found.append(result)
    return found


async def _pause(workflow: Workflow, id: str) -> None:
    await workflow.store.pause(id)
    await workflow.changed(id)


async def _resume(workflow: Workflow, id: str) -> None:
    await workflow.store.resume(id)
    await workflow.changed(id)


async def _restart(workflow: Workflow, id: str, origin: object = None) -> None:
    await workflow.store.restart(id, From.read(origin))
    await workflow.changed(id)


async def _terminate(workflow: Workflow, id: str) -> None:
    await workflow.store.terminate(id)
    await workflow.changed(id)


async def _send_event(workflow: Workflow, id: str, type: object, payload: bytes) -> None:
    await workflow.store.send_event(id, type, payload)
    await workflow.changed(id)


_METHODS: dict[str, Callable[..., Awaitable[object]]] = {
    "create": _create, "createBatch": _create_batch, "get": _get, "status": _status, "pause": _pause,
    "resume": _resume, "restart": _restart, "terminate": _terminate, "sendEvent": _send_event,
}  # fmt: skip

__all__ = ["RunsBinding", "WorkflowBinding"]
