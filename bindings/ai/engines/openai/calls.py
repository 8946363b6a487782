"""Tool calls as servers stream them, in OpenAI's form: one index for each call, its id and name said once, the
arguments JSON text in pieces. What else a call has (``extra_content``) is kept.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import msgspec

from bindings.ai.engines.accumulator import CALL_KEYS

Piece = dict[str, Any]


class _ToolCall:
    """What has been said of one call."""

    def __init__(self, index: int) -> None:
        self.index, self.id, self.name, self.arguments = index, "", "", ""

    @property
    def is_whole(self) -> bool:
        try:
            return isinstance(msgspec.json.decode(self.arguments), dict)
        except msgspec.DecodeError:
            return False

    def add(self, piece: Piece, function: Piece) -> Piece:
        """The piece in OpenAI's form."""
        arguments = _text(function.get("arguments"))
        self.arguments += arguments
        found: Piece = {"index": self.index}
        if not self.id:
            self.id = str(piece.get("id") or f"call_{uuid.uuid4().hex[:24]}")
            found |= {"id": self.id, "type": "function"}
        named = {}
        if not self.name and (name := function.get("name")):
            self.name = str(name)
            named = {"name": self.name}
        others = {key: value for key, value in piece.items() if key not in CALL_KEYS}
        return {**found, "function": {**named, "arguments": arguments}, **others}


class ToolCallAssembler:
    """The calls of one answer."""

    def __init__(self) -> None:
        self._calls: list[_ToolCall] = []
        self._at: dict[Any, _ToolCall] = {}  # the server's index → the latest call there

    def read(self, pieces: list[Piece]) -> Iterator[Piece]:
        for piece in pieces:
            function = piece.get("function")
            function = function if isinstance(function, dict) else piece
            yield self._of(piece, function).add(piece, function)

    def _of(self, piece: Piece, function: Piece) -> _ToolCall:
        """The call that a piece belongs to. Some servers give no index, or the same to every call."""
        index, id, name = piece.get("index"), piece.get("id"), function.get("name")
        call = self._calls[-1] if index is None and self._calls else self._at.get(index)
        if id and index is None:
            call = next((known for known in self._calls if known.id == id), None)
        if call is None or (name and _is_another(call, id, name, counted=index is not None)):
            call = _ToolCall(len(self._calls))
            self._calls.append(call)
        if index is not None:
            self._at[index] = call
        return call


def _is_another(call: _ToolCall, id: object, name: str, *, counted: bool) -> bool:
    """Whether a piece with a name begins a call of its own."""
    if id:
        return id != call.id and call.is_whole
    return not counted and (name != call.name or call.is_whole)


def _text(arguments: object) -> str:
    """JSON text, also of arguments that came as a value."""
    if isinstance(arguments, str):
        return arguments
    return "" if arguments is None else msgspec.json.encode(arguments).decode()


__all__ = ["ToolCallAssembler"]
