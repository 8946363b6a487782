"""What wrangler asks about the account besides: who one is, where workers are reached, which domains they have."""

from __future__ import annotations

import asyncio
from typing import Any

from runtime.host.control.base import ACCOUNT, NO_SCRIPT, ROOT, WORKERS, Call, Entry, Refused
from runtime.host.control.scripts import SCRIPT

_ME = "host@localhost"


async def verify(call: Call) -> Any:
    return {"id": "host", "status": "active"}


async def user(call: Call) -> Any:
    return {"id": "host", "email": _ME, "username": call.author}


async def accounts(call: Call) -> Any:
    return [{"id": "host", "name": "this host", "type": "standard"}] if _first_page(call) else []


async def memberships(call: Call) -> Any:
    account = {"id": "host", "name": "this host"}
    return [{"id": "host", "account": account, "roles": ["Administrator"]}] if _first_page(call) else []


async def subdomain(call: Call, account: str) -> Any:
    return {"subdomain": "host"}


async def script_subdomain(call: Call, account: str, name: str) -> Any:
    return {"enabled": True, "previews_enabled": False}


async def worker(call: Call, account: str, name: str) -> Any:
    if call.fleet.registry.settings(name) is None:
        raise Refused(404, NO_SCRIPT, "This Worker does not exist on this host.")
    return {"id": name, "name": name, "subdomain": {"enabled": True, "previews_enabled": False}}


async def schedules(call: Call, account: str, name: str) -> Any:
    """Kept for the day this host runs them."""
    wanted = await call.json()
    await asyncio.to_thread(lambda: call.fleet.registry.change(name, schedules=wanted))
    return {"schedules": wanted}


async def domains_changeset(call: Call, account: str, name: str) -> Any:
    """Nothing is in another's way: the last worker that asks for a hostname has it."""
    return {"added": await call.json(), "removed": [], "updated": [], "conflicting": []}


async def domains(call: Call, account: str, name: str) -> Any:
    body = await call.json()
    origins = body.get("origins") if isinstance(body, dict) else None
    if not isinstance(origins, list) or not all(isinstance(item, dict) for item in origins):
        raise Refused(400, 10026, "the body needs a list 'origins'")
    hosts = sorted({str(item.get("hostname", "")).lower() for item in origins} - {""})
    await asyncio.to_thread(lambda: call.fleet.registry.change(name, domains=hosts))
    call.fleet.worker(name).domains = frozenset(hosts)
    return [{"hostname": host, "service": name} for host in hosts]


async def nothing(call: Call, account: str) -> Any:
    """Namespaces that this host has none of; wrangler looks before it deletes a worker."""
    return []


async def unknown(call: Call, account: str, path: str) -> Any:
    raise Refused(404, NO_SCRIPT, f"workers/{path} is not served by this host")


def _first_page(call: Call) -> bool:
    return "page=" not in call.request.url or call.request.url.partition("page=")[2].startswith(("1", "0"))


ENTRIES: list[Entry] = [
    ("GET", ROOT + "/user/tokens/verify", None, verify),
    ("GET", ROOT + "/user", None, user),
    ("GET", ROOT + "/accounts", None, accounts),
    ("GET", ROOT + "/memberships", None, memberships),
    ("GET", WORKERS + "/subdomain", "read", subdomain),
    ("GET", SCRIPT + "/subdomain", "read", script_subdomain),
    ("POST", SCRIPT + "/subdomain", "deploy", script_subdomain),
    ("GET", WORKERS + "/workers/{name}", "read", worker),
    ("PUT", SCRIPT + "/schedules", "deploy", schedules),
    ("POST", SCRIPT + "/domains/changeset", "deploy", domains_changeset),
    ("PUT", SCRIPT + "/domains/records", "deploy", domains),
    ("GET", WORKERS + "/durable_objects/namespaces", "read", nothing),
    ("GET", ACCOUNT + "/storage/kv/namespaces", "read", nothing),
]
LAST: list[Entry] = [("*", WORKERS + "/{path:path}", "read", unknown)]
