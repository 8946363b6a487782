"""Several processes of one model on one machine: which one answers, what is retried, how many there are."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from bindings.ai.engine.protocol import EngineError, EngineLost, EngineSpec, Generate, ModelUnavailable
from bindings.ai.engine.tasks import Tokenize
from bindings.ai.replicas import gpus
from bindings.ai.replicas.group import Replicas
from bindings.ai.replicas.placement import Placement
from bindings.ai.replicas.pool import EnginePool
from engines_support import collect, until
from models_support import Said, text_of, tokens_of

SLOW = EngineSpec(engine="echo", model="slow", options={"rate": 50, "tokens": 500, "sleeps": True})
OTHER = EngineSpec(engine="echo", model="other", options={"sleeps": True})
SLEEPLESS = EngineSpec(engine="echo", model="sleepless")
ASK = Generate(prompt="where is new york?", max_tokens=1000)
ONE_GPU = Placement(gpus=1)


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
async def pool(said: Said, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[EnginePool]:
    """On a machine that shows two GPUs."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    pool = EnginePool(said, load_timeout=30)
    yield pool
    await pool.aclose()


def group_of(pool: EnginePool, spec: EngineSpec, placement: Placement) -> Replicas:
    group = pool.get(spec, placement)
    assert isinstance(group, Replicas)
    return group


def states(group: Replicas) -> list[str]:
    return [client.state for client in group.members.values()]


async def all_ready(group: Replicas, number: int) -> None:
    await until(lambda: states(group) == ["ready"] * number)


def chat(system: str, user: str, *more: str) -> Generate:
    turns = [{"role": "system", "content": system}, *({"role": "user", "content": text} for text in (user, *more))]
    return Generate(messages=turns, max_tokens=1)


async def test_a_conversation_stays_with_its_replica_and_others_spread(pool: EnginePool) -> None:
    group = group_of(pool, SLOW, Placement(minimum=3, maximum=3))
    await all_ready(group, 3)
    asked: Counter[int] = Counter()
    for number in range(24):
        of_turns = set()
        for turns in range(3):
            async with aclosing(group.generate(chat("Be brief.", f"chat {number}", *"abc"[:turns]), "r")) as deltas:
                await anext(deltas)
                of_turns |= {index for index, client in group.members.items() if client.live}
        assert len(of_turns) == 1
        asked.update(of_turns)
    assert len(asked) == 3, asked


async def test_a_busy_replica_is_passed_by(pool: EnginePool) -> None:
    group = group_of(pool, SLOW, Placement(minimum=2, maximum=2))
    await all_ready(group, 2)
    streams = [group.generate(ASK, str(number)) for number in range(12)]  # all of one conversation
    try:
        await asyncio.gather(*(anext(stream) for stream in streams))
        loads = sorted(client.live for client in group.members.values())
    finally:
        await asyncio.gather(*(stream.aclose() for stream in streams))
    assert sum(loads) == 12
    assert loads[1] <= 1.25 * 6 + 3
    assert group.passed > 0


async def test_kill_9_before_the_first_token_is_seen_by_nobody(pool: EnginePool) -> None:
    slow = EngineSpec(engine="echo", model="slow", options={"rate": 1, "tokens": 1})
    group = group_of(pool, slow, Placement(minimum=2, maximum=2))
    await all_ready(group, 2)
    answers = [asyncio.create_task(collect(group, Generate(prompt=f"p{number}"))) for number in range(8)]
    await until(lambda: group.live == 8)
    victim = max(group.members.values(), key=lambda client: client.live)
    lost, pid = victim.live, victim.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert [text_of(deltas) for deltas in await asyncio.gather(*answers)] == [f"p{number}" for number in range(8)]
    assert group.retries == lost > 0


async def test_kill_9_afterwards_breaks_off_its_streams_alone(pool: EnginePool) -> None:
    group = group_of(pool, SLOW, Placement(minimum=2, maximum=2))
    await all_ready(group, 2)
    streams = [group.generate(Generate(prompt=f"p{number}", max_tokens=20), str(number)) for number in range(8)]
    await asyncio.gather(*(anext(stream) for stream in streams))
    victim = max(group.members.values(), key=lambda client: client.live)
    lost, pid = victim.live, victim.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)

    async def rest(stream: object) -> int | None:
        try:
            return tokens_of([delta async for delta in stream])  # type: ignore[attr-defined]
        except EngineLost:
            return None

    told = await asyncio.gather(*map(rest, streams))
    assert told.count(None) == lost
    assert [tokens for tokens in told if tokens is not None] == [19] * (8 - lost)
    assert group.retries == 0
    await all_ready(group, 2)
    assert victim.restarts == 1


