"""What one isolate asks of other workers.

Theory of operation
-------------------
A worker names a binding of its own; the binding says which worker, class and instance that leads to (``Target``), and
``reach`` which version of that worker answers. That version has it called in one of its processes (``called``), under
its own limits, as an activity of its own. Arguments and results are bytes that nobody looks into here; what they refer
to stands in a table beside them, of which ``capabilities`` makes the other process's numbers. A product that brings
another kind of target declares a binding with ``target(address)`` (``bindings.binding.Leading``) and is done.

Each call counts as a subrequest of what asks for it, and knows how many calls led to it: a cycle ends at ``MAX_DEPTH``.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Mapping
from functools import partial
from types import NoneType
from typing import Any, cast

from msgspec.structs import replace

from bindings.binding import Binding, Leading, Loading, Version
from bindings.messages import CallError, HostSocket, Target
from runtime.errors import UserError
from runtime.supervisor.calls import called
from runtime.supervisor.calls.call import Begun, Call, Callee, Caller, Capability, ServiceRequest
from runtime.supervisor.calls.capabilities import closed, dropped, handed, stream, taken
from runtime.supervisor.calls.channel import PassingChannel
from runtime.supervisor.calls.passing import PassingCall, PassingRequest
from runtime.supervisor.calls.reach import NotRunning, Reach
from runtime.supervisor.calls.stubs import Stubs
from runtime.supervisor.http.asgi import Headers
from runtime.supervisor.http.heads import check_size, pairs
from runtime.tracing import NO_SPAN
from runtime.wire import ChannelClosed, RemoteError

MAX_DEPTH = 32
TOO_DEEP = (
    "Subrequest depth limit exceeded. This request recursed through Workers too many times. This can happen e.g. if "
    "you have a Worker or Durable Object that calls other Workers or objects recursively."
)  # upstream's words
OWN = ""  # for a binding's name: this worker itself
_MAX_URL_CHARACTERS = 64 * 1024
_MAX_METHOD_CHARACTERS = 1024


class Calls:
    """``lasting``: where a worker's instances are that live on; ``own``: the version that the isolate runs. Everything
    that arrives is checked: the other end runs user code."""

    def __init__(
        self, bindings: Mapping[str, Binding], stubs: Stubs, reach: Reach, lasting: Reach, own: Callee | None
    ) -> None:
        self.channel: PassingChannel
        self._bindings, self._stubs, self._reach, self._lasting, self._own = bindings, stubs, reach, lasting, own
        self._leading = {name: each for name, each in bindings.items() if isinstance(each, Leading)}

    def passed(self, number: int, op: str, args: list[Any]) -> PassingCall | PassingRequest | None:
        """Of a call, or a request, that nothing need be done for but to pass it on; None: ``call`` does what there is
        to do, or ``request``. Raises nothing."""
        if op == "call" and len(args) == 6:
            return self._passed_call(number, args)
        if op == "request" and len(args) == 8:
            return self._passed_request(number, args)
        return None

    def _passed_call(self, number: int, args: list[Any]) -> PassingCall | None:
        event, name, address, method, payload, table = args
        if table != [] or type(payload) is not bytes or type(method) is not str:
            return None
        if len(method) > _MAX_METHOD_CHARACTERS or (way := self._way(event, name, address)) is None:
            return None
        caller, target, begun = way
        return PassingCall(self.channel, number, self._told, begun, Call(caller, target, method, payload, []))

    def _passed_request(self, number: int, args: list[Any]) -> PassingRequest | None:
        event, name, address, method, url, headers, body, handle = args
        if handle is not None:
            return None
        try:
            sent = _checked(method, url, headers, body)
        except UserError:  # which ``request`` meets again, and tells of
            return None
        if (way := self._way(event, name, address, requests=True)) is None:
            return None
        caller, target, begun = way
        request = ServiceRequest(caller, target, method, url, sent, body)
        return PassingRequest(self.channel, number, self._told_request, begun, request)

    def _way(
        self, event: object, name: object, address: object, requests: bool = False
    ) -> tuple[Caller, Target, Begun] | None:
        """Where it leads, if nothing is to be waited for on the way; it is counted, and in hand, then."""
        if type(event) is not int or type(name) is not str:
            return None
        activity = self._stubs.at_work.asks_freely(event)
        if activity is None or activity.span is not NO_SPAN or activity.depth >= MAX_DEPTH:
            return None
        if (target := self._at_hand(name, address)) is None:
            return None
        callee = (self._reach if target.id is None else self._lasting).at_hand(target.worker)
        if callee is None or (begun := callee.begin(requests=requests)) is None:
            return None
        activity.subrequests += 1
        return Caller(activity.depth + 1, NO_SPAN), target, begun

    async def call(
        self, event: int, name: str, address: object, method: str, payload: bytes, table: list[Any]
    ) -> list[Any]:
        """[payload, table] of what the method returns."""
        caller, capabilities = await self._begun(event, method, payload, table)
        try:
            target = self._target(name, address)
            callee = await self._callee(name, target)
            answer = await _told(callee.call(Call(caller, target, method, payload, capabilities)))
        finally:
            await dropped(capabilities)
        return [answer.payload, await self._given(answer.capabilities)]

    async def invoke(self, event: int, number: int, method: str, payload: bytes, table: list[Any]) -> list[Any]:
        """The same of an object that this process holds."""
        caller, capabilities = await self._begun(event, method, payload, table)
        try:
            stub = self._stubs.find(number)
            call = Call(caller, Target("", "an RPC stub"), method, payload, capabilities)
            answer = await _told(called.invoke(stub, call))
        finally:
            await dropped(capabilities)
        return [answer.payload, await self._given(answer.capabilities)]

    async def request(
        self,
        event: int,
        name: str,
        address: object,
        method: str,
        url: str,
        headers: list[Any],
        body: bytes | None,
        handle: list[Any] | None,
    ) -> list[Any]:
        """[status, status text, headers, bytes | None | stream number | ["socket", number]]"""
        caller = self._caller(event)
        sent = _checked(method, url, headers, body)
        content: Any = body if handle is None else stream(self.channel, *handle)
        try:
            target = self._target(name, address)
            callee = await self._callee(name, target)
            answer = await _told(callee.request(ServiceRequest(caller, target, method, url, sent, content)))
        except _Missing as error:
            await closed(content)
            return [503, "", [(b"content-type", b"text/plain;charset=UTF-8")], str(error).encode()]
        except BaseException:
            await closed(content)
            raise
        return [answer.status, answer.text, answer.headers, await self._content(answer.body)]

    async def load(self, event: int, name: str, args: object, services: list[list[Any]]) -> object:
        """``services``: [binding, address] of what the code that is brought may call."""
        self._stubs.at_work.ask(event)
        binding: object = self._bindings.get(name)
        if not isinstance(binding, Loading) or self._own is None:
            raise CallError("TypeError", f"env.{name} loads no code")
        return await binding.load(args, [self._lead(*row) for row in services], cast(Version, self._own))

    def _lead(self, name: str, address: object) -> Target:
        """For somebody else to be led there as well."""
        target = self._target(name, address)
        return replace(target, reach=partial(self._callee, name, target))

    def note(self, op: str, args: list[Any]) -> None:
        """``returned``: a stub is held no more. What was sent before may hand it on, and is looked at first."""
        if op == "returned" and args:
            asyncio.get_running_loop().call_soon(self._stubs.let_go, args[0])

    def _at_hand(self, name: str, address: object) -> Target | None:
        """Where a binding leads, if anybody knows who is there."""
        try:
            target = self._leading[name].target(address)
        except Exception:  # which ``call`` meets again, and tells of
            return None
        return target if target.reach is None else None

    async def _told(self, passing: PassingCall) -> list[Any]:
        answer = await _told(passing.answer())
        return [answer.payload, await self._given(answer.capabilities)]

    async def _told_request(self, passing: PassingRequest) -> list[Any]:
        answer = await _told(passing.answer())
        return [answer.status, answer.text, answer.headers, await self._content(answer.body)]

    async def _begun(self, event: int, method: Any, payload: Any, table: object) -> tuple[Caller, list[Capability]]:
        caller = self._caller(event)
        if type(payload) is not bytes or type(method) is not str or len(method) > _MAX_METHOD_CHARACTERS:
            raise CallError("TypeError", "a call that is none")
        return caller, await taken(self._stubs, self.channel, table)

    def _caller(self, event: int) -> Caller:
        """Raises CallError: too many calls have led to it; LimitExceeded."""
        at_work = self._stubs.at_work
        activity = at_work.ask(event)
        depth = at_work.depth(event) + 1
        if depth > MAX_DEPTH:
            raise CallError("Error", TOO_DEEP)
        return Caller(depth, NO_SPAN if activity is None else activity.span)

    def _target(self, name: str, address: object) -> Target:
        if name == OWN:
            match address:
                case [str(entrypoint), dict(props)]:
                    return Target("", entrypoint, props=props)
            raise CallError("TypeError", "an address that is none")
        if (binding := self._leading.get(name)) is None:
            raise CallError("TypeError", f"env.{name} leads to no worker")
        return binding.target(address)

    async def _callee(self, name: str, target: Target) -> Callee:
        if name == OWN and self._own is not None:
            return self._own
        try:
            if target.reach is not None:
                return cast(Callee, await target.reach())
            return await (self._reach if target.id is None else self._lasting)(target.worker)
        except NotRunning as error:
            raise _Missing(str(error)) from None
        except UserError as error:
            raise _error(error) from None

    async def _given(self, capabilities: list[Capability]) -> list[tuple[str, int]]:
        return await handed(self._stubs, self.channel, capabilities, answers=True)

    async def _content(self, body: bytes | AsyncIterator[Any] | HostSocket | None) -> bytes | int | list[Any] | None:
        if body is None or isinstance(body, bytes):
            return body
        if isinstance(body, HostSocket):
            return ["socket", self._stubs.sockets.lend(body.end)]
        [(_, number)] = await handed(self._stubs, self.channel, [body])
        return number


def _checked(method: object, url: object, headers: object, body: object) -> Headers:
    """The headers. Raises CallError, ScriptError, RequestError."""
    if type(method) is not str or type(url) is not str or type(body) not in (bytes, NoneType):
        raise CallError("TypeError", "a request that is none")
    if len(url) > _MAX_URL_CHARACTERS or len(method) > _MAX_METHOD_CHARACTERS:
        raise CallError("TypeError", f"the URL has more than {_MAX_URL_CHARACTERS} characters")
    sent = pairs(headers)
    check_size(sent)
    return sent


class _Missing(CallError):
    """Nobody of that name is there."""

    def __init__(self, text: str) -> None:
        super().__init__("Error", text)


async def _told(work: Awaitable[Any]) -> Any:
    """What the other worker answers. Raises RemoteError or CallError, as its caller shall catch it."""
    try:
        return await work
    except RemoteError as error:
        error.fields["remote"] = True
        raise
    except UserError as error:
        raise _error(error) from None
    except ChannelClosed:
        raise CallError("Error", "Network connection lost.", remote=True, retryable=True) from None


def _error(error: UserError) -> CallError:
    return CallError("Error", str(error), remote=True)


__all__ = ["MAX_DEPTH", "Calls"]
