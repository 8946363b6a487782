"""Configuration files that would take gigabytes or for ever to read."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime import config
from runtime.errors import ConfigError


@pytest.mark.parametrize(("name", "text", "what"), [
    ("wrangler.toml", ".".join("a" * 20_000) + " = 1", "line 1, column 1: not valid TOML: a key of more than 64 parts"),
    ("wrangler.toml", "x = 1\n[" + ".".join(['"b.c"'] * 100) + "]", "line 2, column 1"),
    ("wrangler.toml", "x = { y = 2, " + " . ".join("a" * 100) + " = 1 }", "a key of more than 64 parts"),
    ("wrangler.toml", "x = " + "[" * 20_000, "nested too deeply"),
    ("wrangler.toml", "# " + "x" * 1_000_000, "more than 1,000,000 characters"),
    ("wrangler.json", "[" * 20_000, "nested too deeply"),
    ("wrangler.jsonc", "// a comment\n" + '{"a":' * 20_000, "nested too deeply"),
    ("wrangler.jsonc", "//" + "x" * 1_000_000, "more than 1,000,000 characters"),
])  # fmt: skip
def test_what_would_take_gigabytes_is_refused(tmp_path: Path, name: str, text: str, what: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load(None, cwd=tmp_path)
    said = str(caught.value)
    assert what in said
    assert len(said) < 500


def test_dots_that_are_in_no_key(tmp_path: Path) -> None:
    dots = "." * 200
    text = f'main = "entry.py"  # {dots}\n[vars]\nA = "{dots}"\nB = \'{dots}\'\n'
    (tmp_path / "wrangler.toml").write_text(text)
    (tmp_path / "entry.py").touch()
    loaded = config.load(None, cwd=tmp_path)
    assert loaded.vars == {"A": dots, "B": dots}
