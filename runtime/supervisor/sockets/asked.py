"""What is looked at before any socket is open."""

from __future__ import annotations

from runtime.web.headers import RawHeaders

_SINCE, _ON, _OFF = "2023-08-15", "web_socket_compression", "no_web_socket_compression"


def asks(headers: RawHeaders) -> bool:
    """Whether a request with these headers asks for a WebSocket."""
    return any(name.lower() == b"upgrade" and value.strip().lower() == b"websocket" for name, value in headers)


def deflates(date: str | None, flags: tuple[str, ...]) -> bool:
    """Whether a worker of this compatibility date speaks permessage-deflate: upstream's ``web_socket_compression``."""
    if _ON in flags or _OFF in flags:
        return _ON in flags
    return date is None or date >= _SINCE


__all__ = ["asks", "deflates"]
