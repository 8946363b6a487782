"""``pilot queues``: the words of ``wrangler queues``, on the queues of the worker here or of a host."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import click
import msgspec

from bindings.queues.rest.api import local_api
from bindings.target import Target, Where, print_json, with_target
from runtime.controls import clean_lines
from runtime.errors import UserError


@click.group(short_help="Queues and their messages.")
def queues() -> None:
    """Queues and their messages: of the worker here, also while it is served, or of a host."""


@queues.command("list", short_help="List the queues.")
@with_target
def list_(where: Where) -> None:
    """List the queues: how many messages wait in each, and who consumes it."""

    async def use(target: Target) -> list[dict[str, Any]]:
        found, page = list[dict[str, Any]](), 1
        while part := await target.call("GET", f"queues?per_page=100&page={page}"):
            found, page = found + part, page + 1
        return [{**one, **await target.call("GET", f"{_path(one['queue_id'])}/metrics")} for one in found]

    rows = where.run(local_api, use)
    text = "\n".join(f"{row['queue_name']:24} {row['backlog_count']:>8} waiting{_said(row)}" for row in rows)
    where.tell(rows, text or "there is none")


@queues.command("info", short_help="What a queue is, and holds.")
@click.argument("queue")
@with_target
def info(queue: str, where: Where) -> None:
    """Show what QUEUE is and holds, as JSON."""

    async def use(target: Target) -> dict[str, Any]:
        found: dict[str, Any] = await target.call("GET", _path(queue))
        return {**found, **await target.call("GET", f"{_path(queue)}/metrics")}

    print_json(where.run(local_api, use))


@queues.command("create", short_help="Create a queue.")
@click.argument("queue")
@click.option("--delivery-delay-secs", "delay", type=int, help="How long each message waits.")
@click.option("--message-retention-period-secs", "retention", type=int, help="How long one is kept. Default: 4 days.")
@with_target
def create(queue: str, delay: int | None, retention: int | None, where: Where) -> None:
    """Create QUEUE."""
    settings = {"delivery_delay": delay, "message_retention_period": retention}
    body = {"queue_name": queue, "settings": settings}
    _do(where, "POST", "queues", body, f"Created queue '{queue}'")


@queues.command("delete", short_help="Delete a queue and its messages.")
@click.argument("queue")
@with_target
def delete(queue: str, where: Where) -> None:
    """Delete QUEUE and its messages."""
    _do(where, "DELETE", _path(queue), None, f"Deleted queue {queue}.")


@queues.command("send", short_help="Send a message.")
@click.argument("queue")
@click.argument("body")
@click.option("--type", "kind", type=click.Choice(("json", "text")), default="json", show_default=True)
@click.option("--delay", type=int, help="Seconds until it is due.")
@with_target
def send(queue: str, body: str, kind: str, delay: int | None, where: Where) -> None:
    """Send BODY, which is JSON unless --type says otherwise, to QUEUE."""
    message = {"body": _json(body) if kind == "json" else body, "content_type": kind, "delay_seconds": delay}
    _do(where, "POST", f"{_path(queue)}/messages", message, f"Sent to queue {queue}.")


@queues.command("peek", short_help="Show the oldest messages.")
@click.argument("queue")
@click.option("--limit", type=click.IntRange(1, 100), default=10, show_default=True)
@with_target
def peek(queue: str, limit: int, where: Where) -> None:
    """Show the oldest messages of QUEUE, and take none."""

    async def use(target: Target) -> Any:
        return await target.call("GET", f"{_path(queue)}/messages?limit={limit}")

    rows = where.run(local_api, use)
    lines = (f"{row['id']}  attempts {row['attempts']}  {clean_lines(row['body'][:200])}" for row in rows)
    where.tell(rows, "\n".join(lines) or "it is empty")


@queues.command("purge", short_help="Remove all messages.")
@click.argument("queue")
@with_target
def purge(queue: str, where: Where) -> None:
    """Remove all messages of QUEUE."""
    _do(where, "POST", f"{_path(queue)}/purge", {"delete_messages_permanently": True}, f"Purged queue '{queue}'")


@queues.command("pause", short_help="Deliver nothing from it for now.")
@click.argument("queue")
@with_target
def pause(queue: str, where: Where) -> None:
    """Deliver nothing from QUEUE until it is resumed; what is sent is kept."""
    _do(where, "PATCH", _path(queue), {"settings": {"delivery_paused": True}}, f"Paused queue {queue}.")


@queues.command("resume", short_help="Deliver again.")
@click.argument("queue")
@with_target
def resume(queue: str, where: Where) -> None:
    """Deliver from QUEUE again."""
    _do(where, "PATCH", _path(queue), {"settings": {"delivery_paused": False}}, f"Resumed queue {queue}.")


def _do(where: Where, method: str, path: str, body: object, text: str) -> None:
    async def use(target: Target) -> Any:
        return await target.call(method, path, body)

    where.tell(where.run(local_api, use), text)


def _json(text: str) -> object:
    try:
        found: object = msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise UserError(f"is no JSON: {error}", where="the message's body", remedy="As text:  --type text") from None
    return found


def _path(queue: str) -> str:
    return f"queues/{quote(queue, '')}"


def _said(row: dict[str, Any]) -> str:
    paused = ", paused" if row["settings"]["delivery_paused"] else ""
    return paused + "".join(f", to {consumer['script']}" for consumer in row["consumers"])


__all__ = ["queues"]
