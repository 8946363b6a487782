"""Each API has one table of errors: the code takes them from it, and the docs show it."""

from __future__ import annotations

import ast
from collections.abc import Collection
from pathlib import Path

from bindings.ai.error_table import TABLE
from runtime.api.deploy_errors import TABLE as DEPLOY_TABLE
from runtime.api.error_code import ErrorCode

ROOT = Path(__file__).parents[2]
ROOM = ROOT / "bindings/ai"


def row(error: ErrorCode, named: bool = True) -> str:
    """A line of the docs' table."""
    name = [f"`{error.name}`" if error.name else ""] if named else []
    text = "" if error.text == "{text}" else error.text.replace("|", r"\|").replace("!r}", "}")
    return f"| {' | '.join([str(error.code), str(error.status), *name, text, error.when])} |"


def test_the_docs_show_the_table_of_errors() -> None:
    assert shown("workers-ai.md") == [row(error) for error in sorted(TABLE.values(), key=lambda error: error.code)]


def test_the_docs_show_the_deploy_apis_errors() -> None:
    assert shown("reference/deploy-api.md") == [row(error, named=False) for error in DEPLOY_TABLE]


def shown(page: str) -> list[str]:
    section = (ROOT / "docs" / page).read_text("utf-8").partition("\n## Errors\n")[2].partition("\n## ")[0]
    return [line for line in section.splitlines() if line.startswith("| ") and line[2].isdigit()]


def literals(path: Path, table: Collection[int]) -> list[str]:
    """``file:line: code`` of each code that is written as a number, without the ``_`` of an amount."""
    source = path.read_text("utf-8")
    numbers = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Constant)]
    codes = [node for node in numbers if type(node.value) is int and node.value in table]
    return [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.value!r}"
        for node in codes
        if "_" not in str(ast.get_source_segment(source, node))
    ]


def test_no_error_is_made_of_numbers_outside_the_table() -> None:
    codes = {error.code for error in DEPLOY_TABLE}
    for folder, table in ((ROOM, set(TABLE)), (ROOT / "runtime/host", codes), (ROOT / "runtime/deploy", codes)):
        others = [path for path in sorted(folder.rglob("*.py")) if path.name != "error_table.py"]
        assert [found for path in others for found in literals(path, table)] == []


def test_the_table_has_each_code_once() -> None:
    tree = ast.parse((ROOM / "error_table.py").read_text("utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    assert len([call for call in calls if ast.unparse(call.func) == "ErrorCode"]) == len(TABLE)
