"""One version of each package that a worker depends on: what was tried here is what a host installs."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec

from runtime.errors import ConfigError, UserError
from runtime.packages import pylock
from runtime.packages.declared import LOCK_CHARACTERS, PYLOCK, STANDS_HERE, Declared, Need, toml_of
from runtime.packages.failing import invalid, unfit, unmet
from runtime.packages.tool import run

_TIMEOUT_S = 300.0  # seconds for uv, which may have to ask an index
_QUIET_FLAGS = ("--no-header", "--no-annotate", "--no-progress", "--no-python-downloads")


def for_this_python(named: Declared) -> tuple[Declared, str]:
    """Without a lock that is for another Python, and a warning of that: projects for Cloudflare name Pyodide's, and few
    need it. Raises ConfigError."""
    if (error := unfit(named.file, named.python)) is None:
        return named, ""
    lock = "" if named.lock is None else f", and {named.lock.name} is left aside"
    return msgspec.structs.replace(named, lock=None), f"{error.what}: versions are chosen for this one{lock}"


async def pin(named: Declared, told: Callable[[str], None] | None = None) -> list[str]:
    """``name==version`` of all that ``named`` needs, theirs too, some with a marker (PEP 508): for any platform, since
    a host may be on another. As a lock has it where there is one. Raises UserError."""
    if (error := invalid(named)) is not None:
        raise error
    document = {} if named.lock is None else toml_of(named.lock, named.lock.read_text("utf-8"), LOCK_CHARACTERS)
    if named.lock is not None and named.lock.name == PYLOCK:
        _all_in(named, pylock.names(document), pylock.REMEDY)
        if (error := unfit(named.lock, Need(str(document.get("requires-python") or ""), 0))) is not None:
            raise error
        return sorted(pylock.pins(document, named.lock, STANDS_HERE))
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as without:
        without.write("".join(f"{name}; python_version < '0'\n" for name in STANDS_HERE))
        without.flush()
        words = _of_lock(named, document) if named.lock is not None else _resolved(named.file, without.name)
        try:
            done = await run([*words, *_QUIET_FLAGS], named.file.parent, _TIMEOUT_S, told=told)
        except TimeoutError:
            what = f"uv needed more than {_TIMEOUT_S:g} s to pin the dependencies"
            raise UserError(what, where=named.file.name, remedy="Pin them beforehand:  uv lock") from None
    if done.code:
        raise unmet(named, done.said)
    lines = map(str.strip, done.out.splitlines())
    return sorted(line for line in lines if line and not line.startswith("#"))


def _resolved(file: Path, without: str) -> list[str]:
    return ["pip", "compile", "--universal", file.name, "--overrides", without, "--python", sys.executable]


def _of_lock(named: Declared, document: dict[str, object]) -> list[str]:
    """Raises ConfigError: a package is not in it, which ``uv`` would pass over."""
    rows = document.get("package")
    known = {str(row.get("name")) for row in rows if isinstance(row, dict)} if isinstance(rows, list) else set()
    _all_in(named, known, "uv lock" + (f" --script {named.file.name}" if named.file.suffix == ".py" else ""))
    script = ["--script", named.file.name] if named.file.suffix == ".py" else ["--no-emit-project"]
    without = [word for name in STANDS_HERE for word in ("--prune", name)]
    return ["export", "--frozen", "--no-hashes", "--no-default-groups", *script, *without]


def _all_in(named: Declared, known: set[str], remedy: str) -> None:
    """Raises ConfigError."""
    assert named.lock is not None
    for need in named.needs:
        if need.name and need.name not in known:
            what = f"does not have {need.name!r}, which {named.file.name} names"
            raise ConfigError(what, where=named.lock.name, remedy=remedy)


__all__ = ["for_this_python", "pin"]
