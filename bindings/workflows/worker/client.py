"""``env.WORKFLOW``, the worker's half. https://developers.cloudflare.com/workflows/build/workers-api/"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from bindings.client import BindingClient
from bindings.workflows.worker.values import packed, unpacked
from runtime.values import JsDict, JsException, from_wire


class WorkflowClient(BindingClient):
    """Each method takes what upstream's takes, keyword arguments as its options."""

    product: ClassVar[str] = "Workflow"

    async def create(self, *args: object, **options: object) -> WorkflowInstance:
        """``create(id=, params=)``, both optional: a new instance."""
        id: str = await self._call("create", _new(_options(args, options)))
        return WorkflowInstance(self, id)

    async def create_batch(self, batch: object = None) -> list[WorkflowInstance]:
        """``[{"id"?, "params"?}]``, a hundred at most. One whose id there is already is left out."""
        if not isinstance(batch, Sequence) or isinstance(batch, str | bytes):
            raise JsException("WorkflowError: (body) Provided argument is invalid")
        ids: list[str] = await self._call("createBatch", [[_new(item) for item in batch]])
        return [WorkflowInstance(self, id) for id in ids]

    createBatch = create_batch

    async def get(self, id: object) -> WorkflowInstance:
        return WorkflowInstance(self, await self._call("get", [id]))

    async def _of(self, method: str, *args: object) -> Any:
        return await self._call(method, args)


class WorkflowInstance:
    def __init__(self, client: WorkflowClient, id: str) -> None:
        self._client, self.id = client, id

    async def status(self) -> JsDict:
        """``{status, output, error}``, and what its steps have given so far."""
        found = await self._client._of("status", self.id)
        output, outputs = found["output"], found.pop("steps")
        shown = from_wire({"status": found["status"], "output": None, "error": found["error"]})
        shown["output"] = None if output is None else unpacked(output)
        return JsDict(shown, __LOCAL_DEV_STEP_OUTPUTS=[unpacked(result) for result in outputs])

    async def pause(self) -> None:
        await self._client._of("pause", self.id)

    async def resume(self) -> None:
        await self._client._of("resume", self.id)

    async def restart(self, *args: object, **options: object) -> None:
        """From its beginning, or ``from={"name", "count", "type"}`` a step of it."""
        await self._client._of("restart", self.id, _options(args, options).get("from"))

    async def terminate(self, *args: object, **options: object) -> None:
        await self._client._of("terminate", self.id)

    async def send_event(self, *args: object, **options: object) -> None:
        """``{"type", "payload"}``; it is kept until it is waited for."""
        event = _options(args, options)
        await self._client._of("sendEvent", self.id, event.get("type"), packed(event.get("payload")))

    sendEvent = send_event

    def __repr__(self) -> str:
        return f"<WorkflowInstance {self.id}>"


def _options(args: Sequence[object], options: Mapping[str, object]) -> dict[Any, object]:
    given = args[0] if args and isinstance(args[0], Mapping) else {}
    return {**given, **options}


def _new(item: object) -> list[object]:
    """[id, params], packed."""
    options = item if isinstance(item, Mapping) else {}
    return [options.get("id"), packed(options["params"]) if "params" in options else None]


__all__ = ["WorkflowClient", "WorkflowInstance"]
