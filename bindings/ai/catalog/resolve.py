"""The catalog: a Workers AI id → what it is, and which engine answers for it here.

``resolve`` turns an id into a ``Served``: the model's facts and the ``EngineSpec`` that answers. Where nobody
said how to obtain the weights, the small embedded model stands in and ``Served.stand_in`` says so.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote

import msgspec

from bindings.ai.catalog.kinds import RUNNERS, kind
from bindings.ai.catalog.models import TEXT_GENERATION, Model, built_in, built_in_model, own_models
from bindings.ai.engine.protocol import EngineSpec
from bindings.ai.engine.tasks import GENERATE, servable
from bindings.ai.errors import no_such_model, retired
from bindings.ai.replicas.placement import Placement
from runtime.hints import closest

EMBEDDED = EngineSpec(engine="llamacpp", model="embedded")
EMBEDDED_NAME = "SmolLM2-135M-Instruct"
STAND_INS = {  # kind of model → what answers where there are no weights, and its name
    TEXT_GENERATION: (EMBEDDED, EMBEDDED_NAME),
    "Text Embeddings": (EngineSpec(engine="llamacpp", model="embedded", runner="pooling"), "all-MiniLM-L6-v2"),
}
GPU_NODES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")  # NVIDIA, AMD, Windows' WSL 2


class Served(msgspec.Struct, frozen=True):
    """An id, resolved. When ``stand_in`` is true another model answers: ``answers`` is its name."""

    model: Model
    spec: EngineSpec
    stand_in: bool = False
    answers: str = ""

    @property
    def placement(self) -> Placement | None:
        """That of the model's row; what stands in for several models is one process."""
        return None if self.stand_in else self.model.placement


class Catalog:
    """Every model this machine knows, by id: upstream's, and the project's ``own``."""

    def __init__(self, own: Mapping[str, Model] | None = None) -> None:
        self._own = own or {}

    @classmethod
    def load(cls, user_file: Path | None = None) -> Catalog:
        """With the project's ``models.yaml``, if there is one. Raises ConfigError when it cannot be used.

        Upstream's own rows are read on first use, not here: a start does not wait for them.
        """
        return cls(own_models(user_file) if user_file is not None and user_file.is_file() else None)

    def models(self) -> list[Model]:
        """All of them: upstream's in the catalog's order, then the project's own."""
        return [self.model(id) for id in dict.fromkeys([*built_in(), *self._own])]

    @property
    def own(self) -> list[Model]:
        """Those of the project's own ``models.yaml``."""
        return list(self._own.values())

    def model(self, id: str) -> Model:
        """The row for ``id``, percent-encoded or not. Raises ModelError 5007."""
        id = unquote(id)
        model = self._own.get(id) or built_in_model(id)
        if model is None:
            raise no_such_model(id, self._suggestion(id))
        return model

    def _suggestion(self, id: str) -> str:
        """The ids that resemble ``id``, or whose last part does."""
        known = [*built_in(), *self._own]
        names = {**{each.rpartition("/")[2]: each for each in known}, **{each: each for each in known}}
        close = dict.fromkeys(names[each] for each in closest(id, names, 4, alike=0.8))
        return f"did you mean {' or '.join(map(repr, list(close)[:2]))}?" if close else ""

    def resolve(self, id: str, choice: str | None = None) -> Served:
        """Who answers for ``id``: its own ``engine``, else ``choice``, else the one that fits this machine.

        Raises ModelError: unknown (5007), of a task or an engine that is not configured (5007), retired (5028).
        """
        model = self.model(id)
        if model.retired:
            raise retired(model.id, model.deprecated or "an earlier date")
        runner = RUNNERS.get(kind(model))
        if runner is None:
            raise no_such_model(model.id, f"no engine here serves the task {model.task}")
        engine = model.engine or choice or _automatic(model)
        spec = _configured(model, engine, runner)
        if spec is not None and servable(engine, runner):
            return Served(model, spec)
        return _stand_in(model, engine, runner, chosen=bool(model.engine or choice))


def automatic_engine() -> str:
    """vLLM where it is installed and has a GPU to run on, else the server that ``OPENAI_BASE_URL`` names, else the
    embedded llama.cpp."""
    if find_spec("vllm") is not None and any(map(os.path.exists, GPU_NODES)):
        return "vllm"
    return "openai" if os.environ.get("OPENAI_BASE_URL") else "llamacpp"


def _automatic(model: Model) -> str:
    """Weights that are named for llama.cpp stay here, whatever the environment says."""
    engine = automatic_engine()
    named = "model" in (model.llamacpp or {}) or str(model.model).endswith(".gguf")
    return "llamacpp" if engine == "openai" and named else engine


def _configured(model: Model, engine: str, runner: str) -> EngineSpec | None:
    """The engine with the weights and options given for this model; None when nobody said which weights."""
    options = {**(getattr(model, engine) or {}), **model.options}
    name = options.pop("model", None)
    name = model.model or name or _assumed_name(model, engine)
    if model.pooling and engine in ("vllm", "llamacpp"):  # these fix it when they load a model
        options.setdefault("pooling", model.pooling)
    if model.lora and engine == "vllm" and runner == GENERATE:  # room for adapters is made at that time too
        options.setdefault("enable_lora", True)
    return None if name is None else EngineSpec(engine=engine, model=name, options=options, runner=runner)


def _assumed_name(model: Model, engine: str) -> str | None:
    """An OpenAI-compatible server is asked for the id itself; a model may be *defined* to be an echo."""
    if engine == "openai":
        return model.id
    return "echo" if model.engine == "echo" else None


def _stand_in(model: Model, engine: str, runner: str, *, chosen: bool) -> Served:
    """Something else answers, and says so; unless the engine was chosen and lacks only the weights."""
    echo = engine == "echo" and runner == GENERATE
    if not echo and kind(model) not in STAND_INS:
        raise no_such_model(model.id, _remedy(model, engine))
    if not model.stand_in or (chosen and engine not in ("llamacpp", "echo")):
        where = f"write `{engine}: {{model: ...}}` under {model.id!r} in models.yaml"
        raise no_such_model(model.id, f"engine {engine} has no weights for it; {where}")
    if echo:
        spec = EngineSpec(engine="echo", model="echo", options=model.echo or {})
        return Served(model, spec, stand_in=True, answers="echo")
    spec, name = STAND_INS[kind(model)]
    return Served(model, spec, stand_in=True, answers=name)


def _remedy(model: Model, engine: str) -> str:
    """Who could serve a task for which nothing stands in."""
    lines = "engine: vllm" if model.vllm else "engine: vllm` and `vllm: {model: ...}"
    text = f"no configured engine serves the task {kind(model)}; {engine} has nothing for it"
    return f"{text}, write `{lines}` under {model.id!r} in models.yaml"


__all__ = ["EMBEDDED", "EMBEDDED_NAME", "Catalog", "Served", "automatic_engine"]
