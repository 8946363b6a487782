"""What of a worker's configuration concerns its models, read without any other product: in 20 ms, not in 400."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import click

from bindings.ai.catalog.models import check_engine
from bindings.ai.catalog.resolve import Catalog
from bindings.ai.settings import AISettings
from runtime.config.check import typed
from runtime.config.source import Source, find, read
from runtime.errors import ConfigError

FIELDS = ("engine", "load_timeout", "models")  # of AISettings
CONFIG = click.option("-c", "--config", type=click.Path(path_type=Path), help="wrangler.toml, .jsonc or .json.")
ENGINE = click.option("--engine", help="vllm, llamacpp, openai or echo. Default: as pilot dev.")


class Project(NamedTuple):
    """``engine``: the one that was chosen, by ``--engine`` or ``[pilot]``; None for the best that works."""

    catalog: Catalog
    engine: str | None
    load_timeout: float
    port: int | None


def project(config: Path | None = None, engine: str | None = None) -> Project:
    """Of the configuration ``config``, else of the nearest one, else of a ``models.yaml`` in this folder. Raises
    ConfigError."""
    root, source, raw = _read(config)
    table = raw.get("pilot")
    given = {name: table[name] for name in FIELDS if name in table} if isinstance(table, dict) else {}
    settings = typed(source, ("pilot",), given, AISettings)
    if engine is not None:
        check_engine(engine, "--engine")
    elif settings.engine is not None:
        check_engine(settings.engine, source.at("pilot", "engine"))
    file = root / (settings.models or "models.yaml")
    if settings.models is not None and not file.is_file():
        raise source.error(("pilot", "models"), f"there is no {settings.models}", f"It is looked for in {root}")
    return Project(Catalog.load(file), engine or settings.engine, settings.load_timeout, _port(raw))


def _read(config: Path | None) -> tuple[Path, Source, dict[str, Any]]:
    cwd = Path.cwd()
    try:
        file = find(config, cwd)
    except ConfigError:
        if config is not None:
            raise
        return cwd, Source(), {}
    if file.suffix == ".py":
        return file.parent, Source(), {}
    return file.parent, *read(file, cwd)


def _port(raw: dict[str, Any]) -> int | None:
    dev = raw.get("dev")
    port = dev.get("port") if isinstance(dev, dict) else None
    return port if isinstance(port, int) else None


__all__ = ["CONFIG", "ENGINE", "Project", "project"]
