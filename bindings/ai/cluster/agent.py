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
from typing import Any

import msgspec
import ray
from ray.exceptions import ActorUnavailableError, RayActorError

from bindings.ai.cluster.actor import ReplicaActor
from bindings.ai.cluster.remote import WantedReplica
from runtime.wire import Channel

LIBRARY: Any = ray  # parts of it have no types
NAMESPACE = "pilot"
PENDING_S = 2.0  # without an answer, and it is said that a replica waits
DIAL_S = 3.0  # for a head to take a connection
ATTACH_S = 60.0
AGAIN_S = 0.5


class Refusal(Exception):
    """What the person has to mend, on its way to the supervisor."""

    def __init__(self, what: str, remedy: str) -> None:
        self.name, self.fields = "UserError", {"what": what, "remedy": remedy}
        super().__init__(what)


class Agent:
    """Answers the supervisor."""

    channel: Channel

    def __init__(self) -> None:
        self.gone = asyncio.Event()

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
        await _check_that_somebody_listens(address)
        try:
            async with asyncio.timeout(ATTACH_S):
                await asyncio.to_thread(_init, address)
        except TimeoutError:
            raise Refusal(f"the Ray cluster at {address} did not take us in {ATTACH_S:g} s", _CAUSES) from None
        except Exception as error:
            raise Refusal(f"the Ray cluster at {address} cannot be joined: {_first_lines(error)}", _CAUSES) from None
        return {"is_open_to_all": os.environ.get("RAY_AUTH_MODE") != "token"}

    async def _address(self, wanted: WantedReplica) -> object:
        while True:
            actor = await asyncio.to_thread(_actor, wanted)
            try:
                return await self._told(wanted, asyncio.ensure_future(_awaited(actor.address.remote())))
            except ActorUnavailableError:
                await asyncio.sleep(AGAIN_S)
            except RayActorError:  # it has ended for good: the next one of its name is a new one
                await asyncio.sleep(AGAIN_S)

    async def _told(self, wanted: WantedReplica, answer: asyncio.Future[object]) -> object:
        done, _ = await asyncio.wait([answer], timeout=PENDING_S)
        if not done:
            self.channel.note("pending", wanted.name, await asyncio.to_thread(_why, wanted))
        return await answer

    async def _release(self, name: str) -> None:
        try:
            actor = await asyncio.to_thread(ray.get_actor, name, namespace=NAMESPACE)
            await actor.release.remote()
        except (ValueError, RayActorError):
            return  # it has gone already


def _init(address: str) -> None:
    ray.init(address=address, namespace=NAMESPACE, log_to_driver=False, configure_logging=False)


def _actor(wanted: WantedReplica) -> Any:
    """The one of this name; made, if there is none in the cluster."""
    return ray.remote(ReplicaActor).options(
        name=wanted.name, namespace=NAMESPACE, lifetime="detached", get_if_exists=True, max_restarts=-1,
        max_task_retries=-1, num_cpus=0, num_gpus=wanted.gpus, max_concurrency=1000,
        **({"label_selector": wanted.where} if wanted.where else {}),
    ).remote(msgspec.json.encode(wanted))  # fmt: skip


async def _awaited(reference: Any) -> object:
    return await reference


def _why(wanted: WantedReplica) -> str:
    """What a replica waits for, as far as the nodes that there are can tell."""
    if (free := LIBRARY.available_resources().get("GPU", 0.0)) < wanted.gpus:
        total = LIBRARY.cluster_resources().get("GPU", 0.0)
        return f"it waits for {wanted.gpus:g} GPU: {free:g} of the cluster's {total:g} are free"
    if wanted.where and not _labelled(wanted.where):
        labels = ", ".join(f"{name}: {value}" for name, value in wanted.where.items())
        return f"it waits for a node with the label {labels}: none of the cluster's has it"
    return ""


def _labelled(where: dict[str, str]) -> bool:
    return any(where.items() <= node.get("Labels", {}).items() for node in LIBRARY.nodes() if node["Alive"])


async def _check_that_somebody_listens(address: str) -> None:
    """Ray itself says so only after minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    try:
        async with asyncio.timeout(DIAL_S):
            (await asyncio.open_connection(host.strip("[]"), int(port)))[1].close()
    except (OSError, TimeoutError):
        raise Refusal(f"nothing answers at {address}", "Is it the head's?  ray start --head   prints it.") from None


_CAUSES = (
    "Usual causes: no Ray node on this machine (ray start --address=HEAD:6379), another version of Ray or Python than "
    "the cluster's, a token that is missing or wrong (RAY_AUTH_MODE=token, ~/.ray/auth_token)."
)


def _first_lines(error: Exception) -> str:
    return " ".join(str(error).split())[:600] or type(error).__name__


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
