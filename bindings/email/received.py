"""What a worker's ``email`` is handed: it is made in the isolate. Facts: docs/reference/bindings.md#email."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from bindings.client import HostCaller, js_exception, outgoing
from bindings.email.message import call_of
from runtime.values import JsDict
from runtime.web import Headers, ReadableStream
from runtime.wire import RemoteError


class ReceivedEmail(JsDict):
    """``message["from"]``, ``to``, ``headers``, ``raw``, ``rawSize``, ``setReject``, ``forward`` and ``reply``."""

    def __init__(
        self, caller: HostCaller, token: str, to: str, headers: list[list[str]], size: int, **more: str
    ) -> None:
        actions, pairs = _Actions(caller, token), Headers([(name, value) for name, value in headers])
        body = ReadableStream(actions.content(), length=size)
        super().__init__(to=to, headers=pairs, raw=body, rawSize=size, canBeForwarded=True, **more)
        self.update(setReject=actions.set_reject, forward=actions.forward, reply=actions.reply)
        object.__setattr__(self, "_actions", actions)

    def outcome(self, returned: object) -> str | None:
        """For the runtime: why it was rejected; None: it was not."""
        actions: _Actions = object.__getattribute__(self, "_actions")
        return actions.reason


class _Actions:
    def __init__(self, caller: HostCaller, token: str) -> None:
        self._caller, self._token = caller, token
        self.reason: str | None = None

    def set_reject(self, reason: object) -> None:
        """The sender is told; the last one counts."""
        self.reason = str(reason)

    async def forward(self, to: str, headers: Any = None) -> JsDict:
        """On to ``to``, with more headers: ``{messageId}``."""
        pairs = [list(pair) for pair in (headers.items() if headers is not None else ())]
        return JsDict(messageId=await self._call("forward", [to, pairs]))

    async def reply(self, *args: object, **options: object) -> JsDict:
        """To the sender: an ``EmailMessage``, or a dict of ``from``, ``subject``, ``text`` ...: ``{messageId}``."""
        return JsDict(messageId=await self._call(*call_of(args[0] if args else dict(options), "reply", "build")))

    async def content(self) -> AsyncIterator[bytes]:
        async for chunk in await self._call("raw", []):
            yield chunk

    async def _call(self, method: str, args: list[object]) -> Any:
        try:
            return await self._caller.call(method, self._token, *outgoing(args))
        except RemoteError as error:
            raise js_exception(error) from None


__all__ = ["ReceivedEmail"]
