"""Which replicas go when another model needs their GPUs: those nobody uses, of the model asked for longest ago."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence

from bindings.ai.replicas.gpus import Devices, Share
from bindings.ai.replicas.group import Replicas

IDLE_S = 30.0  # that a replica has nothing to do before it goes for one more of a model that has one already

Victim = tuple[Replicas, int, Share]  # the replica with this index of a group, and what it holds


class Displacing:
    """``others()``: the groups of other models that may go, the one asked for longest ago first. ``serves()``: the
    model that needs room has a replica already, so that only those go which are above their row's ``min``, and idle."""

    def __init__(self, others: Callable[[], Sequence[Replicas]], serves: Callable[[], bool]) -> None:
        self._others, self._serves = others, serves

    def displace(self, share: Share) -> None:
        """Begin with those who must go for ``share`` to fit; with nobody, if that would not do."""
        free = dict(share.ledger.free)
        going: list[Victim] = []
        for group, index, held in self._victims():
            for device in held.devices:
                free[device] += min(held.gpus, 1.0)
            if index not in group.leaving:
                going.append((group, index, held))
            if share.ledger.find(share.gpus, share.among(free)) is not None:
                for each, number, _ in going:
                    each.displaced(number)
                return

    async def end_sleepers(self, devices: Devices) -> bool:
        """Whether any slept on one of them: a sleeping process still holds some of a GPU's memory."""
        found = [
            (group, index)
            for group in self._others()
            for index, client in group.members.items()
            if client.state == "asleep" and isinstance(client.room, Share) and {*client.room.devices} & {*devices}
        ]
        for group, index in found:
            await group.end(index)
        return bool(found)

    def _victims(self) -> Iterator[Victim]:
        """Those that are going first, then by need."""
        found = [victim for group in self._others() for victim in self._of(group)]
        yield from sorted(found, key=lambda victim: victim[1] not in victim[0].leaving)

    def _of(self, group: Replicas) -> Iterator[Victim]:
        """A group's last members, as long as nobody uses them."""
        for index, client in reversed(list(group.members.items())):
            if client.is_in_use or (self._serves() and not _is_spare(group, index)):
                return
            if isinstance(client.room, Share) and client.room.is_held and client.state in ("ready", "asleep"):
                yield group, index, client.room


def _is_spare(group: Replicas, index: int) -> bool:
    return index >= group.placement.minimum and time.monotonic() - group.members[index].used_at >= IDLE_S


__all__ = ["Displacing"]
