"""``.dev.vars`` and ``--var``: values that do not belong into a repository."""

from __future__ import annotations

import os
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

from runtime.config.source import shown, text_of
from runtime.errors import ConfigError


class Hidden(dict[str, str]):
    """Secrets by name. Printing them shows the names alone."""

    def __repr__(self) -> str:
        return "{" + ", ".join(f"{name!r}: (hidden)" for name in self) + "}"

    __str__ = __repr__


def parse_variable(text: str) -> tuple[str, str]:
    """``--var KEY:VALUE``; the value may hold further colons."""
    name, colon, value = text.partition(":")
    if not colon or not name:
        raise ConfigError(f"'{text}' is not KEY:VALUE", where="--var", remedy="Write:  --var GREETING:hello")
    return name, value


def candidates(root: Path, environment: str | None) -> tuple[list[Path], list[Path]]:
    """``.dev.vars`` files (the first that exists counts alone) and ``.env`` files (later ones win)."""
    dev_vars, env_files = [".dev.vars"], [".env", ".env.local"]
    if environment is not None:
        dev_vars.insert(0, f".dev.vars.{environment}")
        env_files += [f".env.{environment}", f".env.{environment}.local"]
    return [root / name for name in dev_vars], [root / name for name in env_files]


def read_secrets(
    root: Path, environment: str | None, cwd: Path, *, required: list[str] | None, warnings: list[str]
) -> Hidden:
    """What the secret files hold. With ``required`` (``[secrets]`` in the configuration) only those names,
    which may then also come from the process's environment where there is no ``.dev.vars``."""
    dev_vars, env_files = candidates(root, environment)
    found = Hidden()
    first = next((path for path in dev_vars if path.is_file()), None)
    for path in [first] if first else [path for path in env_files if path.is_file()]:
        found.update(_parse(path, shown(path, cwd), warnings))
    if required is None:
        return found
    if first is None:
        found = Hidden({**os.environ, **found})
    home = shown(dev_vars[-1], cwd)
    missing = [name for name in required if name not in found]
    warnings += [f"secret {name} is required and missing; add it to {home}" for name in missing]
    return Hidden({name: found[name] for name in required if name in found})


def _parse(path: Path, name: str, warnings: list[str]) -> Iterator[tuple[str, str]]:
    from dotenv.parser import parse_stream

    for line in parse_stream(StringIO(text_of(path, name))):
        if line.key is not None and line.value is not None:
            yield line.key, line.value
        elif line.error or line.key:  # never its text: it may hold a secret
            warnings.append(f"{name}, line {line.original.line}: not KEY=VALUE, ignored")
