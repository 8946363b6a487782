"""Bring a worker's code into this process, always from source.

A ``.pyc`` is never read or written for the worker's own files: Python's bytecode cache compares whole seconds and
sizes, so two quick saves of the same length would leave stale code running.
"""

from __future__ import annotations

import importlib.util
import os
import sys
import sysconfig
from collections.abc import Iterable, Sequence
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, FileFinder, ModuleSpec, SourceFileLoader
from importlib.util import decode_source
from itertools import takewhile
from pathlib import Path
from types import CodeType, ModuleType

from runtime.errors import ScriptError
from runtime.files import VENDORED
from runtime.isolate.script.errors import summary
from runtime.isolate.script.hidden import OURS, top_of
from runtime.isolate.script.imports import ImportGuard
from runtime.isolate.script.remedies import remedy_of
from runtime.isolate.script.trace import place, remember_source, script_place, script_trace, set_root

SDK = str(Path(__file__).parents[2] / "sdk")
_SDK_MODULES = ("workers", "js", "pyodide.ffi", "asgi", "wsgi")
OLD_VENDORED = "vendor"  # beside the entry, where packages were put before pywrangler
_SITE_PACKAGES = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})


_in_supervisor = False


class FreshLoader(SourceFileLoader):
    """Compiles what is on disk now."""

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        source = self.get_data(path)
        code = self.source_to_code(source, path)
        remember_source(path, decode_source(source))  # a traceback shows the code that ran, not a later save
        return code

    def set_data(self, path: str, data: object, *, _mode: int = 0o666) -> None:
        """Write nothing beside the worker's files."""


def load(main: Path, root: Path, packages: Sequence[str] = (), *, confined: bool = False) -> ModuleType:
    """Import the entry script. ``packages``: folders of what it depends on: besides, it has the standard library alone,
    as every ``confined`` one. Raises ``ScriptError`` with the script's own traceback."""
    set_root(root)
    sys.modules[__name__] = sys.modules.pop(__name__)  # what comes after this one is new: see third_party
    _make_importable(main, root, packages, alone=confined or (bool(packages) and not _in_supervisor))
    try:
        return _execute(main)
    except BaseException as error:
        what = str(error.msg) if isinstance(error, SyntaxError) else summary(error)
        where = script_place(error) or place(main) or str(main)
        raise ScriptError(
            what, where=where, trace=script_trace(error), remedy=_of_the_sdk(error) or remedy_of(error)
        ) from None


def _of_the_sdk(error: BaseException) -> str:
    """What a module of the SDK says of a name that it has not: ``from`` keeps that to itself."""
    module = (
        sys.modules.get(error.name or "") if isinstance(error, ImportError) and error.name in _SDK_MODULES else None
    )
    try:
        return "" if module is None else str(getattr(module, str(error).split("'")[1]))
    except (AttributeError, ImportError, IndexError, KeyError) as explained:
        return str(explained)


def third_party(root: Path, packages: Sequence[str]) -> list[str]:
    """Modules that this worker brought in and that are not its own code, the SDK's among them, in the order of their
    imports: worth importing before the next fork. To look at all that the zygote has imported would copy its pages."""
    places = (*_SITE_PACKAGES, *(f"{folder}{os.sep}" for folder in (*packages, root / VENDORED, SDK)))
    new = takewhile(lambda name: name != __name__, reversed(list(sys.modules)))
    loaded = {name: getattr(sys.modules[name], "__file__", None) or "" for name in new}
    return [name for name, file in reversed(loaded.items()) if file.startswith(places) and top_of(name) not in OURS]


def is_runtime(module: str) -> bool:
    return module.partition(".")[0] in OURS


def unload(root: Path) -> None:
    """Forget the worker's own modules, for a reload inside one process, which is the supervisor's as well."""
    global _in_supervisor
    _in_supervisor = True
    for name, module in list(sys.modules.items()):
        if (file := getattr(module, "__file__", None)) and _is_own(file, root):
            del sys.modules[name]
    importlib.invalidate_caches()
    sys.path_importer_cache.clear()


def _make_importable(main: Path, root: Path, packages: Sequence[str], *, alone: bool) -> None:
    folder, vendored = main.parent, root / VENDORED
    _refuse_sdk_name(folder, main)
    _refuse_our_name([vendored, *map(Path, packages)])
    beside = [str(place) for place in (vendored, folder / OLD_VENDORED) if place.is_dir()]
    path = [str(folder), SDK, *packages, *beside]
    guard = ImportGuard(main, FreshLoader, path, shared=_in_supervisor)
    _install_hook(root, str(folder), guard.shared_names)
    guard.open(alone=alone)


def _refuse_sdk_name(folder: Path, main: Path) -> None:
    """What every worker imports is the SDK's; only the entry is never imported by its name."""
    for file in (folder / "workers.py", folder / "workers/__init__.py"):
        if file.is_file() and file != main:
            what = "has the name of the SDK, which could not be imported then"
            raise ScriptError(what, where=place(file) or str(file), remedy="Give it another name.")


def _refuse_our_name(folders: Iterable[Path]) -> None:
    """A package of this runtime's name would be hidden by it; only the worker's own files can mean another."""
    for file in (folder / f"{name}{end}" for folder in folders for name in OURS for end in ("", ".py")):
        if file.exists():
            what = f"is a package called {file.stem!r}, which cannot be imported: this runtime's own has that name"
            remedy = "Give it another name, or put it beside the entry: there the worker's files find it."
            raise ScriptError(what, where=f"{file.parent.name}/{file.name}", remedy=remedy)


def _install_hook(root: Path, folder: str, shared_names: frozenset[str]) -> None:
    details = (ExtensionFileLoader, EXTENSION_SUFFIXES), (FreshLoader, [".py"])

    class Beside(FileFinder):
        """Beside the entry, what has the name of another module is found by the gate alone."""

        def find_spec(self, fullname: str, target: ModuleType | None = None) -> ModuleSpec | None:
            return None if fullname in shared_names else super().find_spec(fullname, target)

    def hook(path: str) -> FileFinder:
        if not _is_own(path, root):
            raise ImportError(path)
        return Beside(path, *details) if path == folder else FileFinder(path, *details)

    hook.pilot = True  # type: ignore[attr-defined]
    sys.path_hooks[:] = [hook, *(other for other in sys.path_hooks if not hasattr(other, "pilot"))]
    for path in [path for path in sys.path_importer_cache if path.startswith(str(root))]:  # all would be pages to copy
        del sys.path_importer_cache[path]


def _execute(main: Path) -> ModuleType:
    # An entry may be called workers.py or json.py without hiding the module of that name.
    name = main.stem if main.stem not in {*sys.modules, *_SDK_MODULES, *sys.stdlib_module_names} else f"__{main.stem}__"
    spec = importlib.util.spec_from_file_location(name, main, loader=FreshLoader(name, str(main)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _is_own(path: str, root: Path) -> bool:
    if path.startswith(_SITE_PACKAGES) or "site-packages" in path:
        return False
    return Path(path).is_relative_to(root) and not Path(path).is_relative_to(root / VENDORED)
