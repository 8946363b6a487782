"""``env.NAME`` of a Durable Object namespace: ids, and stubs. Facts: docs/reference/bindings.md#durable-objects.

https://developers.cloudflare.com/durable-objects/api/namespace/
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any

from bindings.client import BindingClient, js_exception
from bindings.durable_objects import ids
from bindings.durable_objects.ids import DurableObjectId
from runtime.isolate.remote import Caller, FetchedSocket
from runtime.values import JsException, js_string, to_wire
from runtime.web import ReadableStream, Request, Response
from runtime.wire import RemoteError

NO_JURISDICTIONS = "Jurisdiction restrictions are not implemented in workerd."
NOT_AN_ID = "Failed to execute 'get' on 'DurableObjectNamespace': parameter 1 is not of type 'DurableObjectId'."


class DurableObjectNamespace(BindingClient):
    product = "DurableObjectNamespace"

    def __init__(self, name: str, caller: Caller, namespace: str) -> None:
        super().__init__(name, caller)
        self._way, self._namespace = caller, namespace

    def idFromName(self, name: object) -> DurableObjectId:
        return ids.from_name(self._namespace, name if isinstance(name, str) else js_string(to_wire(name)))

    def newUniqueId(self, options: Mapping[str, object] | None = None, **more: object) -> DurableObjectId:
        """Raises JsException: another ``jurisdiction`` than anywhere."""
        if {**(options or {}), **more}.get("jurisdiction") is not None:
            raise JsException(NO_JURISDICTIONS)
        return ids.unique(self._namespace)

    def idFromString(self, text: object) -> DurableObjectId:
        """Of what ``toString`` gave. Raises JsException (TypeError)."""
        try:
            return ids.from_hex(self._namespace, str(text))
        except ValueError as error:
            raise JsException(str(error), "TypeError") from None

    def get(self, id: object, options: Mapping[str, object] | None = None, **more: object) -> DurableObjectStub:
        """A way to the object; a ``locationHint`` has no effect. Raises JsException (TypeError)."""
        if not isinstance(id, DurableObjectId):
            raise JsException(NOT_AN_ID, "TypeError")
        return DurableObjectStub(self._name, self._way, id)

    def getByName(self, name: object, options: Mapping[str, object] | None = None, **more: object) -> DurableObjectStub:
        return DurableObjectStub(self._name, self._way, self.idFromName(name))

    def jurisdiction(self, name: object) -> DurableObjectNamespace:
        """Raises JsException, except for None: anywhere."""
        if name is not None:
            raise JsException(NO_JURISDICTIONS)
        return self


class DurableObjectStub:
    """``await stub.fetch(url)``, ``await stub.method(...)``. One that has heard of its object's reset says so ever
    after: ask the namespace for another one."""

    def __init__(self, binding: str, caller: Caller, id: DurableObjectId) -> None:
        self._binding, self._caller, self.id = binding, caller, id
        self._broken: JsException | None = None

    @property
    def name(self) -> str | None:
        return self.id.name

    async def fetch(self, resource: object, init: Mapping[str, Any] | None = None, **options: Any) -> Response:
        """Its class's ``fetch``: ``resource`` is an absolute URL, or a Request. Raises JsException."""
        request = _request(resource, init, options)
        method, url, headers, body = request.to_parts()
        sent = body if body is None or isinstance(body, bytes) else ReadableStream(body)
        answer = await self._ask("fetch", method, url, headers, sent)
        if isinstance(answer, FetchedSocket):
            status, text, fields = answer.meta["head"]
            response = Response.from_parts(status, text, fields, None, url=url)
            response.web_socket = answer.socket
            return response
        status, text, fields, content = answer if isinstance(answer, list) else (*answer.meta["head"], answer)
        return Response.from_parts(status, text, fields, content, url=url)

    async def _invoke(self, method: str, /, *args: object, **options: object) -> Any:
        address = [self.id.toString(), self.id.name]
        return await self._heard(self._caller.line.call(self._binding, address, method, args, options))

    async def _ask(self, kind: str, *args: object) -> Any:
        return await self._heard(self._caller.call(kind, self.id.toString(), self.id.name, *args))

    async def _heard(self, answer: Coroutine[Any, Any, Any]) -> Any:
        if self._broken is not None:
            answer.close()
            raise self._broken.with_traceback(None)
        try:
            return await answer
        except RemoteError as error:
            failure = js_exception(error)
        except JsException as error:
            failure = error
        if getattr(failure, "durableObjectReset", False):
            self._broken = failure
        raise failure

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        if name.startswith("__"):
            raise AttributeError(name)
        return partial(self._invoke, name)

    def __repr__(self) -> str:
        return f"<DurableObjectStub {self.id}>"


def _request(resource: object, init: Mapping[str, Any] | None, options: Mapping[str, Any]) -> Request:
    if isinstance(resource, Request) and init is None and not options:
        return resource
    try:
        return Request(resource, init, **options)
    except TypeError as error:
        if not isinstance(resource, Request) and "://" not in str(resource):
            raise JsException(f"Invalid URL: {resource}", "TypeError") from None
        raise error from None


__all__ = ["DurableObjectNamespace", "DurableObjectStub"]
