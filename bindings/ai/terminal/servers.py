"""What a running server shows of itself: ``GET /__pilot/state``."""

from __future__ import annotations

import json
import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError

from runtime.deploy.api import Host
from runtime.errors import UserError

PATH = "/__pilot/state"
_TIMEOUT_S = 10.0
_MAX_BYTES = 10_000_000
_TOKEN = "Set the token:  export PILOT_API_TOKEN=..."


class Absent(UserError):
    """``nobody``: nothing listens there; otherwise what answers is no pilot, or does not answer us."""

    def __init__(self, host: Host, what: str, remedy: str = "", *, nobody: bool = False) -> None:
        self.nobody = nobody
        super().__init__(what, where=host.url, remedy=remedy)


def state_of(host: Host) -> dict[str, Any]:
    """Raises Absent."""
    token = {"authorization": f"Bearer {host.token or 'pilot'}"}  # in dev any will do
    request = urllib.request.Request(host.url + PATH, headers=token)  # noqa: S310 (Host wants http or https)
    try:
        with _opener(host).open(request, timeout=_TIMEOUT_S) as response:
            return _checked(host, response.read(_MAX_BYTES))
    except HTTPError as error:
        error.close()
        if error.code in (401, 403):
            raise Absent(host, f"answered {error.code}: it wants another token", _TOKEN) from None
        raise Absent(host, f"what answers there is no pilot (status {error.code})") from None
    except (URLError, HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        what = f"no answer: {reason}"
        remedy = "Is it running?  pilot dev   or:  pilot host"
        raise Absent(host, what, remedy, nobody=isinstance(reason, ConnectionRefusedError)) from None


def _opener(host: Host) -> urllib.request.OpenerDirector:
    """What is on this machine is not behind its proxy."""
    here = host.url.startswith(("http://127.", "http://localhost", "http://[::1]"))
    return urllib.request.build_opener(*([urllib.request.ProxyHandler({})] if here else []))


def _checked(host: Host, body: bytes) -> dict[str, Any]:
    try:
        state = json.loads(body)
        if isinstance(state["onHost"], bool) and isinstance(state["status"], dict) and state["workers"] is not None:
            return dict(state)
    except (ValueError, KeyError, TypeError):
        pass
    raise Absent(host, "what answers there is no pilot")


__all__ = ["Absent", "state_of"]
