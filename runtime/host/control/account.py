"""What wrangler asks about the account besides: who one is, where workers are reached, which domains they have."""

from __future__ import annotations

from runtime.api import deploy_errors as table
from runtime.host.control.base import ROOT, WORKERS, ControlCall, Entry, Refused
from runtime.host.control.scripts import SCRIPT, existing

_ME = "host@localhost"


async def verify(call: ControlCall) -> object:
    return {"id": "host", "status": "active"}


async def user(call: ControlCall) -> object:
    return {"id": "host", "email": _ME, "username": call.author}


async def accounts(call: ControlCall) -> object:
    return [{"id": "host", "name": "this host", "type": "standard"}] if _first_page(call) else []


async def memberships(call: ControlCall) -> object:
    account = {"id": "host", "name": "this host"}
    return [{"id": "host", "account": account, "roles": ["Administrator"]}] if _first_page(call) else []


async def subdomain(call: ControlCall, account: str) -> object:
    return {"subdomain": "host"}


async def script_subdomain(call: ControlCall, account: str, name: str) -> object:
    return {"enabled": True, "previews_enabled": False}


async def worker(call: ControlCall, account: str, name: str) -> object:
    if call.fleet.registry.settings(name) is None:
        raise Refused(table.NO_SCRIPT)
    return {"id": name, "name": name, "subdomain": {"enabled": True, "previews_enabled": False}}


async def domains_changeset(call: ControlCall, account: str, name: str) -> object:
    """Nothing is in another's way: the last worker that asks for a hostname has it. Wrangler asks before it puts."""
    return {"added": await call.json(), "removed": [], "updated": [], "conflicting": []}


async def domains(call: ControlCall, account: str, name: str) -> object:
    body = await call.json()
    origins = body.get("origins") if isinstance(body, dict) else None
    if not isinstance(origins, list) or not all(isinstance(item, dict) for item in origins):
        raise Refused(table.INVALID_BODY, "the body needs a list 'origins'")
    hosts = sorted({str(item.get("hostname", "")).lower() for item in origins} - {""})
    if wrong := [host for host in hosts if not call.hostnames.may_be_a_workers(host)]:
        raise Refused(table.INVALID_BODY, f"{wrong[0][:200]!r} cannot be a worker's hostname")
    existing(call, name)
    await call.fleet.claim(name, hosts)
    return [{"hostname": host, "service": name} for host in hosts]


async def unknown(call: ControlCall, account: str, path: str) -> object:
    raise Refused(table.NO_SCRIPT, f"workers/{path} is not served by this host")


def _first_page(call: ControlCall) -> bool:
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
    ("POST", SCRIPT + "/domains/changeset", "deploy", domains_changeset),
    ("PUT", SCRIPT + "/domains/records", "deploy", domains),
]
LAST: list[Entry] = [("*", WORKERS + "/{path:path}", "read", unknown)]
