"""The one process of a front that speaks to Ray: ``python -P -m bindings.ai.cluster.agent FD``, a socketpair's end.

Ray ends a driver whose head is gone for a minute, and whatever else is in that process; so the supervisor does without
it. The agent may end at any time: the supervisor starts another, which finds the same actors by their names, and
requests go past both.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
import ray
from ray.exceptions import ActorUnavailableError, RayActorError, RayError

from bindings.ai.cluster.actor import ReplicaActor
from bindings.ai.cluster.joining import Refusal, check_that_ray_answers, refusal, unfit
from bindings.ai.cluster.wanted import WantedReplica, differences, group_of
from runtime.wire import Channel

LIBRARY: Any = ray  # parts of it have no types
NAMESPACE = "pilot"
OURS = "pilot/"  # what the names of our actors begin with
PENDING_S = 2.0  # without an answer, and it is said that a replica waits
ATTACH_S = 30.0
AGAIN_S = 0.5


class Agent:
    """Answers the supervisor."""

    channel: Channel

    def __init__(self) -> None:
        self.gone = asyncio.Event()
        self._compared: set[str] = set()  # groups of replicas
        self._comparing: asyncio.Task[None] | None = None

    async def handle(self, op: str, args: list[Any]) -> object:
        if op == "attach":
            return await self._attach(args[0])
        if op == "address":
            return await self._address(msgspec.convert(args[0], WantedReplica))
        if op == "release":
            await self._release(args[0])
            return None
        raise ValueError(f"unknown operation {op!r}")

    async def _attach(self, address: str) -> dict[str, Any]:
        await check_that_ray_answers(address)
        try:
            async with asyncio.timeout(ATTACH_S):
                await asyncio.to_thread(_init, address)
        except TimeoutError:
            raise Refusal(f"the Ray cluster at {address} did not take us in {ATTACH_S:g} s") from None
        except Exception as error:
            raise refusal(address, error) from None
        return {"is_open_to_all": os.environ.get("RAY_AUTH_MODE") != "token", **await asyncio.to_thread(_size)}

    async def _address(self, wanted: WantedReplica) -> object:
        while True:
            actor = await asyncio.to_thread(_actor, wanted)
            try:
                return await self._told(wanted, actor)
            except ActorUnavailableError:
                await asyncio.sleep(AGAIN_S)
            except RayActorError as error:  # it has ended for good: the next one of its name is a new one
                if (problem := unfit(error)) is not None:
                    return problem
                await asyncio.sleep(AGAIN_S)

    async def _told(self, wanted: WantedReplica, actor: Any) -> object:
        """What it says of itself, once it has a place."""
        placed = asyncio.ensure_future(_awaited(actor.told.remote()))
        while not (await asyncio.wait([placed], timeout=PENDING_S))[0]:
            self.channel.note("pending", wanted.name, await asyncio.to_thread(_why, wanted))
        _, node = await placed
        self.channel.note("placed", wanted.name, node)
        if wanted.group not in self._compared:
            self._compared.add(wanted.group)
            self._comparing = asyncio.create_task(self._compare(wanted))
        return await _awaited(actor.address.remote())

    async def _compare(self, wanted: WantedReplica) -> None:
        """With the other rows of this name that the cluster has replicas of, once each has a place."""
        names = await asyncio.to_thread(LIBRARY.util.list_named_actors)
        others = {group_of(name): name for name in names if name.startswith(OURS)}
        others.pop(wanted.group, None)
        await asyncio.gather(*(self._compare_with(name, wanted) for name in others.values()))

    async def _compare_with(self, name: str, wanted: WantedReplica) -> None:
        with suppress(ValueError, AttributeError, RayError):  # it has gone; or is of a release that does not tell
            actor: Any = await asyncio.to_thread(ray.get_actor, name, namespace=NAMESPACE)
            told, _ = await _awaited(actor.told.remote())
            theirs = msgspec.json.decode(told, type=WantedReplica)
            if theirs.row == wanted.row:
                self.channel.note("differs", wanted.row, differences(wanted, theirs))

    async def _release(self, name: str) -> None:
        try:
            actor = await asyncio.to_thread(ray.get_actor, name, namespace=NAMESPACE)
            await actor.release.remote()
        except (ValueError, RayActorError):
            return  # it has gone already


def _init(address: str) -> None:
    ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)


def _size() -> dict[str, float]:
    nodes = [node for node in LIBRARY.nodes() if node["Alive"]]
    return {"nodes": len(nodes), "gpus": _gpus(LIBRARY.cluster_resources())}


def _actor(wanted: WantedReplica) -> Any:
    """The one of this name; made, if there is none in the cluster."""
    return ray.remote(ReplicaActor).options(
        name=wanted.name, namespace=NAMESPACE, lifetime="detached", get_if_exists=True, max_restarts=-1,
        max_task_retries=-1, num_cpus=0, num_gpus=wanted.gpus, max_concurrency=1000,
        **({"label_selector": wanted.where} if wanted.where else {}),
    ).remote(msgspec.json.encode(wanted))  # fmt: skip


async def _awaited(reference: Any) -> Any:
    return await reference


def _why(wanted: WantedReplica) -> str:
    """What a replica waits for, as far as the nodes that there are can tell."""
    nodes = [node for node in LIBRARY.nodes() if node["Alive"] and wanted.where.items() <= node["Labels"].items()]
    labels = ", ".join(f"{name}: {value}" for name, value in wanted.where.items())
    if not nodes:
        return f"it waits for a node with the label {labels}: none of the cluster's has it" if labels else ""
    if (most := max(_gpus(node["Resources"]) for node in nodes)) < wanted.gpus:
        of = f" of those with the label {labels}" if labels else " of the cluster's"
        return f"it waits for a node with {wanted.gpus:g} GPU: the largest{of} has {most:g}"
    free, total = _gpus(LIBRARY.available_resources()), _gpus(LIBRARY.cluster_resources())
    if free < wanted.gpus:
        return f"it waits for {wanted.gpus:g} GPU: {free:g} of the cluster's {total:g} are free"
    one = f"{wanted.gpus:g} GPU on one node" if wanted.gpus else "a node"
    return f"it waits for Ray to find {one}" + (f" with the label {labels}" if labels else "")


def _gpus(resources: Mapping[str, float]) -> float:
    return resources.get("GPU", 0.0)


async def serve(sock: socket.socket) -> None:
    agent = Agent()
    agent.channel = await Channel.open(sock, agent.handle, on_close=agent.gone.set)
    await agent.gone.wait()
    os._exit(0)  # actors are detached: nothing of theirs ends with this


def main() -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # a Ctrl-C is the supervisor's business
    asyncio.run(serve(socket.socket(fileno=int(sys.argv[1]))))


if __name__ == "__main__":
    main()
