"""A worker's Python files, read but not run: what in them would not be so on Cloudflare.

Which modules are missing there: https://developers.cloudflare.com/workers/languages/python/stdlib/
Where handlers must stand: https://developers.cloudflare.com/changelog/post/2025-08-14-new-python-handlers
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from bindings.deploying import Apart, Text
from runtime.checking.upstream import upstream
from runtime.config import Config, owned_folders
from runtime.files import Survey

_ABSENT = {
    "curses", "dbm", "ensurepip", "fcntl", "grp", "idlelib", "lib2to3", "msvcrt", "pty", "pwd", "resource", "syslog",
    "termios", "tkinter", "tty", "turtle", "turtledemo", "venv", "webbrowser", "winreg", "winsound",
}  # fmt: skip
_IDLE = {"multiprocessing": "processes", "subprocess": "processes", "threading": "threads"}
_EVENTS = ("fetch", "scheduled", "queue", "email", "tail")
_GLOBAL_HANDLERS_UNTIL = "2025-08-14"
_KEEP_FLAG = "disable_python_no_global_handlers"
_CLASS = """class Default(WorkerEntrypoint):
    async def {0}(self, {1}): ..."""
_FROM_JS = "from js import {name}   # a class of JavaScript's is made with {name}.new()"
_NO_GLOBAL = {  # of ours, what JavaScript has no global class for
    "AbortError": "from pyodide.http import AbortError",
    "RpcTarget": "return self.method   # instead of an object: the caller calls a function where it is",
}
_WSGI = "from workers import wsgi"


class Source(NamedTuple):
    """``name``: its path as a person would type it in the configuration's folder."""

    name: str
    tree: ast.Module

    def at(self, node: ast.AST) -> str:
        return f"{self.name}, line {getattr(node, 'lineno', 1)}"


def sources(config: Config) -> Iterator[Source]:
    """Those below the entry's folder that can be parsed; the others say what is wrong when they are imported."""
    if config.main is None:
        return
    for path in Survey(config.folder, without=owned_folders(config)).files:
        if path.suffix == ".py" and not path.name.startswith("test_"):
            try:
                yield Source(_name(path, config.root), ast.parse(path.read_bytes()))
            except (OSError, SyntaxError, ValueError, RecursionError):
                continue


def apart(source: Source, config: Config) -> Iterator[Apart]:
    if config.main is not None and source.name == _name(config.main, config.root):
        yield from _handlers(source, config)
    own = {path.stem for path in config.folder.iterdir()}
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _module(source, node, alias.name.partition(".")[0], own)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from _module(source, node, (node.module or "").partition(".")[0], own)
            if node.module == "workers":
                yield from _sdk_names(source, node)


def texts(source: Source) -> Iterator[Text]:
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield Text(node.value, source.at(node))


def _handlers(source: Source, config: Config) -> Iterator[Apart]:
    old = _KEEP_FLAG in config.compatibility_flags or (config.compatibility_date or "9") < _GLOBAL_HANDLERS_UNTIL
    for node in source.tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        event = node.name.removeprefix("on_")
        if event not in _EVENTS or (node.name.startswith("on_") and old):
            continue
        what = f"a module's own {node.name}() is not called there"
        yield Apart(source.at(node), what, _CLASS.format(event, "request" if event == "fetch" else "event"))


def _module(source: Source, node: ast.AST, name: str, own: set[str]) -> Iterator[Apart]:
    if name in own:
        return
    if name in _ABSENT:
        yield Apart(source.at(node), f"Python's {name} is not there")
    elif name in _IDLE:
        yield Apart(source.at(node), f"{name} can be imported there, but there are no {_IDLE[name]}", stops=False)
    elif name == "wsgi":
        yield Apart(source.at(node), "there is no module wsgi there", _WSGI)


def _sdk_names(source: Source, node: ast.ImportFrom) -> Iterator[Apart]:
    known = {*upstream().workers, "asgi", "wsgi", "workflows", "types"}
    for alias in node.names:
        if alias.name not in known and alias.name != "*":
            what = f"{alias.name} is in our workers alone, not in workers-runtime-sdk {upstream().sdk}"
            yield Apart(source.at(node), what, _NO_GLOBAL.get(alias.name) or _FROM_JS.format(name=alias.name))


def _name(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


__all__ = ["Source", "apart", "sources", "texts"]
