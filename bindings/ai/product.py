"""Workers AI as a product: ``[ai] binding = "AI"``, the REST routes, the engines that outlive reloads."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from bindings.ai.settings import BATCHES, KEY, AISettings, models_file
from bindings.base import Binding, EnvType, FirstFront, Lending, Product, ProductContext, Route
from bindings.deploying import Apart, Text
from runtime.config import Config

if TYPE_CHECKING:  # imported once something asks for a model, or for the first scrape
    from prometheus_client import Metric

    from bindings.ai.service import AIService


_CONFIG = "ai.config"  # in ``context.shared``: the first worker's, as it was last read
_MODEL_ID = re.compile(r"@(?:cf|hf)/[\w.-]+/[\w.-]+")


class AITable(msgspec.Struct, frozen=True):
    """``[ai]``. The other keys are about Cloudflare's own machines and mean nothing here."""

    binding: str
    remote: bool | None = None
    experimental_remote: bool | None = None
    staging: bool | None = None


class WorkersAI(Product):
    """One ``AIService`` per supervisor, in ``context.shared["ai"]``, from when something asks for a model; a
    configuration brings it a catalog."""

    key, label, shape = KEY, "Workers AI", AITable
    fronts = "near"
    settings, at_start = AISettings, ("load_timeout", "engine_metrics", "cluster")
    types = scopes = ("ai",)
    worker_type = "bindings.ai.env:AI"
    explorer = "explorer.js"
    paths = ("/client/v4/", "/v1", "/v2/rerank")

    @classmethod
    def check(cls, config: Config) -> None:
        models = config.settings(AISettings).models
        if models is not None and not (config.root / models).is_file():
            raise config.error("pilot", f"there is no {models}", "models", remedy=f"It is looked for in {config.root}")

    @classmethod
    def env_types(cls, config: Config) -> Mapping[str, EnvType]:
        """Its models are told apart by what they take: texts, what embeds, and others."""
        from bindings.ai.catalog.kinds import kind
        from bindings.ai.catalog.resolve import Catalog

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
        from bindings.ai.catalog.models import built_in, own_models

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
            from bindings.ai import serving

            context.shared[cls.key] = serving.begin_near(context, context.first)
            return
        if context.on_host or any(value is not None for value in context.options.values()):
            service = cls._service(context)
        if context.on_host:
            from bindings.ai import serving

            for remark in serving.remarks(service):
                context.observer.note(remark)

    @classmethod
    async def stop(cls, context: ProductContext) -> None:
        context.shared.pop(_CONFIG, None)
        if (service := context.shared.pop(cls.key, None)) is not None:
            await service.aclose()

    @classmethod
    def parse(cls, config: Config, context: ProductContext) -> Sequence[Binding]:
        if context.first is not None:
            return cls._near(config, context, context.first)
        if not context.on_host and context.leads(config):  # on a host the models are its own, whatever a folder says
            context.shared[_CONFIG] = config
            if cls.key in context.shared:
                _reconfigure(context.shared[cls.key], context)
            elif _is_wanted(config, context):
                cls._service(context)
        if cls.key not in config.products:
            return []
        from bindings.ai.binding import AIBinding

        return [AIBinding(config.typed(cls.key, AITable).binding, cls._service(context), context.url)]

    @classmethod
    def _service(cls, context: ProductContext) -> AIService:
        """Made when it is first asked for."""
        if (service := context.shared.get(cls.key)) is None:
            from bindings.ai import serving

            service = context.shared[cls.key] = serving.begin(context)
            if _CONFIG in context.shared:
                _reconfigure(service, context)
        return service

    @classmethod
    def _near(cls, config: Config, context: ProductContext, first: FirstFront) -> Sequence[Binding]:
        if cls.key not in config.products:
            return []
        from bindings.ai.fronts.near import NearBinding

        assert config.version is not None
        name = config.typed(cls.key, AITable).binding
        binding = first.binding(config.version.id, name)
        return [NearBinding(name, context.shared[cls.key], context.url, binding)]

    @classmethod
    def lending(cls, context: ProductContext) -> Lending:
        from bindings.ai.fronts.lending import EngineLending

        return EngineLending(cls._service(context))

    @classmethod
    def remarks(cls, context: ProductContext) -> Sequence[str]:
        if (service := context.shared.get(cls.key)) is None:
            return ()
        from bindings.ai import serving

        return serving.remarks(service)

    @classmethod
    def status(cls, context: ProductContext) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        if (service := context.shared.get(cls.key)) is None:
            return {"engines": []}
        from bindings.ai import serving

        return serving.status(service)

    @classmethod
    def routes(cls, context: ProductContext) -> Sequence[Route]:
        from bindings.ai import serving

        return serving.routes(cls._service(context), context)

    @classmethod
    async def metrics(cls, context: ProductContext) -> Sequence[Metric]:
        from bindings.ai import serving

        return await serving.metrics(cls._service(context))


def _is_wanted(config: Config, context: ProductContext) -> bool:
    """Whether this worker has to do with models before anybody asks for one: what is wrong in its settings is said at
    once, a queue goes on, and where prompts would go is told."""
    named = KEY in config.products or config.settings(AISettings) != AISettings() or models_file(config).is_file()
    return named or bool(os.environ.get("OPENAI_BASE_URL")) or (context.state / BATCHES).exists()


def _reconfigure(service: AIService, context: ProductContext) -> None:
    from bindings.ai import serving

    serving.reconfigure(service, context.shared[_CONFIG], context)


__all__ = ["WorkersAI"]
