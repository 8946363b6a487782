"""``env.NAME`` of a namespace, and the clock that objects set: the host's halves.

What arrives was sent by user code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from bindings.base import CallError, HostStream, ProductContext
from bindings.durable_objects.alarms import Clock, Key
from bindings.messages import HostSocket, Target
from runtime.errors import UserError
from runtime.supervisor.calls.traced import of_object
from runtime.supervisor.limits import IsolateLost, LimitExceeded
from runtime.supervisor.processes.residence import lost
from runtime.wire import RemoteError

_ID = re.compile(r"[0-9a-f]{64}")
_MAX_DUE = 2**53
_MAX_NAME = 65536


class NamespaceBinding:
    """``namespace`` says whose ids are valid; its objects are ``worker``'s."""

    client = "bindings.durable_objects.worker.namespace:DurableObjectNamespace"

    def __init__(self, name: str, namespace: str, worker: str, class_name: str, context: ProductContext) -> None:
        self.name, self._worker, self._class, self._context = name, worker, class_name, context
        self.client_args: Mapping[str, Any] = {"namespace": namespace}

    @property
    def explored(self) -> Mapping[str, object]:
        return {"id": self.client_args["namespace"], "class": self._class, "worker": self._worker}

    def describe(self) -> tuple[str, str]:
        return "Durable Objects", f"{self._class} of {self._worker}"

    def target(self, address: object) -> Target:
        """``[id, its name or None]``."""
        match address:
            case [str(id), None | str() as label] if _ID.fullmatch(id) and len(label or "") <= _MAX_NAME:
                return Target(self._worker, self._class, id, {"name": label})
        raise CallError("TypeError", "an id that is none")

    async def call(self, method: str, args: Sequence[Any]) -> object:
        """``fetch``: ``[id, its name, ...]``, which the object's process understands."""
        if method != "fetch" or len(args) < 2 or not isinstance(args[0], str) or not _ID.fullmatch(args[0]):
            raise CallError("TypeError", f"env.{self.name}.{method} is not a function")
        url, how = _asked(args)
        about: dict[str, Any] = {"request": {"url": url, "method": how}}
        facts = of_object(self._class, args[0])
        try:
            return await self._context.trace(self._worker, about, self._answered(args, about), facts)
        except RemoteError as error:
            raise CallError(error.name, error.message, **error.fields) from None
        except (IsolateLost, LimitExceeded) as error:
            raise lost(error) from None
        except UserError as error:
            raise CallError("Error", str(error), remote=True) from None

    async def _answered(self, args: Sequence[Any], about: dict[str, Any]) -> object:
        answer = await self._context.reside(self._worker, "fetch", [self._class, *args])
        head = answer.meta.get("head") if isinstance(answer, HostStream | HostSocket) else answer
        if isinstance(head, list) and head and isinstance(head[0], int):
            about["response"] = {"status": head[0]}
        return answer


def _asked(args: Sequence[Any]) -> tuple[str, str]:
    """(URL, method) of a request that a worker hands over, which may be anything."""
    match args:
        case [_, _, str(method), str(url), *_]:
            return url, method
    return "", ""


class ClockBinding:
    """What the process with the objects tells of their alarms."""

    name, client = ".durable_objects", "bindings.client:BindingClient"
    client_args: Mapping[str, Any] = {}

    def __init__(self, worker: str, classes: frozenset[str], clock: Clock) -> None:
        self._worker, self._classes, self._clock = worker, classes, clock

    def describe(self) -> tuple[str, str]:
        return "alarms", self._worker

    async def call(self, method: str, args: Sequence[Any]) -> object:
        """``ring``: ``[class, id, its name, when in ms since 1970 or None]``. Done once that is on the disk."""
        match args:
            case [str(name), str(id), None | str() as label, None | int() as due] if (
                method == "ring" and name in self._classes and _ID.fullmatch(id) and (due or 1) in range(1, _MAX_DUE)
            ):
                await self._clock.ring(Key(self._worker, name, id), label, due)
                return None
        raise CallError("TypeError", "no such alarm")


__all__ = ["ClockBinding", "NamespaceBinding"]
