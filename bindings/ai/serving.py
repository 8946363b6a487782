"""What runs Workers AI in a supervisor: the service and its routes. Imported once something asks for a model.

Most workers have no model, and none of these modules then: they are a third of what a supervisor imports.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from bindings.ai import stores
from bindings.ai.anthropic.rest import MessagesRest
from bindings.ai.catalog.models import check_engine
from bindings.ai.catalog.resolve import EMBEDDED, EMBEDDED_NAME, Catalog, automatic_engine
from bindings.ai.fronts.borrowed import BorrowedEngines
from bindings.ai.http import cors
from bindings.ai.http.auth import Auth
from bindings.ai.methods.gateway import GatewayMethods
from bindings.ai.observe.metrics import engine_families
from bindings.ai.observe.replicas import replica_families
from bindings.ai.openai.audio import AudioRest
from bindings.ai.openai.rankings import RankingsRest
from bindings.ai.openai.text import OpenAIRest
from bindings.ai.openai.tokens import TokensRest
from bindings.ai.replicas.pool import Elsewhere, EnginePool
from bindings.ai.rest.catalog import CatalogRest
from bindings.ai.rest.finetunes import FinetunesRest
from bindings.ai.rest.gateway import GatewayRest
from bindings.ai.rest.markdown import MarkdownRest
from bindings.ai.rest.proxy import ProxyRest
from bindings.ai.rest.run import RunRest
from bindings.ai.rest.status import engine_rows
from bindings.ai.rest.unknown import UnknownRest
from bindings.ai.service import AIService, ServiceSettings
from bindings.ai.settings import KEY, AISettings, ClusterSettings, models_file
from bindings.base import Admits, FirstFront, ProductContext, Route
from runtime.config import Config

if TYPE_CHECKING:  # not needed before the first scrape
    from prometheus_client import Metric


def begin(context: ProductContext) -> AIService:
    """The service, with ``context.config``'s settings. Raises ConfigError."""
    settings = context.config.settings(AISettings) if context.config is not None else AISettings()
    pool = EnginePool(
        context.observer,
        load_timeout=settings.load_timeout,
        log=context.observer.debug,
        metrics=settings.engine_metrics,
        max_engines=context.options.get("models"),
        elsewhere=_cluster(context, settings.cluster),
    )
    service = AIService(pool, Catalog(), _settings(context, None), context.observer)
    stores.open_stores(service, context.state, context.observer.warn)
    if context.on_host and context.config is not None:
        models = models_file(context.config)
        service.reconfigure(Catalog.load(models), _settings(context, context.config), preload=True)
        pool.keep(service.preloaded)
        stores.configure(service, context.config)
        stores.configure(service)
    return service


def begin_near(context: ProductContext, first: FirstFront) -> AIService:
    """Of a front that is not the first: what is kept, and every engine, is the first's."""
    engines = BorrowedEngines(first, context.observer)
    service = AIService(engines, Catalog(), _settings(context, None), context.observer)
    engines.name_by(service.ids_of)
    if context.config is not None:
        service.reconfigure(Catalog.load(models_file(context.config)), _settings(context, context.config))
    return service


def reconfigure(service: AIService, config: Config, context: ProductContext) -> None:
    """As a worker's configuration says, in dev. Raises ConfigError."""
    catalog = Catalog.load(models_file(config))
    service.reconfigure(catalog, _settings(context, config), preload=KEY in config.products)
    stores.configure(service, config)


def remarks(service: AIService) -> Sequence[str]:
    if (service.settings.engine or automatic_engine()) == "openai":
        return [_remote_engine_remark(chosen=service.settings.engine is not None)]
    if EMBEDDED not in service.preloaded:
        return ()
    return [f"{EMBEDDED_NAME} stands in for every text model; name your own weights in models.yaml"]


def status(service: AIService) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    return {"engines": engine_rows(service)}


def routes(service: AIService, context: ProductContext) -> Sequence[Route]:
    admits = partial(_admits, context.admits) if context.admits else None
    auth = Auth(os.environ.get("PILOT_API_TOKEN") or None, admits, lambda: service.settings.cors)
    more = {**RankingsRest(service).handlers, **TokensRest(service).handlers, **AudioRest(service).handlers}
    openai = OpenAIRest(service, auth, lambda: service.settings.openai_routes, context.observer.note, more)
    gateways, rest = GatewayMethods(service, context.url), RunRest(service, auth)
    unknown = UnknownRest([*openai.handlers, "/messages"], lambda: service.settings.whole_v1)
    parts = (  # in the order in which they are matched: a path that takes all comes last
        CatalogRest(service, auth), FinetunesRest(service, auth), MarkdownRest(service.markdown, auth), openai,
        MessagesRest(service, auth, openai.serves_v1),
        GatewayRest(gateways, auth, rest.run, openai.handlers, openai.serves_v1, unknown),
        ProxyRest(service, auth, gateways), rest, unknown,
    )  # fmt: skip
    return [replace(route, origins=auth.origins) for part in parts for route in part.routes()]


async def metrics(service: AIService) -> Sequence[Metric]:
    pool, name_of = service.pool, service.name_of
    own = [*service.meter.families(), *replica_families(pool.groups, name_of)]
    return [*own, *await engine_families(pool.clients, name_of)]


def _cluster(context: ProductContext, settings: ClusterSettings | None) -> Elsewhere | None:
    """``--ray`` over ``[pilot.cluster]``. Nothing of it is imported where neither is there."""
    address = context.options.get("ray") or (settings.address if settings else None)
    if address is None:
        return None
    from bindings.ai.cluster.cluster import Cluster

    linger = (settings or ClusterSettings()).linger
    cluster = Cluster(address, linger, context.observer.warn, context.observer.debug)
    cluster.begin()
    return cluster


def _remote_engine_remark(*, chosen: bool) -> str:
    """Prompts may leave this machine: that is said before the first one does."""
    base = re.sub(r"//[^/]*@", "//", os.environ.get("OPENAI_BASE_URL", "")).partition("?")[0]
    default = "https://api.openai.com" if os.environ.get("OPENAI_API_KEY") else "the server that their row names"
    where = f"models are asked of {base or default}"
    stay = "" if chosen else " (OPENAI_BASE_URL); to stay on this machine: --engine llamacpp"
    return f"{where}, unless their row in models.yaml says otherwise{stay}"


def _admits(admits: Admits, token: str, address: str) -> bool:
    return admits(token, "ai", address)


def _settings(context: ProductContext, config: Config | None) -> ServiceSettings:
    """The command line over ``[pilot]``; padding hides token lengths on a host, and is in the way in dev."""
    engine = context.options.get("engine")
    if engine is not None:
        check_engine(engine, "--engine")
    elif config is not None and (engine := config.settings(AISettings).engine) is not None:
        check_engine(engine, config.at("pilot", "engine"))
    settings = config.settings(AISettings) if config else AISettings()
    padding, chosen = settings.padding, settings.openai_routes
    openai_routes = not context.on_host if chosen is None else chosen
    whole_v1 = openai_routes and (chosen is not None or (config is not None and KEY in config.products))
    origins = cors.check(settings.cors, config.at("pilot", "cors")) if config else ()
    return ServiceSettings(
        engine=engine,
        padding=context.on_host if padding is None else padding,
        openai_routes=openai_routes,
        whole_v1=whole_v1,
        cors=origins,
    )


__all__ = ["begin", "begin_near", "metrics", "reconfigure", "remarks", "routes", "status"]
