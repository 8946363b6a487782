"""Why a cluster cannot be joined, in words that say what to mend: Ray's own are "Failed to connect", after a while."""

from __future__ import annotations

import asyncio
import os
import re

DIAL_S = 3.0  # for a head to take a connection, and to say its first word
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # gRPC's: RFC 9113, section 3.4
_SETTINGS = 4  # the type of the frame that answers it
_CAUSES = (
    "Usual causes: no Ray node on this machine (ray start --address=HEAD:6379), another version of Ray or Python than "
    "the cluster's, a token that is missing or wrong (RAY_AUTH_MODE=token, ~/.ray/auth_token)."
)
_NODE = re.compile(r"\bip[=:] ?([\d.]+)")
_VERSIONS = re.compile(r"Ray: (\S+)\s+Python: (\S+)")


class Refusal(Exception):
    """What the person has to mend, on its way to the supervisor."""

    def __init__(self, what: str, remedy: str = _CAUSES) -> None:
        self.name, self.fields = "UserError", {"what": what, "remedy": remedy}
        super().__init__(what)


async def check_that_ray_answers(address: str) -> None:
    """Ray itself says so only after minutes. Raises Refusal."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    remedy = "Is it the head's?  ray start --head   prints it."
    try:
        async with asyncio.timeout(DIAL_S):
            reader, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except (OSError, TimeoutError):
        raise Refusal(f"nothing answers at {address}", remedy) from None
    try:
        if os.environ.get("RAY_USE_TLS", "0") == "0" and not await _speaks_grpc(reader, writer):
            raise Refusal(f"nothing of Ray's answers at {address}: what listens there says nothing to it", remedy)
    finally:
        writer.close()


async def _speaks_grpc(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    try:
        async with asyncio.timeout(DIAL_S):
            writer.write(_HELLO)
            return (await reader.readexactly(len(_HELLO) - 24))[3] == _SETTINGS
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return False


def refusal(address: str, error: Exception) -> Refusal:
    """Why Ray has not let us in."""
    text = _chain(error)
    if "InvalidAuthToken" in text or "AuthenticationError" in text:
        return _of_token(address)
    if "Version mismatch" in text and len(found := _VERSIONS.findall(text)) > 1:
        there, here = (f"Ray {ray} and Python {python}" for ray, python in found[:2])
        remedy = "Install the same of both on every machine of the cluster, and here."
        return Refusal(f"the Ray cluster at {address} is of another version: {there} there, {here} here", remedy)
    return Refusal(f"the Ray cluster at {address} cannot be joined: {_first_lines(error)}")


def unfit(error: Exception) -> dict[str, str] | None:
    """An ``Address`` that says why no actor can live on the node that Ray has found for it; None where one has lived,
    and ended."""
    text = _chain(error)
    failed = getattr(error, "actor_init_failed", False)
    if not failed and "ModuleNotFoundError" not in text and "ImportError" not in text:
        return None
    node = found[1] if (found := _NODE.search(text)) else "?"
    return {"node": node, "error": f"another Pilotlight is installed there, or none: {_last_line(text)}"}


def _of_token(address: str) -> Refusal:
    if os.environ.get("RAY_AUTH_MODE") != "token":
        remedy = "Set  RAY_AUTH_MODE=token  here, and have its token in RAY_AUTH_TOKEN or ~/.ray/auth_token."
        return Refusal(f"the Ray cluster at {address} asks for a token, and none is sent", remedy)
    remedy = "It is RAY_AUTH_TOKEN's, or that of ~/.ray/auth_token: the same file on every machine, and here."
    return Refusal(f"the Ray cluster at {address} does not take this host's token: it is missing or wrong", remedy)


def _chain(error: BaseException | None) -> str:
    """All that Ray has said on the way: what matters is often the cause of the cause."""
    said = []
    while error is not None:
        said.append(f"{type(error).__name__}: {error}")
        error = error.__cause__
    return "\n".join(said)


def _last_line(text: str) -> str:
    return next(line for line in reversed(text.splitlines()) if "Error" in line).strip()


def _first_lines(error: Exception) -> str:
    return " ".join(str(error).split())[:600] or type(error).__name__


__all__ = ["Refusal", "check_that_ray_answers", "refusal"]
