"""What goes to a host: the worker's files, and its configuration as the upload's metadata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bindings import products
from bindings.deploying import HostApi, Shipment
from runtime.config import Config, PilotSettings, owned_folders
from runtime.config.source import FILE_NAMES
from runtime.errors import UserError
from runtime.files import MAX_FILES, VENDORED, Survey

MAX_TREE_BYTES = 100_000_000  # bytes in all


class Tree(msgspec.Struct, frozen=True):
    """``files``: path → content. ``ignored``: paths that ``.gitignore`` keeps here; ``linked``: those of the files that
    are links and lead out of the worker's folder."""

    files: dict[str, bytes]
    ignored: list[str]
    linked: list[str]


def collect(config: Config) -> Tree:
    """All below the entry's folder that is the worker's, and what pywrangler has put beside the configuration; not what
    the command itself reads. Raises UserError."""
    base, read = config.folder, set(_read_here(config))
    if config.main is None:
        return Tree({}, [], [])
    survey = Survey(base, vendored=True, without=owned_folders(config))
    names = {path: path.relative_to(base).as_posix() for path in survey.files if path not in read}
    beside = config.root / VENDORED
    if config.root != base and not (base / VENDORED).is_dir():
        names |= {path: path.relative_to(config.root).as_posix() for path in Survey(beside, vendored=True).files}
    if len(names) > MAX_FILES:
        raise _too_much(base, f"{MAX_FILES} files")
    real = base.resolve()
    linked = sorted(name for path, name in names.items() if not path.resolve().is_relative_to(real))
    ignored = [path.relative_to(base).as_posix() + "/" * path.is_dir() for path in survey.ignored]
    return Tree(_contents(names, base), ignored, [name for name in linked if not name.startswith(VENDORED)])


def _read_here(config: Config) -> Iterator[Path]:
    """Files that are for this command, not for the worker."""
    yield from (config.root / name for name in (*FILE_NAMES, "pyproject.toml", "uv.lock", "pylock.toml"))
    for product in products():
        yield from product.files(config)
    if config.path is not None:
        yield config.path


def _contents(names: Mapping[Path, str], base: Path) -> dict[str, bytes]:
    contents, size = dict[str, bytes](), 0
    for path, name in sorted(names.items()):
        try:
            contents[name] = path.read_bytes()
        except OSError as error:
            raise UserError(
                f"cannot be read: {error.strerror}", where=str(path), remedy="What .gitignore names is left out."
            ) from None
        size += len(contents[name])
        if size > MAX_TREE_BYTES:
            raise _too_much(base, f"{MAX_TREE_BYTES // 10**6} MB of files")
    return contents


def _too_much(base: Path, what: str) -> UserError:
    return UserError(
        f"the worker has more than {what}", where=str(base), remedy="Name what does not belong to it in .gitignore."
    )


def shipments(config: Config) -> list[Shipment]:
    """What products send ahead. Raises UserError."""
    made = (product.shipment(config) for product in products())
    return [shipment for shipment in made if shipment is not None]


def follow_up(config: Config, host: HostApi) -> None:
    """What products ask for once the version answers. Raises UserError."""
    for product in products():
        product.follow_up(config, host)


def metadata(config: Config, message: str = "", tag: str = "", requirements: Sequence[str] = ()) -> dict[str, Any]:
    """As Cloudflare's API takes it, with ``pilot`` beside. Secrets are not in it: they are set on the host."""
    notes = {"workers/message": message, "workers/tag": tag}
    bindings = [_variable(name, value) for name, value in config.vars.items()]
    bindings += [dict(binding) for product in products() for binding in product.upload(config)]
    ours = {field: getattr(config.pilot, field) for field in PilotSettings.__struct_fields__}
    changed = {field: value for field, value in ours.items() if value != getattr(PilotSettings(), field)}
    others = {key: value for product in products() for key, value in product.metadata(config).items()}
    return others | {
        "main_module": None if config.main is None else config.main.name,
        "bindings": bindings,
        "keep_bindings": ["secret_text"],
        "compatibility_date": config.compatibility_date,
        "compatibility_flags": list(config.compatibility_flags),
        "limits": dict(config.limits) or None,
        "annotations": {key: value for key, value in notes.items() if value},
        "pilot": {"requirements": list(requirements)} | changed,
    }


def _variable(name: str, value: object) -> dict[str, Any]:
    kind = {"type": "plain_text", "text": value} if isinstance(value, str) else {"type": "json", "json": value}
    return {"name": name, **kind}


def encoded(metadata: dict[str, Any]) -> bytes:
    return msgspec.json.encode({key: value for key, value in metadata.items() if value is not None})


__all__ = ["Tree", "collect", "encoded", "follow_up", "metadata", "shipments"]
