"""``pilot pull``, from a hub on this machine: what comes, what is compared, and what is loaded from it afterwards."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from bindings.ai.engine import weights
from hubs import COMMIT, Hub, contents, hub
from models_support import silent, tiny_llama
from terminals import PILOT, block, told, typed

SMALL = {"config.json": b'{"model_type": "llama"}', "tokenizer.json": b"{}", "README.md": b"# A model\n"}
WEIGHTS = os.urandom(400_000)
MODEL = {
    **SMALL, "model.safetensors": WEIGHTS, "pytorch_model.bin": b"the same", "original/consolidated.00.pth": b"again",
    "onnx/model.onnx": b"and again",
}  # fmt: skip
GGUF = {"README.md": b"#", **{f"a-{name}.gguf": os.urandom(50_000) for name in ("Q2_K", "Q4_K_M", "Q8_0")}}
PARTS = {f"big-Q4_K_M-0000{part}-of-00002.gguf": os.urandom(1000) for part in (1, 2)}


@pytest.fixture
async def served() -> AsyncIterator[Hub]:
    async with hub({"org/model": MODEL, "org/gguf": GGUF, "org/parts": PARTS, "org/none": SMALL}) as served:
        yield served


def around(served: Hub, folder: Path) -> dict[str, str]:
    """Whose cache and hub there are."""
    proxies = {"NO_PROXY": "localhost,127.0.0.1", "no_proxy": "localhost,127.0.0.1"}
    return {"HF_ENDPOINT": served.url, "HF_HOME": str(folder / "hf"), "HF_TOKEN": "", "OPENAI_BASE_URL": "", **proxies}


async def pull(served: Hub, folder: Path, *words: str, code: int = 0, **env: str) -> str:
    return await asyncio.to_thread(
        lambda: typed(folder, "pull", *words, code=code, **{**around(served, folder), **env})
    )


def snapshot(folder: Path, repository: str) -> dict[str, bytes]:
    """What is where Hugging Face's libraries look."""
    root = folder / "hf/hub" / f"models--{repository.replace('/', '--')}"
    assert (root / "refs/main").read_text() == COMMIT
    assert not list(root.glob("blobs/*.incomplete"))
    below = root / "snapshots" / COMMIT
    return {str(path.relative_to(below)): path.read_bytes() for path in below.rglob("*") if path.is_file()}


async def test_weights_come_in_one_format_with_what_is_beside_them(served: Hub, tmp_path: Path) -> None:
    shown = await pull(served, tmp_path, "org/model")
    assert snapshot(tmp_path, "org/model") == {**SMALL, "model.safetensors": WEIGHTS}
    assert "org/model, 0.4 MB" in shown
    assert "vllm: {model: org/model}" in shown
    sent = served.sent.total()
    await pull(served, tmp_path, "org/model")
    assert served.sent.total() == sent  # it was all here


async def test_of_gguf_files_the_one_that_is_meant_comes(served: Hub, tmp_path: Path) -> None:
    assert "llamacpp: {model: org/gguf:Q4_K_M}" in await pull(served, tmp_path, "org/gguf")
    assert snapshot(tmp_path, "org/gguf") == {"a-Q4_K_M.gguf": GGUF["a-Q4_K_M.gguf"]}
    await pull(served, tmp_path, "hf.co/org/gguf:q8_0")
    await pull(served, tmp_path, "org/gguf:a-Q2_K.gguf")
    assert snapshot(tmp_path, "org/gguf").keys() == GGUF.keys() - {"README.md"}
    await pull(served, tmp_path, "org/parts:Q4_K_M")
    assert snapshot(tmp_path, "org/parts") == PARTS
    assert "Name one of: Q2_K, Q4_K_M, Q8_0" in await pull(served, tmp_path, "org/gguf:Q5_K_M", code=3)


async def test_the_block_of_the_docs(served: Hub, tmp_path: Path) -> None:
    for words in block("pilot pull"):
        repository = words[1] if not words[1].startswith("@") else "meta-llama/Llama-3.2-1B-Instruct"
        name, _, variant = repository.partition(":")
        served.files[name] = {f"a-{variant}.gguf": b"weights"} if variant else MODEL
        await pull(served, tmp_path, *words[1:])
        assert snapshot(tmp_path, name)


