"""This machine's GPUs, and who has which part of which: the ledger by which replicas share them.

Parts are counted, not measured: what a process takes beside its share is for its engine's options to bound. A
process sees its own GPUs alone, as ``CUDA_VISIBLE_DEVICES`` (or what that is called for AMD's) tells it.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from bindings.ai.engine.room import Room
from runtime.errors import UserError

CUDA, ROCM = "CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"
NOTHING = 1e-6  # parts are sums of fractions
POLL_S = 0.25  # between two looks at who could make room

Devices = tuple[str, ...]


class Ledger:
    """``devices``: as ``variable`` names them. What of each is free, from 0 to 1."""

    def __init__(self, devices: Sequence[str], variable: str = CUDA) -> None:
        self.devices, self.variable = tuple(devices), variable
        self.free = dict.fromkeys(self.devices, 1.0)
        self.loading = {device: asyncio.Lock() for device in self.devices}
        self._changed = asyncio.Event()

    @classmethod
    def of_this_machine(cls, environment: Mapping[str, str] = os.environ, dev: Path = Path("/dev")) -> Ledger:
        """What the environment lets be seen, else all there are; found without a library of theirs."""
        for variable in (CUDA, ROCM):
            if (said := environment.get(variable)) is not None:
                return cls([name for name in map(str.strip, said.split(",")) if name not in ("", "-1")], variable)
        if nvidia := [node for node in dev.glob("nvidia*") if re.fullmatch(r"nvidia\d+", node.name)]:
            return cls([str(number) for number in range(len(nvidia))])
        amd = list((dev / "dri").glob("renderD*")) if (dev / "kfd").exists() else []
        return cls([str(number) for number in range(len(amd))], ROCM)

    def check(self, gpus: float) -> None:
        """Raises UserError: so many there are not."""
        if gpus > len(self.devices):
            seen = f" ({self.variable}={','.join(self.devices)})" if self.devices else ""
            raise UserError(
                f"a replica of it needs {gpus:g} GPUs, and this machine has {len(self.devices)}{seen}",
                where="models.yaml: gpus",
                remedy="Ask for fewer, or set  gpus: 0  for a model that needs none.",
            )

    def find(self, gpus: float, free: Mapping[str, float] | None = None) -> Devices | None:
        """Where ``gpus`` are free: whole ones, or a part of the fullest that has room for it."""
        free = self.free if free is None else free
        if gpus >= 1:
            whole = [device for device, part in free.items() if part > 1 - NOTHING]
            return tuple(whole[: int(gpus)]) if len(whole) >= gpus else None
        fitting = [device for device, part in free.items() if part > gpus - NOTHING]
        return (min(fitting, key=free.__getitem__),) if fitting else None

    def book(self, devices: Devices, gpus: float) -> None:
        for device in devices:
            self.free[device] -= min(gpus, 1.0)

    def release(self, devices: Devices, gpus: float) -> None:
        for device in devices:
            self.free[device] += min(gpus, 1.0)
        self._changed.set()

    async def change(self) -> None:
        """Until somebody has left, or a moment has passed."""
        self._changed.clear()
        try:
            async with asyncio.timeout(POLL_S):
                await self._changed.wait()
        except TimeoutError:
            return


class Others(Protocol):
    """Who else has GPUs here (``bindings.ai.replicas.pool``)."""

    def displace(self, share: Share) -> None:
        """Those who are needed less than what ``share`` is for begin to go, if that makes room for it."""

    async def end_sleepers(self, devices: Devices) -> bool:
        """Whether any slept on one of them."""


class Share(Room):
    """``gpus`` of a ``Ledger``, for one replica. ``devices``: those it has, or had last. ``before``: taken first."""

    def __init__(self, ledger: Ledger, gpus: float, others: Others, *, before: Room | None = None) -> None:
        self.ledger, self.gpus, self._others, self._before = ledger, gpus, others, before or Room()
        self.devices: Devices = ()
        self.is_held = self._is_fixed = self._waits = False

    @property
    def environment(self) -> Mapping[str, str]:
        return {self.ledger.variable: ",".join(self.devices)}

    @property
    def detail(self) -> str:
        if not self._waits:
            return ""
        whole = sum(part > 1 - NOTHING for part in self.ledger.free.values())
        return f"it waits for {self.gpus:g} GPU, and of {len(self.ledger.devices)} {whole} are wholly free"

    def is_free(self) -> bool:
        return self.is_held or self.ledger.find(self.gpus) is not None

    async def take(self, *, again: bool = False) -> None:
        self.ledger.check(self.gpus)
        await self._before.take()
        self._is_fixed = again
        try:
            while not self.is_held and not self._book():
                self._waits = True
                self._others.displace(self)
                await self.ledger.change()
        finally:
            self._waits = False

    def among(self, free: Mapping[str, float]) -> Mapping[str, float]:
        """Those of ``free`` that will do: a sleeping process wakes on the GPUs that it knows."""
        return {device: free[device] for device in self.devices} if self._is_fixed else free

    def leave(self) -> None:
        if self.is_held:
            self.is_held = False
            self.ledger.release(self.devices, self.gpus)

    @asynccontextmanager
    async def loading(self) -> AsyncIterator[None]:
        if self.gpus >= 1:
            yield
            return
        async with self.ledger.loading[self.devices[0]]:
            yield

    async def clear(self) -> bool:
        return await self._others.end_sleepers(self.devices)

    def _book(self) -> bool:
        found = self.ledger.find(self.gpus, self.among(self.ledger.free))
        if found is None:
            return False
        self.devices, self.is_held = found, True
        self.ledger.book(found, self.gpus)
        return True


__all__ = ["Devices", "Ledger", "Others", "Share"]
