"""``[env.NAME]`` and Wrangler's inheritance: which table each setting is taken from."""

from __future__ import annotations

from typing import Any

import msgspec

from bindings import PRODUCTS
from bindings.unserved import unserved
from runtime.config.check import Path, typed
from runtime.config.effects import NOT_SERVED
from runtime.config.keys import TOP_LEVEL, inherited, keys_of, per_environment
from runtime.config.source import Source
from runtime.hints import close_to


class ResolvedSettings(msgspec.Struct):
    """The settings in force, each with the path of the table it was taken from."""

    source: Source
    environment: str | None = None
    values: dict[str, Any] = {}
    places: dict[str, Path] = {}
    warnings: list[str] = []

    def take(self, table: dict[str, Any], key: str, place: Path) -> None:
        if key in table:
            self.values[key], self.places[key] = table[key], (*place, key)

    def warn(self, what: str, *place: str | int) -> None:
        self.warnings.append(f"{self.source.at(*place)}: {what}")


def resolve(source: Source, raw: dict[str, Any], environment: str | None) -> ResolvedSettings:
    """Check every table that counts, then apply ``[env.<environment>]`` over the top level."""
    settings = ResolvedSettings(source, environment)
    _check(settings, raw, (), {**per_environment(), **inherited(), **TOP_LEVEL})
    for key in raw:
        settings.take(raw, key, ())
    if environment is not None:
        _enter_environment(settings, raw, environment)
    _warn_of_unserved(settings)
    return settings


def _enter_environment(settings: ResolvedSettings, raw: dict[str, Any], name: str) -> None:
    named = raw.get("env", {})
    place = ("env", name)
    if not named:  # Wrangler warns and goes on with the top level; so do we
        settings.warn(f"--env {name}: the file has no environments; the top level is used")
    elif name not in named:
        what = f"there is no environment '{name}'{close_to(name, named)}"
        raise settings.source.error(("env",), what, f"Defined: {', '.join(named)}")
    else:
        _check(settings, named[name], place, {**per_environment(), **inherited()})
        _override(settings, raw, named[name], place)
    if "name" in raw and settings.places["name"] == ("name",):
        settings.values["name"] = f"{raw['name']}-{name}"


def _override(settings: ResolvedSettings, raw: dict[str, Any], table: dict[str, Any], place: Path) -> None:
    for key in per_environment():
        settings.values.pop(key, None)
        if key in raw and key not in table:
            settings.warn(f"has no '{key}'; the top level's is not inherited", *place)
    for key in {**per_environment(), **inherited()}:
        settings.take(table, key, place)
    if "pilot" in table:
        settings.values["pilot"] = {**raw.get("pilot", {}), **table["pilot"]}
    not_inherited = sorted(raw.get("vars", {}).keys() - table.get("vars", {}).keys()) if "vars" in table else []
    if not_inherited:
        settings.warn(f"has no {', '.join(not_inherited)}; the top level's vars are not inherited", *place, "vars")


def _check(settings: ResolvedSettings, table: dict[str, Any], place: Path, known: dict[str, Any]) -> None:
    for key, value in table.items():
        if key in known:
            typed(settings.source, (*place, key), value, known[key])
            _warn_of_unknown(settings, value, (*place, key), keys_of(key) or value)
    _warn_of_unknown(settings, table, place, known)


def _warn_of_unknown(settings: ResolvedSettings, table: object, place: Path, known: Any) -> None:
    for number, item in enumerate(table if isinstance(table, list) else ()):
        _warn_of_unknown(settings, item, (*place, number), item if known is table else known)
    for key in table if isinstance(table, dict) else ():
        if key not in known:
            settings.warn(f"unknown key '{key}' is ignored{close_to(key, known)}", *place)


def _warn_of_unserved(settings: ResolvedSettings) -> None:
    """Say what this file asks for that does not exist here: better now than as a puzzle in ``env``."""
    for key, value in settings.values.items():
        if key in PRODUCTS or not value:
            continue
        if key in NOT_SERVED and _is_used(key, value):
            settings.warn(NOT_SERVED[key], *settings.places[key])
    for key, name, what in unserved(settings.values):
        settings.warn(f"env.{name} {what.said}", *settings.places[key])


def _is_used(key: str, value: Any) -> bool:
    """``[build]`` without a command asks for nothing."""
    required = {"build": "command"}.get(key)
    return bool(value.get(required)) if required else True
