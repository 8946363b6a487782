"""``.dev.vars`` and ``--var``: values that do not belong into a repository."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from runtime.config import dotenv
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
    root: Path,
    environment: str | None,
    cwd: Path,
    *,
    required: list[str] | None,
    names: Iterable[str],
    warnings: list[str],
) -> Hidden:
    """What the secret files hold, as wrangler reads them: ``.dev.vars`` as it stands, else ``.env`` files with their
    variables expanded. With ``required`` (``[secrets]`` in the configuration) only those and ``names``, the vars'; they
    may then also come from the process's environment where there is no ``.dev.vars``."""
    dev_vars, env_files = candidates(root, environment)
    first = next((path for path in dev_vars if path.is_file()), None)
    if first is not None:
        secrets = Hidden(_parse(first, cwd, warnings))
    else:
        secrets = _from_env_files(env_files, cwd, required is not None, warnings)
    if required is None:
        return secrets
    home = shown(dev_vars[-1], cwd)
    missing = [name for name in required if name not in secrets]
    warnings += [f"secret {name} is required and missing; add it to {home}" for name in missing]
    return Hidden({name: secrets[name] for name in (*required, *names) if name in secrets})


def _from_env_files(files: Sequence[Path], cwd: Path, process: bool, warnings: list[str]) -> Hidden:
    """``process``: with all of this process's environment, whose values win."""
    if os.environ.get("CLOUDFLARE_LOAD_DEV_VARS_FROM_DOT_ENV", "").lower() == "false":
        return Hidden()
    process = process or os.environ.get("CLOUDFLARE_INCLUDE_PROCESS_ENV", "").lower() == "true"
    outer = dict(os.environ) if process else {}
    secrets: dict[str, str] = {}
    for path in files:
        secrets.update(_parse(path, cwd, warnings) if path.is_file() else {})
    return Hidden({**outer, **dotenv.expand(secrets, outer)})


def _parse(path: Path, cwd: Path, warnings: list[str]) -> dict[str, str]:
    name = shown(path, cwd)
    values, malformed_lines = dotenv.parse(text_of(path, name))
    # never a line's text: it may hold a secret
    warnings += [f"{name}, line {line}: not KEY=VALUE, ignored" for line in malformed_lines]
    return values
