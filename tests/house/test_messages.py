"""Every message that a person can meet, as it is rendered: it names the place, the cause, and what to do."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from runtime.errors import ConfigError, UserError

ROOT = Path(__file__).parents[2]
KINDS = {"UserError": UserError, "ConfigError": ConfigError}
APOLOGY = re.compile(r"(?i)\b(sorry|oops|please|something went wrong)\b|!$")
BLANK = "…"  # what is only known when it happens
# What has no remedy, and why. A new message is to have one.
WITHOUT_REMEDY: dict[str, str] = {}
# What names no place, and why.
WITHOUT_PLACE: dict[str, str] = {}


class Message(NamedTuple):
    file: str
    line: int
    error: UserError

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"


def messages() -> Iterator[Message]:
    """Each that is written down in the source; what is handed on from elsewhere is there as well."""
    for path in sorted(path for folder in ("runtime", "bindings") for path in (ROOT / folder).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KINDS:
                given = {word.arg: shown(word.value) for word in node.keywords}
                if None not in given and node.args:
                    known = {key: value for key, value in given.items() if key in ("where", "remedy")}
                    error = KINDS[node.func.id](shown(node.args[0]), **known)
                    yield Message(str(path.relative_to(ROOT)), node.lineno, error)


def shown(node: ast.expr) -> str:
    """The text that an expression makes, with a blank for each part that it fills in."""
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(shown(part) for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return shown(node.left) + shown(node.right)
    return BLANK


ALL = list(messages())


def test_each_is_rendered_with_its_place_its_cause_and_its_remedy() -> None:
    for message in ALL:
        text, error = str(message.error), message.error
        assert error.what in text, message.place
        assert text.startswith(f"{error.where}: " if error.where else error.what), message.place
        assert text.endswith("".join(f"\n  {line}" for line in error.remedy.splitlines())), message.place


def test_each_cause_is_one_plain_sentence() -> None:
    wrong = [f"{message.place}: {message.error.what}" for message in ALL if APOLOGY.search(message.error.what)]
    assert not wrong


@pytest.mark.parametrize(("part", "known"), [("remedy", WITHOUT_REMEDY), ("where", WITHOUT_PLACE)])
def test_each_says_where_and_what_to_do(part: str, known: dict[str, str]) -> None:
    without = [message for message in ALL if not getattr(message.error, part)]
    more = [f"{message.place}: {message.error}" for message in without if message.file not in known]
    assert not more, f"say {part!r} too"
    assert sorted(message.file for message in without) == sorted(known), "one of each of these files, and no more"


def test_there_are_as_many_as_one_meets() -> None:
    assert len(ALL) > 150
