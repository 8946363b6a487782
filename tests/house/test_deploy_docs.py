"""docs/deploy.md keeps its word: its flags, limits and tests are there, and the README's commands deploy."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from bindings import products
from hosting import hosting
from runtime.supervisor.limits import Limits

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs/deploy.md").read_text("utf-8")
README = (ROOT / "README.md").read_text("utf-8")


def rows(text: str, header: str) -> list[list[str]]:
    found = re.search(rf"^\| {re.escape(header)} \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    assert found, f"no table headed {header}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in found[1].splitlines()]


def test_every_flag_is_listed() -> None:
    import click

    from runtime.host.commands import host

    options = [param for param in host.get_params(click.Context(host)) if isinstance(param, click.Option)]
    flags = {name for option in options for name in option.opts} - {"--help"}
    assert {row[0].strip("`").split()[0] for row in rows(DOCS, "flag of `pilot host`")} == {
        flag for flag in flags if flag.startswith("--")
    }


def test_every_limit_is_listed_with_its_default() -> None:
    listed = {row[0].strip("`"): int(row[1]) for row in rows(DOCS, "limit")}
    assert listed == {name: getattr(Limits(), name) for name in Limits.__struct_fields__}


def test_every_fault_has_its_tests() -> None:
    sources = "".join(path.read_text("utf-8") for path in ROOT.glob("tests/**/test_*.py"))
    for row in rows(DOCS, "fault"):
        named = re.findall(r"`(test_\w+)`", row[4])
        assert named, row
        assert all(re.search(rf"def {name}\(", sources) for name in named), row


def test_every_command_is_in_the_readme() -> None:
    from runtime.cli import COMMANDS, LAZY_COMMANDS

    of_products = {name for product in products() for name in product.commands}
    assert {row[0].strip("`").split()[1] for row in rows(README, "command")} == {
        *LAZY_COMMANDS,
        *COMMANDS,
        *of_products,
    }


def test_every_link_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#:]+)\)", DOCS):
        assert (ROOT / "docs" / link).exists(), link


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="a host is Linux's")
async def test_the_readmes_commands_deploy(tmp_path: Path) -> None:
    block: Any = re.search(r"^```sh\npip install .*\npilot host\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    deploy, curl = (shlex.split(line) for line in block[1].splitlines())
    async with hosting(tmp_path / "data") as host:
        await host.cli(*deploy[1:], cwd=ROOT)
        status, text = await host.ask(curl[-1].removeprefix("http://localhost:8788"))
        assert (status, "york" in text) == (200, True), text
