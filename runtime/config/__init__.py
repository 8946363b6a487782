"""wrangler.toml / .jsonc / .json → one frozen ``Config``.

Reading order: ``load`` here → ``source`` (find, read) → ``environment`` (types, ``[env.NAME]``) →
``secrets`` → ``model.Config``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bindings import PRODUCTS, products
from bindings.unserved import unserved
from runtime.config import values
from runtime.config.check import typed
from runtime.config.environment import ResolvedSettings, resolve
from runtime.config.javascript import modules
from runtime.config.model import Bytes, Config, DevSettings, PilotSettings, Seconds, Version
from runtime.config.secrets import Hidden, candidates, parse_variable, read_secrets
from runtime.config.source import Source, find, read, shown

__all__ = [
    "Bytes", "Config", "DevSettings", "PilotSettings", "Seconds", "Version", "load", "load_host",
    "owned_folders", "parse_variable", "watched",
]  # fmt: skip


def load(
    path: Path | None,
    *,
    environment: str | None = None,
    variables: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Config:
    """Read a worker's configuration.

    ``path``: a configuration file, its folder, or a bare ``.py`` script (no configuration); None: the
    nearest one in ``cwd`` or above. ``variables`` (``--var``) win over ``vars`` and over secrets.
    Raises ``ConfigError``.
    """
    cwd = (cwd or Path.cwd()).absolute()
    file = find(path, cwd)
    if file.suffix == ".py":
        settings, origin = ResolvedSettings(Source(shown(file, cwd)), environment), None
        settings.values = {"main": file.name, "name": values.slug(file.stem)}
    else:
        settings, origin = resolve(*read(file, cwd), environment or None), file
    return _build(settings, origin, file.parent, dict(variables or {}), cwd)


def load_host(file: Path) -> Config:
    """A host's own settings: the ``[pilot]`` table of ``file``, if there is one. Raises ``ConfigError``."""
    settings = ResolvedSettings(Source(file.name))
    if file.is_file():
        settings.source, raw = read(file, file.parent)
        for key in raw.keys() - {"pilot"}:
            raise settings.source.error((key,), "is unknown here", "A host's settings are in its table [pilot].")
        settings.take(raw, "pilot", ())
    extras = values.pilot(settings)
    return _checked(
        Config(
            path=file,
            root=file.parent,
            name="host",
            main=file.parent,
            pilot=extras[PilotSettings],
            extras=extras,
            source=settings.source,
            places=settings.places,
        )
    )


def watched(config: Config) -> list[Path]:
    """Files beside the worker's code that shape it, whether they exist yet or not."""
    dev_vars, env_files = candidates(config.root, config.environment)
    own = [config.path] if config.path else []
    products_own = [path for product in products() for path in product.files(config)]
    return [*own, *dev_vars, *env_files, *products_own]


def owned_folders(config: Config) -> list[Path]:
    """Folders below the worker's that are a product's: nothing in them is the worker's code."""
    owned = [folder for product in products() for folder in product.folders(config)]
    return [folder for folder in owned if config.main is None or not config.main.is_relative_to(folder)]


def _build(settings: ResolvedSettings, origin: Path | None, root: Path, variables: dict[str, str], cwd: Path) -> Config:
    resolved = settings.values
    required = resolved["secrets"].get("required", []) if "secrets" in resolved else None
    local_warnings: list[str] = []
    secrets = read_secrets(
        root, settings.environment, cwd, required=required, names=resolved.get("vars", {}), warnings=local_warnings
    )
    extras, main = values.pilot(settings), values.main(settings, root)
    config = Config(
        path=origin,
        root=root,
        name=values.name(settings, root),
        main=main,
        environment=settings.environment,
        compatibility_date=values.date(settings),
        compatibility_flags=tuple(resolved.get("compatibility_flags", ())),
        vars={**values.variables(settings), **variables},
        secrets=Hidden({name: variables.get(name, secret) for name, secret in secrets.items()}),
        products={key: value for key, value in resolved.items() if key in PRODUCTS and key != "vars"},
        unserved={name: what for _, name, what in unserved(resolved)},
        pilot=extras[PilotSettings],
        extras=extras,
        domains=values.domains(settings),
        limits=resolved.get("limits", {}),
        dev=typed(settings.source, ("dev",), resolved.get("dev", {}), DevSettings),
        warnings=(*settings.warnings, *_javascript(main), *local_warnings),
        local_warnings=tuple(local_warnings),
        source=settings.source,
        places=settings.places,
    )
    values.check_distinct(settings, [*config.vars, *config.secrets])
    return _checked(config)


def _javascript(main: Path | None) -> list[str]:
    remedy = "say it in Python, or put it into a worker of its own and call that by a service binding"
    what = f"is a JavaScript module, which nothing here can run: {remedy}"
    return [f"{path.name}: {what}" for path in modules(main)]


def _checked(config: Config) -> Config:
    for product in products():
        product.check(config)
    return config
