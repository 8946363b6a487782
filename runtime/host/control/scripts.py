"""Uploads, versions and deployments: Cloudflare's ``workers/scripts`` and ``workers/services``."""

from __future__ import annotations

import asyncio
import time
import uuid
from functools import partial
from typing import Any

from bindings import products
from runtime.api import deploy_errors as table
from runtime.host import purge
from runtime.host.control.base import WORKERS, ControlCall, Entry, Refused
from runtime.host.store.rows import DeploymentRow, VersionRow, now
from runtime.host.versions import rollout, upload
from runtime.web import FormData

SCRIPT = WORKERS + "/scripts/{name}"
_KEPT_OPEN_S = 30.0  # seconds that a version which is uploaded alone waits for its deployment
_NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789_-"


async def put(call: ControlCall, account: str, name: str) -> object:
    """Upload and deploy in one, as a first deploy does."""
    new = await _upload(call, name)
    return await call.fleet.turns.take(name, partial(_put, call, name, new))


async def _put(call: ControlCall, name: str, new: upload.Upload) -> object:
    if not new.script:
        await asyncio.to_thread(call.fleet.registry.make, name)
        return {}  # the empty script that a secret comes before
    row, began = _version_row(call, name, new), time.monotonic()
    async with call.fleet.versions.holding(row):
        ms = _ms_since(began)
        deployment = await deploy(call, name, [(row, 100.0)], new=row)
    return {
        "id": name,
        "deployment_id": row.id.replace("-", ""),
        "etag": row.bundle,
        "startup_time_ms": ms,
        "deployment": deployment.id,
    }


async def upload_version(call: ControlCall, account: str, name: str) -> object:
    new = await _upload(call, name)
    if not new.script:
        raise Refused(table.INVALID_SCRIPT, "the script is not Python")
    return await call.fleet.turns.take(name, partial(_upload_version, call, name, new))


async def _upload_version(call: ControlCall, name: str, new: upload.Upload) -> object:
    """Seen to load, and only then kept."""
    row, began = _version_row(call, name, new), time.monotonic()
    async with call.fleet.versions.holding(row):
        ms = _ms_since(began)
        await asyncio.to_thread(call.fleet.registry.add_version, row)
        await call.fleet.versions.keep(row, _KEPT_OPEN_S)
    return {**shown(row), "startup_time_ms": ms}


async def _upload(call: ControlCall, name: str) -> upload.Upload:
    """What comes before the worker's turn, since it may take long: reading the upload, keeping files and packages."""
    if not name or len(name) > 63 or set(name) - set(_NAME_CHARACTERS):
        raise Refused(table.INVALID_NAME, table.INVALID_NAME.describe(name=name))
    if call.hostnames.has(own := call.hostnames.of_worker(name)):
        raise Refused(table.INVALID_NAME, f"{name!r} cannot be a worker's name here: {own} is the host's own")
    new = await asyncio.to_thread(upload.read, await _form(call))
    if new.script:
        before = latest(call, name)  # what cannot be used is refused before anything is installed for it
        call.fleet.received(name, upload.inherited(new, before).metadata, before)
        await asyncio.to_thread(call.fleet.bundles.keep, new.bundle)
        await call.fleet.install(new.requirements)
    return new


def _version_row(call: ControlCall, name: str, new: upload.Upload) -> VersionRow:
    """The worker's next version, not kept yet."""
    fleet, before = call.fleet, latest(call, name)
    metadata, texts, carried = upload.inherited(new, before)
    metadata = fleet.received(name, metadata, before)
    notes = metadata.get("annotations") or {}
    pending = (fleet.registry.settings(name) or {}).get("secrets", {}) if before is None else {}
    sealed = {key: fleet.seal.close(name, key, text) for key, text in texts.items()}
    return VersionRow(
        id=str(uuid.uuid4()),
        worker=name,
        number=before.number + 1 if before is not None else 1,
        bundle=new.bundle.digest,
        main=new.bundle.main,
        metadata=metadata,
        secrets={**pending, **carried, **sealed},
        created=now(),
        source=_source(call),
        author=call.author,
        message=str(notes.get("workers/message", "")),
        tag=str(notes.get("workers/tag", "")),
    )


async def deploy(
    call: ControlCall,
    name: str,
    versions: list[tuple[VersionRow, float]],
    message: str = "",
    new: VersionRow | None = None,
) -> DeploymentRow:
    """Within the worker's turn."""
    about = {"source": _source(call), "author": call.author, "message": message}
    return await call.fleet.deploy(name, versions, new=new, **about)


async def create_deployment(call: ControlCall, account: str, name: str) -> object:
    body = await call.json()
    try:
        pairs = rollout.checked(body.get("versions") if isinstance(body, dict) else None)
    except ValueError as error:
        raise Refused(table.INVALID_DEPLOYMENT, str(error)) from None
    notes = body.get("annotations") or {}
    message = str(notes.get("workers/message", "")) if isinstance(notes, dict) else ""

    async def created() -> object:
        versions = [(_version(call, name, id), share) for id, share in pairs]
        return _deployment(await deploy(call, name, versions, message))

    return await call.fleet.turns.take(name, created)


async def deployments(call: ControlCall, account: str, name: str) -> object:
    existing(call, name)
    return {"deployments": [_deployment(row) for row in call.fleet.registry.deployments(name)]}


async def versions(call: ControlCall, account: str, name: str) -> object:
    """Paged as ``page`` and ``per_page`` say; the newest first."""
    existing(call, name)
    rows = call.fleet.registry.versions(name)
    return {"items": [shown(row) for row in rows]}


