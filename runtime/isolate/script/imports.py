"""Who imports what: a worker its own modules first, and on a host no package that is not its own.

Theory of operation
-------------------
One process, and one ``sys.modules``, has the worker's code, its libraries' and ours. A module of the worker's that is
called like one that is there for others (``runtime.py``, ``token.py``, ``yaml.py``) is loaded under another name, and
``import`` in the worker's own files leads to it; nobody else's import changes. On a host, and wherever a worker has
packages of its own, ``hidden`` takes ours out of its sight.
"""

from __future__ import annotations

import builtins
import importlib
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from runtime.isolate.script import hidden
from runtime.isolate.script.hidden import OURS, top_of

# What the runtime's files import once it is needed:
IMPORTED_LATER = ("brotli", "backports", "python_multipart", "js", "pyodide", "asgi", "wsgi",
                  "cryptography", "cssselect", "debugpy", "fastapi", "greenlet", "urlpattern")  # fmt: skip
_WORKER_PREFIX = "worker:"  # before a name: the worker's module of that name
_import = builtins.__import__


class ImportGuard:
    """The imports of a worker whose entry is ``main``; ``loader``: of its own modules; ``path``: where it finds others,
    its own folder first; ``shared``: all of the supervisor is in this process, too. ``shared_names``: names of modules
    beside the entry that others have as well."""

    def __init__(self, main: Path, loader: type[SourceFileLoader], path: Sequence[str], *, shared: bool) -> None:
        self._folder, self._loader, self._path = main.parent, loader, path
        places = {*path, *sys.path} - {str(main.parent)} if shared else ()
        self.shared_names = frozenset(name for name in _top_level_names(main.parent) if _is_shared(name, places))
        self._own_names = self.shared_names - {"workers", main.stem}  # its own files mean their own, but for the entry
        self._alone = False

    def open(self, *, alone: bool) -> None:
        """From here on. ``alone``: the packages of this interpreter are not the worker's."""
        self._alone = alone
        if alone:
            hidden.hide(self._path)
        sys.path[:] = [*self._path, *(entry for entry in sys.path if entry not in self._path)]
        sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, ImportGuard)] + [self]
        builtins.__import__ = self._imported if self._own_names or alone else _import

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Of a module under its other name, or of one that only ``importlib`` or a library asks for by ours."""
        if path is not None and top_of(name) in OURS:
            return self._below_ours(name)
        if not name.startswith(_WORKER_PREFIX) or path is not None:
            return None
        place = self._folder / name.removeprefix(_WORKER_PREFIX)
        for file, inside in ((place / "__init__.py", [str(place)]), (place.with_name(f"{place.name}.py"), None)):
            if file.is_file():
                loader = self._loader(name, str(file))
                return spec_from_file_location(name, file, loader=loader, submodule_search_locations=inside)
        spec = ModuleSpec(name, None, is_package=True)
        spec.submodule_search_locations = [str(place)]
        return spec

    def _below_ours(self, name: str) -> ModuleSpec | None:
        """``runtime.helper``, which is none of ours, is the worker's own of that name."""
        place = self._folder / name.replace(".", os.sep)
        found = place.is_dir() or place.with_name(f"{place.name}.py").is_file()
        return ModuleSpec(name, cast(Any, _Alias())) if found else None

    def _imported(
        self, name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0
    ) -> ModuleType:
        top = "" if level else top_of(name)
        if globals is not None and top in self._own_names and isinstance(globals.get("__loader__"), self._loader):
            return _import(_WORKER_PREFIX + name, globals, locals, fromlist, level)
        find = hidden.imported if self._alone else _import
        return find(name, globals, locals, fromlist, level)


class _Alias:  # no importlib.abc.Loader, which brings readers of archives along into every worker's process
    """Of a module of the worker's under the name that it would have elsewhere."""

    def create_module(self, spec: ModuleSpec) -> None:
        """As usual."""

    def exec_module(self, module: ModuleType) -> None:
        sys.modules[module.__name__] = importlib.import_module(_WORKER_PREFIX + module.__name__)


def _is_shared(name: str, places: Iterable[str]) -> bool:
    """Of a top-level name: somebody else has that module, or will; in ``places`` whatever there is. Of others, the
    worker's hides all, as in any Python."""
    if name in sys.builtin_module_names or name == "__main__":
        return False  # no file hides those, in any Python
    if name in sys.stdlib_module_names or name in OURS or name in IMPORTED_LATER or name in sys.modules:
        return True
    return any(os.path.exists(f"{place}/{name}{end}") for place in places for end in ("", ".py"))


def _top_level_names(folder: Path) -> Iterator[str]:
    """The top-level modules there; a folder without ``__init__.py`` counts where only one of ours has its name."""
    for path in folder.iterdir():
        if path.suffix == ".py" or (path / "__init__.py").is_file() or (path.is_dir() and path.name in OURS):
            yield path.stem if path.suffix == ".py" else path.name


__all__ = ["IMPORTED_LATER", "OURS", "ImportGuard"]
