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
# What has no remedy: files in which the cause alone says what to do, or the words are another program's, a host's or
# upstream's. A new message is to have one.
WITHOUT_REMEDY = {
    "bindings/ai/catalog/models.py": 3, "bindings/ai/cluster/cluster.py": 1, "bindings/ai/cluster/remote.py": 2,
    "bindings/ai/engine/options.py": 1, "bindings/ai/engines/llamacpp/load.py": 1,
    "bindings/ai/engines/vllm/engine.py": 1, "bindings/ai/engines/vllm/streams/plain.py": 1,
    "bindings/ai/terminal/run.py": 1, "bindings/ai/terminal/session.py": 1, "bindings/assets/host/store.py": 1,
    "bindings/assets/shipment.py": 1, "bindings/context.py": 3, "bindings/d1/commands/migrations.py": 3,
    "bindings/d1/commands/shared.py": 3, "bindings/d1/commands/sql.py": 1, "bindings/hyperdrive/deployed.py": 1,
    "bindings/kv/asking.py": 1, "bindings/queues/consumers.py": 1, "bindings/storage/file_body.py": 1,
    "bindings/storage/resources.py": 2, "bindings/target.py": 1, "runtime/bench/rounds.py": 1,
    "runtime/bench/target.py": 1, "runtime/deploy/commands.py": 1, "runtime/deploy/tail.py": 1,
    "runtime/host/commands.py": 1, "runtime/host/serve.py": 1, "runtime/host/store/backup.py": 2,
    "runtime/packages/pins.py": 1, "runtime/supervisor/processes/residence.py": 2,
    "runtime/supervisor/reload/workers.py": 1,
}  # fmt: skip
# What names no place: it is the command that was just typed, or the message begins with it.
WITHOUT_PLACE = {
    "bindings/ai/terminal/ids.py": 1, "bindings/ai/terminal/session.py": 1, "bindings/assets/host/store.py": 1,
    "bindings/d1/commands/migrations.py": 1, "bindings/d1/commands/shared.py": 1,
    "bindings/durable_objects/commands.py": 2, "bindings/hyperdrive/deployed.py": 1, "bindings/queues/commands.py": 1,
    "bindings/storage/file_body.py": 1, "bindings/workflows/commands.py": 1, "runtime/bench/command.py": 1,
    "runtime/host/store/tokens.py": 1, "runtime/places.py": 1, "runtime/supervisor/processes/residence.py": 1,
    "runtime/uv.py": 1,
}  # fmt: skip


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
def test_each_says_where_and_what_to_do(part: str, known: dict[str, int]) -> None:
    counts: dict[str, list[Message]] = {}
    for message in ALL:
        if not getattr(message.error, part):
            counts.setdefault(message.file, []).append(message)
    more = [some for file, some in counts.items() if len(some) > known.get(file, 0)]
    shown = "\n".join(f"{one.place}: {one.error}" for some in more for one in some)
    assert not more, f"say {part!r} too:\n{shown}"
    fewer = {file: len(counts.get(file, ())) for file, count in known.items() if len(counts.get(file, ())) < count}
    assert not fewer, f"{part}: lower the numbers of this file"


def test_there_are_as_many_as_one_meets() -> None:
    assert len(ALL) > 150
