"""An upload of Cloudflare's API: a multipart form whose part ``metadata`` is JSON and whose other parts are modules.

What the metadata's bindings mean here: https://developers.cloudflare.com/workers/configuration/multipart-upload-metadata/
And what Wrangler sends: docs/reference/deploy-api.md#upload.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from bindings import products
from bindings.unserved import said_of
from runtime.config import Config, PilotSettings, Version
from runtime.config.secrets import Hidden
from runtime.errors import RequestError
from runtime.host.store.bundle import Bundle, bundle
from runtime.host.store.rows import VersionRow
from runtime.host.versions.packages import checked, native
from runtime.supervisor.limits import Limits
from runtime.web import File, FormData

INHERITABLE_TYPES = {"secret_text", "plain_text", "json"}  # kinds that keep_bindings may name
_MAX_METADATA_BYTES = 1 << 20  # bytes of metadata

Binding = dict[str, Any]

_VARIABLE_TYPES: dict[str, Callable[[Binding], Any]] = {  # types that are simply there
    "plain_text": lambda item: str(item.get("text", "")),
    "json": lambda item: item.get("json"),
}


class _Known(msgspec.Struct):
    """What of the metadata is read here, and of which type it must be; Cloudflare's API has more."""

    main_module: str | None = None
    bindings: list[dict[str, Any]] | None = None
    keep_bindings: list[str] | None = None
    compatibility_date: str | None = None
    compatibility_flags: list[str] | None = None
    annotations: dict[str, Any] | None = None
    limits: dict[str, float] | None = None
    pilot: dict[str, Any] | None = None


@dataclass(frozen=True)
class Upload:
    """Checked, but for what it takes over from the version before it."""

    bundle: Bundle
    metadata: dict[str, Any] = field(repr=False)
    requirements: list[str]  # pinned
    script: bool = True  # False: the empty JavaScript that `wrangler secret put` makes before there is a worker


class Inherited(NamedTuple):
    """What an upload comes to after the version before it."""

    metadata: dict[str, Any]  # without its secrets
    secrets: Mapping[str, str]  # new ones, by name
    carried: Mapping[str, str]  # sealed ones, from the version before


def read(form: FormData) -> Upload:
    """Raises RequestError."""
    metadata = _metadata(form)
    files = [(part.name, bytes(part)) for _, part in form.items() if isinstance(part, File)]
    main = metadata.get("main_module") or metadata.get("body_part")
    if main is None and any(product.needs_no_script(metadata.get(product.key)) for product in products()):
        return Upload(Bundle("", {}), metadata, [])
    if not isinstance(main, str):
        raise RequestError(400, "the metadata names no main_module")
    pins = checked([*(_pilot(metadata).get("requirements") or []), *native(dict(files))])
    script = main.endswith(".py") or not all(kind == "application/javascript+module" for kind in _types(form))
    return Upload(bundle(main, files), metadata, pins, script)


def inherited(new: Upload, before: VersionRow | None) -> Inherited:
    """``before``: the worker's latest version, from which bindings may be inherited. Raises RequestError."""
    bindings, secrets = _bindings(new.metadata, before)
    kept = {**new.metadata, "bindings": bindings, "requirements": new.requirements}
    return Inherited(kept, secrets, kept_secrets(new.metadata, before))


def kept_secrets(metadata: Mapping[str, Any], before: VersionRow | None) -> dict[str, str]:
    """The sealed secrets that go over from the version ``before``: kept as a kind, or inherited by name."""
    if before is None:
        return {}
    named = {item["name"] for item in metadata.get("bindings") or [] if item["type"] == "inherit"}
    whole = "secret_text" in (metadata.get("keep_bindings") or ())
    return {name: sealed for name, sealed in before.secrets.items() if whole or name in named}


def config_of(row: VersionRow, folder: Path, open_secret: Callable[[str, str], str]) -> Config:
    """The configuration that a version's isolates run with. Raises RequestError for what is not served here."""
    if row.main and not row.main.endswith(".py"):
        raise RequestError(400, f"{row.main} is not Python: workers here are .py files")
    values, tables = _restored(row.metadata)
    secrets = {name: open_secret(name, sealed) for name, sealed in row.secrets.items()}
    flags = row.metadata.get("compatibility_flags") or ()
    return Config(
        path=None,
        root=folder,
        name=row.worker,
        main=folder / row.main if row.main else None,
        vars=values,
        secrets=Hidden(secrets),
        compatibility_date=row.metadata.get("compatibility_date"),
        compatibility_flags=tuple(flags),
        products=tables,
        pilot=_settings(row.metadata),
        version=Version(row.id, row.tag, row.created),
    )


