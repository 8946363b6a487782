"""This process's line to other workers: what it calls, what it holds of theirs, and what they hold of its own."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping, Sequence
from typing import Any

from runtime.isolate.calls.loans import Loans
from runtime.isolate.calls.packing import Table, packed, undone
from runtime.isolate.calls.unpacking import unpacked
from runtime.isolate.gates import unkept
from runtime.isolate.remote import current_event
from runtime.values import JsException
from runtime.wire import Channel, RemoteError
from runtime.wire.protocol import NOTE


class Line:
    def __init__(self, channel: Channel) -> None:
        self.channel, self.loans = channel, Loans()
        channel.unheard = self.loans.unheard

    def call(
        self, binding: str, address: object, method: str, args: Sequence[object], options: Mapping[str, object]
    ) -> Coroutine[Any, Any, Any]:
        """``method`` of what ``binding`` has at ``address``, plain data which the binding's host half understands.
        Keyword arguments become one trailing object. Raises JsException, and TypeError for what cannot be sent."""
        return self._called(_arguments(args, options), "call", binding, address, method)

    def invoke(
        self, number: int, method: str, args: Sequence[object], options: Mapping[str, object]
    ) -> Coroutine[Any, Any, Any]:
        """The same of an object that is held; "": it is a function."""
        return self._called(_arguments(args, options), "invoke", number, method)

    async def request(self, binding: str, address: object, *parts: object) -> list[Any]:
        """One HTTP request to ``binding``, whose event has nothing left to keep: [status, status text, headers,
        bytes | None | stream number]."""
        answer: list[Any] = await self._ask("request", binding, address, *parts)
        return answer

    def give_back(self, number: int) -> None:
        self.channel.send_later([NOTE, 0, "returned", [number]])

    def pack(self, value: object) -> tuple[bytes, Table]:
        """The answer to the call at hand."""
        return packed(self.channel, self.loans, value, answers=True)

    def unpack(self, payload: bytes, table: Table) -> Any:
        return unpacked(self, self.channel, payload, table)

    async def _called(self, arguments: list[object], op: str, *before: object) -> Any:
        payload, table = packed(self.channel, self.loans, arguments)
        if (waits := unkept()) is not None:
            try:
                await waits
            except BaseException:
                undone(self.channel, self.loans, table)
                raise
        return unpacked(self, self.channel, *await self._ask(op, *before, payload, table))

    async def _ask(self, op: str, *args: object) -> Any:
        try:
            return await self.channel.call(op, current_event.get(), *args)
        except RemoteError as error:
            raise JsException(error.message, error.name, **error.fields) from None


def _arguments(args: Sequence[object], options: Mapping[str, object]) -> list[object]:
    return [*args, dict(options)] if options else list(args)


__all__ = ["Line"]
