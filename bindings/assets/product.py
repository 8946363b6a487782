"""``[assets] directory = "public"``: a site's files, answered by the supervisor without waking the worker.

Reading order: ``site`` (what answers) → ``html`` (which file a path means) → ``folder`` (the files of ``pilot dev``).

https://developers.cloudflare.com/workers/static-assets/
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bindings.assets import first
from bindings.assets.binding import AssetsBinding
from bindings.assets.files import Contents
from bindings.assets.folder import FolderFiles
from bindings.assets.settings import HTML_HANDLING, NOT_FOUND_HANDLING, AssetsTable, base_of
from bindings.assets.site import Site, prefers_navigation
from bindings.base import Binding, Product, ProductContext
from bindings.responder import Responder
from runtime.config import Config, watched
from runtime.hints import close_to


class StaticAssets(Product):
    key, label, shape = "assets", "Static assets", AssetsTable
    inherited = True
    types = ("assets",)

    @classmethod
    def needs_no_script(cls, table: object) -> bool:
        return isinstance(table, Mapping) and "directory" in table

    @classmethod
    def check(cls, config: Config) -> None:
        """Raises ``ConfigError``."""
        if cls.key not in config.products:
            return
        table = config.typed(cls.key, AssetsTable)
        for name, allowed in (("html_handling", HTML_HANDLING), ("not_found_handling", NOT_FOUND_HANDLING)):
            if (value := getattr(table, name)) not in allowed:
                what = f"'{value}' is none of its values{close_to(value, allowed)}"
                raise config.error(cls.key, what, name, remedy=f"Use: {', '.join(allowed)}")
        _check_first(config, table)
        if base_of(table.base_path) is None:
            what = f"'{table.base_path}' is not the path of a folder"
            raise config.error(cls.key, what, "base_path", remedy='Write it like:  base_path = "/app/"')
        if (folder := _directory(config)) is not None and not folder.is_dir():
            what = f"there is no folder {table.directory}"
            raise config.error(cls.key, what, "directory", remedy=f"It is looked for in {config.root}")
        if table.binding is not None and not table.binding.isidentifier():
            raise config.error(cls.key, f"'{table.binding}' is no name for env.NAME", "binding")

    @classmethod
    def folders(cls, config: Config) -> Sequence[Path]:
        folder = _directory(config)
        return () if folder is None else (folder,)

    @classmethod
    async def start(cls, context: ProductContext) -> None:
        context.shared[cls.key] = Sites(context)

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        site = cls._site(config, context)
        if site is None:
            return ()
        table = config.typed(cls.key, AssetsTable)
        return [AssetsBinding(table.binding, site, table.directory or "")] if table.binding else []

    @classmethod
    def responder(cls, config: Config, context: ProductContext) -> Responder | None:
        return cls._site(config, context)

    @classmethod
    def _site(cls, config: Config, context: ProductContext) -> Site | None:
        sites: Sites = context.shared[cls.key]
        return sites.of(config) if cls.key in config.products else None


class Sites:
    """The sites that are served, and what they share. A configuration has one, whoever asks for it."""

    def __init__(self, context: ProductContext) -> None:
        self._context, self._contents = context, Contents()
        self._last: tuple[Config | None, Site | None] = None, None

    def of(self, config: Config) -> Site | None:
        if self._last[0] is not config:
            self._last = config, self._made(config)
        return self._last[1]

    def _made(self, config: Config) -> Site | None:
        folder = _directory(config)
        if folder is None:
            return None
        table = config.typed(StaticAssets.key, AssetsTable)
        private = [*watched(config), config.root / ".pilot", config.root / ".wrangler"]  # secrets, and what is kept
        warn = self._context.observer.warn
        files = FolderFiles(folder, table.html_handling, private, self._contents, warn)
        files.rules()  # what is wrong in them is said now
        if config.main is not None and config.main.is_relative_to(folder):
            warn(
                f"{config.at(StaticAssets.key, 'directory')}: the worker's own code is in it, and everybody may read it"
            )
        navigation = prefers_navigation(config.compatibility_date, config.compatibility_flags)
        return Site(table, files, has_script=config.main is not None, navigation=navigation)


def _directory(config: Config) -> Path | None:
    """Absolute."""
    name = config.products.get(StaticAssets.key, {}).get("directory")
    return None if name is None else Path(os.path.normpath(config.root / name))


def _check_first(config: Config, table: AssetsTable) -> None:
    rules, place = table.run_worker_first, "run_worker_first"
    if isinstance(rules, list) and (problem := first.problem(rules)):
        remedy = 'Write rules like:  ["/api/*", "!/api/docs/*"]'
        raise config.error(StaticAssets.key, problem, place, remedy=remedy)
    if rules is not False and config.main is None:
        what = "asks for a worker's script, and there is none"
        raise config.error(StaticAssets.key, what, place, remedy="Add 'main', or take it away.")


__all__ = ["StaticAssets"]
