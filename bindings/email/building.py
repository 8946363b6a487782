"""``send({"from": ..., "to": ..., "subject": ..., "text": ...})``: the message that it stands for."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formataddr, formatdate
from typing import Any, Literal

import msgspec

from bindings.email.head import NAME
from bindings.email.rules import is_address, new_message_id, refused

MAX_RECIPIENTS = 50  # of one message, as the service has it
MAX_ATTACHMENTS = 32
_NAMED = re.compile(r"\s*\"?([^\"<>]*?)\"?\s*<([^<>]+)>\s*")
_OURS = frozenset(("from", "to", "cc", "bcc", "reply-to", "subject", "message-id", "mime-version", "content-type",
                   "content-transfer-encoding", "date"))  # fmt: skip


class Address(msgspec.Struct, frozen=True):
    email: str
    name: str = ""

    @property
    def text(self) -> str:
        return formataddr((self.name, self.email), "utf-8") if self.name else self.email


Who = str | Address
Many = Who | list[Who]


class Attachment(msgspec.Struct, frozen=True, rename="camel"):
    """``content``: bytes, or base64."""

    filename: str
    content: object
    type: str = "application/octet-stream"
    disposition: Literal["attachment", "inline"] = "attachment"
    content_id: str | None = None


class Builder(msgspec.Struct, frozen=True, rename="camel"):
    sender: Who = msgspec.field(name="from")
    subject: str
    to: Many | None = None
    cc: Many | None = None
    bcc: Many | None = None
    reply_to: Who | None = None
    text: str | None = None
    html: str | None = None
    headers: dict[str, str] | None = None
    attachments: list[Attachment] | None = None


class Built(msgspec.Struct, frozen=True):
    """``recipients``: all of them, whom the message does not name as well."""

    sender: str
    recipients: list[str]
    message_id: str
    raw: bytes


def parse(value: object) -> Builder:
    """Raises CallError."""
    try:
        return msgspec.convert(value, Builder)
    except (msgspec.ValidationError, RecursionError) as error:
        raise refused(f"the message cannot be used: {error}") from None


def build(given: Builder, extra: Sequence[tuple[str, str]] = ()) -> Built:
    """``extra``: headers of ours. Raises CallError."""
    sender, to = _address(given.sender), _addresses(given.to)
    cc, bcc = _addresses(given.cc), _addresses(given.bcc)
    recipients = [one.email for one in (*to, *cc, *bcc)]
    if not 1 <= len(recipients) <= MAX_RECIPIENTS:
        raise refused(f"a message has 1 to {MAX_RECIPIENTS} recipients, not {len(recipients)}")
    headers = {name.lower(): (name, value) for name, value in (given.headers or {}).items()}
    message_id = headers.get("message-id", ("", ""))[1] or new_message_id(sender.email)
    own = [("From", sender.text), ("To", _joined(to)), ("Cc", _joined(cc)), ("Subject", given.subject),
           ("Date", formatdate()), ("Message-ID", message_id), *extra,
           ("Reply-To", _address(given.reply_to).text if given.reply_to else "")]  # fmt: skip
    named = _OURS | {name.lower() for name, _ in extra}
    own += [pair for name, pair in headers.items() if name not in named]
    if not all(NAME.fullmatch(name) for name, _ in own):
        raise refused("the message cannot be made: a header's name is none")
    try:
        message = _message(given)
        for name, value in own:
            if value:
                message[name] = value
        return Built(sender.email, recipients, message_id, message.as_bytes())
    except (ValueError, LookupError, TypeError, IndexError) as error:  # a line end in a header, a type that is none
        raise refused(f"the message cannot be made: {error}") from None


def _message(given: Builder) -> EmailMessage:
    message = EmailMessage(SMTP)
    attachments = given.attachments or []
    if len(attachments) > MAX_ATTACHMENTS:
        raise ValueError(f"{len(attachments)} attachments; {MAX_ATTACHMENTS} are the most")
    message.set_content(_clean(given.text if given.text is not None or given.html is not None else ""))
    if given.html is not None and given.text is None:
        message.set_content(_clean(given.html), subtype="html")
    elif given.html is not None:
        message.add_alternative(_clean(given.html), subtype="html")
    for one in attachments:
        kind, _, subtype = one.type.partition(";")[0].strip().partition("/")
        options: dict[str, Any] = {"cid": f"<{one.content_id}>"} if one.content_id else {}
        message.add_attachment(_bytes(one.content), kind, subtype or "octet-stream", filename=one.filename,
                               disposition=one.disposition, **options)  # fmt: skip
    return message


def _clean(text: str | None) -> str:
    return (text or "").encode("utf-8", "replace").decode()


def _bytes(content: object) -> bytes:
    if isinstance(content, bytes):
        return content
    if not isinstance(content, str):
        raise TypeError("an attachment's content is bytes, or base64")
    try:
        return base64.b64decode(content, validate=True)
    except (binascii.Error, ValueError):
        return content.encode("utf-8", "replace")  # upstream's local server keeps text as it is


def _addresses(many: Many | None) -> list[Address]:
    if many is None:
        return []
    return [_address(one) for one in (many if isinstance(many, list) else [many])]


def _address(who: Who) -> Address:
    """``ann@example.com``, ``Ann <ann@example.com>`` or ``{email, name}``. Raises CallError."""
    if isinstance(who, str):
        named = _NAMED.fullmatch(who[:1000])
        who = Address(named[2].strip(), named[1]) if named else Address(who.strip())
    if not is_address(who.email):
        raise refused(f"{who.email[:100]!r} is not an email address")
    return who


def _joined(addresses: Sequence[Address]) -> str:
    return ", ".join(one.text for one in addresses)


__all__ = ["Builder", "Built", "build", "parse"]
