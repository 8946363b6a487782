"""Which packages a worker names, and in which file.

The first that names any counts: the head of the entry script (PEP 723), ``[project] dependencies`` of the
``pyproject.toml`` beside the configuration, ``requirements.txt``, a ``pylock.toml`` by itself. Dependency groups are
for the person's own tools, as pywrangler has it. What stands for Cloudflare's runtime here is never installed, and a
folder that is one of them names what *it* needs, not its sample worker: ``STANDS_HERE``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from runtime.config import toml
from runtime.errors import ConfigError
from runtime.files import SYNCED, VENDORED
from runtime.packages import pylock

STANDS_HERE = ("pilotlight", "workers-py", "workers-runtime-sdk", "webtypy", "pyodide-py")  # on PyPI
PYLOCK = "pylock.toml"
LOCK_CHARACTERS = 50_000_000  # uv writes it, some 300 for each wheel there is: a hundred packages may be a million
_INCLUDE = re.compile(r"(?:-r|-c|--requirements?|--constraints?)[ =]*(\S+)")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_UV_ASIDE = ("UV_CACHE_DIR", "UV_CONCURRENT", "UV_HTTP_", "UV_NO_PROGRESS", "UV_OFFLINE")  # these decide no version


class Need(NamedTuple):
    """One requirement, as it is written."""

    text: str
    line: int

    @property
    def name(self) -> str:
        """In lower case, with ``-`` for ``_`` and ``.``; empty: it is an option or an address."""
        return _named(self.text)


class Declared(msgspec.Struct, frozen=True):
    """``lock``: uv's, or a ``pylock.toml``, where there is one; ``settings``: of uv, as the file has them; ``others``:
    texts of files that it includes; ``python``: which versions of Python it is for."""

    file: Path
    needs: tuple[Need, ...]
    lock: Path | None = None
    settings: str = ""
    others: tuple[str, ...] = ()
    python: Need | None = None

    @property
    def digest(self) -> str:
        """Of all that decides which versions these are, on this machine and with this Python."""
        locked = self.lock.read_bytes().hex() if self.lock is not None else ""
        about = [
            python_tag(),
            self.python and self.python.text,
            self.file.suffix,
            [need.text for need in self.needs],
            self.settings,
            self.others,
            locked,
        ]
        return hashlib.sha256(json.dumps([*about, _uv_environment()]).encode()).hexdigest()


def declared(root: Path, main: Path | None) -> Declared | None:
    """Of the worker whose configuration is in ``root``. None: it names nothing. Raises ConfigError."""
    lock = root / PYLOCK
    named = (_script(main), _project(root / "pyproject.toml"), _requirements(root / "requirements.txt"), _locked(lock))
    return next((found for found in named if found is not None and found.needs), None)


def files(root: Path, main: Path | None) -> list[Path]:
    """All that can change what a worker depends on, besides its entry, whether they exist yet or not."""
    beside = [root / name for name in ("pyproject.toml", "uv.lock", PYLOCK, "requirements.txt")]
    included = [path for path, _ in _included(root / "requirements.txt")]
    locks = [main.with_name(f"{main.name}.lock")] if main is not None else []
    return [*beside, *included, *locks, root / VENDORED / SYNCED]


def python_tag() -> str:
    """What a set of wheels is good for: one Python, on one kind of machine."""
    return f"{sys.implementation.cache_tag}-{sysconfig.get_platform()}"


def _project(file: Path) -> Declared | None:
    text = _text(file)
    locks = file.with_name("uv.lock"), file.with_name(PYLOCK)
    return None if text is None else _declared(file, text, toml_of(file, text), "project", *locks)


def _script(main: Path | None) -> Declared | None:
    """https://peps.python.org/pep-0723/"""
    text = _text(main, "replace") if main is not None else None
    if main is None or text is None or (head := _head(text)) is None:
        return None
    return _declared(main, text, {"script": toml_of(main, head)}, "script", main.with_name(f"{main.name}.lock"))


