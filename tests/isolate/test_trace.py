"""Tracebacks of worker code: the author's lines and nothing of ours."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

import runtime.errors
from runtime.errors import UserError
from runtime.isolate.script.trace import remember_source, script_place, script_trace, set_root


def script(folder: Path, source: str, name: str = "entry") -> ModuleType:
    path = folder / f"{name}.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def failing(folder: Path, source: str) -> BaseException:
    with pytest.raises(BaseException) as caught:  # noqa: PT011
        script(folder, source)
    return caught.value


def test_only_the_authors_frames(tmp_path: Path) -> None:
    """A call through this project's code and back out of it shows neither."""
    source = "def handler():\n    return 1 / 0\n\ndef start(call):\n    call(handler)\n"
    module = script(tmp_path, source)
    namespace: dict[str, object] = {}
    ours = str(Path(runtime.errors.__file__))
    exec(compile("def through(f):\n    f()\n", ours, "exec"), namespace)
    with pytest.raises(ZeroDivisionError) as caught:
        module.start(namespace["through"])
    text = script_trace(caught.value)
    assert "call(handler)" in text
    assert "return 1 / 0" in text
    assert ours not in text
    assert text.endswith("ZeroDivisionError: division by zero\n")


def test_what_a_framework_does_on_the_way_to_the_workers_code_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "site-packages"
    for name in ("outer", "inner"):
        (packages / name).mkdir(parents=True)
    down = "def down(depth, call):\n    return down(depth - 1, call) if depth else call()\n"
    (packages / "outer/__init__.py").write_text(down)
    (packages / "inner/__init__.py").write_text(down)
    monkeypatch.syspath_prepend(packages)
    monkeypatch.setattr("runtime.isolate.script.trace._root", tmp_path / "app")
    (tmp_path / "app").mkdir()
    source = (
        "import inner, outer\n"
        "def broken():\n    inner.down(2, lambda: 1 / 0)\n"
        "outer.down(4, lambda: inner.down(2, broken))\n"
    )
    text = script_trace(failing(tmp_path / "app", source))
    shown = [line.rpartition(", in ")[2] for line in text.splitlines() if line.startswith(("  File", "  ..."))]
    few = ["down"] * 3
    assert shown[-11:] == ["<module>", "  ... 5 calls of outer", "<lambda>", *few, "broken", *few, "<lambda>"]


def test_import_machinery_is_left_out(tmp_path: Path) -> None:
    text = script_trace(failing(tmp_path, "import math\nimport no_such_module_anywhere\n"))
    assert "importlib" not in text
    assert "import no_such_module_anywhere" in text
    assert "ModuleNotFoundError: No module named 'no_such_module_anywhere'" in text


def test_a_syntax_error_keeps_file_line_text_and_caret(tmp_path: Path) -> None:
    error = failing(tmp_path, "x = 1\ndef f(:\n    pass\n")
    text = script_trace(error)
    assert f'File "{tmp_path}/entry.py", line 2' in text
    assert "    def f(:\n          ^\n" in text
    assert "SyntaxError: " in text
    set_root(tmp_path)
    assert script_place(error) == "entry.py, line 2"


def test_causes_contexts_and_notes_stay(tmp_path: Path) -> None:
    text = script_trace(
        failing(
            tmp_path,
            """
try:
    try:
        {}["k"]
    except KeyError as error:
        raise ValueError("second") from error
except ValueError as error:
    error.add_note("while reading the menu")
    raise RuntimeError("third")
""",
        )
    )
    for part in (
        "KeyError: 'k'",
        "direct cause",
        "ValueError: second",
        "while reading the menu",
        "During handling",
        "RuntimeError: third",
    ):
        assert part in text


def test_exception_groups_stay(tmp_path: Path) -> None:
    text = script_trace(
        failing(
            tmp_path,
            """
import asyncio

async def bad(n):
    raise ValueError(n)

async def main():
    async with asyncio.TaskGroup() as group:
        group.create_task(bad(1))
        group.create_task(bad(2))

asyncio.run(main())
""",
        )
    )
    assert "ExceptionGroup: unhandled errors in a TaskGroup" in text
    assert "ValueError: 1" in text
    assert "ValueError: 2" in text


def test_an_exception_that_was_never_raised() -> None:
    assert script_trace(UserError("no frames at all")).endswith("UserError: no frames at all\n")
    assert script_place(UserError("no frames at all")) == ""


def test_the_place_is_the_deepest_in_the_workers_tree(tmp_path: Path) -> None:
    error = failing(tmp_path, "import json\n\n\njson.loads('{')\n")
    set_root(tmp_path)
    assert script_place(error) == "entry.py, line 4"
    set_root(tmp_path / "elsewhere")
    assert script_place(error) == ""


def test_quotes_the_code_that_ran_not_a_later_save(tmp_path: Path) -> None:
    source = "def f():\n    return 1 / 0\n"
    module = script(tmp_path, source)
    remember_source(str(tmp_path / "entry.py"), source)
    (tmp_path / "entry.py").write_text("# rewritten\n# entirely\n# since\n")
    with pytest.raises(ZeroDivisionError) as caught:
        module.f()
    assert "return 1 / 0" in script_trace(caught.value)
