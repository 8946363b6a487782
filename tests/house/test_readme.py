"""The README and the table of settings keep their word: commands run, tables are complete, paths exist."""

from __future__ import annotations

import asyncio
import importlib
import re
import shlex
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bindings import PRODUCTS, products
from bindings.ai.engine.protocol import ENGINES
from runtime.config.model import PilotSettings

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
CONFIGURATION = (ROOT / "docs/configuration.md").read_text("utf-8")
ADDRESS = "http://localhost:8787"
Start = Callable[..., Awaitable[Any]]


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands(block: str) -> list[list[str]]:
    lines = block.replace("\\\n", " ").splitlines()
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def first_column(header: str, text: str = README) -> set[str]:
    """The code words in the first column of the table whose first heading is ``header``."""
    rows = re.search(rf"^\| {re.escape(header)} \|.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert rows, f"no table headed {header}"
    return set(re.findall(r"^\| `([^` ]+)", rows[1], re.MULTILINE))


SERVED = [block for block in blocks("sh") if "pilot dev" in block]


@pytest.mark.parametrize("block", SERVED, ids=[block.splitlines()[0] for block in SERVED])
async def test_pilot_dev_and_curl_do_as_shown(start_pilot: Start, block: str) -> None:
    found = commands(block)
    serve = next(words for words in found if words[:2] == ["pilot", "dev"])
    options = dict(zip(serve[2::2], serve[3::2], strict=True))
    pilot = await start_pilot(
        ROOT / options.pop("--config", "wrangler.toml"),
        "--engine",
        "echo",
        *(word for option in options.items() for word in option),
    )
    for words in found:
        if words[0] == "curl":
            shown = await run(
                "curl",
                "--silent",
                "--show-error",
                "--fail",
                "--max-time",
                "20",
                *(word.replace(ADDRESS, pilot.url.rstrip("/")) for word in words[1:]),
            )
            assert "new" in shown or "york" in shown, shown


async def run(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
    return output.decode()


def test_the_two_commands_come_first_and_exist() -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    first = commands(blocks("sh")[0])
    assert [words[0] for words in first] == ["make", "make"]
    assert {words[1] for words in first} <= set(targets)


def test_what_is_run_by_hand_is_there() -> None:
    extras = re.findall(r"pip install -e '\.\[(\w+)\]'", README)
    declared = (ROOT / "pyproject.toml").read_text("utf-8")
    assert extras
    assert all(re.search(rf"^{extra} = \[", declared, re.MULTILINE) for extra in extras)


def test_the_worker_shown_is_the_sample() -> None:
    assert blocks("python")[0] == (ROOT / "workers/stream/entry.py").read_text("utf-8")


def test_the_configuration_shown_serves_the_worker_shown(tmp_path: Path) -> None:
    from runtime.config import load

    (tmp_path / "wrangler.toml").write_text(blocks("toml")[0])
    (tmp_path / "entry.py").write_text(blocks("python")[0])
    config = load(None, cwd=tmp_path)
    assert config.warnings == ()
    assert config.products == {"ai": {"binding": "AI"}}


def test_every_sample_is_listed() -> None:
    assert first_column("sample") == {path.parent.name for path in ROOT.glob("workers/*/wrangler.toml")}


def test_every_product_is_listed() -> None:
    assert first_column("key") == set(PRODUCTS)


def test_every_engine_is_listed() -> None:
    assert first_column("engine") == set(ENGINES)


def test_every_setting_is_listed() -> None:
    ours = {
        field
        for kind in (PilotSettings, *(product.settings for product in products() if product.settings))
        for field in kind.__struct_fields__
    }
    assert first_column("setting", CONFIGURATION) == ours


def test_every_flag_is_listed() -> None:
    import click

    cli: Any = importlib.import_module("runtime.cli")
    dev = cli.main.commands["dev"]
    options = [param for param in dev.get_params(click.Context(dev)) if isinstance(param, click.Option)]
    flags = {flag for option in options for flag in option.opts if flag.startswith("--")}
    assert first_column("flag", CONFIGURATION) == flags - {"--help"}


def test_the_choices_of_every_flag_are_named() -> None:
    import click

    cli: Any = importlib.import_module("runtime.cli")
    rows = dict(re.findall(r"^\| `(--[\w-]+)[^|]*\| (.*) \|$", CONFIGURATION, re.MULTILINE))
    for param in cli.main.commands["dev"].params:
        if isinstance(param.type, click.Choice):
            missing = [choice for choice in param.type.choices if not re.search(rf"\b{choice}\b", rows[param.opts[0]])]
            assert not missing, param.opts


PATHS = set(re.findall(r"`((?:runtime|bindings|tests|workers|\.ci)/[\w./]+)`", README))


@pytest.mark.parametrize("path", sorted(path for path in PATHS if "NAME" not in path))
def test_every_path_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(([^)#:]+)\)", README))))
def test_every_link_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()


def test_on_pypi_no_link_leads_to_a_file_beside_it() -> None:
    pytest.importorskip("hatch_fancy_pypi_readme")
    made = subprocess.run(
        [sys.executable, "-m", "hatch_fancy_pypi_readme"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert re.findall(r"\]\((?!https?:)[^)]*\)", made.stdout) == []
    assert "Workers AI (`docs/reference/workers-ai.md`)" in made.stdout


def test_its_models_yaml_is_one(tmp_path: Path) -> None:
    from bindings.ai.catalog.models import own_models

    file = tmp_path / "models.yaml"
    file.write_text(blocks("yaml")[0])
    assert list(own_models(file)) == ["@cf/meta/llama-2-7b-chat-int8"]
