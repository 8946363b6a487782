"""The one ``run`` behind ``env.AI`` and the REST routes: catalog → checked request → engine's deltas → answer.

The first delta, which may be empty, is awaited before the answer begins, so that a refusal is an HTTP error and not
a broken stream. Whoever closes the answer's stream, or cancels ``run``, aborts the engine's request.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

import msgspec

from bindings.ai.answers.answer import ResponseBuilder, RunAnswer, StreamStats, headers
from bindings.ai.answers.merge import merged
from bindings.ai.batch.queue import Batches
from bindings.ai.batch.requests import is_batch
from bindings.ai.catalog import kinds
from bindings.ai.catalog.models import Model
from bindings.ai.catalog.resolve import EMBEDDED, Catalog, Served, automatic_engine
from bindings.ai.engine import tasks
from bindings.ai.engine.client import EngineClient
from bindings.ai.engine.deltas import DeltaIterator
from bindings.ai.engine.protocol import EngineError, EngineSpec
from bindings.ai.error_table import INTERNAL
from bindings.ai.errors import ModelError, bad_input, internal, of_engine
from bindings.ai.finetunes.adapters import Adapters, NoAdapters
from bindings.ai.gateway.gateway import GatewayCall, Gateways
from bindings.ai.inputs.text import TextRequest, refuse_options, text_generation
from bindings.ai.markdown.convert import MarkdownConverter
from bindings.ai.observe import tracing
from bindings.ai.observe.metrics import Meter
from bindings.ai.replicas.group import Replicas
from bindings.ai.replicas.placement import Placed, Placement
from bindings.ai.tasks import registry
from bindings.base import ProductObserver
from runtime.errors import UserError


class Pool(Protocol):
    """Engines by their specs; ``bindings.ai.replicas.pool`` has the real one."""

    def get(self, spec: EngineSpec, placement: Placement | None = None) -> tasks.Client: ...

    @property
    def clients(self) -> Sequence[EngineClient]: ...

    @property
    def groups(self) -> Sequence[Replicas]: ...

    async def reconcile(self, wanted: Iterable[Placed]) -> None: ...

    async def aclose(self) -> None: ...


class ServiceSettings(msgspec.Struct, frozen=True):
    """``engine``: the person's choice, None for the best that works. ``padding``: send the ``p`` filler.

    ``openai_routes``: answer OpenAI's routes under ``/v1``. ``whole_v1``: and refuse what else is asked for there.
    ``cors``: the origins whose pages may use the REST routes.
    """

    engine: str | None = None
    padding: bool = False
    openai_routes: bool = True
    whole_v1: bool = False
    cors: Sequence[str] = ()


class AIService:
    """Workers AI on this machine: outlives reloads, which bring it a new catalog."""

    def __init__(self, pool: Pool, catalog: Catalog, settings: ServiceSettings, observer: ProductObserver) -> None:
        self.pool, self.catalog, self.settings, self._observer = pool, catalog, settings, observer
        self._served_models: dict[str, Served] = {}  # by the id in a request
        self.adapters: Adapters = NoAdapters()
        self.markdown, self.meter = MarkdownConverter(), Meter()
        self.preloaded: list[EngineSpec] = []
        self._announced: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.batches: Batches | None = None  # ``bindings.ai.stores`` gives it both
        self.gateways: Gateways | None = None

    async def run(
        self,
        model: str,
        inputs: object,
        options: Mapping[str, Any] | None = None,
        *,
        request_id: str = "",
        form: str = "",
    ) -> RunAnswer:
        """Answer one request. Raises ModelError for whatever is refused or fails before the first token.

        ``form``: one of ``bindings.ai.inputs.text``, when an OpenAI route asks; else the model and the inputs say it.
        By way of the batch queue, or through an AI Gateway, where that is asked for.
        """
        request_id, options = request_id or new_request_id(), options or {}
        if self.batches is not None and not form and is_batch(inputs, options):
            return await self.batches.answer(model, inputs, options, request_id)
        if self.gateways is not None and options.get("gateway"):
            call = GatewayCall(model, inputs, options, request_id, form, lambda: self._resolve(model).spec)
            return await self.gateways.run(call, partial(self.answer, model, inputs, options, request_id, form))
        return await self.answer(model, inputs, options, request_id, form)

    async def answer(
        self, model: str, inputs: object, options: Mapping[str, Any], request_id: str, form: str
    ) -> RunAnswer:
        """The model's own answer."""
        served = self._resolve(model)
        refuse_options(options)
        handler = registry.handler(served.model)
        if handler is not None and (not form or served.spec.runner != tasks.GENERATE):
            return await self._run_task(handler, served, inputs, request_id, form)
        request = await self._with_adapter(text_generation(inputs, served.model, form), served.model)
        stats = StreamStats(served.model.id)
        builder = ResponseBuilder(served, request, request_id, stats, self._refusal)
        call = self.meter.begin(stats, tracing.generation(served, request.generate, request_id))
        try:
            with call.inside():
                deltas = call.watch(self._deltas(served, request, request_id))
            gateway = bool(options.get("gateway"))
            return await builder.begin(deltas, padding=self.settings.padding, await_first_token=gateway)
        except Exception as error:
            call.end("error")
            raise self._refusal(error, request_id) from error

    def _deltas(self, served: Served, request: TextRequest, request_id: str) -> DeltaIterator:
        """The engine's deltas, of one prompt or merged of several. Raises ModelError 5006."""
        generate, client = request.generate, self.pool.get(served.spec, served.placement)
        prompts = request.of_each_prompt(generate)
        if served.stand_in and served.spec.engine != "echo" and any(each.prompt_tokens for each in prompts):
            raise bad_input(f"'/prompt' is token ids: those of {served.model.id} are not its stand-in's. Send a text")
        if len(prompts) == 1:
            return client.generate(prompts[0], request_id)
        parts = [client.generate(each, f"{request_id}-{number}") for number, each in enumerate(prompts)]
        return merged(parts, generate.n)

    async def perform(self, model: str, task: Callable[[Model], tasks.Task], request_id: str) -> Any:
        """What the engine of a generating model answers to a task that generates nothing. Raises ModelError."""
        served = self._resolve(model)
        try:
            if served.spec.runner != tasks.GENERATE:
                raise bad_input(f"{served.model.id} is a model for {served.model.task}: its tokens are not told")
            return await self.pool.get(served.spec, served.placement).perform(task(served.model), request_id)
        except Exception as error:
            raise self._refusal(error, request_id) from error

    async def _run_task(
        self, handler: registry.TaskHandler, served: Served, inputs: object, request_id: str, form: str
    ) -> RunAnswer:
        """The answer of a task other than text generation."""
        stats = StreamStats(served.model.id)
        # Called once the inputs are checked: it starts the engine.
        client = partial(self.pool.get, served.spec, served.placement)
        try:
            task = registry.TaskRequest(
                served.model, served.stand_in, client, request_id, stats, self._with_adapter, form
            )
            with self.meter.begin(stats, tracing.task(served, request_id)).whole():
                result = await handler(inputs, task)
            return RunAnswer(headers(served, request_id), stats, json=result)
        except Exception as error:
            raise self._refusal(error, request_id) from error

    def ids_of(self, spec: EngineSpec) -> list[str]:
        """The models that were asked for and that an engine of this spec answers for."""
        return [id for id, served in self._served_models.items() if served.spec == spec]

    def name_of(self, spec: EngineSpec) -> str:
        """The first of them."""
        return next(iter(self.ids_of(spec)), spec.model)

    def know(self, ids: Iterable[str]) -> None:
        """These models are asked for, if not by way of here: what is told of their engines names them."""
        for id in ids:
            with suppress(ModelError):
                self._resolve(id)

    def takes_files(self, model: str) -> bool:
        """Whether a request for ``model`` may be a file instead of JSON."""
        with suppress(ModelError):
            return kinds.takes_files(self.catalog.model(model))
        return False

    async def _with_adapter(self, request: TextRequest, model: Model) -> TextRequest:
        """``request`` with the adapter that its ``lora`` names. Raises ModelError 5005, 5006."""
        if request.lora is None:
            return request
        folder = await self.adapters.find(request.lora, model)
        return replace(request, generate=msgspec.structs.replace(request.generate, lora=folder))

    def reconfigure(self, catalog: Catalog, settings: ServiceSettings, *, preload: bool = False) -> None:
        """Serve from ``catalog`` from here on. Engines that nothing asks for any more end once they are idle.

        ``preload``: load what the catalog marks for it now; with nothing of the project's own in it, the
        embedded model, if that is what will answer.
        """
        self.catalog, self.settings = catalog, settings
        ids, self._served_models = list(self._served_models), {}
        for id in ids:
            with suppress(ModelError):
                self._resolve(id)
        first = self._to_preload() if preload else []
        self.preloaded = [spec for spec, _ in first]
        for spec, placement in first:
            self.pool.get(spec, placement)
        self._spawn(self._reconcile(first))

    async def aclose(self) -> None:
        """Close the stores, and end every engine."""
        for store in (self.batches, self.gateways, self.adapters):
            if store is not None:
                await store.aclose()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pool.aclose()

    def _resolve(self, model: str) -> Served:
        return self._served_models.get(model) or self._first_use(model)

    def _first_use(self, model: str) -> Served:
        served = self.catalog.resolve(model, self.settings.engine)
        if served.stand_in and served.model.id not in self._announced:
            self._announced.add(served.model.id)
            self._observer.note(f"{served.model.id}: no weights for it here, {served.answers} stands in")
        self._served_models[served.model.id] = served
        return served

    def _to_preload(self) -> Sequence[Placed]:
        if not self.catalog.own:
            engine = self.settings.engine or automatic_engine()
            return [(EMBEDDED, None)] if engine == EMBEDDED.engine else []
        served = [self._resolve(model.id) for model in self.catalog.own if model.preload]
        return [(each.spec, each.placement) for each in served]

    async def _reconcile(self, preloaded: Sequence[Placed]) -> None:
        served = [(each.spec, each.placement) for each in self._served_models.values()]
        await self.pool.reconcile([*preloaded, *served])

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _refusal(self, error: Exception, request_id: str) -> ModelError:
        """Any failure as an error of Workers AI. An unforeseen one goes to the terminal, not to the client."""
        if isinstance(error, ModelError):
            return error
        if isinstance(error, EngineError):
            return of_engine(error)
        if isinstance(error, UserError):
            return ModelError(INTERNAL, error.what)
        self._observer.fault(error, request_id)
        return internal()


def new_request_id() -> str:
    """A UUID of version 4, without the object."""
    drawn = os.urandom(16).hex()
    variant = "89ab"[int(drawn[16], 16) & 3]
    return f"{drawn[:8]}-{drawn[8:12]}-4{drawn[13:16]}-{variant}{drawn[17:20]}-{drawn[20:]}"


__all__ = ["AIService", "Pool", "ServiceSettings", "new_request_id"]
