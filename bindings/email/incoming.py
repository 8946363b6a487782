"""Mail that comes in: an address of ``pilot dev`` takes it, the worker's ``email`` handler deals with it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import msgspec

from bindings.base import CallError, Event, HostStream, ProductContext
from bindings.email import MODULE, building
from bindings.email.head import Head
from bindings.email.posting import Post, content_of, text_of
from bindings.email.rules import (
    MAX_MESSAGE_BYTES,
    check_replyable,
    checked_reply,
    head_of,
    is_address,
    new_message_id,
    refused,
)
from bindings.rest import query_of
from runtime.errors import ScriptError, UserError
from runtime.web import Request, Response

_MAX_ACTIONS = 100  # forwards and replies of one message
_CHUNK_BYTES = 64 * 1024
_INVALID = (
    "Invalid email. Your request must include URL parameters specifying the `from` and `to` addresses, "
    "as well as an email in the body"
)


class Incoming:
    """One message while the worker deals with it, and what it has done so far."""

    def __init__(self, sender: str, to: str, raw: bytes, head: Head) -> None:
        self.sender, self.to, self.raw, self.head = sender, to, raw, head
        self.forwards: list[dict[str, object]] = []
        self.replies: list[dict[str, object]] = []

    def count(self) -> None:
        if len(self.forwards) + len(self.replies) >= _MAX_ACTIONS:
            raise refused(f"a message is forwarded and replied to {_MAX_ACTIONS} times at most")


Waiting = dict[tuple[str, str], Incoming]  # (worker, token) → what its handler deals with now


async def receive(context: ProductContext, worker: str, post: Post, waiting: Waiting, request: Request) -> Response:
    """``POST ?from=A&to=B``, the body a message."""
    query = query_of(request)
    sender, to, raw = query.get("from", ""), query.get("to", ""), await request.bytes()
    if not (sender and to and raw):
        return _text(_INVALID, 400)
    if len(raw) > MAX_MESSAGE_BYTES:
        return _text("Email message size is bigger than the production size limit of 25MiB.", 400)
    try:
        incoming = Incoming(sender, to, raw, Head(raw))
    except ValueError as error:
        return _text(f"Email could not be parsed: {error}", 400)
    if incoming.head.message_id is None:
        return _text("Email could not be parsed: invalid or no message id provided", 400)
    _warn_of_others(context, incoming)
    try:
        await post.keep("received", sender, [to], raw, incoming.head.subject)
    except CallError as error:
        return _text(str(error), 507)
    return await _handled(context, worker, waiting, incoming, query.get("format") == "json")


async def _handled(
    context: ProductContext, worker: str, waiting: Waiting, incoming: Incoming, as_json: bool
) -> Response:
    token = secrets.token_hex(16)
    args = {"token": token, "from": incoming.sender, "to": incoming.to, "headers": incoming.head.pairs(),
            "size": len(incoming.raw)}  # fmt: skip
    about = {"mailFrom": incoming.sender, "rcptTo": incoming.to, "rawSize": len(incoming.raw)}
    event = Event("email", "bindings.email.received:ReceivedEmail", args, binding=MODULE, about=about)
    waiting[worker, token] = incoming
    reason: object = None
    try:
        reason = await context.dispatch(worker, event)
    except UserError as error:
        return _failed(context, worker, error, incoming, as_json)
    finally:
        del waiting[worker, token]
    if as_json:
        return _json("ok", reason, incoming)
    if reason is None:
        return _text("Worker successfully processed email", 200)
    context.observer.warn(f'Email handler rejected message with the following reason: "{str(reason)[:500]}"')
    return _text(f"Worker rejected email with the following reason: {reason}", 400)


def _failed(context: ProductContext, worker: str, error: UserError, incoming: Incoming, as_json: bool) -> Response:
    if "has no email handler" in error.what and not as_json:
        return _text("Worker does not export an email() handler; message stored without delivery.", 200)
    if isinstance(error, ScriptError):
        context.observer.script_error(error, worker)
    else:
        context.observer.error(str(error), worker)
    return _json("exception", None, incoming) if as_json else _text(str(error), 500)


async def act(post: Post, incoming: Incoming | None, method: str, args: Sequence[Any]) -> object:
    """What the handler's message asks for: ``raw``, ``forward(to, headers)``, ``reply(from, to, raw)``,
    ``build({...})``, which is a reply as well. Raises CallError."""
    if incoming is None:
        raise refused("this message has been dealt with: forward and reply belong into the email handler")
    if method == "raw":
        return HostStream(_chunks(incoming.raw))
    incoming.count()
    if method == "forward" and len(args) == 2:
        return await _forward(post, incoming, *args)
    if (method, len(args)) in (("reply", 3), ("build", 1)):
        check_replyable(incoming.head)
        sender, to, raw = await _reply(incoming, method, args)
        return await _replied(post, incoming, sender, to, raw)
    raise CallError("TypeError", f"an email message has no {method}()")


async def _forward(post: Post, incoming: Incoming, to: object, headers: Sequence[Any]) -> str:
    to = text_of(to, "forward address")
    if not is_address(to):
        raise refused(f"{to[:100]!r} is not an email address")
    try:
        added = [(str(name), str(value)) for name, value in headers]
    except (TypeError, ValueError):
        raise refused("invalid headers set") from None
    if any("\n" in part or "\r" in part for pair in added for part in pair):
        raise refused("invalid headers set")
    lines = "".join(f"{name}: {value}\r\n" for name, value in added).encode("utf-8", "replace")
    await post.keep("forward", incoming.sender, [to], lines + incoming.raw, incoming.head.subject)
    message_id = new_message_id(to)
    incoming.forwards.append({"recipient": to, "headers": added, "messageId": message_id})
    return message_id


async def _reply(incoming: Incoming, method: str, args: Sequence[Any]) -> tuple[str, str, bytes]:
    """(from, to, its bytes)."""
    if method == "reply":
        sender, to, raw = args
        return text_of(sender, "from"), text_of(to, "to"), await content_of(raw)
    given = building.parse({"to": incoming.sender, **args[0]} if isinstance(args[0], dict) else args[0])
    before = incoming.head.get("references")
    chain = " ".join(filter(None, (before, incoming.head.message_id)))
    built = building.build(given, [("In-Reply-To", incoming.head.message_id or ""), ("References", chain)])
    return built.sender, built.recipients[0], built.raw


async def _replied(post: Post, incoming: Incoming, sender: str, to: str, raw: bytes) -> str:
    final = checked_reply(incoming.head, sender, raw)
    await post.keep("reply", sender, [to], final, head_of(final).subject)
    message_id = new_message_id(sender)
    incoming.replies.append({"messageId": message_id, "sender": sender, "raw": final.decode("utf-8", "replace")})
    return message_id


def _warn_of_others(context: ProductContext, incoming: Incoming) -> None:
    """The envelope may differ from the headers; most often that is a mistake."""
    if incoming.sender != incoming.head.sender:
        what = "Provided MAIL FROM address doesn't match the email message's \"From\" header"
        context.observer.warn(f"{what}: {incoming.sender}, {incoming.head.sender or 'none'}")
    if incoming.to not in incoming.head.recipients:
        what = 'Provided RCPT TO address doesn\'t match any "To" header in the email message'
        context.observer.warn(f"{what}: {incoming.to}, {', '.join(incoming.head.recipients[:5]) or 'none'}")


async def _chunks(content: bytes) -> AsyncIterator[bytes]:
    for at in range(0, len(content), _CHUNK_BYTES):
        yield content[at : at + _CHUNK_BYTES]


def _json(outcome: str, reason: object, incoming: Incoming) -> Response:
    found: Mapping[str, object] = {"outcome": outcome, **({} if reason is None else {"rejectReason": reason}),
                                   "forwards": incoming.forwards, "replies": incoming.replies}  # fmt: skip
    status = 200 if outcome == "ok" else 500
    return Response(msgspec.json.encode(found), status=status, headers={"content-type": "application/json"})


def _text(text: str, status: int) -> Response:
    return Response(text, status=status, headers={"content-type": "text/plain;charset=UTF-8"})


__all__ = ["Incoming", "Waiting", "act", "receive"]
