"""``pilot types``: what it writes, as mypy and pyright see it in the strictest of their modes."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

from bindings import products
from serving import write
from terminals import DOCS, block, typed

ROOT = Path(__file__).parents[2]
CONFIG = """
ai = {binding = "AI"}
kv_namespaces = [{binding = "KV", id = "a"}]
r2_buckets = [{binding = "BUCKET", bucket_name = "bucket"}]
d1_databases = [{binding = "DB", database_name = "db", database_id = "db"}]
queues = {producers = [{binding = "JOBS", queue = "jobs"}]}
vectorize = [{binding = "INDEX", index_name = "index"}]
services = [{binding = "AUTH", service = "auth"}]
version_metadata = {binding = "VERSION"}
ratelimits = [{name = "LIMIT", namespace_id = "1", simple = {limit = 1, period = 60}}]
images = {binding = "IMAGES"}
analytics_engine_datasets = [{binding = "AE"}]
workflows = [{binding = "FLOW", name = "flow", class_name = "Flow"}]
durable_objects = {bindings = [{name = "ROOM", class_name = "Room"}]}
secrets_store_secrets = [{binding = "KEY", store_id = "a", secret_name = "b"}]
send_email = [{name = "MAIL"}]
vars = {MODEL = "@cf/meta/llama-2-7b-chat-int8", COUNT = 3, TABLE = {a = 1}, "not-a-name" = "x"}

[env.prod]
vars = {MODEL = "@cf/baai/bge-m3", EXTRA = "x"}
"""
RIGHT = """
from __future__ import annotations

from js import Object, Response as JsResponse, URLPattern, crypto
from pyodide.ffi import JsException, run_sync, to_js
from workers import Context, Request, Response, WorkerEntrypoint, wait_until
from worker_env import Env

async def fetch(request: Request, env: Env, ctx: Context) -> Response:
    text = await env.KV.get("a")
    await env.KV.put("a", text or "b", expirationTtl=60)
    await env.KV.put("a", "b", {"metadata": {"a": 1}})
    values = await env.KV.get(["a", "b"], "json")
    rows = await env.DB.prepare("SELECT 1").bind(1).all()
    await env.DB.batch([env.DB.prepare("SELECT 1")])
    if (found := await env.BUCKET.get("k", range={"offset": 1})) is not None:
        return Response(found.body)
    await env.JOBS.send({"a": 1}, delaySeconds=1)
    await env.JOBS.sendBatch([{"body": 1}])
    await env.INDEX.query([0.1], topK=3, returnMetadata="all")
    await env.LIMIT.limit(key="a")
    env.AE.writeDataPoint(blobs=["a"], doubles=[1])
    await env.MAIL.send({"from": "a@b.c", "to": "d@e.f", "subject": "s", "text": "t"})
    made = await env.IMAGES.input(request.body or b"").transform(width=3).output(format="image/webp")
    flow = await env.FLOW.create(params={"a": 1})
    await env.ROOM.getByName("a").say("hello")
    await env.AUTH.check("bob")
    stream = await env.AI.run("@cf/meta/llama-2-7b-chat-int8", {"prompt": "x", "stream": True})
    answer = await env.AI.run("@cf/meta/llama-2-7b-chat-int8", {"messages": [{"role": "user", "content": "x"}]})
    if env.MODEL == "@cf/baai/bge-m3":
        answer = await env.AI.run(env.MODEL, {"text": ["a"]})
    raw = await env.AI.run("@cf/mine/own", {"prompt": "x"}, {"returnRawResponse": True})
    print(env.VERSION.id, env.COUNT + 1, rows.results, answer.data, env["KV"], await env.KEY.get())
    print(made.contentType(), flow.id, values, raw, Object.new(), JsResponse.new("a"), URLPattern.new({}))
    print(crypto, JsException, run_sync, to_js)
    wait_until(env.KV.delete("a"))
    ctx.waitUntil(env.KV.delete("a"))
    return Response(stream, headers={"content-type": "text/event-stream"})


class Default(WorkerEntrypoint):
    env: Env

    async def fetch(self, request: Request) -> Response:
        return Response(await self.env.KV.get("x"))
"""
WRONG = {
    "await env.KV.gett('a')": "gett",
    "await env.KV.put('a')": "value",
    "await env.KV.get(1)": "get",
    "env.DB.prepaare('x')": "prepaare",
    "await env.BUCKET.put('a', 'b', md6='x')": "md6",
    "await env.AI.run('@cf/meta/nothing', {'prompt': 'a'})": "run",
    "await env.AI.run('@cf/meta/llama-2-7b-chat-int8', {'promt': 'a'})": "promt|run",
    "await env.AI.run('@cf/baai/bge-m3', {'prompt': 'a'})": "prompt|run",
    "env.MISSING": "MISSING",
    "await env.INDEX.query('text')": "query|vector",
    "Response('a', stauts=3)": "stauts",
    "env.COUNT + 'a'": "Unsupported|Operator",
}


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter in which the checkout, as it is installed, and all that it needs is found."""
    folder = tmp_path_factory.mktemp("python")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    own = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]["dev-mode-dirs"]
    places = [*(str(ROOT / name) for name in own), sysconfig.get_path("purelib")]
    site = next(folder.glob("lib/python*/site-packages"))
    (site / "all.pth").write_text("\n".join(places))
    return folder / "bin/python"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    write(folder, RIGHT, CONFIG, {"models.yaml": '"@cf/mine/own": {echo: {}}\n', ".dev.vars": "SECRET=hidden\n"})
    body = "\n    ".join(WRONG)
    (folder / "wrong.py").write_text(
        "from workers import Response\nfrom worker_env import Env\n\nasync def wrong(env: Env) -> None:\n    "
        + body
        + "\n"
    )
    typed(folder, "types")
    return folder


