"""Which version answers a request: a deployment's one or two versions, by their shares.

https://developers.cloudflare.com/workers/configuration/versions-and-deployments/gradual-deployments/
"""

from __future__ import annotations

import hashlib
import random
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from runtime.host.store.rows import DeploymentRow, VersionRow
from runtime.supervisor.http.exchange import Exchange
from runtime.supervisor.processes.deployment import Deployment

VERSION_KEY_HEADER = b"cloudflare-workers-version-key"
VERSION_OVERRIDES_HEADER = b"cloudflare-workers-version-overrides"
_OVERRIDE = re.compile(r'\s*([a-z0-9_-]+)\s*=\s*"([0-9a-fA-F-]{1,64})"\s*(?:,|$)')


class Arm(msgspec.Struct):
    """One version of a rollout, and how it has fared since."""

    row: VersionRow
    deployment: Deployment
    share: float  # per cent
    answered: int = 0
    failed: int = 0


class Rollout:
    """A deployment in force. ``judge`` is asked after each failure whether it should stay so."""

    def __init__(self, row: DeploymentRow, arms: Sequence[Arm], judge: Callable[[Rollout], None] | None = None) -> None:
        self.row, self.arms, self.began = row, arms, time.monotonic()
        self._judge = judge

    @property
    def failing(self) -> float:
        """The share of requests that failed."""
        return sum(arm.failed for arm in self.arms) / max(1, sum(arm.answered for arm in self.arms))

    def give_up(self) -> bool:
        """True the first time: nobody need judge it again."""
        judged, self._judge = self._judge is not None, None
        return judged

    async def fetch(self, arm: Arm, exchange: Exchange) -> None:
        """Through one of the arms, and see how it goes."""
        arm.answered += 1
        try:
            await arm.deployment.fetch(exchange)
        except Exception:
            if not exchange.left:
                self._failed(arm)
            raise
        if exchange.status >= 500:
            self._failed(arm)

    def _failed(self, arm: Arm) -> None:
        arm.failed += 1
        if self._judge is not None:
            self._judge(self)

    def choose(self, worker: str, headers: Sequence[tuple[bytes, bytes]]) -> Arm:
        """The override's version where it is one of the two, else by the key's hash, else by chance."""
        if len(self.arms) == 1:
            return self.arms[0]
        values = {
            name: value.decode("latin-1")
            for name, value in headers
            if name in (VERSION_KEY_HEADER, VERSION_OVERRIDES_HEADER)
        }
        version_id = dict(_OVERRIDE.findall(values.get(VERSION_OVERRIDES_HEADER, ""))).get(worker)
        for arm in self.arms:
            if arm.row.id == version_id:
                return arm
        return self._at(_place(values[VERSION_KEY_HEADER]) if VERSION_KEY_HEADER in values else random.random() * 100)

    def _at(self, place: float) -> Arm:
        for arm in self.arms:
            place -= arm.share
            if place < 0:
                return arm
        return self.arms[-1]


def _place(key: str) -> float:
    """0 to 100, the same for the same key: a client stays with its version while shares only grow."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:4]) / 2**32 * 100


def checked(versions: Any) -> list[tuple[str, float]]:
    """``[{"version_id", "percentage"}]`` of a request. Raises ValueError with what is wrong."""
    if not isinstance(versions, list) or not 1 <= len(versions) <= 2:
        raise ValueError("a deployment has one or two versions")
    pairs = []
    for item in versions:
        id, share = (item.get("version_id"), item.get("percentage")) if isinstance(item, dict) else (None, None)
        if not isinstance(id, str) or isinstance(share, bool) or not isinstance(share, int | float):
            raise ValueError("each version needs a 'version_id' and a 'percentage'")
        pairs.append((id, float(share)))
    if len({id for id, _ in pairs}) < len(pairs):
        raise ValueError("a version stands there twice")
    if any(not 0 <= share <= 100 for _, share in pairs) or abs(sum(share for _, share in pairs) - 100) > 0.01:
        raise ValueError("the percentages must add up to 100")
    return pairs


__all__ = ["Arm", "Rollout", "checked"]
