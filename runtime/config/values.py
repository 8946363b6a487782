"""What a setting must be beyond its type: a script that exists, a date, a size, a name that is free."""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from runtime.config.check import typed
from runtime.config.environment import Settings, names_in
from runtime.config.keys import BINDINGS, INHERITED, OWN, TOP_LEVEL
from runtime.config.model import PilotSettings
from runtime.config.source import Source
from runtime.errors import ConfigError
from runtime.hints import close_to

SIZES = {"body_limit", "gateway_cache", "gateway_logs"}  # settings that may be written like "100MB"
UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def name(settings: Settings, root: Path) -> str:
    """Wrangler's rule for names; without one, the folder's."""
    chosen: str = settings.values.get("name") or slug(root.name)
    if not re.fullmatch(r"[a-z0-9_][a-z0-9_-]*", chosen):
        raise settings.source.error(
            settings.places.get("name", ("name",)), f"'{chosen}' is not a worker's name",
            f"Lower-case letters, digits, - and _ alone:  {slug(chosen)}",
        )
    return chosen


def slug(text: str) -> str:
    return re.sub(r"[^a-z0-9_-]+", "-", text.lower()).strip("-") or "worker"


def main(settings: Settings, root: Path) -> Path:
    """The entry script, which must exist and be Python."""
    if "main" not in settings.values:
        raise settings.source.error(("main",), "is missing: which script answers requests?", _entry(settings))
    script: Path = root / settings.values["main"]
    place = settings.places.get("main", ("main",))
    if not script.is_file():
        raise settings.source.error(place, f"there is no {settings.values['main']}",
                                    f"It is looked for in {root}")
    if script.suffix != ".py":
        raise settings.source.error(place, f"{script.name} is not Python", "Workers here are .py files.")
    return Path(os.path.normpath(script))


def _entry(settings: Settings) -> str:
    """What to type for ``main``; where the file has it misspelt, so it says."""
    unknown = settings.values.keys() - OWN.keys() - INHERITED.keys() - TOP_LEVEL.keys()
    typo = next((key for key in sorted(unknown) if close_to(key, ["main"])), None)
    return f"It says '{typo}': write 'main'." if typo else settings.source.line("main", "entry.py")


def date(settings: Settings) -> str | None:
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


def domains(settings: Settings) -> tuple[str, ...]:
    """The hostnames of ``route`` and ``routes`` that are the worker's whole (``custom_domain``)."""
    routes = [*settings.values.get("routes", ()), settings.values.get("route")]
    whole = [route for route in routes if isinstance(route, dict) and route.get("custom_domain")]
    return tuple(dict.fromkeys(str(route.get("pattern", "")).lower() for route in whole))


def variables(settings: Settings) -> Mapping[str, Any]:
    values: dict[str, Any] = settings.values.get("vars", {})
    for name, value in values.items():
        _json_value(settings.source, (*settings.places["vars"], name), value)
    return values


def _json_value(source: Source, place: tuple[str | int, ...], value: Any) -> None:
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


def pilot(settings: Settings, root: Path) -> PilotSettings:
    table = dict(settings.values.get("pilot", {}))
    place = settings.places.get("pilot", ("pilot",))
    for key in SIZES & table.keys():
        if isinstance(table[key], str):
            limit = size(table[key])
            if limit is None:
                raise settings.source.error((*place, key), f"'{table[key]}' is not a size",
                                            'Write bytes, or a size like "100MB" or "64MiB".')
            table[key] = limit
    taken = typed(settings.source, place, table, PilotSettings)
    if "models" in table and not (root / taken.models).is_file():
        raise settings.source.error((*place, "models"), f"there is no {taken.models}",
                                    f"It is looked for in {root}")
    return taken


def distinct(settings: Settings, variables: Iterable[str]) -> None:
    """One name in ``env``, one meaning: Wrangler refuses two as well."""
    taken = dict.fromkeys(variables, "a variable")
    for key, product in BINDINGS.items():
        for name in names_in(settings.values.get(key)):
            if name in taken:
                raise ConfigError(f"'{name}' is both {taken[name]} and a {product.called} binding",
                                  where=settings.source.file, remedy="Give one of them another name.")
            taken[name] = f"a {product.called} binding"


def size(text: str) -> int | None:
    """``"100MB"`` → 100_000_000, ``"1.5 GiB"`` → 1_610_612_736; None when it is no size."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", text, re.IGNORECASE)
    if match is None or match[2].upper() not in UNITS:
        return None
    return int(float(match[1]) * UNITS[match[2].upper()])
