"""Code as text: run it, or ask what it imports."""

from __future__ import annotations

import ast
import inspect
from types import CodeType
from typing import Any, NoReturn


def find_imports(source: str) -> list[str]:
    """The top-level names of what it imports, sorted; none where it does not parse."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return sorted(names)


def eval_code(
    source: str, globals: dict[str, Any] | None = None, locals: dict[str, Any] | None = None, *,
    filename: str = "<exec>", **options: object,
) -> Any:  # fmt: skip
    """Runs it; the value of its last line, where that is an expression without a ``;`` at its end."""
    body, last = _compiled(source, filename, 0)
    scope = {} if globals is None else globals
    exec(body, scope, locals)  # noqa: S102 (which is what it is for)
    return None if last is None else eval(last, scope, locals)  # noqa: S307


async def eval_code_async(
    source: str, globals: dict[str, Any] | None = None, locals: dict[str, Any] | None = None, *,
    filename: str = "<exec>", **options: object,
) -> Any:  # fmt: skip
    """As ``eval_code``; ``await`` may stand at the top level."""
    scope = {} if globals is None else globals
    for code in _compiled(source, filename, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT):
        value = None if code is None else eval(code, scope, locals)  # noqa: S307
        if inspect.iscoroutine(value):
            value = await value
    return value


def should_quiet(source: str) -> bool:
    """Whether its last line ends with ``;``."""
    return source.rstrip().endswith(";")


def run_js(code: str) -> NoReturn:
    raise NotImplementedError("run_js: there is no JavaScript here")


def _compiled(source: str, filename: str, flags: int) -> tuple[CodeType, CodeType | None]:
    """All but its last line, and that where it is an expression."""
    tree, last = ast.parse(source, filename), None
    if tree.body and isinstance(tree.body[-1], ast.Expr) and not should_quiet(source):
        expression = tree.body.pop()
        assert isinstance(expression, ast.Expr)
        last = compile(ast.Expression(expression.value), filename, "eval", flags)
    return compile(tree, filename, "exec", flags), last


__all__ = ["eval_code", "eval_code_async", "find_imports", "run_js", "should_quiet"]
