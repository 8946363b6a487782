"""``env`` of code that was brought along, the worker's half. Runs in that code's own process."""

from __future__ import annotations

from typing import Any

from msgspec.msgpack import Ext

from runtime.isolate.calls.service import Service
from runtime.isolate.remote import Caller
from runtime.values import from_wire, opened
from runtime.values.wire import CAPABILITY

_SERVICE = ".loaded."


def given(name: str, caller: Caller, value: object) -> Any:
    """``env.NAME``: a value, with a binding for each service in it."""

    def other(found: Ext) -> object:
        if found.code == CAPABILITY:
            return Service(caller.line, f"{_SERVICE}{int(bytes(found.data))}")
        return opened(found)

    return from_wire(value, other)


def service(name: str, caller: Caller) -> Service:
    return Service(caller.line, name)


__all__ = ["given", "service"]
