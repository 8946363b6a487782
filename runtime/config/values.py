"""What a setting must be beyond its type: a script that exists, a date, a size, a name that is free."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, get_type_hints

import msgspec

from bindings import products
from bindings.unserved import unserved
from runtime.config.check import typed, unknown
from runtime.config.environment import ResolvedSettings
from runtime.config.keys import TOP_LEVEL, inherited, per_environment
from runtime.config.model import Bytes, PilotSettings
from runtime.config.source import Source
from runtime.errors import ConfigError
from runtime.hints import close_to

_UNIT_BYTES = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def name(settings: ResolvedSettings, root: Path) -> str:
    """Wrangler's rule for names; without one, the folder's."""
    chosen: str = settings.values.get("name") or slug(root.name)
    if not re.fullmatch(r"[a-z0-9_][a-z0-9_-]*", chosen):
        raise settings.source.error(
            settings.places.get("name", ("name",)),
            f"'{chosen}' is not a worker's name",
            f"Lower-case letters, digits, - and _ alone:  {slug(chosen)}",
        )
    return chosen


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-") or "worker"


def main(settings: ResolvedSettings, root: Path) -> Path | None:
    """The entry script, which must exist and be Python. None where a product answers everything."""
    if "main" not in settings.values:
        if any(product.needs_no_script(settings.values.get(product.key)) for product in products()):
            return None
        raise settings.source.error(("main",), "is missing: which script answers requests?", _entry(settings))
    script: Path = root / settings.values["main"]
    place = settings.places.get("main", ("main",))
    if not script.is_file():
        raise settings.source.error(place, f"there is no {settings.values['main']}", f"It is looked for in {root}")
    if script.suffix != ".py":
        raise settings.source.error(place, f"{script.name} is not Python", "Workers here are .py files.")
    return Path(os.path.normpath(script))


def _entry(settings: ResolvedSettings) -> str:
    """What to type for ``main``; where the file has it misspelt, so it says."""
    unknown_keys = settings.values.keys() - per_environment().keys() - inherited().keys() - TOP_LEVEL.keys()
    typo = next((key for key in sorted(unknown_keys) if close_to(key, ["main"])), None)
    return f"It says '{typo}': write 'main'." if typo else settings.source.line("main", "entry.py")


def date(settings: ResolvedSettings) -> str | None:
    """As ``YYYY-MM-DD``; Wrangler also takes slashes and days of one digit."""
    text: str | None = settings.values.get("compatibility_date")
    if text is None:
        return None
    numbers = re.fullmatch(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})", text)
    try:
        year, month, day = (int(number) for number in numbers.groups()) if numbers else (0, 0, 0)
        return datetime.date(year, month, day).isoformat()
    except ValueError:
        place, remedy = settings.places["compatibility_date"], 'Write it as YYYY-MM-DD:  "2026-01-31"'
        raise settings.source.error(place, f"'{text}' is not a date", remedy) from None


def domains(settings: ResolvedSettings) -> tuple[str, ...]:
    """The hostnames of ``route`` and ``routes`` that are the worker's whole (``custom_domain``)."""
    routes = [*settings.values.get("routes", ()), settings.values.get("route")]
    whole = [route for route in routes if isinstance(route, dict) and route.get("custom_domain")]
    return tuple(dict.fromkeys(str(route.get("pattern", "")).lower() for route in whole))


def variables(settings: ResolvedSettings) -> Mapping[str, Any]:
    values: dict[str, Any] = settings.values.get("vars", {})
    for name, value in values.items():
        _json_value(settings.source, (*settings.places["vars"], name), value)
    return values


def _json_value(source: Source, place: tuple[str | int, ...], value: object) -> None:
    """TOML has values JSON has not; the worker must see on Cloudflare what it sees here."""
    if isinstance(value, dict):
        for key, item in value.items():
            _json_value(source, (*place, key), item)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _json_value(source, (*place, index), item)
    elif isinstance(value, (datetime.date, datetime.time)):
        raise source.error(place, "is a TOML date, which JSON has not", f'Put it in quotes:  "{value}"')
    elif isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise source.error(place, "does not fit in 64 bits", f'Put it in quotes:  "{value}"')


def pilot(settings: ResolvedSettings) -> dict[type[msgspec.Struct], Any]:
    """``[pilot]``: the runtime's own settings, and those of each product."""
    kinds: list[type[msgspec.Struct]] = [PilotSettings]
    kinds += (product.settings for product in products() if product.settings)
    owner = {field: kind for kind in kinds for field in kind.__struct_fields__}
    place, table = settings.places.get("pilot", ("pilot",)), settings.values.get("pilot", {})
    for key in table:
        if key not in owner:
            raise unknown(settings.source, place, owner, key)
    values = {key: _in_bytes(settings.source, (*place, key), value, owner[key]) for key, value in table.items()}
    return {
        kind: typed(settings.source, place, {key: value for key, value in values.items() if owner[key] is kind}, kind)
        for kind in kinds
    }


def _in_bytes(source: Source, place: tuple[str | int, ...], value: Any, kind: type[msgspec.Struct]) -> Any:
    """A size may be written like ``"100MB"``."""
    if not isinstance(value, str) or get_type_hints(kind, include_extras=True)[str(place[-1])] != Bytes:
        return value
    if (limit := size(value)) is None:
        raise source.error(place, f"'{value}' is not a size", 'Write bytes, or a size like "100MB" or "64MiB".')
    return limit


def check_distinct(settings: ResolvedSettings, variables: Iterable[str]) -> None:
    """One name in ``env``, one meaning: Wrangler refuses two as well."""
    taken = dict.fromkeys(variables, "a variable")
    for label, name in _binding_names(settings):
        if name in taken:
            raise ConfigError(
                f"'{name}' is both {taken[name]} and a {label} binding",
                where=settings.source.file,
                remedy="Give one of them another name.",
            )
        taken[name] = f"a {label} binding"


def _binding_names(settings: ResolvedSettings) -> Iterator[tuple[str, str]]:
    """(what people call it, the name in ``env``) of every binding, variables aside."""
    settings_of = {key: value for key, value in settings.values.items() if key != "vars"}
    for product in products():
        yield from ((product.label, name) for name in product.names(settings_of.get(product.key)))
    yield from ((what.label, name) for _, name, what in unserved(settings_of))


def size(text: str) -> int | None:
    """``"100MB"`` → 100_000_000, ``"1.5 GiB"`` → 1_610_612_736; None when it is no size."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text, re.IGNORECASE)
    if match is None or match[2].upper() not in _UNIT_BYTES:
        return None
    return int(float(match[1]) * _UNIT_BYTES[match[2].upper()])
