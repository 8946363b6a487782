"""What goes to a host: the worker's files, and its configuration as the upload's metadata."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from runtime.config import Config, PilotSettings
from runtime.errors import UserError
from runtime.supervisor.watching import IGNORED, PASSING

LARGEST = 100_000_000  # bytes in all
_NEVER = ("wrangler.toml", "wrangler.json", "wrangler.jsonc", "models.yaml", "pyproject.toml", "uv.lock")


def files(config: Config) -> dict[str, bytes]:
    """Path → content, of all below the entry's folder that is the worker's: not what ``.gitignore`` names, not hidden
    files (``.dev.vars`` and ``.env`` among them), caches, environments or state. Raises UserError."""
    base, found, size = config.main.parent, dict[str, bytes](), 0
    for path in sorted(_walk(base)):
        name = path.relative_to(base).as_posix()
        try:
            found[name] = path.read_bytes()
        except OSError as error:
            raise UserError(f"cannot be read: {error.strerror}", where=str(path)) from None
        size += len(found[name])
        if size > LARGEST:
            raise UserError(f"the worker has more than {LARGEST // 10**6} MB of files", where=str(base),
                            remedy="Name what does not belong to it in .gitignore.")
    return found


def metadata(config: Config, message: str = "", tag: str = "", requirements: Sequence[str] = ()) -> dict[str, Any]:
    """As Cloudflare's API takes it, with ``pilot`` beside. Secrets are not in it: they are set on the host."""
    notes = {"workers/message": message, "workers/tag": tag}
    ai = config.products.get("ai")
    bindings = [_variable(name, value) for name, value in config.vars.items()]
    bindings += [{"name": ai["binding"], "type": "ai"}] if ai else []
    ours = {field: getattr(config.pilot, field) for field in PilotSettings.__struct_fields__}
    changed = {field: value for field, value in ours.items() if value != getattr(PilotSettings(), field)}
    return {
        "main_module": config.main.name, "bindings": bindings, "keep_bindings": ["secret_text"],
        "compatibility_date": config.compatibility_date, "compatibility_flags": list(config.compatibility_flags),
        "limits": dict(config.limits) or None,
        "annotations": {key: value for key, value in notes.items() if value},
        "pilot": {"requirements": list(requirements)}
        | {field: value for field, value in changed.items() if field not in ("models", "engine")},
    }


def _variable(name: str, value: Any) -> dict[str, Any]:
    kind = {"type": "plain_text", "text": value} if isinstance(value, str) else {"type": "json", "json": value}
    return {"name": name, **kind}


def _walk(base: Path) -> Iterator[Path]:
    from pathspec import GitIgnoreSpec

    root = next((folder for folder in (base, *base.parents) if (folder / ".git").exists()), base)
    specs: dict[Path, Any] = {}
    for folder in [root, *(parent for parent in reversed(base.parents) if parent.is_relative_to(root))]:
        specs[folder] = GitIgnoreSpec.from_lines(_lines(folder / ".gitignore"))
    for at, folders, names in os.walk(base):
        here = Path(at)
        specs[here] = GitIgnoreSpec.from_lines(_lines(here / ".gitignore"))
        above = [(folder, spec) for folder, spec in specs.items() if here.is_relative_to(folder)]

        def kept(path: Path, end: str = "", above: Any = above) -> bool:
            return not any(spec.match_file(path.relative_to(folder).as_posix() + end) for folder, spec in above)

        folders[:] = [
            name for name in folders
            if (name == "python_modules" or name not in IGNORED) and not name.startswith(".") and kept(here / name, "/")
        ]
        yield from (here / name for name in names if _belongs(here / name) and kept(here / name))


def _belongs(path: Path) -> bool:
    return not (path.name.startswith(".") or path.suffix in PASSING or path.name in _NEVER) and path.is_file()


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return []


def encoded(metadata: dict[str, Any]) -> bytes:
    return msgspec.json.encode({key: value for key, value in metadata.items() if value is not None})


__all__ = ["encoded", "files", "metadata"]
