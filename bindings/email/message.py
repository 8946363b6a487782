"""``import_from_javascript("cloudflare:email")``: ``EmailMessage``, for ``send`` and ``reply``."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from bindings.client import HostCaller
from runtime.web import Blob, ReadableStream


class EmailMessage:
    """``EmailMessage.new(from, to, raw)``: the envelope's addresses, and a whole message as text, bytes or a stream.
    ``from`` is a word of Python's: ``getattr(message, "from")``, ``message["from"]``."""

    def __init__(self, from_: str, to: str, raw: object) -> None:
        setattr(self, "from", from_)
        self.to, self.raw = to, raw

    @classmethod
    def new(cls, from_: str, to: str, raw: object) -> EmailMessage:
        """How Pyodide spells JavaScript's ``new``."""
        return cls(from_, to, raw)

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)


def module(name: str, caller: HostCaller) -> SimpleNamespace:
    """What the module has."""
    return SimpleNamespace(EmailMessage=EmailMessage)


def call_of(message: object, whole: str, built: str) -> tuple[str, list[object]]:
    """(method of the host's half, its arguments), for a message in either of its forms."""
    if isinstance(message, EmailMessage):
        return whole, [message["from"], message.to, _raw(message.raw)]
    if not isinstance(message, dict):
        raise TypeError(f"a message is an EmailMessage or a dict, not {type(message).__name__}")
    return built, [message]


def _raw(value: object) -> object:
    if isinstance(value, Blob | bytearray):
        return bytes(value)
    if hasattr(value, "__aiter__") and not isinstance(value, ReadableStream):
        return ReadableStream(value)
    return value


__all__ = ["EmailMessage", "call_of", "module"]
