"""A run in the isolate: what the script's ``run(event, step)`` is handed, and what becomes of it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from bindings.client import HostCaller
from bindings.workflows.worker.calls import Calls
from bindings.workflows.worker.step import WorkflowStep
from bindings.workflows.worker.values import packed, unpacked
from runtime.values import JsDict


class Failed(Protocol):
    """What the script raised: ``runtime.isolate.script.errors.ScriptFailure``."""

    @property
    def fields(self) -> dict[str, str]: ...


class Run:
    def __init__(
        self, caller: HostCaller, token: str, id: str, workflow: str, params: bytes, created: int
    ) -> None:  # fmt: skip
        event = JsDict(
            timestamp=datetime.fromtimestamp(created / 1000), payload=unpacked(params), instanceId=id,
            workflowName=workflow,
        )  # fmt: skip
        self.arguments = event, WorkflowStep(Calls(caller, workflow, token))

    def outcome(self, returned: object) -> object:
        return ["complete", packed(returned)]

    def failed(self, error: Failed) -> object:
        """["errored", in a line, the traceback]."""
        return ["errored", str(error), error.fields.get("trace") or str(error)]


__all__ = ["Run"]
