"""What only llama.cpp's HTTP server answers: its templates, its tokenizer, what the model is.

Few and short questions over a Unix socket, each in a thread and on a connection of its own: the server closes kept ones
when it likes, under a question too. ``http.client`` does for that; aiohttp would take 0.1 s of an engine's start.
"""

from __future__ import annotations

import asyncio
import socket
from http.client import HTTPConnection
from typing import Any

import msgspec

from bindings.ai.engines.llamacpp.read import refusal

_TIMEOUT_S = 60


class Questions:
    """``path``: of the server's socket."""

    def __init__(self, path: str) -> None:
        self._path = path

    async def ask(self, route: str, fields: dict[str, Any] | None = None) -> dict[str, Any]:
        """A POST of ``fields``, or a GET. Raises EngineError where it is refused, OSError where nobody answers."""
        answer = await asyncio.to_thread(self._answer, route, fields)
        if "error" in answer:
            raise refusal(answer["error"])
        return answer

    def _answer(self, route: str, fields: dict[str, Any] | None) -> dict[str, Any]:
        connection = _UnixConnection(self._path, timeout=_TIMEOUT_S)
        try:
            if fields is None:
                connection.request("GET", route)
            else:
                connection.request("POST", route, msgspec.json.encode(fields), {"content-type": "application/json"})
            return msgspec.json.decode(connection.getresponse().read(), type=dict[str, Any])
        finally:
            connection.close()


class _UnixConnection(HTTPConnection):
    """``host`` is a path."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.host)


__all__ = ["Questions"]