async def test_killed_in_the_middle_it_goes_on_from_there(served: Hub, tmp_path: Path) -> None:
    served.pause = 0.1
    process = subprocess.Popen(
        [*PILOT, "pull", "org/model"], cwd=tmp_path, env={**os.environ, **around(served, tmp_path)},
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    async with asyncio.timeout(60):
        while served.sent["model.safetensors"] < 100_000:
            await asyncio.sleep(0.01)
    process.kill()
    process.wait(10)
    served.pause = 0
    await pull(served, tmp_path, "org/model")
    assert snapshot(tmp_path, "org/model")["model.safetensors"] == WEIGHTS
    assert served.sent["model.safetensors"] < len(WEIGHTS) + 100_000  # what was under way, once more


async def test_a_connection_that_breaks_and_a_server_that_is_busy_are_asked_again(served: Hub, tmp_path: Path) -> None:
    served.breaks["model.safetensors"] = 90_000
    served.statuses = [503, 429]
    await pull(served, tmp_path, "org/model")
    assert snapshot(tmp_path, "org/model")["model.safetensors"] == WEIGHTS
    assert served.sent["model.safetensors"] == len(WEIGHTS)


@pytest.mark.parametrize("path", ["model.safetensors", "config.json"])
async def test_bytes_that_are_not_the_listed_ones_are_not_kept(served: Hub, tmp_path: Path, path: str) -> None:
    served.wrong.add(path)
    shown = await pull(served, tmp_path, "org/model", code=3)
    assert f"org/model/{path}: does not have the checksum" in shown
    assert not list((tmp_path / "hf/hub").glob("*/snapshots/*"))
    served.wrong.clear()
    await pull(served, tmp_path, "org/model")
    assert snapshot(tmp_path, "org/model") == {**SMALL, "model.safetensors": WEIGHTS}


async def test_a_gated_model_says_where_to_ask(served: Hub, tmp_path: Path) -> None:
    served.secret = "hf_right"
    shown = await pull(served, tmp_path, "org/model", code=3)
    assert "is gated" in shown
    assert f"{served.url}/org/model" in shown
    assert "export HF_TOKEN" in shown
    shown = await pull(served, tmp_path, "org/model", code=3, HF_TOKEN="hf_wrong")
    assert "your token may not read it" in shown
    assert "hf_wrong" not in shown
    (tmp_path / "hf").mkdir(exist_ok=True)
    (tmp_path / "hf/token").write_text("hf_right\n")  # as `hf auth login` keeps it
    await pull(served, tmp_path, "org/model")
    assert set(served.tokens) == {None}  # it went to the hub, and not to where that leads


async def test_a_full_disk_is_told_of_before_anything_comes(served: Hub, tmp_path: Path) -> None:
    served.claims["model.safetensors"] = 10**16
    shown = await pull(served, tmp_path, "org/model", code=3)
    assert "needs 10000000.0 GB" in shown
    assert "export HF_HOME=" in shown
    assert not served.sent


async def test_what_cannot_be_had_says_why(served: Hub, tmp_path: Path) -> None:
    assert "no such repository" in await pull(served, tmp_path, "org/nobody", code=3)
    assert "holds no weights" in await pull(served, tmp_path, "org/none", code=3)
    nobody = {"HF_ENDPOINT": "http://user:secret@127.0.0.1:9"}
    shown = await pull(served, tmp_path, "org/model", code=3, **nobody)
    assert "http://127.0.0.1:9" in shown
    assert "secret" not in shown
    assert "unset HF_HUB_OFFLINE" in await pull(served, tmp_path, "org/model", code=3, HF_HUB_OFFLINE="1")
    shown = await pull(served, tmp_path, "@cf/meta/llama-2-7b-chat-int8", code=3)  # no GPU here, so llama.cpp
    assert "no weights are named for llamacpp" in shown
    assert "--engine vllm   is meta-llama/Llama-2-7b-chat-hf" in shown
    assert "no such repository" in await pull(served, tmp_path, "llama-2-7b-chat-int8", "--engine", "vllm", code=3)
    assert "fetches no weights" in await pull(served, tmp_path, "org/model", "--engine", "echo", code=3)


async def test_llama_cpp_loads_what_was_pulled_without_a_network(served: Hub, tmp_path: Path) -> None:
    file = await weights.embedded_model(silent)
    served.files["org/small"] = {"SmolLM2-135M-Instruct-Q4_1.gguf": file.read_bytes()}
    (tmp_path / "models.yaml").write_text('"@cf/mine/small": {llamacpp: {model: "org/small:Q4_1", n_ctx: 512}}\n')
    offline = {**around(served, tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    ask = ("run", "@cf/mine/small", "Say hello.", "--max-tokens", "5")
    assert "pilot pull org/small:Q4_1" in await asyncio.to_thread(lambda: typed(tmp_path, *ask, code=3, **offline))
    assert "pilot run @cf/mine/small" in await pull(served, tmp_path, "@cf/mine/small")
    assert (await asyncio.to_thread(lambda: told(tmp_path, *ask, **offline)))["answered_by"] == "org/small:Q4_1"
    rows = await asyncio.to_thread(lambda: told(tmp_path, "models", "mine", **offline))
    assert [(row["here"], row["size"]) for row in rows] == [(True, file.stat().st_size)]


@pytest.mark.vllm
@pytest.mark.timeout(600)
@pytest.mark.skipif(find_spec("vllm") is None, reason="needs vLLM")
async def test_vllm_loads_what_was_pulled_without_a_network(served: Hub, tmp_path: Path) -> None:
    served.files["org/tiny"] = contents(tiny_llama(tmp_path / "tiny"))
    row = "{vllm: {model: org/tiny, enforce_eager: true, max_model_len: 128, dtype: float32}}"
    (tmp_path / "models.yaml").write_text(f'"@cf/mine/tiny": {row}\n')
    await pull(served, tmp_path, "@cf/mine/tiny", "--engine", "vllm")
    offline = {**around(served, tmp_path), "HF_ENDPOINT": "http://127.0.0.1:9"}
    ask = ("run", "@cf/mine/tiny", "one two", "--engine", "vllm", "--max-tokens", "3")
    answer = await asyncio.to_thread(lambda: told(tmp_path, *ask, within=500, **offline))
    assert answer["answered_by"] == "org/tiny"
    assert answer["response"]
