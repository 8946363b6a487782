"""Variables and secrets as bindings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bindings import PRODUCTS
from bindings.base import CallError, ProductContext
from bindings.plain import PlainBinding, Variables, shorten, value
from runtime.config import load
from runtime.supervisor.observe import make_observer


@pytest.fixture
def bindings(tmp_path: Path) -> dict[str, Any]:
    (tmp_path / "entry.py").touch()
    (tmp_path / ".dev.vars").write_text("TOKEN=hunter2\nONLY_SECRET=s3\n")
    (tmp_path / "wrangler.toml").write_text(
        'main = "entry.py"\n[vars]\nGREETING = "hi"\nTOKEN = "placeholder"\nLIMITS = { max = 3 }\n'
    )
    context = ProductContext(tmp_path, tmp_path / ".pilot", on_host=False, observer=make_observer(None))
    return {binding.name: binding for binding in Variables.parse(load(tmp_path), context)}


def test_registered() -> None:
    assert PRODUCTS[Variables.key] == f"{Variables.__module__}:{Variables.__name__}"


def test_each_variable_and_secret_is_its_value(bindings: dict[str, PlainBinding]) -> None:
    seen = {name: value(name, None, **binding.client_args) for name, binding in bindings.items()}
    assert seen == {"GREETING": "hi", "TOKEN": "hunter2", "LIMITS": {"max": 3}, "ONLY_SECRET": "s3"}
    assert {binding.client for binding in bindings.values()} == {"bindings.plain:value"}


def test_the_banner_hides_secrets(bindings: dict[str, PlainBinding]) -> None:
    assert {name: binding.describe() for name, binding in bindings.items()} == {
        "GREETING": ("var", '"hi"'),
        "TOKEN": ("secret", "(hidden)"),
        "LIMITS": ("var", '{"max":3}'),
        "ONLY_SECRET": ("secret", "(hidden)"),
    }
    assert "hunter2" not in repr(bindings)


def test_long_values_are_cut() -> None:
    assert shorten("x" * 100) == '"' + "x" * 58 + "…"
    assert shorten("é") == '"é"'


async def test_a_plain_value_cannot_be_called(bindings: dict[str, PlainBinding]) -> None:
    with pytest.raises(CallError, match=r"env\.GREETING is a plain value: it has no run\(\)"):
        await bindings["GREETING"].call("run", [])
