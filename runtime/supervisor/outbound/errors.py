"""Why there is no answer."""

from __future__ import annotations

IN_TIME = "no answer in time"


class FetchError(TypeError):
    """There is no answer from ``host``, because of ``cause``: a network error, in the standard."""

    def __init__(self, host: str, cause: str) -> None:
        self.host, self.cause = host, cause
        super().__init__(f"fetch from {host} failed: {cause}")


def cause_of(error: BaseException) -> str:
    """One line a person can act upon."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "no such host"
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "no connection in time"
    if isinstance(error, aiohttp.SocketTimeoutError):
        return "it sends nothing"
    if isinstance(error, aiohttp.ServerDisconnectedError):
        return "it closed the connection"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "its answer ended before its end"
    if isinstance(error, aiohttp.ClientConnectorError):
        return error.os_error.strerror or str(error.os_error)
    return str(error) or type(error).__name__


def text_of(error: BaseException) -> str:
    """Of one of the system's, without its number."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