def _declared(file: Path, text: str, document: dict[str, object], table: str, *locks: Path) -> Declared:
    about, tools = document.get(table), document.get("tool")
    about = about if isinstance(about, dict) else {}
    if table == "script":
        tools = about.get("tool")
    needs = [] if _named(str(about.get("name"))) in STANDS_HERE else about.get("dependencies") or []
    if not isinstance(needs, list) or not all(isinstance(need, str) for need in needs):
        raise ConfigError("'dependencies' must be an array of strings", where=file.name, remedy='["fastapi>=0.115"]')
    settings, python = tools.get("uv") if isinstance(tools, dict) else None, about.get("requires-python")
    return Declared(
        file,
        tuple(Need(need, _line(text, need)) for need in needs if Need(need, 0).name not in STANDS_HERE),
        _first(*locks),
        json.dumps(settings, sort_keys=True, default=str),
        python=Need(str(python), _line(text, str(python))) if python else None,
    )


def _requirements(file: Path) -> Declared | None:
    text = _text(file)
    if text is None:
        return None
    lines = [Need(line.partition(" #")[0].strip(), number) for number, line in enumerate(text.splitlines(), 1)]
    needs = [need for need in lines if need.text and not need.text.startswith("#") and need.name not in STANDS_HERE]
    others = tuple(other for _, other in _included(file))
    return Declared(file, tuple(needs), _first(file.with_name(PYLOCK)), others=others)


def _locked(lock: Path) -> Declared | None:
    """All that it has chosen, where nothing else names what it was chosen for."""
    text = _text(lock)
    if text is None:
        return None
    named = pylock.names(toml_of(lock, text, LOCK_CHARACTERS))
    return Declared(lock, tuple(Need(name, _line(text, name)) for name in sorted(named)), lock)


def _first(*files: Path) -> Path | None:
    return next((file for file in files if file.is_file()), None)


def _included(file: Path, depth: int = 5) -> Iterator[tuple[Path, str]]:
    """(path, text) of each file that a requirements.txt names, and those that these name."""
    for line in (_text(file) or "").splitlines() if depth else ():
        if match := _INCLUDE.match(line.strip()):
            path = file.parent / match[1]
            yield path, _text(path) or ""
            yield from _included(path, depth - 1)


def _head(text: str) -> str | None:
    lines = iter(text.splitlines())
    if not any(line.rstrip() == "# /// script" for line in lines):
        return None
    head: list[str] = []
    for line in lines:
        if line.rstrip() == "# ///":
            return "\n".join(head)
        if line != "#" and not line.startswith("# "):
            break
        head.append(line[2:])
    return None


def toml_of(file: Path, text: str, most: int = toml.MAX_CHARACTERS) -> dict[str, object]:
    """Raises ConfigError."""
    try:
        return toml.loads(text, most)
    except (ValueError, RecursionError) as error:
        raise ConfigError(
            f"not valid TOML: {error}", where=file.name, remedy='Like:  dependencies = ["NAME"]'
        ) from None


def _text(file: Path, errors: str = "strict") -> str | None:
    """None: there is none. Raises ConfigError."""
    try:
        return file.read_text("utf-8-sig", errors)
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot be read: {error}", where=file.name, remedy="Save it as UTF-8, where this user may read it."
        ) from None


def _line(text: str, need: str) -> int:
    """Where it is quoted; 0: nobody knows."""
    at = next((at for quote in "\"'" if (at := text.find(quote + need + quote)) >= 0), -1)
    return text.count("\n", 0, at) + 1 if at >= 0 else 0


def _named(requirement: str) -> str:
    found = _NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def _uv_environment() -> list[tuple[str, str]]:
    """Indexes, constraints and the like that are set in the environment."""
    return sorted((k, v) for k, v in os.environ.items() if k.startswith("UV_") and not k.startswith(_UV_ASIDE))


__all__ = ["LOCK_CHARACTERS", "PYLOCK", "STANDS_HERE", "Declared", "Need", "declared", "files", "python_tag"]
