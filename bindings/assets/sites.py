"""The sites of a supervisor, each made of one configuration."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bindings.assets.files import Contents, Files
from bindings.assets.folder import FolderFiles
from bindings.assets.host.deployed import Deployed
from bindings.assets.places import KEY, directory, private
from bindings.assets.settings import AssetsTable, DeployedAssets
from bindings.assets.site import Site, prefers_navigation
from bindings.base import ProductContext
from runtime.config import Config


class Sites:
    """What they share. A configuration has one site, whoever asks for it."""

    def __init__(self, context: ProductContext) -> None:
        self._on_host, self._warn = context.on_host, context.observer.warn
        self._contents = Contents()
        self.deployed = Deployed(context.state / KEY, self._contents)
        self._last: tuple[Config | None, Site | None] = None, None

    def of(self, config: Config) -> Site | None:
        if self._last[0] is not config:
            self._last = config, self._made(config)
        return self._last[1]

    def _made(self, config: Config) -> Site | None:
        table = config.typed(KEY, DeployedAssets)
        folder = directory(config)
        if self._on_host:
            files: Files = self.deployed.files(table, config.name, self._warn)
        elif folder is not None:
            files = _folder(config, folder, table, self._contents, self._warn)
        else:
            return None
        navigation = prefers_navigation(config.compatibility_date, config.compatibility_flags)
        return Site(table, files, has_script=config.main is not None, navigation=navigation)


def _folder(
    config: Config, folder: Path, table: AssetsTable, contents: Contents, warn: Callable[[str], None]
) -> FolderFiles:
    files = FolderFiles(folder, table.html_handling, private(config), contents, warn)
    files.rules()  # what is wrong in them is said now
    if config.main is not None and config.main.is_relative_to(folder):
        warn(f"{config.at(KEY, 'directory')}: the worker's own code is in it, and everybody may read it")
    return files


__all__ = ["Sites"]
