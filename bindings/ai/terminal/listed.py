"""A row of ``pilot models``: what a model is, whether its weights are here, and who would answer for it."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bindings.ai.catalog.items import weights as repository
from bindings.ai.catalog.kinds import kind
from bindings.ai.catalog.models import Model
from bindings.ai.catalog.resolve import Catalog, Served
from bindings.ai.errors import ModelError
from bindings.ai.hub.cache import cached_repository
from bindings.ai.terminal import weights
from runtime.starting.gpu import Gpu

_ROOM = 1.2  # what a model takes beside its weights, at the least: activations and some cache
_SHARE = 0.9  # of a GPU's memory, which vLLM takes


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """``size``: bytes of its own weights, an estimate by its name unless ``here``. ``engine`` None: nothing serves it,
    and ``note`` says why. ``answers``: what the engine loads. ``fits``: None where there is no GPU, or no size."""

    id: str
    task: str
    context_window: int | None
    size: int | None
    here: bool
    fits: bool | None
    engine: str | None
    answers: str | None
    stand_in: bool
    note: str = ""


def listed(catalog: Catalog, model: Model, engine: str | None, gpus: Sequence[Gpu]) -> Listed:
    served, note = _served(catalog, model, engine)
    own = served.spec if served is not None and not served.stand_in else None
    path = weights.found(own) if own is not None and own.engine in ("vllm", "llamacpp") else None
    if path is None and (name := repository(model)):
        path = cached_repository(name)
    size = weights.size_of(path) if path is not None else _estimate(model)
    return Listed(
        id=model.id,
        task=kind(model),
        context_window=model.context_window,
        size=size,
        here=path is not None,
        fits=_fits(model, size, gpus),
        engine=served.spec.engine if served is not None else None,
        answers=(served.answers or served.spec.model) if served is not None else None,
        stand_in=served is not None and served.stand_in,
        note=note,
    )


def _served(catalog: Catalog, model: Model, engine: str | None) -> tuple[Served | None, str]:
    try:
        return catalog.resolve(model.id, engine), ""
    except ModelError as error:
        return None, error.description


def _estimate(model: Model) -> int | None:
    names = [name for name in (repository(model), model.id.rpartition("/")[2]) if name]
    return weights.estimate(names, str((model.vllm or {}).get("quantization", "")))


def _fits(model: Model, size: int | None, gpus: Sequence[Gpu]) -> bool | None:
    """On as many GPUs as its row says."""
    if size is None or not gpus:
        return None
    count: int = (model.vllm or {}).get("tensor_parallel_size", 1)
    return count <= len(gpus) and size * _ROOM <= max(gpu.memory for gpu in gpus) * _SHARE * count


__all__ = ["Listed", "listed"]
