"""Workers AI as a product: ``[ai] binding = "AI"``, the REST routes, the engines that outlive reloads."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bindings.ai.answer import RunAnswer
from bindings.ai.catalog import EMBEDDED, EMBEDDED_NAME, Catalog, automatic_engine
from bindings.ai.errors import AiError, no_such_model
from bindings.ai.gate import Gate
from bindings.ai.models import check_engine
from bindings.ai.pool import EnginePool
from bindings.ai.rest import Rest
from bindings.ai.service import AIService, Settings, new_request_id
from bindings.base import Binding, CallError, HostStream, House, Product, Route
from runtime.config import Config


class Table(msgspec.Struct, frozen=True):
    """``[ai]``. The other keys are about Cloudflare's own machines and mean nothing here."""

    binding: str
    remote: bool | None = None
    experimental_remote: bool | None = None
    staging: bool | None = None


class AIBinding:
    """The host's half of ``env.AI``."""

    client = "bindings.ai.binding:AI"
    client_args: Mapping[str, Any] = {}

    def __init__(self, name: str, service: AIService) -> None:
        self.name, self._service = name, service

    def describe(self) -> tuple[str, str]:
        return "Workers AI", f"engine: {_engine(self._service)}"

    async def call(self, method: str, args: Sequence[Any]) -> Any:
        """``run(model, inputs, options)`` → ``{"result", "headers"}``, or a stream whose meta has them."""
        if method != "run":
            raise CallError("TypeError", f"env.{self.name}.{method} is not a function")
        model, inputs, options = (*args, None, None, None)[:3]
        request_id = new_request_id()
        try:
            return _handed_over(await self._run(model, inputs, options, request_id))
        except AiError as error:
            raise CallError(
                "AiError", str(error), code=error.code, status=error.status, description=error.description,
                request_id=request_id,
            ) from None

    async def _run(self, model: Any, inputs: Any, options: Any, request_id: str) -> RunAnswer:
        if not isinstance(model, str):
            raise no_such_model(repr(model)[:100])
        options = options if isinstance(options, dict) else {}
        return await self._service.run(model, inputs, options, request_id=request_id)


class AI(Product):
    """One ``AIService`` per supervisor, in ``house.shared["ai"]``; a configuration brings it a catalog."""

    key = "ai"

    @classmethod
    async def start(cls, house: House) -> None:
        load_timeout = house.options.get("load_timeout", 600.0)
        pool = EnginePool(house.say, load_timeout=load_timeout, log=house.say.debug)
        house.shared[cls.key] = AIService(pool, Catalog(), _settings(house, None), house.say)

    @classmethod
    async def stop(cls, house: House) -> None:
        if (service := house.shared.pop(cls.key, None)) is not None:
            await service.aclose()

    @classmethod
    def parse(cls, config: Config, house: House) -> Sequence[Binding]:
        catalog = Catalog.load(config.root / config.pilot.models)
        service: AIService = house.shared[cls.key]
        bound = cls.key in config.products
        service.reconfigure(catalog, _settings(house, config), preload=bound)
        return [AIBinding(config.typed(cls.key, Table).binding, service)] if bound else []

    @classmethod
    def remarks(cls, house: House) -> Sequence[str]:
        service: AIService = house.shared[cls.key]
        if EMBEDDED not in service.preloaded:
            return ()
        return [f"{EMBEDDED_NAME} stands in for every model; name your own weights in models.yaml"]

    @classmethod
    def routes(cls, house: House) -> Sequence[Route]:
        token = os.environ.get("PILOT_API_TOKEN") or None
        if house.on_host and token is None:
            house.say.warn("PILOT_API_TOKEN is not set: the REST API refuses every request")
        gate = Gate(token, closed=house.on_host and token is None)
        return Rest(house.shared[cls.key], gate).routes()


def _engine(service: AIService) -> str:
    return service.settings.engine or automatic_engine()


def _settings(house: House, config: Config | None) -> Settings:
    """The command line over ``[pilot]``; padding hides token lengths on a host, and is in the way in dev."""
    engine = house.options.get("engine")
    if engine is not None:
        check_engine(engine, "--engine")
    elif config is not None and (engine := config.pilot.engine) is not None:
        check_engine(engine, config.at("pilot", "engine"))
    padding = config.pilot.padding if config else None
    return Settings(engine=engine, padding=house.on_host if padding is None else padding)


def _handed_over(answer: RunAnswer) -> Any:
    if answer.stream is not None:
        return HostStream(answer.stream, {"headers": answer.headers})
    return {"result": answer.json, "headers": answer.headers}


__all__ = ["AI", "AIBinding"]
