"""What can come back instead of an answer."""

from __future__ import annotations

from typing import Any, NoReturn

import msgspec

MAX_TEXT_CHARS = 64 * 1024  # characters of an error's text or field: it must reach whoever waits, in one frame
_MAX_NAME = 200  # characters of the name of an error, or of one of its fields
_MAX_FIELDS = 16
_PLAIN = (str, int, float, bool, type(None))


class RemoteError(Exception):
    """The peer's handler (or the source of a stream) raised: its class ``name``, ``message`` and ``fields``."""

    def __init__(self, name: str, message: str, fields: dict[str, Any] | None = None) -> None:
        self.name, self.message, self.fields = name, message, fields or {}
        super().__init__(f"{name}: {message}")


class ChannelClosed(Exception):
    """The peer is gone; whatever was awaited from it will not come."""

    def __init__(self) -> None:
        super().__init__("the other process is gone")


def describe(error: BaseException) -> tuple[str, str, dict[str, Any]]:
    """An exception as it crosses: its name, its text, its plain fields. One with ``fields`` has a name to go by."""
    if isinstance(error, RemoteError):
        return error.name, error.message, error.fields
    fields = getattr(error, "fields", None)
    name = type(error).__name__ if fields is None else getattr(error, "name", type(error).__name__)
    try:
        description = name, str(error)[:MAX_TEXT_CHARS], {key: _short(value) for key, value in (fields or {}).items()}
        msgspec.msgpack.encode(description)
    except Exception:  # a text or a field that no frame can hold; whoever waits must hear of it all the same
        return type(error).__name__, ascii(error.args)[:1000], {}
    return description


async def no_calls(op: str, args: list[Any]) -> NoReturn:
    """The handler of a channel whose peer answers, and asks for nothing itself."""
    raise ValueError(f"{op!r}: nothing is asked this way")


def clipped(name: object, message: object, fields: object) -> tuple[str, str, dict[str, Any]]:
    """What ``describe`` gives, of a peer that may have made up anything. Raises TypeError for what it cannot be."""
    if not (isinstance(name, str) and isinstance(message, str) and isinstance(fields, dict)):
        raise TypeError("an error that is none")
    plain = {key: value for key, value in list(fields.items())[:_MAX_FIELDS] if isinstance(value, _PLAIN)}
    return (
        name[:_MAX_NAME],
        message[:MAX_TEXT_CHARS],
        {str(key)[:_MAX_NAME]: _short(value) for key, value in plain.items()},
    )


def _short(value: object) -> object:
    return value[:MAX_TEXT_CHARS] if isinstance(value, str) else value
