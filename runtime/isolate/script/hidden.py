"""This interpreter's packages, out of a worker's sight: what it depends on is its own, whatever versions ours are.

What this runtime is made of is taken out of ``sys.modules`` and ``sys.path``; ``import`` in those packages' files and
in ours finds it all the same. So both may have a package of one name in one process, each its own version.
"""

from __future__ import annotations

import builtins
import os
import sys
import sysconfig
import threading
from collections.abc import Iterable, Sequence
from importlib.machinery import BuiltinImporter, FrozenImporter, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

OURS = ("runtime", "bindings")
_RUNTIME_FOLDERS = tuple(f"{Path(__file__).parents[3] / name}{os.sep}" for name in OURS)
_STDLIB_FOLDERS = tuple(f"{path}{os.sep}" for path in {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})
_SITE_FOLDERS = ("site-packages", "dist-packages")
_import = builtins.__import__


class _HiddenPackages:
    """What this runtime imports and a worker, whose files are below ``path``, does not; there again within ``with``."""

    def __init__(self, path: Sequence[str]) -> None:
        self._theirs = tuple(f"{entry}{os.sep}" for entry in path)
        self._modules: dict[str, ModuleType] = {}
        self._path: list[str] = []
        self._places: tuple[str, ...] = ()
        self._aside: tuple[dict[str, ModuleType], list[str], set[str]] = {}, [], set()
        self._lock, self._depth = threading.RLock(), 0

    def hide(self) -> None:
        self._path = list(sys.path)
        sys.path[:] = [entry for entry in sys.path if _is_standard(f"{entry}{os.sep}") or entry.endswith(".zip")]
        self._places = (*_RUNTIME_FOLDERS, *(f"{entry}{os.sep}" for entry in self._path if entry not in sys.path))
        self._put_away(sys.modules)

    def show(self, path: Sequence[str]) -> None:
        """More folders that are the worker's."""
        self._theirs = (*self._theirs, *(f"{entry}{os.sep}" for entry in path))

    def concerns(self, top: str, globals: dict[str, Any]) -> bool:
        """Whether a file of ours, or of a package that is hidden, imports one that may be."""
        if not self._places or top in sys.stdlib_module_names or top in OURS:
            return False
        file = str(globals.get("__file__"))
        return file.startswith(self._places) and not file.startswith(self._theirs)

    def known(self, name: str, fromlist: Any) -> ModuleType | None:
        """What ``import`` of one that is loaded gives, without looking at all others; None: look."""
        module = self._modules.get(name)
        if module is None or not fromlist:
            return module and self._modules.get(top_of(name))
        return module if all(hasattr(module, wanted) for wanted in fromlist) else None

    def __enter__(self) -> None:
        self._lock.acquire()
        self._depth += 1
        if self._depth == 1:
            tops = {top_of(name) for name in self._modules}
            theirs = {name: module for name, module in sys.modules.items() if top_of(name) in tops}
            self._aside = theirs, list(sys.path), set(sys.modules)
            for name in theirs:
                del sys.modules[name]
            sys.modules.update(self._modules)
            sys.path[:] = self._path

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if self._depth == 0:
            theirs, sys.path[:], before = self._aside
            self._put_away({*self._modules, *sys.modules} - (before - theirs.keys()))
            sys.modules.update(theirs)
        self._lock.release()

    def _put_away(self, names: Iterable[str]) -> None:
        found = {name: sys.modules[name] for name in names if name in sys.modules}
        tops = {top_of(name) for name, module in found.items() if self._is_private(getattr(module, "__file__", None))}
        for name, module in found.items():
            if top_of(name) in tops:
                self._modules[name] = module
                del sys.modules[name]

    def _is_private(self, file: str | None) -> bool:
        return file is not None and not _is_standard(file) and not file.startswith((*_RUNTIME_FOLDERS, *self._theirs))


_packages: _HiddenPackages | None = None  # once there are any


def hide(path: Sequence[str]) -> None:
    """From here on, for this process and those that are forked from it. ``path``: folders of what is the worker's;
    again with more of them."""
    global _packages
    if _packages is None:
        sys.meta_path[:] = [BuiltinImporter, FrozenImporter, PathFinder]  # no editable installations
        _packages = _HiddenPackages(path)
        _packages.hide()
        builtins.__import__ = imported
    else:
        _packages.show(path)


def imported(name: str, globals: Any = None, locals: Any = None, fromlist: Any = (), level: int = 0) -> ModuleType:
    """As ``__import__``, once packages are hidden."""
    if _packages is not None and globals is not None and _packages.concerns("" if level else top_of(name), globals):
        if not level and (known := _packages.known(name, fromlist)) is not None:
            return known
        with _packages:
            return _import(name, globals, locals, fromlist, level)
    return _import(name, globals, locals, fromlist, level)


def top_of(name: str) -> str:
    return name.partition(".")[0]


def _is_standard(path: str) -> bool:
    return path.startswith(_STDLIB_FOLDERS) and not any(name in path for name in _SITE_FOLDERS)


__all__ = ["OURS", "hide", "imported", "top_of"]