async def version(call: ControlCall, account: str, name: str, id: str) -> object:
    """``id`` may also be the number, or the beginning of an id that no other has."""
    matches = call.fleet.registry.find_versions(name, id)
    if len(matches) > 1:
        raise Refused(table.INVALID_SCRIPT, f"two versions or more of {name!r} begin with {id!r}; write more of it")
    return shown(matches[0] if matches else _version(call, name, id))


async def settings(call: ControlCall, account: str, name: str) -> object:
    existing(call, name)
    row = latest(call, name)
    kept = call.fleet.registry.settings(name) or {}
    bindings = [] if row is None else shown(row)["resources"]["bindings"]
    return {"bindings": bindings, "tags": kept.get("tags") or [], "logpush": False}


async def change_settings(call: ControlCall, account: str, name: str) -> object:
    existing(call, name)
    body = await call.json()
    if isinstance(body, dict):
        await asyncio.to_thread(lambda: call.fleet.registry.change(name, tags=body.get("tags") or []))
    return body


async def service(call: ControlCall, account: str, name: str) -> object:
    if call.fleet.registry.settings(name) is None:
        raise Refused(table.NO_SERVICE)
    script = _script(call, name)
    return {"id": name, "default_environment": {"environment": "production", "script": script}}


async def every_script(call: ControlCall, account: str) -> object:
    """The list that an older Wrangler looks the migration's tag up in."""
    return [_script(call, name) for name in call.fleet.registry.workers()]


def _script(call: ControlCall, name: str) -> dict[str, object]:
    script: dict[str, object] = {"tag": name, "last_deployed_from": "wrangler", "id": name}
    for product in products():
        script |= product.described(call.fleet.context, name)
    return script


async def delete(call: ControlCall, account: str, name: str) -> object:
    """``?purge=true``, which wrangler does not send, removes what the worker keeps as well, and lists it."""
    purging = "purge=true" in call.request.url.partition("?")[2].split("&")

    async def deleted() -> object:
        if call.fleet.registry.settings(name) is None:
            raise Refused(table.NO_SERVICE)
        kept = await asyncio.to_thread(purge.kept_alone, call.fleet, name) if purging else set()
        await call.fleet.delete(name)
        return await purge.purge(call.fleet, name, kept) if purging else None

    return await call.fleet.turns.take(name, deleted)


def latest(call: ControlCall, name: str) -> VersionRow | None:
    return next(iter(call.fleet.registry.versions(name, 1)), None)


def shown(row: VersionRow) -> dict[str, Any]:
    """A version as Cloudflare's API shows it; secrets by name alone."""
    when = {"created_on": row.created, "modified_on": row.created, "author_email": row.author, "source": row.source}
    notes = {"workers/message": row.message, "workers/tag": row.tag, "workers/triggered_by": row.triggered_by}
    secrets = [{"name": name, "type": "secret_text"} for name in row.secrets]
    runtime = {key: row.metadata.get(key) for key in ("compatibility_date", "compatibility_flags", "limits")}
    return {
        "id": row.id,
        "number": row.number,
        "metadata": when,
        "annotations": {key: value for key, value in notes.items() if value},
        "resources": {
            "script": {"etag": row.bundle, "handlers": ["fetch"]},
            "script_runtime": {key: value for key, value in runtime.items() if value},
            "bindings": [*row.metadata.get("bindings", []), *secrets],
        },
    }


def _deployment(row: DeploymentRow) -> dict[str, Any]:
    notes = {"workers/message": row.message or row.note}
    return {
        "id": row.id,
        "source": row.source,
        "strategy": "percentage",
        "author_email": row.author,
        "annotations": {key: value for key, value in notes.items() if value},
        "created_on": row.created,
        "versions": [{"version_id": id, "percentage": share} for id, share in row.versions],
    }


async def _form(call: ControlCall) -> FormData:
    try:
        return await call.request.form_data()
    except TypeError as error:
        raise Refused(table.INVALID_SCRIPT, str(error)) from None


def _version(call: ControlCall, name: str, id: str) -> VersionRow:
    row = call.fleet.registry.version(id)
    if row is None or row.worker != name:
        raise Refused(table.NO_SCRIPT, f"the worker {name!r} has no version {id}. Those it has:  pilot versions")
    return row


def existing(call: ControlCall, name: str) -> None:
    if call.fleet.registry.settings(name) is None:
        raise Refused(table.NO_SCRIPT)


def _ms_since(began: float) -> int:
    return round((time.monotonic() - began) * 1000)


def _source(call: ControlCall) -> str:
    agent = (call.request.headers.get("user-agent") or "").partition("/")[0].lower()
    return agent if agent in ("wrangler", "pilot") else "api"


ENTRIES: list[Entry] = [
    ("GET", WORKERS + "/scripts", "read", every_script),
    ("PUT", SCRIPT, "deploy", put),
    ("DELETE", SCRIPT, "deploy", delete),
    ("POST", SCRIPT + "/versions", "deploy", upload_version),
    ("GET", SCRIPT + "/versions", "read", versions),
    ("GET", SCRIPT + "/versions/{id}", "read", version),
    ("POST", SCRIPT + "/deployments", "deploy", create_deployment),
    ("GET", SCRIPT + "/deployments", "read", deployments),
    ("GET", SCRIPT + "/settings", "read", settings),
    ("PATCH", SCRIPT + "/settings", "deploy", change_settings),
    ("PATCH", SCRIPT + "/script-settings", "deploy", change_settings),
    ("GET", WORKERS + "/services/{name}", "read", service),
    ("DELETE", WORKERS + "/services/{name}", "deploy", delete),
]
