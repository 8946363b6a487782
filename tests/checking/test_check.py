"""`pilot check`: what is served here, key by key, and what would not run on Cloudflare, line by line."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

import pytest

from bindings import products
from bindings.deploying import IDLE_FIELDS
from bindings.unserved import UNSERVED
from runtime.checking.fates import fates
from runtime.checking.upstream import upstream
from runtime.config.effects import IDLE, NOT_SERVED, SERVED
from runtime.config.keys import TOP_LEVEL, inherited, keys_of, per_environment
from serving import serving, write
from wheels import environment, indexing, project, wheel, write_wheel
from wrangler_support import WRANGLERS, packages

HERE = 'compatibility_date = "2026-09-08"\ncompatibility_flags = ["python_workers"]\n'
PORTABLE = """
from workers import Response, WorkerEntrypoint

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("hello")
"""
WORKERS = Path(__file__).parents[2] / "workers"
ODD = """
import subprocess, tkinter
import wsgi
from workers import Response, RpcTarget

MODEL = "@cf/ours/little"

async def fetch(request, env, ctx):
    return Response(await env.AI.run(MODEL, {"prompt": "hi"}))
"""


def check(folder: Path, *words: str, code: int = 0, env: dict[str, str] | None = None) -> str:
    command = [sys.executable, "-P", "-m", "runtime.cli", "check", *words]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=60, env={**os.environ, **(env or {})}
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout if code != 3 else done.stderr


def found(folder: Path, *words: str, code: int = 0, env: dict[str, str] | None = None) -> list[dict[str, Any]]:
    told = json.loads(check(folder, "--json", *words, code=code, env=env))
    assert told["runs_on_cloudflare"] is (code == 0)
    return list(told["cloudflare"])


def test_every_key_of_wrangler_has_one_fate() -> None:
    tables = [{product.key for product in products()}, set(UNSERVED), set(SERVED), set(IDLE), set(NOT_SERVED)]
    for key in upstream().keys:
        assert sum(key in table for table in tables) == 1, key
    ours = {*per_environment(), *inherited(), *TOP_LEVEL}
    assert ours - set(upstream().keys) == {"legacy_env", "pilot"}
    told = {fate.key: fate for fate in fates()}
    assert told["kv_namespaces.remote"].state == "refused"
    assert told["r2_buckets.local_dev"].state == "unknown"
    assert told["d1_databases.migrations_dir"].state == "served"
    for product in products():
        known = keys_of(product.key)
        assert known is None or set(product.idle) <= set(known), product.key
    assert all(any(name in (keys_of(product.key) or ()) for product in products()) for name in IDLE_FIELDS)


def test_the_table_is_that_of_the_newest_wrangler() -> None:
    version, node = list(WRANGLERS.items())[-1]
    folder, _ = packages(f"wrangler-{version}", node, f"wrangler@{version}")
    schema = json.loads((folder / "node_modules/wrangler/config-schema.json").read_text())
    assert upstream().wrangler == version
    assert set(upstream().keys) == set(schema["definitions"]["RawConfig"]["properties"])


def test_a_worker_that_runs_in_both_places(tmp_path: Path) -> None:
    write(tmp_path, PORTABLE, HERE + '[[kv_namespaces]]\nbinding = "KV"\nid = "k"\n')
    told = check(tmp_path)
    assert "✓ kv_namespaces" in told
    assert told.endswith("✓ nothing found that would keep it from running there\n")
    assert found(tmp_path) == []


@pytest.mark.parametrize("name", ["digest", "proxy", "rag", "room"])  # others show a module's own fetch()
def test_samples_run_in_both_places(name: str) -> None:
    told = check(WORKERS / name)
    assert "✘" not in told


def test_what_would_not_run_there_is_said_by_line(tmp_path: Path) -> None:
    config = 'minify = true\nlogpush = true\n[ai]\nbinding = "AI"\n[browser]\nbinding = "B"\n[pilot]\ndrain = 1\n'
    config += '[[vectorize]]\nbinding = "V"\nindex_name = "v"\ndimensions = 3\n'
    models = '"@cf/ours/little":\n  task: text-generation\n  llamacpp: {model: embedded}\n'
    write(tmp_path, ODD, config, {"models.yaml": models, "test_it.py": "import tkinter", "helper.py": "import curses"})
    told = {f"{one['where']}: {one['what']}" for one in found(tmp_path, code=4)}
    wanted = [
        "wrangler.toml: Python needs the compatibility flag python_workers there",
        "wrangler.toml: has no compatibility_date, which Wrangler asks for",
        "wrangler.toml: pilot: is ours alone: Wrangler warns of it and goes on",
        "wrangler.toml: vectorize: 'dimensions' is ours alone: Wrangler warns of it and goes on",
        "entry.py, line 2: Python's tkinter is not there",
        "entry.py, line 2: subprocess can be imported there, but there are no processes",
        "entry.py, line 3: there is no module wsgi there",
        f"entry.py, line 4: RpcTarget is in our workers alone, not in workers-runtime-sdk {upstream().sdk}",
        "entry.py, line 6: @cf/ours/little is in your models.yaml alone",
        "entry.py, line 8: a module's own fetch() is not called there",
        "helper.py, line 1: Python's curses is not there",
    ]
    assert told == set(wanted)
    shown = check(tmp_path, code=4)
    assert "· minify" in shown
    assert "▲ logpush" in shown
    assert "▲ browser" in shown
    assert "class Default(WorkerEntrypoint):" in shown
    assert "return self.method" in shown  # JavaScript has no global RpcTarget
    assert "it would not run there: 8 to mend" in shown


@pytest.mark.parametrize(("date", "flags", "told"), [
    ("2025-08-13", "", 0), ("2025-08-14", "", 4), ("2026-01-01", ', "disable_python_no_global_handlers"', 0),
])  # fmt: skip
def test_old_handlers(tmp_path: Path, date: str, flags: str, told: int) -> None:
    config = f'compatibility_date = "{date}"\ncompatibility_flags = ["python_workers"{flags}]\n'
    write(tmp_path, "def on_fetch(request): ...\n", config)
    found(tmp_path, code=told)


def test_packages_with_compiled_parts(tmp_path: Path) -> None:
    house = tmp_path / "house"
    house.mkdir()
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    versions = {"ownnative": "1.0", "numpy": "1.0", "pydantic_core": "1.0", "lxml": upstream().compiled["lxml"]}
    for name, version in versions.items():
        write_wheel(house, name, version, {f"{name}.py": b""}, f"py3-none-{platform}")
    wheel(house, "pure", "1.0", "pure")
    write(tmp_path / "app", PORTABLE, HERE, {"pyproject.toml": project(*versions, "pure")})
    with indexing(house) as index:
        told = found(tmp_path / "app", code=4, env=environment(index, tmp_path))
        assert [one["where"] for one in told] == ["pyproject.toml, line 5"] * 3
        assert [one["stops"] for one in told] == [False, True, False]
        assert told[0]["what"].startswith("numpy is 1.0 here, and ")
        assert told[2]["what"].startswith("pydantic_core is 1.0 here, and ")
        assert told[1]["what"].startswith("ownnative 1.0 has compiled parts, and Pyodide ")
        assert found(tmp_path / "app", "--no-install") == []


def test_what_cannot_run_here_says_so(tmp_path: Path) -> None:
    write(tmp_path, "", files={"wrangler.toml": 'main = "index.js"\n', "index.js": "export default {}"})
    assert "index.js is not Python" in check(tmp_path, code=3)


async def test_a_javascript_module_beside_it_is_said_at_load(tmp_path: Path) -> None:
    files = {"util.js": "export const a = 1", "page.js": "document.title = 'x'", "public/m.js": "export const b = 1"}
    write(tmp_path, PORTABLE, HERE, files)
    async with serving(tmp_path) as pilot:
        said = [line["text"] for line in pilot.events if line["event"] == "warning"] or [
            warning for line in pilot.events if line["event"] == "banner" for warning in line["warnings"]
        ]
        assert len(said) == 1
        assert said[0].startswith("util.js: is a JavaScript module, which nothing here can run: say it in Python, or")
        assert (await pilot.ask())[0] == 200
    assert "util.js: is a JavaScript module" in check(tmp_path)