def lines_of(said: str, file: str) -> set[int]:
    return {int(number) for number in re.findall(rf"{file}:(\d+)(?::\d+)?:? (?:- )?error", said)}


@pytest.mark.parametrize("checker", ["mypy", "pyright"])
def test_a_checker_takes_what_is_right_and_no_wrong_call(project: Path, python: Path, checker: str) -> None:
    (project / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict", "include": ["*.py"]}')
    command = {
        "mypy": [
            "-m",
            "mypy",
            "--strict",
            "--no-incremental",
            "--python-executable",
            str(python),
            "entry.py",
            "wrong.py",
        ],
        "pyright": ["-m", "pyright", "--pythonpath", str(python)],
    }[checker]
    done = subprocess.run([sys.executable, *command], cwd=project, capture_output=True, text=True, timeout=170)
    assert lines_of(done.stdout, "entry.py") | lines_of(done.stdout, "worker_env.py") == set(), done.stdout
    first = (project / "wrong.py").read_text().splitlines().index(f"    {next(iter(WRONG))}") + 1
    assert lines_of(done.stdout, "wrong.py") == set(range(first, first + len(WRONG))), done.stdout
    for number, word in enumerate(WRONG.values(), first):
        assert re.search(rf"wrong.py:{number}\b.*({word})", done.stdout), (number, word)


def test_what_the_docs_show_is_right(project: Path, python: Path) -> None:
    for words in block("pilot types"):
        typed(project, *(word.replace("staging", "prod") for word in words))
    shown = re.search(r"^## pilot types\n.*?^```python\n(.*?)^```", DOCS, re.MULTILINE | re.DOTALL)
    assert shown
    (project / "shown.py").write_text(shown[1])
    command = ["-m", "mypy", "--strict", "--python-executable", str(python), "shown.py"]
    done = subprocess.run([sys.executable, *command], cwd=project, capture_output=True, text=True, timeout=170)
    assert done.returncode == 0, done.stdout


def test_what_is_secret_is_not_told_and_what_is_no_name_is_left_out(project: Path) -> None:
    text = (project / "worker_env.py").read_text()
    assert "    SECRET: str\n" in text
    assert "hidden" not in text
    assert "not-a-name" not in text


def test_at_run_time_the_module_needs_nothing(project: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path[:0] = [{str(project)!r}]; import worker_env"]
    subprocess.run(command, cwd=tmp_path, check=True, timeout=60)


def test_it_is_printed_or_written_where_one_says(project: Path) -> None:
    assert typed(project, "types", "-o", "-") == (project / "worker_env.py").read_text()
    typed(project, "types", "-o", "typings.pyi", "--env", "prod")
    assert "llama" not in re.findall(r"MODEL: (.*)", (project / "typings.pyi").read_text())[0]
    assert "cannot be written" in typed(project, "types", "-o", "no/such/folder.py", code=3)


def methods(body: list[ast.stmt]) -> set[str]:
    """Public names that a class has."""
    defined = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    return {name for name in defined if not name.startswith("_")}


STUBBED = [product for product in products() if ".env:" in product.worker_type]


@pytest.mark.parametrize("product", STUBBED, ids=lambda product: product.key)
def test_type_checkers_are_told_of_each_method_that_there_is(product: type) -> None:
    module, _, name = product.worker_type.partition(":")
    told = {
        node.name: methods(node.body)
        for node in ast.parse((ROOT / f"{module.replace('.', '/')}.pyi").read_text("utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
    package = ROOT / module.replace(".", "/")
    sources = [path for path in package.parent.rglob("*.py") if path.stem in ("worker", "binding", "ai", "client")]
    real = {
        node.name: node.body
        for path in sources
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.ClassDef)
    }
    assert name in real
    for one in told.keys() & real.keys():
        aliases = {target.id for node in real[one] if isinstance(node, ast.Assign) for target in node.targets
                   if isinstance(target, ast.Name) and isinstance(node.value, ast.Name)}  # fmt: skip
        assert told[one] == methods(real[one]) | {alias for alias in aliases if not alias.startswith("_")}, one


def test_every_name_of_js_is_told_of() -> None:
    stub = ast.parse((ROOT / "stubs/js-stubs/__init__.pyi").read_text("utf-8"))
    imported = {alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    named = {node.name for node in stub.body if isinstance(node, ast.ClassDef)}
    typed = {ast.unparse(node.target) for node in stub.body if isinstance(node, ast.AnnAssign)}
    assert set(_later_names()) <= imported | named | typed


def _later_names() -> list[str]:
    code = "import sys; sys.path.insert(0, 'runtime/sdk'); from js._later import NAMES; print(*NAMES)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.split()