async def test_what_went_past_the_reader_was_told_as_well(pool: EnginePool) -> None:
    """No second answer begins where the text of the first is at the client already."""
    group = group_of(pool, SLOW, Placement(minimum=2, maximum=2))
    await all_ready(group, 2)
    taken: list[str] = []

    def take(item: list[object]) -> bool:
        taken.append(str(item[0]))
        return True

    stream = group.generate(ASK, "r")
    reading = asyncio.create_task(anext(stream))
    await until(lambda: group.live == 1)
    stream.attach_sink(take)
    await until(lambda: len(taken) > 2)
    victim = next(client for client in group.members.values() if client.live)
    assert victim.pid is not None
    os.kill(victim.pid, signal.SIGKILL)
    with pytest.raises(EngineLost):
        await reading
    assert group.retries == 0


async def test_a_task_is_retried_as_well(pool: EnginePool) -> None:
    group = group_of(pool, SLOW, Placement(minimum=2, maximum=2))
    await all_ready(group, 2)
    task = Tokenize(request=Generate(prompt="a b", raw=True))
    assert (await group.perform(task, "r")).tokens == [0, 1]


async def test_a_refusal_is_no_reason_to_ask_another(pool: EnginePool) -> None:
    group = group_of(pool, SLOW, Placement(minimum=2, maximum=2))
    with pytest.raises(EngineError) as caught:
        await collect(group, Generate(prompt="x", lora="/nowhere"))
    assert caught.value.code == 5005
    assert group.retries == 0


async def test_none_until_the_first_request_and_none_when_idle(pool: EnginePool) -> None:
    group = group_of(pool, SLEEPLESS, Placement(minimum=0, maximum=2, idle_s=0.3))
    assert text_of(await collect(group, Generate(prompt="a"))) == "a"
    await until(lambda: group.members == {})
    assert group.state == "idle"
    assert text_of(await collect(group, Generate(prompt="b"))) == "b"


async def test_load_brings_replicas_and_its_end_takes_them(pool: EnginePool) -> None:
    group = group_of(pool, SLOW, Placement(minimum=1, maximum=3, target=2, idle_s=0.5))
    await all_ready(group, 1)
    streams = [group.generate(ASK, str(number)) for number in range(6)]
    await asyncio.gather(*(anext(stream) for stream in streams))
    await all_ready(group, 3)
    await asyncio.gather(*(stream.aclose() for stream in streams))
    await until(lambda: states(group) == ["ready", "asleep", "asleep"])


async def test_a_stream_ends_before_its_replica_goes(pool: EnginePool) -> None:
    group = group_of(pool, SLOW, Placement(minimum=1, maximum=2, target=1, idle_s=0.1))
    streams = [group.generate(Generate(prompt=f"p{number}", max_tokens=100), "r") for number in range(8)]
    await asyncio.gather(*(anext(stream) for stream in streams))
    await all_ready(group, 2)
    streams += [group.generate(Generate(prompt=f"p{number}", max_tokens=100), "r") for number in range(8)]
    await asyncio.gather(*(anext(stream) for stream in streams[8:]))
    group.resize(Placement(minimum=1, maximum=1))
    told = await asyncio.gather(*[_count(stream) for stream in streams])
    assert told == [99] * 16
    await until(lambda: states(group) == ["ready", "asleep"])


async def _count(stream: object) -> int:
    return tokens_of([delta async for delta in stream])  # type: ignore[attr-defined]


# GPUs


async def test_each_replica_sees_its_own_gpus(pool: EnginePool) -> None:
    group = group_of(pool, SLOW, Placement(minimum=2, maximum=2, gpus=1))
    await all_ready(group, 2)
    assert [seen_by(client.pid) for client in group.members.values()] == ["0", "1"]


def seen_by(pid: int | None) -> str:
    lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return next(line.partition("=")[2] for line in lines if line.startswith("CUDA_VISIBLE_DEVICES="))


async def test_halves_share_one_gpu(pool: EnginePool) -> None:
    group = group_of(pool, SLOW, Placement(minimum=3, maximum=3, gpus=0.5))
    await all_ready(group, 3)
    assert [seen_by(client.pid) for client in group.members.values()] == ["0", "0", "1"]


