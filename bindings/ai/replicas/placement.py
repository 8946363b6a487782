"""How many processes serve a model, and what each of them gets: ``replicas`` and ``gpus`` in ``models.yaml``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec

from bindings.ai.engine.options import SLEEP, WHERE_IT_CAN
from bindings.ai.engine.protocol import EngineSpec
from runtime.errors import ConfigError

MAX_REPLICAS = 256
TARGET = 32  # requests in hand that one replica is there for, unless the row says otherwise
IDLE_S = 60.0  # that fewer must do before one replica goes
MEMORY_OF_SHARE = 0.9  # of the share of a GPU that a replica has: vLLM's own default for a whole one

Count = Annotated[int, msgspec.Meta(ge=0, le=MAX_REPLICAS)]


class Counts(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``replicas: {min, max, target, idle}``. ``target``: requests in hand per replica; ``idle``: seconds."""

    min: Count = 1
    max: Count | None = None
    target: Annotated[int, msgspec.Meta(ge=1)] = TARGET
    idle: Annotated[float, msgspec.Meta(ge=0.1)] = IDLE_S

    def __post_init__(self) -> None:
        if self.max is not None and self.max < max(self.min, 1):
            raise ValueError(f"max is {self.max}; it must be at least 1, and at least min")


class Placement(msgspec.Struct, frozen=True, kw_only=True):
    """``minimum``..``maximum`` processes. ``gpus``: of each of them; None: what the engine's options say it needs.
    ``where``: labels that a node of a cluster must have; on one machine they mean nothing. ``row``: whose it is.
    """

    minimum: int = 1
    maximum: int = 1
    target: int = TARGET
    idle_s: float = IDLE_S
    gpus: float | None = None
    where: Mapping[str, str] = {}
    row: str = ""


Placed = tuple[EngineSpec, Placement | None]
"""An engine that is asked for."""


def placement(
    replicas: int | Counts | None, gpus: float | None, where: Mapping[str, str], row: str = ""
) -> Placement | None:
    """None: a row that says nothing of it, whose one process is counted nowhere."""
    if replicas is None and gpus is None and not where:
        return None
    own: dict[str, Any] = {"gpus": gpus, "where": where, "row": row}
    if not isinstance(replicas, Counts):
        number = 1 if replicas is None else replicas
        return Placement(minimum=number, maximum=number, **own)
    most = max(replicas.min, 1) if replicas.max is None else replicas.max
    return Placement(minimum=replicas.min, maximum=most, target=replicas.target, idle_s=replicas.idle, **own)


def of_both(one: Placement, other: Placement) -> Placement:
    """Of two rows that share their replicas."""
    return msgspec.structs.replace(
        one, minimum=max(one.minimum, other.minimum), maximum=max(one.maximum, other.maximum),
        target=min(one.target, other.target), idle_s=max(one.idle_s, other.idle_s),
    )  # fmt: skip


def check(replicas: int | Counts | None, gpus: float | None, where: str) -> None:
    """Raises ConfigError for numbers that mean nothing."""
    if replicas == 0:
        remedy = "Loaded by the first request, and let go when idle:  replicas: {min: 0, max: 1}"
        raise ConfigError("must be at least 1", where=f"{where}: replicas", remedy=remedy)
    if gpus is not None and (not math.isfinite(gpus) or gpus < 0 or (gpus > 1 and gpus != int(gpus))):
        remedy = "A whole number of GPUs for each replica, or a part of one, such as 0.5"
        raise ConfigError(f"cannot be {gpus:g}", where=f"{where}: gpus", remedy=remedy)


def gpus_needed(spec: EngineSpec, placement: Placement) -> float:
    """Of each replica: what the row says, else one per rank of vLLM's; other engines take none unasked."""
    if placement.gpus is not None:
        return placement.gpus
    if spec.engine != "vllm":
        return 0
    return float(math.prod(spec.options.get(f"{kind}_parallel_size", 1) for kind in ("tensor", "pipeline", "data")))


def opened(spec: EngineSpec, gpus: float, *, can_sleep: bool = True) -> EngineSpec:
    """The spec as a replica on ``gpus`` GPUs opens it: no more memory than its share, and able to sleep."""
    if spec.engine != "vllm" or not gpus:
        return spec
    ours: dict[str, object] = {SLEEP: WHERE_IT_CAN} if can_sleep else {}
    if gpus < 1:
        ours["gpu_memory_utilization"] = round(gpus * MEMORY_OF_SHARE, 3)
    return msgspec.structs.replace(spec, options={**ours, **spec.options})


__all__ = ["Counts", "Placed", "Placement", "check", "gpus_needed", "of_both", "opened", "placement"]
