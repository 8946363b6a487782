"""``pilot doctor``: what it finds on this machine, and on ones that lack something."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from terminals import PILOT, block, gpu, told, typed


def found(folder: Path, **env: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in told(folder, "doctor", **env)}


def installed(folder: Path, name: str, version: str, *needs: str) -> dict[str, str]:
    """The environment in which a distribution of this name is found first."""
    info = folder / f"{name}-{version}.dist-info"
    info.mkdir()
    lines = [f"Requires-Dist: {line}" for line in needs]
    (info / "METADATA").write_text("\n".join(["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}", *lines]))
    return {"PYTHONPATH": str(folder)}


def test_the_blocks_of_the_docs(tmp_path: Path) -> None:
    for words in block("pilot doctor"):
        assert "Landlock" in typed(tmp_path, *words) or sys.platform != "linux"


def test_this_machine(tmp_path: Path) -> None:
    rows = found(tmp_path, PILOT_CACHE_DIR=str(tmp_path / "cache"))
    assert rows["Python"]["state"] == rows["llama.cpp"]["state"] == rows["cache"]["state"] == "ok"
    assert str(tmp_path / "cache") in str(rows["cache"]["what"])
    assert str(tmp_path / ".pilot") in str(rows["state"]["what"])
    assert not [row for row in rows.values() if row["state"] == "missing" and not row["remedy"]]
    assert "can run here" in typed(tmp_path, "doctor")


def test_a_gpu_whose_driver_is_too_old(tmp_path: Path) -> None:
    env = gpu(tmp_path, driver="525.0", cuda=12040) | installed(tmp_path, "torch", "2.13.0+cu130")
    rows = found(tmp_path, **env)
    assert rows["GPU"]["what"] == "NVIDIA Test, 20 of 24 GiB free"
    assert rows["driver"]["what"] == "525.0, runs CUDA up to 12.4; torch is built for CUDA 13.0"
    assert rows["driver"]["state"] == "missing"
    assert found(tmp_path, **env | gpu(tmp_path, cuda=13000))["driver"]["state"] == "ok"


def test_vllm_that_does_not_fit(tmp_path: Path) -> None:
    env = installed(tmp_path, "vllm", "0.9.1") | installed(tmp_path, "torch", "2.0.0")
    row = found(tmp_path, **env)["vLLM"]
    assert row["state"] == "missing"
    assert "vllm 0.9.1" in str(row["what"])
    assert ">=0.26" in str(row["what"])
    assert "[vllm]" in str(row["remedy"])


def test_what_pilot_dev_needs_is_missing(tmp_path: Path) -> None:
    env = installed(tmp_path, "click", "7.0")
    code, rows = failing(tmp_path, **env)
    assert code == 3
    assert rows["click"]["needed"]
    assert rows["click"]["what"] == "7.0 is installed; wanted: >=8.1"
    assert "pip install 'click>=8.1'" in rows["click"]["remedy"]


def test_llama_cpp_without_libgomp(tmp_path: Path) -> None:
    (tmp_path / "xllamacpp.py").write_text("raise ImportError('libgomp.so.1: cannot open shared object file')")
    code, rows = failing(tmp_path, PYTHONPATH=str(tmp_path))
    assert code == 3
    assert "libgomp.so.1" in rows["llama.cpp"]["what"]
    assert "apt install libgomp1" in rows["llama.cpp"]["remedy"]


def failing(folder: Path, **env: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run([*PILOT, "doctor", "--json"], cwd=folder, env={**os.environ, **env}, capture_output=True)
    return done.returncode, {row["name"]: row for row in json.loads(done.stdout)}


def test_a_port_in_use_is_a_note(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(("127.0.0.1", 8788))
        except OSError:
            pytest.skip("8788 is in use")
        taken.listen()
        row = found(tmp_path)["port 8788"]
    assert row["state"] == "note"
    assert row["remedy"] == "pilot host --port PORT"


def test_our_own_requirements_are_met() -> None:
    from runtime.starting.checks.requirements import numbers, requirements

    assert metadata.requires("pilotlight")
    assert {one.name for one in requirements()} >= {"click", "xllamacpp"}
    assert not {one.name for one in requirements()} & {"vllm", "pillow"}
    assert "pillow" in {one.name for one in requirements("images")}
    assert numbers("2.13.0+cpu") == numbers("2.13") == (2, 13)
    assert numbers("1.0rc2") == (1,)
