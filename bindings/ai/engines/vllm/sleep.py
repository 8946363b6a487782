"""vLLM's sleep mode: a model leaves the GPU while its process stays, and is back in about a second.

Level 1 keeps the weights in this machine's memory, level 2 reads them from the disk again; both forget what was
cached. vLLM has it where its allocator is built for the platform, and wants to know before it loads the model
(``enable_sleep_mode``); ``WHERE_IT_CAN`` asks for it if so.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from bindings.ai.engine.options import SLEEP, WHERE_IT_CAN
from bindings.ai.engines.vllm import compat
from bindings.ai.engines.vllm.interfaces import AsyncLLM

RESERVE = 0.1  # of this machine's memory, which a sleeping model leaves to others
WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.gguf")


def settled(options: dict[str, Any]) -> dict[str, Any]:
    """``options`` with ``WHERE_IT_CAN`` decided."""
    if options.get(SLEEP) != WHERE_IT_CAN:
        return options
    decided = {name: value for name, value in options.items() if name != SLEEP}
    return {**decided, SLEEP: True} if _is_available() else decided


def _is_available() -> bool:
    """Whether this vLLM has it for this platform. PyTorch's expandable segments exclude it."""
    available = getattr(compat.get("current_platform"), "is_sleep_mode_available", None)
    segmented = "expandable_segments:True" in os.environ.get("PYTORCH_CUDA_ALLOC_CONF", "")
    allocator = compat.find("vllm.device_allocator.cumem:cumem_available")
    return bool(available and available() and allocator and not segmented)


class Sleep:
    """Of one loaded model."""

    def __init__(self, llm: AsyncLLM) -> None:
        self._llm, self._level = llm, 0

    async def begin(self) -> int:
        """The level; 0: it stays awake, for vLLM cannot, or neither memory nor disk could bring it back."""
        config = self._llm.vllm_config.model_config
        if not getattr(config, SLEEP, False) or not hasattr(self._llm, "sleep"):
            return 0
        weights = _weights(config.model)
        can_reload = weights > 0 and self._can_reload()
        self._level = _level(weights or _share(self._llm.vllm_config), _free_memory(), can_reload=can_reload)
        if self._level:
            await self._call("sleep", self._level)
        return self._level

    async def end(self) -> None:
        """At level 2 the weights come first, and then room for what is cached."""
        if self._level == 1:
            return await self._call("wake_up")
        await self._call("wake_up", ["weights"])
        await self._call("collective_rpc", "reload_weights")
        await self._call("wake_up", ["kv_cache"])

    def _can_reload(self) -> bool:
        """Weights that were changed while they were loaded, and adapters, are not what lies on the disk."""
        config = self._llm.vllm_config
        return not getattr(config.model_config, "quantization", None) and not getattr(config, "lora_config", None)

    async def _call(self, method: str, *args: object) -> None:
        call: Callable[..., Awaitable[object]] = getattr(self._llm, method)
        await call(*args)


def _level(weights: int, free: int, *, can_reload: bool) -> int:
    if 0 < weights < free:
        return 1
    return 2 if can_reload else 0


def _weights(model: str) -> int:
    """Bytes of the model's files on this disk; 0: they are not found."""
    folder = Path(model)
    if not folder.exists() and find_spec("huggingface_hub") is not None:
        try:
            folder = Path(import_module("huggingface_hub").snapshot_download(model, local_files_only=True))
        except Exception:  # a repository under another name, a cache without it
            return 0
    if folder.is_file():
        return folder.stat().st_size
    return max(sum(file.stat().st_size for file in folder.glob(pattern)) for pattern in WEIGHTS)


def _share(config: Any) -> int:
    """Bytes of its GPUs that it may take: what weights that are nowhere on this disk cannot be more than."""
    cache, parallel = getattr(config, "cache_config", None), getattr(config, "parallel_config", None)
    total = getattr(compat.get("current_platform"), "get_device_total_memory", None) if cache and parallel else None
    return int(total() * cache.gpu_memory_utilization * parallel.world_size) if cache and parallel and total else 0


def _free_memory() -> int:
    """Bytes that a container's limit and the others on this machine leave."""
    memory = import_module("psutil").virtual_memory()
    free = [int(memory.available - RESERVE * memory.total)]
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit != "max":
            free.append(int(limit) - int(Path("/sys/fs/cgroup/memory.current").read_text()))
    except (OSError, ValueError):
        pass
    return min(free)


__all__ = ["Sleep", "settled"]
