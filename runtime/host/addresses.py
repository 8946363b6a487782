"""Which addresses a worker may reach from a host: the public ones. Asked right before each connection is made, so that
neither DNS nor a redirect leads elsewhere."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence

from runtime.errors import UserError

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address


def rule(allowed: Sequence[str]) -> Callable[[Address], bool]:
    """Public addresses, and those of the networks ``allowed`` (``10.1.0.0/16``). Raises UserError."""
    try:
        networks = [ipaddress.ip_network(text) for text in allowed]
    except ValueError as error:
        raise UserError(str(error), where="--allow", remedy="Write:  --allow 10.1.0.0/16") from None

    def allow(address: Address) -> bool:
        inner = _inner(address)
        return is_public(inner) or any(candidate in network for network in networks for candidate in {address, inner})

    return allow


def is_public(address: Address) -> bool:
    """Not this machine, not its networks, not a cloud's metadata (169.254.169.254), nobody's group."""
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _inner(address: Address) -> Address:
    """The IPv4 address that an IPv6 one stands for, where it does."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo[1] if address.teredo else None
    return address.ipv4_mapped or address.sixtofour or teredo or address


__all__ = ["is_public", "rule"]
