"""Code as text: run it, or ask what it imports."""

from __future__ import annotations

import ast
import functools
import inspect
from collections.abc import Callable
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


class CodeRunner:
    """Code in steps: ``CodeRunner(source).compile().run(globals)``, or ``await ....run_async(globals)``."""

    def __init__(
        self, source: str, *, filename: str = "<exec>", return_mode: str = "last_expr", **options: object
    ) -> None:
        self.ast = ast.parse(source, filename)
        self._source, self._filename, self._returns = source, filename, return_mode == "last_expr"
        self.code: CodeType | None = None

    def compile(self) -> CodeRunner:
        self.code = compile(self.ast, self._filename, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        return self

    def run(self, globals: dict[str, Any] | None = None, locals: dict[str, Any] | None = None) -> object:
        """Raises RuntimeError unless it is compiled."""
        self._check()
        value = eval_code(self._source, globals, locals, filename=self._filename)
        return value if self._returns else None

    async def run_async(self, globals: dict[str, Any] | None = None, locals: dict[str, Any] | None = None) -> object:
        self._check()
        value = await eval_code_async(self._source, globals, locals, filename=self._filename)
        return value if self._returns else None

    def _check(self) -> None:
        if self.code is None:
            raise RuntimeError("Not yet compiled")


def relaxed_call(function: Callable[..., Any], *args: object, **options: object) -> object:
    """The call with as many of ``args``, and those of ``options``, that the function takes."""
    parameters = inspect.signature(function).parameters.values()
    kinds = [parameter.kind for parameter in parameters]
    if inspect.Parameter.VAR_POSITIONAL not in kinds:
        takes = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        args = args[: sum(kind in takes for kind in kinds)]
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        known = {parameter.name for parameter in parameters}
        options = {name: value for name, value in options.items() if name in known}
    return function(*args, **options)


def relaxed_wrap(function: Callable[..., Any]) -> Callable[..., object]:
    """The function, called by ``relaxed_call``: what it does not take it is not given."""

    @functools.wraps(function)
    def wrapper(*args: object, **options: object) -> object:
        return relaxed_call(function, *args, **options)

    return wrapper


def should_quiet(source: str) -> bool:
    """Whether its last line ends with ``;``."""
    return source.rstrip().endswith(";")


def run_js(code: str, /) -> NoReturn:
    """Raises what ``js.eval`` does, as on Cloudflare, or TypeError for what is no text."""
    from js import eval  # type: ignore[import-not-found,unused-ignore]

    if not isinstance(code, str):
        raise TypeError(f"argument should have type 'string' not type '{type(code).__name__}'")
    eval(code)


def _compiled(source: str, filename: str, flags: int) -> tuple[CodeType, CodeType | None]:
    """All but its last line, and that where it is an expression."""
    tree, last = ast.parse(source, filename), None
    if tree.body and isinstance(tree.body[-1], ast.Expr) and not should_quiet(source):
        expression = tree.body.pop()
        assert isinstance(expression, ast.Expr)
        last = compile(ast.Expression(expression.value), filename, "eval", flags)
    return compile(tree, filename, "exec", flags), last


__all__ = [
    "CodeRunner", "eval_code", "eval_code_async", "find_imports", "relaxed_call", "relaxed_wrap", "run_js",
    "should_quiet",
]  # fmt: skip
