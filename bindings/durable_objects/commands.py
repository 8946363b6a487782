"""``pilot do``: the Durable Objects of the worker here or of a host."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, urlencode

import click

from bindings.durable_objects.product import PREFIX
from bindings.durable_objects.rest import local_api
from bindings.target import Target, Where, with_target
from runtime.controls import clean_lines
from runtime.errors import UserError

_PAGE = 1000


@click.group("do", short_help="Durable Objects and what they keep.")
def objects() -> None:
    """Durable Objects: of the worker here, also while it is served, or of a host."""


@objects.command("list", short_help="List the objects of a class.")
@click.argument("name", metavar="[CLASS]", required=False)
@with_target
def list_(name: str | None, where: Where) -> None:
    """List the objects of CLASS that have kept something: id, name, size, alarm, and when each was last used.

    CLASS is a class's name, WORKER-CLASS, or a binding's name; without one the classes are listed.
    """

    async def use(target: Target) -> list[dict[str, Any]]:
        known = await _namespaces(target)
        return known if name is None else await _objects(target, _meant(known, name, where)["id"])

    rows = where.run(local_api, use)
    if name is None:
        text = "\n".join(f"{row['id']:40} {row['class']} of {row['script']}" for row in rows)
    else:
        text = "\n".join(map(_line, rows))
    where.tell(rows, clean_lines(text) or "there is none")


async def _namespaces(target: Target) -> list[dict[str, Any]]:
    found, page = list[dict[str, Any]](), 1
    while part := await target.call("GET", f"{PREFIX}?per_page=1000&page={page}"):
        found, page = found + part, page + 1
    return found


async def _objects(target: Target, id: str) -> list[dict[str, Any]]:
    found, cursor = list[dict[str, Any]](), ""
    while True:
        query = urlencode({"limit": _PAGE, "cursor": cursor})
        answer = await target.envelope("GET", f"{PREFIX}/{quote(id, safe='')}/objects?{query}")
        found += answer["result"]
        if not (cursor := answer["result_info"]["cursor"]):
            return found


def _meant(known: list[dict[str, Any]], name: str, where: Where) -> dict[str, Any]:
    """Raises UserError: none, or more than one."""
    found = [row for row in known if name == row["id"]] or [row for row in known if name == row["class"]]
    if not found and where.host is None:
        bound = (where.config.products.get("durable_objects") or {}).get("bindings") or []
        classes = {one["class_name"] for one in bound if one.get("name") == name}
        found = [row for row in known if row["class"] in classes]
    if len(found) == 1:
        return found[0]
    remedy = "pilot do list   shows the classes that are known"
    if found:
        raise UserError(f"is more than one: {', '.join(row['id'] for row in found)}", where=name, remedy=remedy)
    raise UserError("no such class has kept anything", where=name, remedy=remedy)


def _line(row: dict[str, Any]) -> str:
    alarm = f"  alarm {row['alarm']}" if row["alarm"] else ""
    return f"{row['id']}  {row['size']:>10,} B  {row['lastUsed']}  {row['name'] or ''}{alarm}".rstrip()


__all__ = ["objects"]
