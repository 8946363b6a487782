"""Whether a worker's code, or a small package that it imports, speaks of a module's name: some import it within a
request."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from runtime.files import VENDORED

_IMPORTS = re.compile(rb"^\s*(?:from|import)\s+(\w+)", re.MULTILINE)
_MOST_FILES = 100  # of one package, or of the worker: a larger one is no adapter to a runtime such as this
_ELSEWHERE = {VENDORED, "node_modules", "site-packages", "__pycache__"}


def mentioned(name: str, module: str, root: Path) -> bool:
    """In one file with the ``module``'s: others have functions that are called so. ``root``: the worker's folder.
    Packages count that a file of its own imports."""
    both = [re.compile(rb"\b" + word.encode() + rb"\b") for word in (name, module)]
    imported = set[str]()
    for text in _texts(root):
        if all(one.search(text) for one in both):
            return True
        imported.update(found.decode() for found in _IMPORTS.findall(text))
    texts = (text for package in imported for text in _texts_of(package, root))
    return any(all(one.search(text) for one in both) for text in texts)


def _texts_of(package: str, root: Path) -> Iterator[bytes]:
    if package in sys.stdlib_module_names:
        return
    file = getattr(sys.modules.get(package), "__file__", None) or _to_be_imported(package)
    if file is None or not file.endswith("__init__.py"):
        return
    folder = Path(file).parent
    if "-packages" in file or VENDORED in folder.parts or not folder.is_relative_to(root):
        yield from _texts(folder)


def _to_be_imported(package: str) -> str | None:
    """Where it is, if a request will import it."""
    try:
        found = find_spec(package)
    except (ImportError, ValueError):
        return None
    return found.origin if found is not None else None


def _texts(folder: Path) -> Iterator[bytes]:
    """Of its Python files, unless there are too many."""
    files = list(islice(_files(folder), _MOST_FILES + 1))
    for file in files if len(files) <= _MOST_FILES else ():
        try:
            yield file.read_bytes()
        except OSError:
            continue


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.suffix == ".py":
            yield path
        elif path.is_dir() and path.name not in _ELSEWHERE and not path.name.startswith("."):
            yield from _files(path)


__all__ = ["mentioned"]
