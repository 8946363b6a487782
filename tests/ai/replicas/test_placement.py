"""What a row says of replicas and GPUs, and the rules that follow: numbers, shares, choice."""

from __future__ import annotations

import random
from collections import Counter
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from bindings.ai.catalog.resolve import Catalog
from bindings.ai.engine.options import SLEEP, WHERE_IT_CAN
from bindings.ai.engine.protocol import EngineSpec, Generate
from bindings.ai.engines.vllm import sleep
from bindings.ai.replicas.choice import by_load, by_root, root_of
from bindings.ai.replicas.demand import Demand
from bindings.ai.replicas.gpus import CUDA, ROCM, Ledger
from bindings.ai.replicas.placement import Placement, gpus_needed, opened, placement
from runtime.errors import ConfigError, UserError

VLLM = EngineSpec(engine="vllm", model="org/model", options={"tensor_parallel_size": 2, "pipeline_parallel_size": 2})


def row(folder: Path, text: str) -> Placement | None:
    """The placement of a row with these fields."""
    (folder / "models.yaml").write_text(f'"own/m":\n  engine: echo\n{text}')
    return Catalog.load(folder / "models.yaml").resolve("own/m").placement


def test_a_row_says_how_many(tmp_path: Path) -> None:
    of_row = partial(Placement, row="own/m")
    assert row(tmp_path, "") is None
    assert row(tmp_path, "  replicas: 3\n") == of_row(minimum=3, maximum=3)
    assert row(tmp_path, "  gpus: 0.5\n") == of_row(gpus=0.5)
    told = row(tmp_path, "  replicas: {min: 0, max: 4, target: 8, idle: 600}\n  gpus: 2\n")
    assert told == of_row(minimum=0, maximum=4, target=8, idle_s=600, gpus=2)
    assert row(tmp_path, "  where: {accelerator: H100}\n") == of_row(where={"accelerator": "H100"})
    assert row(tmp_path, "  replicas: {min: 0}\n") == of_row(minimum=0, maximum=1)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  replicas: 0\n", "replicas: must be at least 1"),
        ("  replicas: 1000\n", "replicas"),
        ("  replicas: two\n", "replicas"),
        ("  replicas: {min: 3, max: 2}\n", "max is 2"),
        ("  replicas: {most: 2}\n", "most"),
        ("  gpus: 1.5\n", "gpus: cannot be 1.5"),
        ("  gpus: -1\n", "gpus: cannot be -1"),
        ("  where: here\n", "where"),
    ],
)
def test_what_means_nothing_is_refused(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        row(tmp_path, text)
    assert said in str(caught.value)
    assert "models.yaml" in str(caught.value)


def test_a_stand_in_has_no_replicas(tmp_path: Path) -> None:
    (tmp_path / "models.yaml").write_text('"@cf/meta/llama-3.1-8b-instruct":\n  replicas: 3\n')
    served = Catalog.load(tmp_path / "models.yaml").resolve("@cf/meta/llama-3.1-8b-instruct", "echo")
    assert served.stand_in
    assert served.placement is None


def test_what_a_replica_of_vllms_needs_and_is_told() -> None:
    assert gpus_needed(VLLM, Placement()) == 4
    assert gpus_needed(VLLM, Placement(gpus=0.5)) == 0.5
    assert gpus_needed(EngineSpec(engine="echo", model="e"), Placement()) == 0
    assert opened(VLLM, 0) is VLLM
    assert opened(VLLM, 4).options == {**VLLM.options, SLEEP: WHERE_IT_CAN}
    assert opened(VLLM, 0.5).options["gpu_memory_utilization"] == 0.45
    own = EngineSpec(engine="vllm", model="m", options={"gpu_memory_utilization": 0.3, SLEEP: False})
    assert opened(own, 0.5).options == own.options


# The ledger


def test_shares_are_packed_and_given_back() -> None:
    ledger = Ledger("0123")
    taken = []
    for gpus in (1, 0.5, 2, 0.5):
        devices = ledger.find(gpus)
        assert devices is not None
        ledger.book(devices, gpus)
        taken.append(devices)
    assert taken == [("0",), ("1",), ("2", "3"), ("1",)]
    assert ledger.find(0.1) is None
    ledger.release(("2", "3"), 2)
    assert ledger.find(1) == ("2",)
    assert ledger.find(3) is None


@pytest.mark.parametrize("parts", [3, 7, 10])
def test_fractions_add_up_to_one(parts: int) -> None:
    ledger = Ledger("0")
    for _ in range(parts):
        assert ledger.find(1 / parts) == ("0",)
        ledger.book(("0",), 1 / parts)
    assert ledger.find(1 / parts) is None
    for _ in range(parts):
        ledger.release(("0",), 1 / parts)
    assert ledger.find(1) == ("0",)


def test_what_this_machine_has(tmp_path: Path) -> None:
    def found(**environment: str) -> tuple[tuple[str, ...], str]:
        ledger = Ledger.of_this_machine(environment, tmp_path)
        return ledger.devices, ledger.variable

    assert found() == ((), ROCM)
    (tmp_path / "kfd").touch()
    (tmp_path / "dri").mkdir()
    (tmp_path / "dri/renderD128").touch()
    assert found() == (("0",), ROCM)
    for name in ("nvidia0", "nvidia7", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert found() == (("0", "1"), CUDA)
    assert found(CUDA_VISIBLE_DEVICES="3, GPU-5ab") == (("3", "GPU-5ab"), CUDA)
    assert found(CUDA_VISIBLE_DEVICES="") == ((), CUDA)
    assert found(HIP_VISIBLE_DEVICES="1") == (("1",), ROCM)


def test_more_than_there_are() -> None:
    Ledger("01").check(2)
    with pytest.raises(UserError, match=r"needs 4 GPUs, and this machine has 2 \(CUDA_VISIBLE_DEVICES=0,1\)"):
        Ledger("01").check(4)
    with pytest.raises(UserError, match="this machine has 0"):
        Ledger(()).check(0.5)


# Choice


class Busy(NamedTuple):
    key: bytes
    load: int = 0


def roots(number: int) -> list[bytes]:
    return [number.to_bytes(16, "big") for number in range(number)]


def test_a_further_replica_moves_only_its_share() -> None:
    four, five = ([Busy(str(number).encode()) for number in range(many)] for many in (4, 5))
    before = [by_root(four, root)[0] for root in roots(2000)]
    after = [by_root(five, root)[0] for root in roots(2000)]
    moved = [new for old, new in zip(before, after, strict=True) if old != new]
    assert {*moved} == {five[-1]}
    assert 300 < len(moved) < 500
    assert all(400 < many < 600 for many in Counter(before).values())


def test_the_bound_on_the_load_holds_and_the_next_in_order_is_the_same_for_a_root() -> None:
    loads = dict.fromkeys(map(str, range(8)), 0)
    for _ in range(400):
        replicas = [Busy(name.encode(), load) for name, load in loads.items()]
        chosen, _ = by_root(replicas, b"one conversation")
        loads[chosen.key.decode()] += 1
    assert max(loads.values()) <= 1.25 * 50 + 3
    assert len({by_root([Busy(b"0", 9), Busy(b"1"), Busy(b"2")], b"root") for _ in range(9)}) == 1


def test_what_has_no_conversation_goes_where_less_is_asked() -> None:
    random.seed(1)
    assert by_load([Busy(b"0", 5), Busy(b"1", 1)]).load == 1
    assert {by_load([Busy(b"0", 1), Busy(b"1", 2), Busy(b"2", 9)]).load for _ in range(50)} == {1, 2}


def turns(*texts: Any, system: str = "", **more: Any) -> bytes:
    roles = ["user", "assistant"] * len(texts)
    messages = [{"role": role, "content": text} for role, text in zip(roles, texts, strict=False)]
    return root_of(
        Generate(messages=[{"role": "system", "content": system}, *messages] if system else messages, **more)
    )


def test_the_root_of_a_conversation() -> None:
    assert turns("a", system="s") == turns("a", "b", "c", system="s")
    assert len({turns("a"), turns("b"), turns("a", system="s"), turns("a", lora="/l"), turns("b", system="s")}) == 5
    picture = {"type": "image_url", "image_url": {"url": "data:" + "x" * 10_000_000}}
    assert turns([{"type": "text", "text": "a"}, picture]) != turns([{"type": "text", "text": "b"}, picture])
    assert turns("\ud800") != turns("b")
    assert root_of(Generate(prompt="x" * 1024 + "a")) == root_of(Generate(prompt="x" * 1024 + "b"))
    assert root_of(Generate(prompt_tokens=[1])) != root_of(Generate(prompt_tokens=[2]))


# How many


def test_up_after_two_seconds_and_at_once_from_none_and_down_by_one() -> None:
    told = placement_demand(minimum=0, maximum=4, target=10, idle_s=60)
    assert told((0, 1, 0)) == 1
    assert told((0, 35, 1), (1.9, 35, 1)) == 1
    assert told((0, 35, 1), (1.9, 35, 1), (2.1, 35, 1)) == 4
    assert told((0, 999, 4), (9, 999, 4)) == 4
    assert told((0, 5, 4), (59, 5, 4)) == 4
    assert told((0, 5, 4), (61, 5, 4)) == 3
    assert told((0, 5, 4), (50, 35, 4), (70, 5, 4)) == 4, "a moment of load begins the wait anew"
    assert told((0, 0, 1), (61, 0, 1)) == 0


def test_the_least_stays_but_does_not_come_back_by_itself() -> None:
    told = placement_demand(minimum=2, maximum=4, target=10)
    assert told((0, 0, 2), (100, 0, 2)) == 2
    assert told((0, 0, 0), (100, 0, 0)) == 0, "it made way for another model"
    assert told((0, 1, 0)) == 2


def placement_demand(**numbers: Any) -> Any:
    def told(*looks: tuple[float, int, int]) -> int:
        demand = Demand(Placement(**numbers))
        return [demand.wanted(*look) for look in looks][-1]

    return told


# vLLM's sleep


class Sleeping:
    """vLLM's engine as far as its sleep goes, with what is asked of it."""

    def __init__(self, model: Path, **more: Any) -> None:
        config = SimpleNamespace(model=str(model), enable_sleep_mode=True, quantization=None, **more)
        self.vllm_config = SimpleNamespace(model_config=config, lora_config=None)
        self.asked: list[tuple[Any, ...]] = []

    async def sleep(self, level: int) -> None:
        self.asked.append(("sleep", level))

    async def wake_up(self, tags: list[str] | None = None) -> None:
        self.asked.append(("wake_up", tags))

    async def collective_rpc(self, method: str) -> None:
        self.asked.append((method,))


async def test_weights_that_fit_the_memory_sleep_there(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    llm = Sleeping(tmp_path)
    model = sleep.Sleep(llm)  # type: ignore[arg-type]
    assert await model.begin() == 1
    await model.end()
    assert llm.asked == [("sleep", 1), ("wake_up", None)]


async def test_weights_that_do_not_are_read_again(tmp_path: Path) -> None:
    with (tmp_path / "model.safetensors").open("wb") as file:
        file.truncate(1 << 42)  # four terabytes, none of them on the disk
    llm = Sleeping(tmp_path)
    model = sleep.Sleep(llm)  # type: ignore[arg-type]
    assert await model.begin() == 2
    await model.end()
    assert llm.asked == [("sleep", 2), ("wake_up", ["weights"]), ("reload_weights",), ("wake_up", ["kv_cache"])]
    llm.vllm_config.model_config.quantization = "fp8"
    assert await model.begin() == 0, "what is on the disk is not what was loaded"


async def test_no_sleep_where_vllm_has_none(tmp_path: Path) -> None:
    llm = Sleeping(tmp_path)
    assert await sleep.Sleep(llm).begin() == 0, "nothing says how large the weights are"  # type: ignore[arg-type]
    llm.vllm_config.model_config.enable_sleep_mode = False
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    assert await sleep.Sleep(llm).begin() == 0  # type: ignore[arg-type]


def test_nothing_said_is_nothing_counted() -> None:
    assert placement(None, None, {}) is None
