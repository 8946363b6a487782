"""One table has every error of Workers AI: the code takes them from it, and docs/workers-ai.md shows it."""

from __future__ import annotations

import ast
from pathlib import Path

from bindings.ai.error_table import TABLE, ErrorCode

ROOT = Path(__file__).parents[2]
ROOM = ROOT / "bindings/ai"


def row(error: ErrorCode) -> str:
    """A line of the docs' table."""
    name = f"`{error.name}`" if error.name else ""
    text = "" if error.text == "{text}" else error.text.replace("|", r"\|")
    return f"| {error.code} | {error.status} | {name} | {text} | {error.when} |"


def test_the_docs_show_the_table_of_errors() -> None:
    section = (ROOT / "docs/workers-ai.md").read_text("utf-8").partition("\n## Errors\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert rows == [row(error) for error in sorted(TABLE.values(), key=lambda error: error.code)]


def literals(path: Path) -> list[str]:
    """``file:line: code`` of each code that is written as a number, without the ``_`` of an amount."""
    source = path.read_text("utf-8")
    numbers = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    codes = [node for node in numbers if type(node.value) is int and node.value in TABLE]
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value!r}"
        for node in codes
        if "_" not in str(ast.get_source_segment(source, node))
    ]


def test_no_error_is_made_of_numbers_outside_the_table() -> None:
    others = [path for path in sorted(ROOM.rglob("*.py")) if path.name != "error_table.py"]
    assert [found for path in others for found in literals(path)] == []


def test_the_table_has_each_code_once() -> None:
    tree = ast.parse((ROOM / "error_table.py").read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert len([call for call in calls if ast.unparse(call.func) == "ErrorCode"]) == len(TABLE)
