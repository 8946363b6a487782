"""What Workers AI keeps on disk, in the state folder: queued batches, cached answers, logs of gateways, fine-tunes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from bindings.ai.batch.queue import Batches
from bindings.ai.batch.store import BatchStore
from bindings.ai.finetunes.store import Finetunes
from bindings.ai.gateway.gateway import Gateways
from bindings.ai.gateway.options import gateway_settings
from bindings.ai.gateway.store import GatewayStore
from bindings.ai.service import AIService
from bindings.ai.settings import BATCHES, AISettings
from runtime.config import Config


def open_stores(service: AIService, folder: Path, warn: Callable[[str], None]) -> None:
    """Give ``service`` its batch queue, AI Gateways and adapters. Files are made when they are first needed."""

    def check(model: str) -> None:
        service.catalog.resolve(model, service.settings.engine)

    service.batches = Batches(BatchStore(folder / BATCHES), service.run, check, warn)
    service.gateways = Gateways(GatewayStore(folder, warn))
    service.adapters = Finetunes(folder / "finetunes", warn)


def configure(service: AIService, config: Config | None = None) -> None:
    """Apply ``[pilot]``, or the defaults, to the gateways and the queue, which then goes on. Raises ConfigError."""
    ai_settings = AISettings() if config is None else config.settings(AISettings)
    settings = {} if config is None else gateway_settings(config)
    if service.gateways is not None:
        service.gateways.configure(settings, ai_settings.gateway_cache, ai_settings.gateway_logs)
    if service.batches is not None:
        service.batches.configure(ai_settings.batch_concurrency)


__all__ = ["configure", "open_stores"]
