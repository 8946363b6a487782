"""``env.AUTH`` of ``[[services]]``, the worker's half."""

from __future__ import annotations

from runtime.isolate.calls.service import Service
from runtime.isolate.remote import Caller


class Fetcher(Service):
    def __init__(self, name: str, caller: Caller) -> None:
        super().__init__(caller.line, name)


__all__ = ["Fetcher"]
