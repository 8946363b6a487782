"""What stands in the configuration: whose data a binding has, here and on a host."""

from __future__ import annotations

from pathlib import Path

import pytest

from bindings.d1.product import D1, deployed_id, local_id, tables
from d1_support import CONFIG, project
from dev_server import StartPilot
from hosting import hosting, worker
from runtime.config import load
from runtime.errors import ConfigError, RequestError

HEAD = 'name = "keeper"\nmain = "entry.py"\n[[d1_databases]]\nbinding = "DB"\n'
ENTRY = """
from workers import Response
async def fetch(request, env):
    return Response.json(await env.DB.prepare("SELECT name FROM sqlite_schema").raw())
"""


@pytest.mark.parametrize(
    ("lines", "here", "there"),
    [
        ("", "DB", "keeper-db"),
        ('database_name = "main"', "DB", "main"),
        ('database_name = "main"\ndatabase_id = "a"', "a", "a"),
        ('database_id = "a"\npreview_database_id = "p"', "p", "a"),
    ],
)
def test_whose_data_it_is(tmp_path: Path, lines: str, here: str, there: str) -> None:
    config = load(project(tmp_path, HEAD + lines) / "wrangler.toml")
    [table] = tables(config)
    assert (local_id(table), deployed_id(config, table)) == (here, there)
    assert D1.upload(config) == [{"name": "DB", "type": "d1", "id": there}]
    assert D1.restore(D1.upload(config)) == [{"binding": "DB", "database_id": there}]
    assert D1.keeps(config) == [there]


@pytest.mark.parametrize(
    ("lines", "what"),
    [
        ("remote = true", "env.DB is remote, and Pilotlight keeps everything local"),
        ('database_id = ""', "'database_id' is empty"),
        ("database_id = 5", "must be a string"),
        ('[[d1_databases]]\ndatabase_id = "x"', "has no 'binding'"),
        ("[pilot]\nd1_query_timeout = 0", "d1_query_timeout"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, lines: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what):
        load(project(tmp_path, HEAD + lines) / "wrangler.toml")


def test_an_upload_needs_an_id() -> None:
    with pytest.raises(RequestError, match="the D1 binding 'DB' has no id"):
        D1.restore([{"name": "DB", "type": "d1"}])


async def test_two_on_one_state_folder(start_pilot: StartPilot, tmp_path: Path) -> None:
    await start_pilot(project(tmp_path / "one"), "--persist-to", str(tmp_path / "state"))
    second = await start_pilot(project(tmp_path / "two"), "--persist-to", str(tmp_path / "state"), ready=False)
    assert await second.process.wait() == 3
    await second.stop()
    assert "keeps its state there" in second.log()


async def test_workers_on_a_host_have_what_they_name_and_no_more(tmp_path: Path) -> None:
    """Without ids, each has its own; with one id they share it; deleting a worker deletes no data."""
    shared = CONFIG.partition("[[")[2].partition("]]")[2]
    async with hosting(tmp_path / "data") as host:
        host.token = (await host.cli("host", "--data", str(host.data), "token", "create", "t")).strip()
        for name, table in (("one", 'binding = "DB"'), ("two", 'binding = "DB"'), ("three", shared), ("four", shared)):
            await host.deploy(worker(tmp_path / name, ENTRY, f"[[d1_databases]]\n{table}\n", name=name))
        await host.cli(
            "d1", "execute", "one-db", "--command", "CREATE TABLE ones (a)", "--host", host.url, cwd=tmp_path
        )
        await host.cli(
            "d1", "execute", "DB", "--command", "CREATE TABLE theirs (a)", "--host", host.url, cwd=tmp_path / "four"
        )
        seen = [(await host.get(name))[1] for name in ("one", "two", "three", "four")]
        assert seen == ['[["ones"]]', "[]", '[["theirs"]]', '[["theirs"]]']
