"""What ``[assets]`` may say."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.config import load
from runtime.errors import ConfigError
from sites import lay_out

RULES = [f"/{number}" for number in range(101)]


def complaint(folder: Path, **table: object) -> str:
    script = None if table.pop("alone", False) else ""
    lay_out(folder, {"index.html": ""}, script=None, **table)
    if script is not None:
        (folder / "entry.py").write_text("")
        text = (folder / "wrangler.toml").read_text()
        (folder / "wrangler.toml").write_text('main = "entry.py"\n' + text)
    with pytest.raises(ConfigError) as raised:
        load(folder)
    return str(raised.value)


@pytest.mark.parametrize(
    ("table", "says"),
    [({"html_handling": "auto-trailing-slsh"}, ["assets.html_handling", "did you mean", "drop-trailing-slash, none"]),
     ({"not_found_handling": "x"}, ["assets.not_found_handling", "Use: none, 404-page, single-page-application"]),
     ({"run_worker_first": 5}, ["assets.run_worker_first", "must be true or false or an array, not a whole number"]),
     ({"run_worker_first": [5]}, ["run_worker_first", "must be a string"]),
     ({"run_worker_first": []}, ["has no rules"]),
     ({"run_worker_first": ["api"]}, ["'api' must begin with / or !/"]),
     ({"run_worker_first": ["!api"]}, ["'!api' must begin with / or !/"]),
     ({"run_worker_first": ["!/api"]}, ["only rules that begin with !"]),
     ({"run_worker_first": RULES}, ["has 101 rules; 100 are the most"]),
     ({"run_worker_first": ["/" + "x" * 100]}, ["has over 100 characters"]),
     ({"run_worker_first": ["/a", "/a"]}, ["has '/a' twice"]),
     ({"run_worker_first": ["/a/*", "/a/b"]}, ["'/a/b' is redundant beside '/a/*'"]),
     ({"run_worker_first": True, "alone": True}, ["there is none", "Add 'main'"]),
     ({"directory": "nowhere"}, ["assets.directory", "there is no folder nowhere", "looked for in"]),
     ({"base_path": "https://example.com/"}, ["assets.base_path", "not the path of a folder"]),
     ({"base_path": "/a?b"}, ["assets.base_path"]),
     ({"base_path": ""}, ["assets.base_path"]),
     ({"directory": 5}, ["assets.directory", "must be a string, not a whole number"]),
     ({"binding": "not a name"}, ["assets.binding"])],
)  # fmt: skip
def test_errors(tmp_path: Path, table: dict[str, object], says: list[str]) -> None:
    told = complaint(tmp_path, **table)
    assert told.startswith("wrangler.toml") or "wrangler.toml: assets" in told
    for text in says:
        assert text in told


def test_an_unknown_key_warns(tmp_path: Path) -> None:
    lay_out(tmp_path, {"index.html": ""}, script=None, not_found_handlin="none")
    assert (
        "unknown key 'not_found_handlin' is ignored (did you mean 'not_found_handling'?)" in load(tmp_path).warnings[0]
    )


def test_an_environment_takes_it_over(tmp_path: Path) -> None:
    lay_out(tmp_path, {"index.html": ""}, script=None)
    with (tmp_path / "wrangler.toml").open("a") as file:
        file.write("[env.prod]\n")
    assert load(tmp_path, environment="prod").products["assets"]["directory"] == "public"


def test_without_a_script_and_without_a_directory_there_is_nothing_to_serve(tmp_path: Path) -> None:
    (tmp_path / "wrangler.toml").write_text('[assets]\nbinding = "ASSETS"\n')
    with pytest.raises(ConfigError, match="main: is missing"):
        load(tmp_path)
