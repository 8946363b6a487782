"""``env.AI``, the worker's half, in the isolate: ``await env.AI.run(model, inputs, options)``.

Facts: docs/reference/workers-ai.md#the-binding.

It knows no models: a call goes to the host's half in the supervisor, ``bindings.ai.binding``, and a stream comes
back as a handle, which costs the isolate nothing as long as nobody here reads it.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, Awaitable, Mapping
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import msgspec

from bindings.ai.worker import failures, uploads
from bindings.ai.worker.failures import AiError, InferenceUpstreamError
from bindings.ai.worker.gateway import AIGateway
from bindings.ai.worker.markdown import ToMarkdown
from bindings.ai.worker.values import CallResult, Result, extra_headers, plain, plain_options, wrapped
from runtime.values import JsArray
from runtime.web import AbortSignal, ReadableStream, Response
from runtime.wire import RemoteError

if TYPE_CHECKING:
    from bindings.client import HostCaller

T = TypeVar("T")
LOCAL_OPTIONS = ("signal", "prefix", "extraHeaders", "sessionOptions")  # never sent, as upstream
UNSERVED = {  # upstream has it
    "autorag": "AI Search is not served here",
    "aiSearch": "AI Search is not served here",
    "fetch": "the binding has no wire of its own here; use env.AI.run(model, inputs, options)",
}


class AnswerStream(AsyncIterable[bytes], Protocol):
    """A stream of the supervisor's, by its handle."""

    meta: Mapping[str, Any]


class AIStream(ReadableStream):
    """The answer's bytes as server-sent events. Return it, or iterate over it; unread, it passes through."""

    __slots__ = ("meta",)

    def __init__(self, source: AnswerStream, signal: AbortSignal | None) -> None:
        # The event's own signal needs no watching here: it ends the stream at its source.
        super().__init__(source, signal=None if signal is None or signal.ambient else signal)
        self.meta: Mapping[str, Any] = source.meta


class AI:
    """``env.AI``. As upstream, the ``last_…`` properties tell of the call that ended last."""

    def __init__(self, name: str, caller: HostCaller) -> None:
        self._name, self._caller = name, caller
        self.last_request_id: str | None = None
        self.last_request_http_status_code: int | None = None
        self.last_request_internal_status_code: int | None = None
        self.ai_gateway_log_id: str | None = None

    async def run(self, model: str, inputs: Any, options: object = None) -> Any:
        """A ``Result`` (a list, where the model answers with one); an ``AIStream`` with ``"stream": True``.

        ``options``: ``signal`` aborts the call and the stream, ``returnRawResponse`` makes a ``Response`` of
        the answer, refusals too; the others are Workers AI's. Raises ``AiError`` for what is refused, the
        signal's reason when it aborts, ``TypeError`` for inputs that are not JSON.
        """
        options = dict(plain_options(options))
        signal, headers = options.get("signal"), extra_headers(options)
        if keys := uploads.body_keys(inputs):
            inputs = await _raced(signal, uploads.read(inputs, keys, options))
        sent = {key: plain(value, key) for key, value in options.items() if key not in LOCAL_OPTIONS}
        arguments = ("run", model, plain(inputs), sent, headers)
        if options.get("returnRawResponse"):
            return await self._respond(signal, *arguments)
        answer = await _raced(signal, self._call(*arguments))
        self._remember(_headers(answer), 200)
        return wrapped(answer["result"]) if isinstance(answer, dict) else AIStream(answer, signal)

    async def models(self, params: object = None) -> list[Result]:
        """The catalog: upstream's facts. ``params`` filter it: author, task, search, per_page, page ..."""
        models = await self._call("models", plain(plain_options(params), "params"))
        return JsArray([Result(item) for item in models])

    def gateway(self, id: str) -> AIGateway:
        """An AI Gateway: its logs, and requests that pass it."""
        return AIGateway(id, self._call, self._respond)

    def to_markdown(self, files: object = None, options: object = None) -> Any:
        """Documents as Markdown, to be awaited; without files, a ``ToMarkdown``."""
        converter = ToMarkdown(self._call)
        return converter if files is None else converter.transform(files, options)

    def get_logs(self) -> list[Any]:
        """Empty, as upstream."""
        return []

    async def _call(self, method: str, *args: Any) -> Any:
        """What the host's half answers. Raises the errors of ``bindings.ai.worker.failures``."""
        try:
            return await self._caller.call(method, *args)
        except RemoteError as error:
            self._remember(_error_headers(error), error.fields.get("status", 500), error.fields.get("code") or None)
            raise failures.of(error) from None

    async def _respond(self, signal: AbortSignal | None, method: str, *args: Any) -> Response:
        """The same as a ``Response``, whatever its status."""
        try:
            answer = await _raced(signal, self._caller.call(method, *args))
        except RemoteError as error:
            if "body" not in error.fields:  # the call itself failed
                raise failures.of(error) from None
            headers, status = _error_headers(error), error.fields["status"]
            self._remember(headers, status, error.fields["code"])
            return _json(error.fields["body"], status, headers)
        self._remember(_headers(answer), 200)
        if isinstance(answer, dict):
            return _json(answer["result"], 200, answer["headers"])
        return Response(AIStream(answer, signal), headers=answer.meta["headers"])

    def _remember(self, headers: Mapping[str, str], status: int, code: int | None = None) -> None:
        self.last_request_id, self.last_request_http_status_code = headers.get("cf-ai-req-id"), status
        self.last_request_internal_status_code = code
        self.ai_gateway_log_id = headers.get("cf-aig-log-id")

    def __getattr__(self, name: str) -> Any:
        why = UNSERVED.get(name, "what it has is:  await env.AI.run(model, inputs)")
        raise AttributeError(f"env.AI has no {name!r} here; {why}")

    def __repr__(self) -> str:
        return f"<AI {self._name}>"

    getLogs = get_logs
    toMarkdown = to_markdown
    lastRequestId = property(lambda self: self.last_request_id)
    lastRequestHttpStatusCode = property(lambda self: self.last_request_http_status_code)
    lastRequestInternalStatusCode = property(lambda self: self.last_request_internal_status_code)
    aiGatewayLogId = property(lambda self: self.ai_gateway_log_id)


def _raced(signal: AbortSignal | None, work: Awaitable[T]) -> Awaitable[T]:
    return work if signal is None else signal.race(work)


def _headers(answer: CallResult | AnswerStream) -> Mapping[str, str]:
    headers: Mapping[str, str] = answer["headers"] if isinstance(answer, dict) else answer.meta["headers"]
    return headers


def _error_headers(error: RemoteError) -> dict[str, str]:
    """The headers of an error's answer."""
    request_id = error.fields.get("request_id")
    return {**({"cf-ai-req-id": request_id} if request_id else {}), **error.fields.get("headers", {})}


def _json(body: object, status: int, headers: Mapping[str, str]) -> Response:
    content = msgspec.json.encode(body)
    return Response(content, status=status, headers={"content-type": "application/json", **headers})


__all__ = ["AI", "AIStream", "AiError", "InferenceUpstreamError", "Result"]
