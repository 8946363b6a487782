"""``[assets] directory = "public"``: a site's files, answered by the supervisor without waking the worker.

Reading order: ``site`` (what answers) → ``html`` (which file a path means) → ``folder`` (the files of ``pilot dev``) or
``host.files`` (those of a deployed version); ``shipment`` → ``host.routes`` → ``host.store`` is the way of a deploy.

https://developers.cloudflare.com/workers/static-assets/
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bindings.assets.places import KEY, directory, private
from bindings.assets.settings import HTML_HANDLING, NOT_FOUND_HANDLING, AssetsTable, base_of
from bindings.base import Binding, Product, ProductContext, Route
from bindings.deploying import Shipment
from bindings.responder import Responder
from runtime.config import Config
from runtime.hints import close_to

if TYPE_CHECKING:  # what serves is imported where there are assets
    from bindings.assets.site import Site
    from bindings.assets.sites import Sites


class StaticAssets(Product):
    key, label, shape = KEY, "Static assets", AssetsTable
    fronts = "each"
    worker_type = "bindings.assets.worker:Fetcher"
    inherited = True
    types = ("assets",)

    @classmethod
    def needs_no_script(cls, table: object) -> bool:
        return isinstance(table, Mapping) and not table.keys().isdisjoint(("directory", "jwt"))

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
        if (folder := directory(config)) is not None and not folder.is_dir():
            what = f"there is no folder {table.directory}"
            raise config.error(cls.key, what, "directory", remedy=f"It is looked for in {config.root}")
        if table.binding is not None and not table.binding.isidentifier():
            raise config.error(cls.key, f"'{table.binding}' is no name for env.NAME", "binding")

    @classmethod
    def folders(cls, config: Config) -> Sequence[Path]:
        folder = directory(config)
        return () if folder is None else (folder,)

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        site = cls._site(config, context)
        if site is None:
            return ()
        from bindings.assets.binding import AssetsBinding

        table = config.typed(KEY, AssetsTable)
        return [AssetsBinding(table.binding, site, table.directory or "")] if table.binding else []

    @classmethod
    def responder(cls, config: Config, context: ProductContext) -> Responder | None:
        return cls._site(config, context)

    @classmethod
    def routes(cls, context: ProductContext) -> Sequence[Route]:
        return cls._sites(context).deployed.routes(context) if context.on_host else ()

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        name = config.products.get(KEY, {}).get("binding")
        return [{"name": name, "type": "assets"}] if name else []

    @classmethod
    def shipment(cls, config: Config) -> Shipment | None:
        folder = directory(config)
        if folder is None:
            return None
        from bindings.assets.shipment import AssetShipment  # for the command alone

        return AssetShipment(folder, config.typed(KEY, AssetsTable), private(config))

    @classmethod
    def received(
        cls, context: ProductContext, worker: str, metadata: Mapping[str, Any], before: Mapping[str, Any]
    ) -> Mapping[str, object]:
        if KEY not in metadata and not metadata.get("keep_assets"):
            return {}
        return cls._sites(context).deployed.received(worker, metadata, before)

    @classmethod
    def table(cls, uploaded: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]) -> object | None:
        if not uploaded and not metadata.get(KEY):
            return None
        from bindings.assets.host.deployed import table_of

        return table_of(uploaded, metadata)

    @classmethod
    def sweep(cls, context: ProductContext, kept: Sequence[Mapping[str, Any]]) -> None:
        if (context.state / KEY).exists():
            cls._sites(context).deployed.sweep(kept)

    @classmethod
    def _site(cls, config: Config, context: ProductContext) -> Site | None:
        return cls._sites(context).of(config) if KEY in config.products else None

    @classmethod
    def _sites(cls, context: ProductContext) -> Sites:
        if KEY not in context.shared:
            from bindings.assets.sites import Sites

            context.shared[KEY] = Sites(context)
        sites: Sites = context.shared[KEY]
        return sites


def _check_first(config: Config, table: AssetsTable) -> None:
    rules, place = table.run_worker_first, "run_worker_first"
    if isinstance(rules, list):
        from bindings.assets import first

        if problem := first.problem(rules):
            raise config.error(KEY, problem, place, remedy='Write rules like:  ["/api/*", "!/api/docs/*"]')
    if rules is not False and config.main is None:
        what = "asks for a worker's script, and there is none"
        raise config.error(KEY, what, place, remedy="Add 'main', or take it away.")


__all__ = ["StaticAssets"]
