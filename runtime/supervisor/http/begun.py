"""A request whose head has come: its scope, of what is used here alone, and whether a proxy speaks for its client."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any
from urllib.parse import unquote

import httptools

from runtime.supervisor.http.asgi import Application, Receive, Scope, Send
from runtime.supervisor.http.heads import is_forwarded

_ASGI = {"version": "3.0", "spec_version": "2.3"}


def scope_of(connection: Any) -> Scope:
    """Raises HttpParserError for a target that is none."""
    parser, url = connection.parser, httptools.parse_url(connection.url)
    path = url.path.decode("ascii")
    return {  # type: ignore[typeddict-unknown-key]
        "type": "http", "asgi": _ASGI, "http_version": parser.get_http_version(),
        "method": parser.get_method().decode("ascii"), "scheme": connection.scheme,
        "path": unquote(path) if "%" in path else path, "raw_path": url.path, "query_string": url.query or b"",
        "root_path": "", "headers": connection.headers, "client": connection.client, "server": connection.server,
    }  # fmt: skip


class IfForwarded:
    """``behind`` for what a proxy has forwarded; a request that came by none pays nothing for it."""

    def __init__(self, application: Application, behind: Application) -> None:
        self._application, self._at_once = application, getattr(application, "at_once", None)
        self._behind = behind

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        application = self._behind if is_forwarded(scope) else self._application
        return application(scope, receive, send)

    def at_once(self, scope: Scope, receive: Receive, send: Send) -> bool:
        return self._at_once is not None and not is_forwarded(scope) and self._at_once(scope, receive, send)


__all__ = ["IfForwarded", "scope_of"]
