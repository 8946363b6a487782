"""Cloudflare's REST API for what a product keeps, below ``/client/v4/accounts/{account}/``: one table per product.

A product's ``routes`` are ``rest_routes("storage/kv", "bindings.kv.rest:api", context)`` of ``bindings.base``: nothing
of this is imported before the first call. ``api(context)`` is an ``Api``, made of entries; the commands of ``pilot``
ask one of the same entries (``bindings/target.py``).
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import parse_qs

import msgspec

from runtime.api import bounded_json, envelope
from runtime.errors import PilotError, UserError
from runtime.web import Request, Response

NO_ROUTE, NO_METHOD, BAD_BODY, BROKEN = 7003, 10405, 10026, 10500
T = TypeVar("T")

Handler = Callable[..., Awaitable[object]]  # (request, **path) → the result, a Listed, or a Response
Entry = tuple[str, str, Handler]  # method, path below the product's: "namespaces/{id}/values/{key:path}"


class ApiError(Exception):
    """An answer with an error ``code`` of Cloudflare's API and an HTTP ``status``."""

    def __init__(self, status: int, code: int, message: str) -> None:
        self.status, self.code, self.message = status, code, message
        super().__init__(message)


class Listed(NamedTuple):
    """A result, and what stands beside it as ``result_info``."""

    result: object
    info: Mapping[str, object]


class Api:
    """``prefix``: below the account, without slashes at its ends. Every answer is in the envelope, errors too."""

    def __init__(self, prefix: str, entries: Iterable[Entry]) -> None:
        self.prefix = prefix
        self._entries = [(method, re.compile(_pattern(path)), handler) for method, path, handler in entries]

    async def __call__(self, request: Request, path: str) -> Response:
        """``path``: decoded, below the prefix."""
        try:
            handler, parts = self._found(request.method, path.strip("/"))
            done = await handler(request, **parts)
        except Exception as error:
            return _answer(error)
        if isinstance(done, Response):
            return done
        if isinstance(done, Listed):
            return ok(done.result, result_info=done.info)
        return ok(done)

    def _found(self, method: str, path: str) -> tuple[Handler, dict[str, str]]:
        """Raises ApiError."""
        matches = [
            (kind, handler, found) for kind, pattern, handler in self._entries if (found := pattern.fullmatch(path))
        ]
        for kind, handler, found in matches:
            if kind == method:
                return handler, found.groupdict()
        if matches:
            allowed = ", ".join(dict.fromkeys(kind for kind, _, _ in matches))
            raise ApiError(405, NO_METHOD, f"{method} is not allowed here; use {allowed}")
        whole = f"/accounts/.../{self.prefix}/{path}"
        raise ApiError(404, NO_ROUTE, f"Could not route to {whole:.200}, perhaps your object identifier is invalid?")


def ok(result: object, **more: object) -> Response:
    return json_answer(envelope.success(result, **more))


def json_answer(body: object, status: int = 200) -> Response:
    return Response(msgspec.json.encode(body), status=status, headers={"content-type": "application/json"})


async def body_of(request: Request, kind: type[T]) -> T:
    """The body, whatever its content type says. Raises ApiError."""
    try:
        return msgspec.convert(bounded_json.decode(await request.bytes() or b"{}"), kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise ApiError(400, BAD_BODY, f"the body cannot be used: {error}") from None


def query_of(request: Request) -> dict[str, str]:
    """The last value of each parameter."""
    found = parse_qs(request.url.partition("?")[2], keep_blank_values=True)
    return {name: values[-1] for name, values in found.items()}


def number_of(query: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    """Raises ApiError."""
    try:
        value = int(query.get(name) or default)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        raise ApiError(400, BAD_BODY, f"{name} must be a whole number from {least} to {most}")
    return value


def page_of(items: Sequence[Any], query: Mapping[str, str], most: int = 1000) -> Listed:
    """One page by ``page`` and ``per_page``; past the end an empty one, which is how wrangler knows."""
    page, size = number_of(query, "page", 1, 1, 10**9), number_of(query, "per_page", 20, 1, most)
    shown = items[(page - 1) * size : page * size]
    return Listed(shown, {"page": page, "per_page": size, "count": len(shown), "total_count": len(items)})


def _answer(error: Exception) -> Response:
    if isinstance(error, ApiError):
        return _failed(error.status, error.code, error.message)
    if isinstance(error, UserError):
        return _failed(400, BAD_BODY, str(error))
    if isinstance(error, PilotError | OSError):  # the disk
        return _failed(507, BROKEN, str(error))
    raise error


def _failed(status: int, code: int, message: str) -> Response:
    return json_answer(envelope.failure([{"code": code, "message": message}]), status)


def _pattern(path: str) -> str:
    """``{name}`` is one part of a path, ``{name:path}`` all that is left."""
    pieces = re.split(r"\{(\w+)(:path)?\}", path)
    pattern = re.escape(pieces[0])
    for name, rest, literal in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        pattern += f"(?P<{name}>{'.+' if rest else '[^/]+'}){re.escape(literal)}"
    return f"(?s:{pattern})"


__all__ = [
    "BAD_BODY", "Api", "ApiError", "Entry", "Handler", "Listed", "body_of", "json_answer", "number_of",
    "ok", "page_of", "query_of",
]  # fmt: skip