async def test_a_second_model_puts_the_idle_one_to_sleep_and_it_wakes(pool: EnginePool) -> None:
    both = Placement(gpus=2)
    first, second = group_of(pool, SLOW, both), group_of(pool, OTHER, both)
    assert text_of(await collect(second, Generate(prompt="a"))) == "a"
    assert states(first) == ["asleep"]
    pid = first.members[0].pid
    assert text_of(await collect(first, Generate(prompt="b", max_tokens=1))) == "b"
    assert (first.members[0].pid, states(second)) == (pid, ["asleep"])


async def test_one_that_cannot_sleep_ends(pool: EnginePool) -> None:
    both = Placement(gpus=2)
    first = group_of(pool, SLEEPLESS, both)
    await all_ready(first, 1)
    second = group_of(pool, OTHER, both)
    await all_ready(second, 1)
    assert first.members == {}
    assert text_of(await collect(first, Generate(prompt="b"))) == "b"


async def test_one_in_use_is_waited_for(pool: EnginePool) -> None:
    both = Placement(gpus=2)
    first = group_of(pool, SLOW, both)
    async with aclosing(first.generate(ASK, "r")) as deltas:
        await anext(deltas)
        second = group_of(pool, OTHER, both)
        await asyncio.sleep(3 * gpus.POLL_S)
        assert states(second) == ["pending"]
        assert "waits for 2 GPU" in next(iter(second.members.values())).room.detail
    await all_ready(second, 1)


async def test_one_that_is_kept_never_goes(pool: EnginePool) -> None:
    both = Placement(gpus=2)
    first = group_of(pool, SLOW, both)
    await all_ready(first, 1)
    pool.keep([SLOW])
    second = group_of(pool, OTHER, both)
    await asyncio.sleep(3 * gpus.POLL_S)
    assert (states(first), states(second)) == (["ready"], ["pending"])


async def test_more_gpus_than_there_are(pool: EnginePool, said: Said) -> None:
    with pytest.raises(ModelUnavailable, match=r"needs 3 GPUs, and this machine has 2 \(CUDA_VISIBLE_DEVICES=0,1\)"):
        await collect(group_of(pool, SLOW, Placement(gpus=3)), ASK)
    assert text_of(await collect(group_of(pool, OTHER, ONE_GPU), Generate(prompt="a"))) == "a"
    assert any("gpus: 0" in text for text in said.warnings)


async def test_what_dies_asleep_is_loaded_again(pool: EnginePool) -> None:
    both = Placement(gpus=2)
    first, second = group_of(pool, SLOW, both), group_of(pool, OTHER, both)
    await collect(second, Generate(prompt="a"))
    pid = first.members[0].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await until(lambda: states(first) == ["idle"])
    assert text_of(await collect(first, Generate(prompt="b", max_tokens=1))) == "b"


async def test_a_reload_changes_numbers_and_keeps_processes(pool: EnginePool) -> None:
    group = group_of(pool, SLOW, ONE_GPU)
    await all_ready(group, 1)
    pid = group.members[0].pid
    await pool.reconcile([(SLOW, Placement(minimum=2, maximum=2, gpus=1))])
    await all_ready(group, 2)
    assert pool.get(SLOW, ONE_GPU) is group
    assert group.members[0].pid == pid
    await pool.reconcile([(SLOW, Placement(gpus=2))])
    assert pool.get(SLOW, Placement(gpus=2)) is not group


async def test_rows_of_one_model_share_replicas_where_they_want_the_same(pool: EnginePool) -> None:
    """As many as the row that wants most; other GPUs, or none that are counted, are other processes."""
    group = group_of(pool, SLOW, Placement(maximum=1, gpus=0.5, row="one"))
    more = Placement(minimum=2, maximum=3, target=5, gpus=0.5, row="two")
    assert pool.get(SLOW, more) is group
    placement = group.placement
    assert (placement.minimum, placement.maximum, placement.target) == (2, 3, 5)
    await all_ready(group, 2)
    assert pool.get(SLOW, Placement(maximum=1, gpus=0.5, row="one")) is group
    assert group.placement == placement
    others = [pool.get(SLOW, ONE_GPU), pool.get(SLOW)]
    assert len({id(engine) for engine in (group, *others)}) == 3
    await pool.reconcile([(SLOW, Placement(gpus=0.5, row="one")), (SLOW, more)])
    assert (group.placement.maximum, pool.get(SLOW, more)) == (3, group)
    assert len(pool.groups) == 1
