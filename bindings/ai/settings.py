"""``[pilot]``'s settings of the models. Times are seconds, sizes bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec

from runtime.config import Bytes, Config, Seconds

KEY = "ai"  # wrangler's
BATCHES = "ai-batch.sqlite"  # in the state folder: the batch queue


class ClusterSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``[pilot.cluster]``: where rows with ``replicas``, ``gpus`` or ``where`` run."""

    address: str = "auto"  # of a Ray cluster: a node on this machine, "head:6379", "ray://head:10001"
    linger: Seconds = 600  # that a replica stays loaded which nobody is linked to


class AISettings(msgspec.Struct, frozen=True):
    """On a host its own configuration has them, not a worker's."""

    load_timeout: Seconds = 600  # how long a request waits for a model that is still loading
    padding: bool | None = None  # Workers AI's "p" field; None: off in dev, on for a host
    engine: str | None = None  # which engine to run models on; None: the best that works
    openai_routes: bool | None = None  # OpenAI's routes under /v1; None: on in dev, the worker's own on a host
    cors: tuple[str, ...] = ()  # origins of pages that may use the REST routes; "*": of any
    engine_metrics: bool = False  # vLLM's own metrics too, beside ours; they cost time per token
    models: str | None = None  # your own models, beside the configuration; None: models.yaml, if there is one
    batch_concurrency: Annotated[int, msgspec.Meta(gt=0, le=1024)] = 8  # queued requests that run at once
    gateway_cache: Bytes = 256 << 20  # bytes of answers that AI Gateways keep, or "256MiB"
    gateway_logs: Bytes = 64 << 20  # bytes of logs that AI Gateways keep
    cluster: ClusterSettings | None = None  # [pilot.cluster]: replicas on a Ray cluster
    gateways: Mapping[str, Mapping[str, Any]] = {}  # [pilot.gateways.NAME]: an AI Gateway's own settings


def models_file(config: Config) -> Path:
    """Where the person's own models are, whether or not the file exists."""
    return config.root / (config.settings(AISettings).models or "models.yaml")


__all__ = ["BATCHES", "KEY", "AISettings", "ClusterSettings", "models_file"]
