"""How a product answers a worker's requests ahead of it: ``Product.responder`` makes one for each version."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from bindings.storage.file_body import FileBody


class RequestHead(NamedTuple):
    """A request of a worker's, less its body, as it came in."""

    method: str
    scheme: str
    host: str  # with its port
    path: str  # percent-encoded, as it was sent
    query: str  # without "?"
    headers: Sequence[tuple[bytes, bytes]]  # names in lower case
    prefix: str = ""  # of the path under which the worker is served, which it does not see


class Answer(NamedTuple):
    """What a ``Responder`` answers with. The length is said for it."""

    status: int
    headers: list[tuple[bytes, bytes]]  # names in lower case
    body: bytes | FileBody = b""


class Responder(Protocol):
    """What answers requests ahead of a worker, in the supervisor: the worker is not asked."""

    async def answer(self, head: RequestHead) -> Answer | None:
        """None: the worker's to answer. Always an answer where the worker has no script."""


__all__ = ["Answer", "FileBody", "RequestHead", "Responder"]
