"""What Workers AI keeps on disk, in the state folder: queued batches, cached answers, logs of gateways, fine-tunes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bindings.ai.batch.queue import Batches
from bindings.ai.batch.store import BatchStore
from bindings.ai.finetunes.store import Finetunes
from bindings.ai.gateway import options as gateway_options
from bindings.ai.gateway.gateway import Gateways
from bindings.ai.gateway.store import GatewayStore
from bindings.ai.service import AIService
from bindings.ai.settings import AISettings
from runtime.config import Config


def lend(service: AIService, folder: Path, warn: Callable[[str], None]) -> None:
    """Let ``service`` queue batches and pass AI Gateways. Files are made when they are first needed."""

    def check(model: str) -> None:
        service.catalog.resolve(model, service.settings.engine)

    service.batches = Batches(BatchStore(folder / "ai-batch.sqlite"), service.run, check, warn)
    service.gateways = Gateways(GatewayStore(folder, warn))
    service.adapters = Finetunes(folder / "finetunes", warn)


def configure(service: AIService, config: Config | None = None) -> None:
    """What ``[pilot]`` says of both, or the defaults; queued batches go on from here. Raises ConfigError."""
    own = AISettings() if config is None else config.settings(AISettings)
    settings = {} if config is None else gateway_options.settings(config)
    if service.gateways is not None:
        service.gateways.configure(settings, own.gateway_cache, own.gateway_logs)
    if service.batches is not None:
        service.batches.configure(own.batch_concurrency)


__all__ = ["configure", "lend"]
