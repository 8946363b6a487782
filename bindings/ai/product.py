"""Workers AI as a product: ``[ai] binding = "AI"``, the REST routes, the engines that outlive reloads."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bindings.ai import stores
from bindings.ai.anthropic.rest import MessagesRest
from bindings.ai.binding import AIBinding
from bindings.ai.catalog.kinds import kind
from bindings.ai.catalog.models import built_in, check_engine, own_models
from bindings.ai.catalog.resolve import EMBEDDED, EMBEDDED_NAME, Catalog, automatic_engine
from bindings.ai.fronts.borrowed import BorrowedEngines
from bindings.ai.fronts.lending import EngineLending
from bindings.ai.fronts.near import NearBinding
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
from bindings.ai.settings import AISettings, ClusterSettings, models_file
from bindings.base import Admits, Binding, EnvType, FirstFront, Lending, Product, ProductContext, Route
from bindings.deploying import Apart, Text
from runtime.config import Config

if TYPE_CHECKING:  # not needed before the first scrape
    from prometheus_client import Metric


_MODEL_ID = re.compile(r"@(?:cf|hf)/[\w.-]+/[\w.-]+")


class AITable(msgspec.Struct, frozen=True):
    """``[ai]``. The other keys are about Cloudflare's own machines and mean nothing here."""

    binding: str
    remote: bool | None = None
    experimental_remote: bool | None = None
    staging: bool | None = None


class WorkersAI(Product):
    """One ``AIService`` per supervisor, in ``context.shared["ai"]``; a configuration brings it a catalog."""

    key, label, shape = "ai", "Workers AI", AITable
    fronts = "near"
    settings, at_start = AISettings, ("load_timeout", "engine_metrics", "cluster")
    types = scopes = ("ai",)
    worker_type = "bindings.ai.env:AI"
    explorer = "explorer.js"

    @classmethod
    def check(cls, config: Config) -> None:
        models = config.settings(AISettings).models
        if models is not None and not (config.root / models).is_file():
            raise config.error("pilot", f"there is no {models}", "models", remedy=f"It is looked for in {config.root}")

    @classmethod
    def env_types(cls, config: Config) -> Mapping[str, EnvType]:
        """Its models are told apart by what they take: texts, what embeds, and others."""
        ids: dict[str, list[str]] = {"Text Generation": [], "Text Embeddings": [], "": []}
        for model in Catalog.load(models_file(config)).models():
            ids[kind(model) if kind(model) in ids else ""].append(model.id)
        literals = (
            f"typing.Literal[{', '.join(map(repr, some))}]" if some else "typing.Never" for some in ids.values()
        )
        return dict.fromkeys(cls.names(config.products.get(cls.key)), EnvType(cls.worker_type, ", ".join(literals)))

    @classmethod
    def apart(cls, config: Config, texts: Sequence[Text]) -> Iterator[Apart]:
        """Models that upstream's catalog does not have."""
        file = models_file(config)
        own = own_models(file) if file.is_file() else {}
        for text in texts:
            if text.value in built_in() or not (text.value in own or _MODEL_ID.fullmatch(text.value)):
                continue
            if text.value in own:
                yield Apart(text.where, f"{text.value} is in your {file.name} alone")
            else:
                yield Apart(text.where, f"{text.value} is not in the catalog that this version knows", stops=False)

    @classmethod
    def files(cls, config: Config) -> Sequence[Path]:
        return [models_file(config)]

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        table = config.products.get(cls.key)
        return [{"name": table["binding"], "type": "ai"}] if table else []

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        return {"binding": uploaded[-1]["name"]}

    @classmethod
    async def start(cls, context: ProductContext) -> None:
        if context.first is not None:
            context.shared[cls.key] = _near_service(context, context.first)
            return
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
        context.shared[cls.key] = service
        if context.on_host:
            for remark in cls.remarks(context):
                context.observer.note(remark)

    @classmethod
    async def stop(cls, context: ProductContext) -> None:
        if (service := context.shared.pop(cls.key, None)) is not None:
            await service.aclose()

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        service: AIService = context.shared[cls.key]
        bound = cls.key in config.products
        if context.first is not None:
            return [_near(config, service, context, context.first)] if bound else []
        if not context.on_host and context.leads(config):  # on a host the models are its own, whatever a folder says
            catalog = Catalog.load(models_file(config))
            service.reconfigure(catalog, _settings(context, config), preload=bound)
            stores.configure(service, config)
        return [AIBinding(config.typed(cls.key, AITable).binding, service, context.url)] if bound else []

    @classmethod
    def lending(cls, context: ProductContext) -> Lending:
        return EngineLending(context.shared[cls.key])

    @classmethod
    def remarks(cls, context: ProductContext) -> Sequence[str]:
        service: AIService = context.shared[cls.key]
        if (service.settings.engine or automatic_engine()) == "openai":
            return [_remote_engine_remark(chosen=service.settings.engine is not None)]
        if EMBEDDED not in service.preloaded:
            return ()
        return [f"{EMBEDDED_NAME} stands in for every text model; name your own weights in models.yaml"]

    @classmethod
    def status(cls, context: ProductContext) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        service: AIService = context.shared[cls.key]
        return {"engines": engine_rows(service)}

    @classmethod
    def routes(cls, context: ProductContext) -> Sequence[Route]:
        service: AIService = context.shared[cls.key]
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

    @classmethod
    async def metrics(cls, context: ProductContext) -> Sequence[Metric]:
        service: AIService = context.shared[cls.key]
        pool, name_of = service.pool, service.name_of
        own = [*service.meter.families(), *replica_families(pool.groups, name_of)]
        return [*own, *await engine_families(pool.clients, name_of)]


def _near_service(context: ProductContext, first: FirstFront) -> AIService:
    """Of a front that is not the first: what is kept, and every engine, is the first's."""
    engines = BorrowedEngines(first, context.observer)
    service = AIService(engines, Catalog(), _settings(context, None), context.observer)
    engines.ids_of = service.ids_of
    if context.config is not None:
        service.reconfigure(Catalog.load(models_file(context.config)), _settings(context, context.config))
    return service


def _near(config: Config, service: AIService, context: ProductContext, first: FirstFront) -> Binding:
    assert config.version is not None
    name = config.typed(WorkersAI.key, AITable).binding
    return NearBinding(name, service, context.url, first.binding(config.version.id, name))


def _cluster(context: ProductContext, settings: ClusterSettings | None) -> Elsewhere | None:
    """``--ray`` over ``[pilot.cluster]``. Nothing of it is imported where neither is there."""
    address = context.options.get("ray") or (settings.address if settings else None)
    if address is None:
        return None
    from bindings.ai.cluster.cluster import Cluster

    linger = (settings or ClusterSettings()).linger
    return Cluster(address, linger, context.observer.warn, context.observer.debug)


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
    whole_v1 = openai_routes and (chosen is not None or (config is not None and WorkersAI.key in config.products))
    origins = cors.check(settings.cors, config.at("pilot", "cors")) if config else ()
    return ServiceSettings(
        engine=engine,
        padding=context.on_host if padding is None else padding,
        openai_routes=openai_routes,
        whole_v1=whole_v1,
        cors=origins,
    )


__all__ = ["AIBinding", "WorkersAI"]
