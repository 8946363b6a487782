"""Each tutorial, followed from its first block to its last, answers what it says."""

from __future__ import annotations

import asyncio
import os
import shlex
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

import click
import pytest

from bindings.ai.engine import weights
from hubs import hub
from models_support import silent
from runtime.cli import main
from tutorials import FOLDER, Step, at_home, steps

SMALL = "bartowski/SmolLM2-135M-Instruct-GGUF"
NEEDS = {"own-model.md": [pytest.mark.gpu, pytest.mark.vllm]}  # vLLM is asked what it would serve, and loads nothing
PAGES = [pytest.param(path.name, marks=NEEDS.get(path.name, ())) for path in sorted(FOLDER.glob("*.md"))]
WITH_A_GPU = [step.text for path in FOLDER.glob("*.md") for step in steps(path.name) if step.title == "with a GPU"]


@pytest.fixture
async def hub_of_models() -> AsyncIterator[dict[str, str]]:
    """The environment in which Hugging Face is on this machine, and has the small model."""
    file = await weights.embedded_model(silent)
    async with hub({SMALL: {"SmolLM2-135M-Instruct-Q4_K_M.gguf": file.read_bytes()}}) as served:
        yield {
            "HF_ENDPOINT": served.url,
            "HF_HOME": "",
            "HF_HUB_CACHE": "",
            "HF_TOKEN": "",
            "NO_PROXY": "localhost,127.0.0.1",
        }


@pytest.mark.e2e
@pytest.mark.timeout(600)
@pytest.mark.parametrize("page", PAGES)
async def test_whoever_follows_it_sees_what_it_shows(page: str, tmp_path: Path, hub_of_models: dict[str, str]) -> None:
    if page == "deploy.md" and os.uname().sysname != "Linux":
        pytest.skip("a host is Linux's")
    await asyncio.to_thread(follow, page, tmp_path, hub_of_models)


def follow(page: str, home: Path, env: dict[str, str]) -> None:
    with at_home(home, **env) as tutorial:
        for step in steps(page):
            tutorial.follow(step)


@pytest.mark.gpu
@pytest.mark.parametrize("block", WITH_A_GPU)
def test_what_is_typed_where_there_is_a_gpu_is_known(block: str) -> None:
    extras = tomllib.loads((FOLDER.parents[1] / "pyproject.toml").read_text("utf-8"))["project"][
        "optional-dependencies"
    ]
    for words in map(shlex.split, block.splitlines()):
        if words[0] == "pilot":
            command = main.get_command(click.Context(main), words[1])
            assert command, words
            command.make_context(words[1], words[2:])  # raises for what it does not take
        elif words[0] == "pip":
            assert words[-1].removeprefix(".[").removesuffix("]") in extras
        else:
            assert words[0] == "export"


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("command", "title", "shown", "is_so"),
    [
        ("echo done in 3 ms", "", "done in 12 ms", True),
        ("echo done", "", "gone", False),
        ("seq 9", "", "1\n...\n9", True),
        ("seq 9", "", "1\n...\n8", False),
        ('echo \'{"response": "yes"}\'', "for example", '{"response": "no"}', True),
        ('echo \'{"error": "yes"}\'', "for example", '{"response": "no"}', False),
        ("true", "for example", "something", False),
    ],
)
def test_what_a_page_shows_is_compared(command: str, title: str, shown: str, is_so: bool, tmp_path: Path) -> None:
    with at_home(tmp_path) as tutorial:
        tutorial.follow(Step("typed", "", command))
        if is_so:
            tutorial.follow(Step("shown", title, shown))
        else:
            with pytest.raises(AssertionError):
                tutorial.follow(Step("shown", title, shown))
