"""``pilot init``, and the pytest plugin that its tests use."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

from runtime.starting.templates import TEMPLATES

ROOT = Path(__file__).parents[2]
PLUGIN = ("-p", "no:cacheprovider")  # the fixture comes with the installation


def pilot(folder: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "runtime.cli", *words], cwd=folder, text=True, timeout=120,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout


def run_tests(folder: Path, *words: str, settings: str = "") -> tuple[int, str]:
    """pytest in that folder, which knows nothing of this project's own settings."""
    (folder / "pytest.ini").write_text(f"[pytest]\n{settings}\n")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *PLUGIN, *words], cwd=folder, text=True, timeout=170,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return done.returncode, done.stdout


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_it_makes_runs_and_its_own_test_passes(tmp_path: Path, template: str) -> None:
    code, output = pilot(tmp_path, "init", "My App", "--template", template)
    assert code == 0, output
    folder = tmp_path / "My App"
    assert [path.name for path in folder.glob(".*")] == [".gitignore"]
    assert tomllib.loads((folder / "wrangler.toml").read_text())["name"] == "my-app"
    for path in (path for path in folder.rglob("*") if path.is_file()):
        assert path.relative_to(folder).as_posix() in output
    code, output = run_tests(folder)
    assert (code, "1 passed" in output) == (0, True), output


def test_it_begins_in_the_folder_it_stands_in_and_overwrites_nothing(tmp_path: Path) -> None:
    assert pilot(tmp_path, "init")[0] == 0
    (tmp_path / "entry.py").write_text("mine")
    code, output = pilot(tmp_path, "init")
    assert code == 3
    assert "entry.py: is there already" in output
    assert (tmp_path / "entry.py").read_text() == "mine"


def test_a_template_that_is_none(tmp_path: Path) -> None:
    code, output = pilot(tmp_path, "init", "x", "--template", "helo")
    assert (code, "no template 'helo'" in output, "hello" in output) == (3, True, True), output
    assert not list(tmp_path.iterdir())


BROKEN = """
def test_first(worker):
    assert worker.fetch("/", "POST", json={"a": 1}).status == 500
    assert worker.fetch("/", headers={"x": "y"}).json() == 5
"""


def test_the_plugin_shows_what_a_worker_says_and_where_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "wrangler.toml").write_text('name = "x"\nmain = "entry.py"\n')
    (tmp_path / "entry.py").write_text(
        "from workers import Response\n\nasync def fetch(request):\n"
        "    if request.method == 'POST':\n        raise ValueError('odd')\n    return Response('5')\n"
    )
    (tmp_path / "test_it.py").write_text(BROKEN)
    code, output = run_tests(tmp_path)
    assert code == 0, output
    (tmp_path / "wrangler.toml").write_text('name = "x"\nmain = "gone.py"\n')
    code, output = run_tests(tmp_path)
    assert (code, "pilot dev did not start" in output, "gone.py" in output) == (1, True, True), output
    (tmp_path / "wrangler.toml").unlink()
    code, output = run_tests(tmp_path)
    assert (code, "where is the worker?" in output) == (1, True), output


BESIDE = """
def test_asks(worker):
    assert worker.fetch("/").text() == "asked"

def test_fails(worker):
    assert worker.fetch("/again").status == 201
"""


def test_workers_beside_it_are_served_and_a_failure_shows_what_was_said(tmp_path: Path) -> None:
    for name, entry in {
        "api": "def fetch(request, env):\n    print('at', request.url[-5:])\n    return env.B.fetch(request)\n",
        "b": "from workers import Response\n\ndef fetch():\n    return Response('asked')\n",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "entry.py").write_text(entry)
        config = f'name = "{name}"\nmain = "entry.py"\nservices = [{{ binding = "B", service = "b" }}]\n'
        (tmp_path / name / "wrangler.toml").write_text(config)
    (tmp_path / "test_it.py").write_text(BESIDE)
    beside = "pilot_folder = api\npilot_arguments = -c wrangler.toml -c ../b/wrangler.toml"
    code, output = run_tests(tmp_path, settings=beside)
    assert (code, "1 failed, 1 passed" in output) == (1, True), output
    assert output.count("output: at") == 1, "of the test that fails alone"
    assert "output: at again" in output


def test_a_wheel_has_the_templates_and_no_state_of_theirs(tmp_path: Path) -> None:
    state = ROOT / "workers/hello/.pilot"
    state.mkdir(exist_ok=True)
    (state / "kept").touch()
    try:
        subprocess.run(
            [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)], cwd=ROOT, check=True
        )
    finally:
        (state / "kept").unlink()
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    for template in TEMPLATES:
        assert f"runtime/templates/{template}/wrangler.toml" in names
    assert not [name for name in names if ".pilot" in name or name.startswith("workers/")]
