"""What a worker sends, from its checks to the disk. Nothing of it leaves the machine."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bindings.base import CallError, ProductContext, WorkerStream
from bindings.email import building
from bindings.email.rules import MAX_MESSAGE_BYTES, Allowed, check_outgoing, head_of, refused
from bindings.email.store import Kind, Mailbox

_MAX_SHOWN = 120  # characters of a subject in the terminal


async def send(post: Post, allowed: Allowed, sender: object, to: object, raw: object) -> str:
    """``send(EmailMessage)``: its Message-ID, once it is kept. Raises CallError."""
    sender, to = text_of(sender, "from"), text_of(to, "to")
    allowed.check(sender, [to])
    content = await content_of(raw)
    head = head_of(content)
    message_id = check_outgoing(sender, head)
    await post.keep("sent", sender, [to], content, head.subject)
    return message_id


async def send_built(post: Post, allowed: Allowed, value: object) -> str:
    """``send({...})``: its Message-ID, once it is kept. Raises CallError."""
    given = building.parse(value)
    built = await asyncio.to_thread(building.build, given)
    allowed.check(built.sender, built.recipients)
    check_size(len(built.raw))
    await post.keep("sent", built.sender, built.recipients, built.raw, given.subject)
    return built.message_id


class Post:
    """Where one worker's messages go: its mailbox, and a line in the terminal."""

    def __init__(self, context: ProductContext, worker: str, mailbox: Mailbox) -> None:
        self._context, self._worker, self.mailbox = context, worker, mailbox

    async def keep(self, kind: Kind, sender: str, recipients: Sequence[str], raw: bytes, subject: str) -> None:
        """Raises CallError: the disk."""
        try:
            path = await self.mailbox.keep(kind, sender, recipients, raw)
        except OSError as error:
            raise refused(f"the message cannot be kept: {error.strerror}") from None
        self.tell(kind, sender, recipients, subject, path)

    def tell(self, kind: Kind, sender: str, recipients: Sequence[str], subject: str, path: Path) -> None:
        whose = f"{self._worker}: " if self._context.on_host else ""
        root = self._context.root
        where = path.relative_to(root) if path.is_relative_to(root) else path
        more = f" and {len(recipients) - 1} more" if len(recipients) > 1 else ""
        line = " ".join(f"{sender} to {recipients[0]}{more}: {subject[:_MAX_SHOWN]}".split())
        self._context.observer.note(f"{whose}email {kind}: {line}   {where}")


async def content_of(raw: object) -> bytes:
    """Raises CallError: it is too large, or no message at all."""
    if isinstance(raw, str):
        raw = raw.encode("utf-8", "replace")
    if isinstance(raw, bytes):
        check_size(len(raw))
        return raw
    if not isinstance(raw, WorkerStream):
        raise CallError("TypeError", "an EmailMessage's raw is text, bytes or a ReadableStream")
    chunks, size = list[bytes](), 0
    async for chunk in raw:
        chunks.append(chunk)
        size += len(chunk)
        check_size(size)
    return b"".join(chunks)


def check_size(size: int) -> None:
    if size > MAX_MESSAGE_BYTES:
        raise refused(f"the message has more than {MAX_MESSAGE_BYTES // 1024**2} MiB")


def text_of(value: Any, name: str) -> str:
    if not isinstance(value, str) or not value:
        raise CallError("TypeError", f"an EmailMessage's {name} is an address")
    return value


__all__ = ["Post", "check_size", "content_of", "send", "send_built", "text_of"]
