"""One version of each package that a worker depends on: what was tried here is what a host installs."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from runtime.errors import ConfigError, UserError
from runtime.packages.declared import STANDS_HERE, Declared, toml_of
from runtime.packages.failing import invalid, unmet
from runtime.packages.tool import run

_TIMEOUT_S = 300.0  # seconds for uv, which may have to ask an index
_LOCK_CHARACTERS = 50_000_000  # uv writes it, some 300 for each wheel there is: a hundred packages may be a million
_QUIET_FLAGS = ("--no-header", "--no-annotate", "--no-progress", "--no-python-downloads")


async def pin(named: Declared, told: Callable[[str], None] | None = None) -> list[str]:
    """``name==version`` of all that ``named`` needs, theirs too, some with a marker (PEP 508): for any platform, since
    a host may be on another. As uv's lock has it where there is one. Raises UserError."""
    if (error := invalid(named)) is not None:
        raise error
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as without:
        without.write("".join(f"{name}; python_version < '0'\n" for name in STANDS_HERE))
        without.flush()
        words = _of_lock(named) if named.lock is not None else _resolved(named.file, without.name)
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


def _of_lock(named: Declared) -> list[str]:
    """Raises ConfigError: a package is not in it, which ``uv`` would pass over."""
    assert named.lock is not None
    rows = toml_of(named.lock, named.lock.read_text("utf-8"), _LOCK_CHARACTERS).get("package")
    known = {row.get("name") for row in rows if isinstance(row, dict)} if isinstance(rows, list) else set()
    for need in named.needs:
        if need.name not in known:
            what = f"does not have {need.name!r}, which {named.file.name} names"
            remedy = "uv lock" + (f" --script {named.file.name}" if named.file.suffix == ".py" else "")
            raise ConfigError(what, where=named.lock.name, remedy=remedy)
    script = ["--script", named.file.name] if named.file.suffix == ".py" else ["--no-emit-project"]
    without = [word for name in STANDS_HERE for word in ("--prune", name)]
    return ["export", "--frozen", "--no-hashes", "--no-default-groups", *script, *without]


__all__ = ["pin"]
