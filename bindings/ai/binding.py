"""``env.AI``, the worker's half (contract §3): ``await env.AI.run(model, inputs, options)``.

It runs in the worker's process and knows no models: a call goes to ``bindings.ai.product.AIBinding``, and a
stream comes back as a handle, which costs this process nothing as long as nobody here reads it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import Any, Protocol

from runtime.web import AbortSignal, ReadableStream
from runtime.wire import RemoteError

LOCAL_OPTIONS = ("signal", "prefix", "extraHeaders", "sessionOptions")  # never sent, as upstream


class Caller(Protocol):
    """The way to the host's half."""

    def call(self, method: str, *args: Any) -> Awaitable[Any]: ...


class InferenceUpstreamError(Exception):
    """A refused or failed ``run``: ``str(error)`` is ``"<code>: <description>"``.

    ``code`` is Workers AI's (5007: no such model …), ``status`` the HTTP status of the same refusal.
    """

    name = "InferenceUpstreamError"

    def __init__(
        self, message: str, *, code: int = 0, status: int = 500, request_id: str | None = None
    ) -> None:
        self.message, self.code, self.status, self.request_id = message, code, status, request_id
        super().__init__(message)


class AiError(InferenceUpstreamError):
    """The name under which the model layer's refusals arrive."""

    name = "AiError"


class Result(dict[str, Any]):
    """A model's answer: ``result["response"]`` and ``result.response``, nested too; JSON as any dict is.

    Where a key has the name of a dict's method (``items``), the attribute is the method.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        super().__init__((key, _wrapped(value)) for key, value in values.items())

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the result has no {name!r}; it has: {', '.join(self)}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def to_py(self, **_: Any) -> dict[str, Any]:
        """Plain dicts and lists, as Pyodide's proxies give them."""
        return {key: plain(value) for key, value in self.items()}


class AIStream(ReadableStream):
    """The answer's bytes as server-sent events. Return it, or iterate over it; unread, it passes through."""

    __slots__ = ("meta",)

    def __init__(self, source: Any, signal: AbortSignal | None) -> None:
        # The event's own signal needs no watching here: it ends the stream at its source.
        super().__init__(source, signal=None if signal is None or signal.ambient else signal)
        self.meta: Mapping[str, Any] = source.meta


class AI:
    """``env.AI``. As upstream, the ``last_…`` properties tell of the call that ended last."""

    def __init__(self, name: str, caller: Caller) -> None:
        self._name, self._caller = name, caller
        self.last_request_id: str | None = None
        self.last_request_http_status_code: int | None = None
        self.last_request_internal_status_code: int | None = None
        self.ai_gateway_log_id: str | None = None

    async def run(self, model: str, inputs: Any, options: Any = None) -> Result | AIStream:
        """A ``Result``; with ``"stream": True`` in the inputs an ``AIStream``.

        ``options``: ``signal`` aborts the call and the stream; the others are Workers AI's. Raises
        ``AiError`` for what is refused, the signal's reason when it aborts, ``TypeError`` for inputs that are
        not JSON.
        """
        options = dict(plain_options(options))
        signal = options.get("signal")
        if options.get("returnRawResponse"):
            raise NotImplementedError("env.AI.run: the option returnRawResponse is not served here yet")
        sent = {key: plain(value, key) for key, value in options.items() if key not in LOCAL_OPTIONS}
        call = self._call("run", model, plain(inputs), sent)
        answer = await (call if signal is None else signal.race(call))
        headers = answer["headers"] if isinstance(answer, dict) else answer.meta["headers"]
        self._remember(headers.get("cf-ai-req-id"), 200)
        return Result(answer["result"]) if isinstance(answer, dict) else AIStream(answer, signal)

    async def _call(self, method: str, *args: Any) -> Any:
        try:
            return await self._caller.call(method, *args)
        except RemoteError as error:
            raise self._raised(error) from None

    def _raised(self, error: RemoteError) -> InferenceUpstreamError:
        fields = error.fields
        code, status, request_id = fields.get("code", 0), fields.get("status", 500), fields.get("request_id")
        self._remember(request_id, status, code or None)
        kind = AiError if error.name == "AiError" else InferenceUpstreamError
        return kind(error.message, code=code, status=status, request_id=request_id)

    def _remember(self, request_id: str | None, status: int, code: int | None = None) -> None:
        self.last_request_id, self.last_request_http_status_code = request_id, status
        self.last_request_internal_status_code = code

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"env.AI has no {name!r} here; what it has is:  await env.AI.run(model, inputs)")

    def __repr__(self) -> str:
        return f"<AI {self._name}>"

    lastRequestId = property(lambda self: self.last_request_id)
    lastRequestHttpStatusCode = property(lambda self: self.last_request_http_status_code)
    lastRequestInternalStatusCode = property(lambda self: self.last_request_internal_status_code)
    aiGatewayLogId = property(lambda self: self.ai_gateway_log_id)


def plain(value: Any, at: str = "inputs") -> Any:
    """``value`` as plain JSON values (and bytes). Raises ``TypeError`` that says where something else is."""
    if value is None or isinstance(value, str | int | float | bytes):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item, f"{at}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{at}[{number}]") for number, item in enumerate(value)]
    if isinstance(value, bytearray | memoryview):
        return bytes(value)
    if hasattr(value, "to_py"):  # a proxy of a JavaScript object
        return plain(value.to_py(), at)
    kinds = "str, numbers, bool, None, dict, list or bytes"
    raise TypeError(f"env.AI.run: {at} is a {type(value).__name__}; use {kinds}")


def plain_options(options: Any) -> Mapping[str, Any]:
    """The options as a mapping, their values untouched: a signal is among them."""
    if options is None:
        return {}
    options = options if isinstance(options, Mapping) or not hasattr(options, "to_py") else options.to_py()
    if not isinstance(options, Mapping):
        raise TypeError(f"env.AI.run: options is a {type(options).__name__}; use a dict")
    return options


def _wrapped(value: Any) -> Any:
    if isinstance(value, dict):
        return Result(value)
    return [_wrapped(item) for item in value] if isinstance(value, list) else value


__all__ = ["AI", "AIStream", "AiError", "InferenceUpstreamError", "Result"]
