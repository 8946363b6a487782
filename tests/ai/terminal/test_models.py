"""``pilot models``: what is listed, what is here, and who would answer."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from terminals import block, gpu, told, typed

LLAMA = "@cf/meta/llama-2-7b-chat-int8"


def one(folder: Path, id: str, *words: str, **env: str) -> dict[str, Any]:
    return next(row for row in told(folder, "models", *words, **env) if row["id"] == id)


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """No caches of anybody's, and no server that models are asked of."""
    return {"HF_HUB_CACHE": str(tmp_path / "hub"), "PILOT_CACHE_DIR": str(tmp_path / "cache"), "OPENAI_BASE_URL": ""}


def snapshot(nowhere: dict[str, str], repository: str, size: int) -> Path:
    folder = Path(nowhere["HF_HUB_CACHE"]) / f"models--{repository.replace('/', '--')}" / "snapshots" / "abc"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"x" * size)
    return folder


def test_the_blocks_of_the_docs(tmp_path: Path) -> None:
    for words in block("pilot models"):
        assert typed(tmp_path, *words)


def test_whatever_a_worker_can_ask_for_is_listed(tmp_path: Path, nowhere: dict[str, str]) -> None:
    out = typed(tmp_path, "models", **nowhere)
    assert LLAMA in out
    assert "@cf/baai/bge-small-en-v1.5" in out
    assert "No GPU was found: CPU" in out
    assert "stand-in: SmolLM2-135M-Instruct or all-MiniLM-L6-v2 answers" in out
    row = one(tmp_path, LLAMA, **nowhere)
    assert row == {
        "id": LLAMA, "task": "Text Generation", "context_window": 8192, "size": 7_350_000_000, "here": False,
        "fits": None, "engine": "llamacpp", "answers": "SmolLM2-135M-Instruct", "stand_in": True, "note": "",
    }  # fmt: skip
    unserved = one(tmp_path, "@cf/openai/whisper", **nowhere)
    assert unserved["engine"] is None
    assert "models.yaml" in unserved["note"]


def test_what_is_asked_for_is_found(tmp_path: Path, nowhere: dict[str, str]) -> None:
    ids = [row["id"] for row in told(tmp_path, "models", "BGE", "--task", "embeddings", **nowhere)]
    assert ids
    assert all("bge" in id for id in ids)
    assert not any("rerank" in id for id in ids)
    assert {row["task"] for row in told(tmp_path, "models", "--task", "text", **nowhere)} == {
        "Text Generation",
        "Guard",
    }
    assert "close to it: llama-2-7b-chat" in typed(tmp_path, "models", "lamma-2-7b-chat", **nowhere)
    assert "there are: Text Generation" in typed(tmp_path, "models", "--task", "cooking", code=2, **nowhere)


def test_the_projects_own_models_and_engine_count(tmp_path: Path, nowhere: dict[str, str]) -> None:
    below = tmp_path / "src"
    below.mkdir()
    (tmp_path / "wrangler.toml").write_text('name = "w"\n[pilot]\nmodels = "mine.yaml"\nengine = "echo"\n')
    (tmp_path / "mine.yaml").write_text("own/small:\n  llamacpp: {model: ./small.gguf}\n  engine: llamacpp\n")
    (tmp_path / "small.gguf").write_bytes(b"x" * 5000)
    own = one(below, "own/small", **nowhere)
    assert (own["here"], own["size"], own["engine"], own["stand_in"]) == (True, 5000, "llamacpp", False)
    assert one(below, LLAMA, **nowhere)["answers"] == "echo"
    assert one(below, LLAMA, "--engine", "llamacpp", **nowhere)["engine"] == "llamacpp"
    assert [row["id"] for row in told(below, "models", "--here", **nowhere)] == ["own/small"]
    (tmp_path / "mine.yaml").unlink()
    assert "there is no mine.yaml" in typed(below, "models", code=3, **nowhere)


def test_weights_in_hugging_faces_cache_are_here(tmp_path: Path, nowhere: dict[str, str]) -> None:
    folder = snapshot(nowhere, "meta-llama/Llama-2-7b-chat-hf", 4000)
    row = one(tmp_path, LLAMA, **nowhere)
    assert (row["here"], row["size"], row["stand_in"]) == (True, 4000, True)  # here, but nothing runs them
    (folder.parents[1] / "blobs").mkdir()
    (folder.parents[1] / "blobs" / "123.incomplete").touch()
    assert not one(tmp_path, LLAMA, **nowhere)["here"]
    assert "no weights of these models are here" in typed(tmp_path, "models", "--here", **nowhere)


def test_what_fits_a_gpu(tmp_path: Path, nowhere: dict[str, str]) -> None:
    env = {**nowhere, **gpu(tmp_path)}
    fits = {row["id"]: row["fits"] for row in told(tmp_path, "models", **env)}
    assert fits[LLAMA] is True
    assert fits["@cf/meta/llama-3.1-70b-instruct"] is False
    assert fits["@cf/meta/llama-4-scout-17b-16e-instruct"] is None  # its name does not say
    assert "NVIDIA Test with 24 GiB" in typed(tmp_path, "models", **env)


def test_nothing_heavy_is_imported(tmp_path: Path) -> None:
    code = (
        "import sys; from runtime.cli import main; main(['models'], standalone_mode=False);"
        "heavy = ('torch', 'vllm', 'xllamacpp', 'aiohttp', 'numpy', 'starlette', 'rich', 'huggingface_hub');"
        "sys.exit(str([name for name in heavy if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize(("text", "says"), [
    ("not: [valid", "not valid YAML"), ("a: 3", "a model is an id followed by its fields"),
    ("a: {engine: vlm}", "did you mean 'vllm'?"),
])  # fmt: skip
def test_a_models_yaml_that_cannot_be_used(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "models.yaml").write_text(text)
    assert says in typed(tmp_path, "models", code=3)
