"""Whether a client that has sent its last byte is still there to read.

Such a client (``nc -N``, some health checks) has shut down one half of its connection. One that leaves closes its
socket. A FIN is all that comes of either. Three things tell them apart:

* A reset, or a write that fails: what is written to a closed socket is answered so by its kernel.
* For a client on this machine Linux knows: a socket that no process holds has no inode (``sock_diag``).
* Any other is asked before its answer begins: ``100 Continue`` means nothing and is skipped (RFC 9110, section
  15.2.1); a closed socket resets.
"""

from __future__ import annotations

import asyncio
import ipaddress
import select
import socket
import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

_FIRST_DELAY_S, _MAX_DELAY_S = 0.005, 0.5  # seconds to the first look, and between two of them in the end
_INTERIM_RESPONSE = b"HTTP/1.1 100 Continue\r\n\r\n"
_NETLINK_SOCK_DIAG, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST = 4, 20, 1  # linux/netlink.h, linux/sock_diag.h
_ALL_BITS = 0xFFFFFFFF
_NO_COOKIE = struct.pack("=II", _ALL_BITS, _ALL_BITS)
_INODE_FIELD = slice(16 + 68, 16 + 72)  # of an inet_diag_msg behind its nlmsghdr

Address = tuple[str, int]


class Watch:
    """Looks after a half-closed connection until it closes. ``silent()``: nothing of an answer has been sent, and an
    interim one may be."""

    def __init__(self, transport: Any, client: Address, server: Address, silent: Callable[[], bool]) -> None:
        self._transport, self._ends, self._silent = transport, (client, server), silent
        self._descriptor = transport.get_extra_info("socket").fileno()
        self._asked = False
        self._wait(_FIRST_DELAY_S)

    def _wait(self, delay: float) -> None:
        asyncio.get_running_loop().call_later(delay, self._look, min(2 * delay, _MAX_DELAY_S))

    def _look(self, next_delay: float) -> None:
        if self._transport.is_closing():
            return
        held = False if is_reset(self._descriptor) else is_held(*self._ends)
        if held is False:
            self._transport.abort()
            return
        if held is None and not self._asked and self._silent():
            self._asked = True
            self._transport.write(_INTERIM_RESPONSE)
        self._wait(next_delay)


def is_reset(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return bool(poll.poll(0))


def is_held(client: Address, server: Address) -> bool | None:
    """Whether a process holds the client's end. None: it is not on this machine, or nobody can tell."""
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as kernel:
            kernel.setblocking(False)
            kernel.send(_question(client, server))
            answer = kernel.recv(4096)
    except (AttributeError, OSError, ValueError):  # not Linux; a kernel without it
        return None
    _, kind = struct.unpack_from("=IH", answer)
    return any(answer[_INODE_FIELD]) if kind == _SOCK_DIAG_BY_FAMILY else None  # else there is no such socket here


def _question(client: Address, server: Address) -> bytes:
    """An inet_diag_req_v2 for the one TCP socket between these addresses, as its owner sees them."""
    here, there = (_plain(address[0]) for address in (client, server))
    family = socket.AF_INET if here.version == 4 else socket.AF_INET6
    ends = struct.pack("!HH", client[1], server[1]) + here.packed.ljust(16, b"\0") + there.packed.ljust(16, b"\0")
    query = (
        struct.pack("=BBBBI", family, socket.IPPROTO_TCP, 0, 0, _ALL_BITS) + ends + struct.pack("=I", 0) + _NO_COOKIE
    )
    return struct.pack("=IHHII", 16 + len(query), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0) + query


@lru_cache(1024)
def _plain(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address