def limits_of(row: VersionRow, most: Limits | None) -> Limits | None:
    """What the version asks for (``[limits]`` of its configuration), at most the host's. Raises RequestError."""
    requested = row.metadata.get("limits") or {}
    if most is None or not requested:
        return most
    try:
        limits = msgspec.convert(requested, Limits, strict=False)
    except msgspec.ValidationError as error:
        raise RequestError(400, f"[limits]: {error}") from None
    named = [name for name in Limits.__struct_fields__ if name in requested]
    return msgspec.structs.replace(most, **{name: min(getattr(limits, name), getattr(most, name)) for name in named})


def _metadata(form: FormData) -> dict[str, Any]:
    part = form.get("metadata")
    text = bytes(part) if isinstance(part, File) else str(part or "").encode()
    if len(text) > _MAX_METADATA_BYTES:
        raise RequestError(413, f"the metadata is over {_MAX_METADATA_BYTES} bytes")
    try:
        msgspec.json.decode(text, type=_Known)
        return msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as error:
        raise RequestError(400, f"the part 'metadata' cannot be used: {error}") from None


def _types(form: FormData) -> list[str]:
    return [part.type for _, part in form.items() if isinstance(part, File)]


def _bindings(metadata: dict[str, Any], before: VersionRow | None) -> tuple[list[Binding], dict[str, str]]:
    """(bindings without secrets, new secrets)."""
    given = metadata.get("bindings") or []
    if not isinstance(given, list) or not all(_is_binding(item) for item in given):
        raise RequestError(400, "every binding in the metadata needs a 'name' and a 'type'")
    secrets = {item["name"]: str(item.get("text", "")) for item in given if item["type"] == "secret_text"}
    plain = [item for item in given if item["type"] not in ("secret_text", "inherit")]
    names = {item["name"] for item in given if item["type"] != "inherit"}
    old = {item["name"]: item for item in (before.metadata.get("bindings", []) if before else [])}
    plain += [old[item["name"]] for item in given if item["type"] == "inherit" and item["name"] in old]
    keep = set(metadata.get("keep_bindings") or ()) & INHERITABLE_TYPES
    plain += [item for name, item in old.items() if name not in names and item["type"] in keep]
    return plain, secrets


def _is_binding(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("name"), str) and isinstance(item.get("type"), str)


def _restored(metadata: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """(variables, the products' tables by key). Raises RequestError for what is not served here."""
    bindings: Sequence[Binding] = metadata.get("bindings", [])
    values = {item["name"]: _VARIABLE_TYPES[item["type"]](item) for item in bindings if item["type"] in _VARIABLE_TYPES}
    known = {*_VARIABLE_TYPES, *(kind for product in products() for kind in product.types)}
    if strange := next((item for item in bindings if item["type"] not in known), None):
        what = f"the binding {strange['name']!r} is of the type {strange['type']}, which this host does not serve"
        raise RequestError(400, what + said_of(strange["type"]))
    mine = {product: [item for item in bindings if item["type"] in product.types] for product in products()}
    tables = {product.key: product.table(items, metadata) for product, items in mine.items()}
    return values, {key: table for key, table in tables.items() if table is not None}


def requirements_of(row: VersionRow) -> list[str]:
    """What the version depends on, pinned."""
    pins: list[str] = row.metadata.get("requirements", [])
    return pins


def _pilot(metadata: Mapping[str, Any]) -> dict[str, Any]:
    given = metadata.get("pilot") or {}
    if not isinstance(given, dict) or not isinstance(given.get("requirements") or [], list):
        raise RequestError(400, "the metadata's 'pilot' is not an object, or its 'requirements' not a list")
    return given


def _settings(metadata: dict[str, Any]) -> PilotSettings:
    """``[pilot]`` travels in the metadata's key of that name; Cloudflare knows none."""
    others = {
        "requirements",
        *(name for product in products() if product.settings for name in product.settings.__struct_fields__),
    }  # those are the host's affair
    given = {name: value for name, value in _pilot(metadata).items() if name not in others}
    try:
        return msgspec.convert(given, PilotSettings)
    except msgspec.ValidationError as error:
        raise RequestError(400, f"[pilot]: {error}") from None


__all__ = ["Upload", "config_of", "inherited", "limits_of", "read", "requirements_of"]
