"""What a ``pylock.toml`` (PEP 751) has chosen, of whatever tool's making, as pins. uv installs from one, but does not
say what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from runtime.errors import ConfigError

REMEDY = "uv export --format pylock.toml -o pylock.toml"
_KNOWN = "1."  # versions of the format that this reads


def names(document: dict[str, Any]) -> set[str]:
    """Of the packages in it, as they are normalized there."""
    return {str(row.get("name")) for row in _rows(document)}


def pins(document: dict[str, Any], file: Path, leave: tuple[str, ...]) -> list[str]:
    """A line for each, but for those that ``leave`` names and the project itself. Raises ConfigError."""
    if not str(document.get("lock-version", "")).startswith(_KNOWN):
        what = f"'lock-version' is {document.get('lock-version')!r}, and 1.0 is what can be read here"
        raise ConfigError(what, where=file.name, remedy=REMEDY)
    groups = document.get("default-groups") or []
    try:
        chosen = [row for row in _rows(document) if row["name"] not in leave and not _is_project(row, file.parent)]
        return [_line(row, file.parent, marker) for row in chosen if (marker := _marker(row, groups)) is not None]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"is no lock (PEP 751): {error}", where=file.name, remedy=REMEDY) from None


def _rows(document: dict[str, Any]) -> list[dict[str, Any]]:
    rows = document.get("packages")
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def _is_project(row: dict[str, Any], folder: Path) -> bool:
    path = (row.get("directory") or {}).get("path")
    return path is not None and (folder / path).resolve() == folder.resolve()


def _marker(row: dict[str, Any], groups: list[str]) -> str | None:
    """None: it is of an extra or a group that is not installed. What depends on the machine is left for it to say."""
    marker = str(row.get("marker") or "")
    if "dependency_groups" not in marker and "extras" not in marker:
        return marker
    from packaging.markers import Marker  # slow, and few locks have these

    of_lock: dict[str, Any] = {"extras": frozenset(), "dependency_groups": frozenset(groups)}
    return "" if Marker(marker).evaluate(of_lock, "lock_file") else None


def _line(row: dict[str, Any], folder: Path, marker: str) -> str:
    name, end = row["name"], f" ; {marker}" if marker else ""
    if vcs := row.get("vcs"):
        below = f"#subdirectory={vcs['subdirectory']}" if vcs.get("subdirectory") else ""
        return f"{name} @ {vcs['type']}+{_address(vcs, folder)}@{vcs['commit-id']}{below}{end}"
    if place := row.get("archive") or row.get("directory"):
        return f"{name} @ {_address(place, folder)}{end}"
    return f"{name}=={row['version']}{end}"


def _address(place: dict[str, Any], folder: Path) -> str:
    return str(place["url"]) if "url" in place else (folder / place["path"]).resolve().as_uri()


__all__ = ["REMEDY", "names", "pins"]
