"""A worker's dependencies, each pinned to one version: what was tried here is what the host installs."""

from __future__ import annotations

import subprocess
from pathlib import Path

from runtime import uv
from runtime.config import Config, toml
from runtime.errors import UserError

_UV_TIMEOUT_S = 300.0  # seconds for uv, which may have to ask an index
_QUIET_FLAGS = ("--no-header", "--no-annotate", "--quiet")


def pinned(config: Config) -> list[str]:
    """``name==version`` of all that ``[project] dependencies`` need, theirs too, some with a marker (PEP 508): for any
    platform, since the host may be on another. As ``uv.lock`` has it where there is one. Raises UserError."""
    file = config.root / "pyproject.toml"
    if not _dependencies(file):
        return []
    if (file.parent / "uv.lock").is_file():
        words = ["export", "--frozen", "--no-hashes", "--no-emit-project", "--no-dev"]
    else:
        words = ["pip", "compile", "--universal", "pyproject.toml"]
    lines = _run([*words, *_QUIET_FLAGS], file).splitlines()
    return sorted(line.strip() for line in lines if line.strip() and not line.startswith("#"))


def _dependencies(file: Path) -> list[str]:
    try:
        project = toml.loads(file.read_text("utf-8")).get("project", {})
        return list(project.get("dependencies", []))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, AttributeError) as error:
        raise UserError(str(error), where=str(file)) from None


def _run(words: list[str], file: Path) -> str:
    try:
        done = subprocess.run(
            [uv.command(), *words], cwd=file.parent, capture_output=True, text=True, timeout=_UV_TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise UserError(f"uv needed more than {_UV_TIMEOUT_S:g} s to pin the dependencies", where=str(file)) from None
    if done.returncode:
        raise UserError(f"the dependencies cannot be pinned\n{done.stderr.strip()}", where=str(file))
    return done.stdout


__all__ = ["pinned"]
