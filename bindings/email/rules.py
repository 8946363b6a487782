"""Which messages may leave, in upstream's words. https://developers.cloudflare.com/email-routing/email-workers/"""

from __future__ import annotations

import re
import secrets
import string
from collections.abc import Iterable

import msgspec

from bindings.email.head import Head
from bindings.messages import CallError

MAX_MESSAGE_BYTES = 25 * 1024 * 1024
MAX_REFERENCES = 100
_ALPHABET = string.ascii_letters + string.digits
_ADDRESS = re.compile(r"[^\s<>,;:\"()\[\]@]+@[^\s<>,;:\"()\[\]@]+")


class Allowed(msgspec.Struct, frozen=True):
    """Of one binding: who may write to whom; None: everyone."""

    destination: str | None = None
    destinations: frozenset[str] | None = None
    senders: frozenset[str] | None = None

    def check(self, sender: str, recipients: Iterable[str]) -> None:
        """Raises CallError."""
        if self.senders is not None and sender not in self.senders:
            raise refused(f"email from {sender} not allowed")
        for to in recipients:
            other = self.destination is not None and to != self.destination
            if other or (self.destinations is not None and to not in self.destinations):
                raise refused(f"email to {to} not allowed")


def refused(text: str) -> CallError:
    return CallError("Error", text)


def head_of(raw: bytes) -> Head:
    """Raises CallError."""
    try:
        return Head(raw)
    except ValueError as error:
        raise refused(f"could not parse email: {error}") from None


def check_outgoing(sender: str, head: Head) -> str:
    """What a message must be that goes out; its Message-ID. Raises CallError."""
    if head.message_id is None:
        raise refused("invalid message-id")
    if head.sender != sender:
        raise refused("From: header does not match mail from")
    if head.get("received") is not None:
        raise refused("invalid headers set")
    return head.message_id


def check_replyable(incoming: Head) -> None:
    """Raises CallError: no worker may answer this one."""
    references, in_reply_to = incoming.get("references"), incoming.get("in-reply-to")
    automatic = (incoming.get("x-auto-response-suppress") or "none").lower() != "none"
    automatic = automatic or (incoming.get("auto-submitted") or "no").lower() != "no"
    half = (references is None) != (in_reply_to is None)
    if automatic or half or (references or "").count("@") >= MAX_REFERENCES:
        raise refused("Original email is not replyable")


def checked_reply(incoming: Head, sender: str, raw: bytes) -> bytes:
    """The reply with the References it must have. Raises CallError."""
    reply = head_of(raw)
    check_outgoing(sender, reply)
    mine, before = incoming.message_id or "", incoming.get("references") or ""
    if (answers := reply.get("in-reply-to")) is None:
        raise refused("no In-Reply-To header found in reply message")
    if answers != mine:
        raise refused("In-Reply-To does not match original Message-ID")
    if (references := reply.get("references")) is None:
        return f"References: {mine} {before}".rstrip().encode("utf-8", "replace") + b"\r\n" + raw
    if mine not in references or before not in references:
        raise refused("provided References header is invalid")
    return raw


def new_message_id(address: str) -> str:
    """As the service makes them: 36 letters and digits at the address's domain."""
    name = "".join(secrets.choice(_ALPHABET) for _ in range(36))
    return f"<{name}@{address.rpartition('@')[2]}>"


def is_address(text: str) -> bool:
    return len(text) <= 320 and _ADDRESS.fullmatch(text) is not None


__all__ = [
    "MAX_MESSAGE_BYTES", "Allowed", "check_outgoing", "check_replyable", "checked_reply", "head_of", "is_address",
    "new_message_id", "refused",
]  # fmt: skip
