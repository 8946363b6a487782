"""`pilot host` and `pilot deploy`, from the command line to the answer."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from hosting import Host, hosting, says, worker

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]
CREDENTIALS = (
    "authorization", "proxy-authorization", "cookie", "x-api-key", "x-auth-key", "x-auth-token", "x-csrftoken",
    "cf-access-jwt-assertion", "cf-access-client-secret", "x-amz-security-token", "x-session-id", "x-password",
)  # fmt: skip
OTHERS = {"x-forwarded-user": "Bearer hidden", "x-of-a-proxy": "eyJhbGciOiJI.eyJoaWRkZW4i.hidden", "x-plain": "shown"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    async with hosting(tmp_path_factory.mktemp("host") / "data") as running:
        yield running


async def test_deploy_prints_the_url_that_answers(host: Host, tmp_path: Path) -> None:
    folder = worker(tmp_path, says("first"), name="prints")
    printed = await host.cli("deploy", cwd=folder)
    assert "1 file," in printed
    url = f"{host.url}/_w/prints/"
    assert url in printed
    async with host.http.get(url) as response:
        assert await response.text() == "first"
    async with host.http.get(host.url, headers={"host": "prints.localhost"}) as response:
        assert await response.text() == "first"


async def test_a_worker_sees_its_own_path(host: Host, tmp_path: Path) -> None:
    entry = "from workers import Response, URL\n" + (
        "def fetch(request):\n    url = URL(request.url)\n    return Response(url.pathname + url.search)"
    )
    await host.deploy(worker(tmp_path, entry, name="paths"))
    assert await host.get("paths", "/a%20b/c?d=e") == (200, "/a%20b/c?d=e")
    assert await host.get("paths", "/") == (200, "/")


async def test_the_log_names_the_worker(tmp_path: Path) -> None:
    async with hosting(tmp_path / "data") as host:
        await host.deploy(worker(tmp_path / "app", says("hello"), name="named"))
        await host.get("named", "/a")
        line = await host.says("/_w/named/a")
        assert (line["event"], line["path"], line["worker"]) == ("request", "/_w/named/a", "named")
        await host.deploy(worker(tmp_path / "app", "def fetch(request):\n    print('said')\n    1 / 0", name="named"))
        await host.get("named", "/b")
        assert (await host.event("output", text="said"))["worker"] == "named"
        assert (await host.event("script_error"))["worker"] == "named"
        await host.get("nobody", "/c")
        assert "worker" not in await host.says("/_w/nobody/c")
    async with hosting(tmp_path / "data") as host:
        assert (await host.event("banner"))["engines"] == [f"named   version 2   {host.url}/_w/named/"]


async def test_files_data_packages_and_settings_travel(host: Host, tmp_path: Path) -> None:
    entry = (
        "import json, pathlib\nfrom workers import Response\nfrom package import deep\n"
        "here = pathlib.Path(__file__).parent\n"
        "def fetch(request, env):\n"
        "    return Response.json([json.loads((here / 'data.json').read_text()), deep.VALUE, env.TEXT, env.TABLE,\n"
        "        (here / 'ignored.txt').exists(), (here / '.dev.vars').exists(), hasattr(env, 'SECRET')])\n"
    )  # fmt: skip
    config = '[vars]\nTEXT = "a"\nTABLE = {a = [1]}\n'
    files = {
        "data.json": '{"a": 1}',
        "package/__init__.py": "",
        "package/deep.py": "VALUE = 7",
        ".dev.vars": "SECRET=s",
        "ignored.txt": "x",
        "kept/ignored.txt": "x",
        ".gitignore": "/ignored.txt\n",
        ".pilot/state/x.db": "x",
    }
    printed = await host.cli("deploy", cwd=worker(tmp_path, entry, config, "files", **files))
    assert "SECRET" in printed.splitlines()[-1]  # that it was not sent
    assert json.loads((await host.get("files"))[1]) == [{"a": 1}, 7, "a", {"a": [1]}, False, False, False]
    assert "s" not in printed.splitlines()[-1].split()


async def test_a_dry_run_sends_nothing(host: Host, tmp_path: Path) -> None:
    printed = await host.cli("deploy", "--dry-run", cwd=worker(tmp_path, says("x"), name="dry"))
    assert "1 file," in printed
    assert (await host.get("dry"))[0] == 404


@pytest.mark.parametrize(("entry", "told"), [
    ("def fetch(request) return", "SyntaxError"), ("import no_such_module\ndef fetch(request): pass", "no_such_module"),
    ("x = 1", "no entry"), ("raise ValueError('at import')\n", "ValueError: at import"),
    ("import os; os._exit(3)", "exit code 3"),
])  # fmt: skip
async def test_what_does_not_load_changes_nothing(host: Host, tmp_path: Path, entry: str, told: str) -> None:
    folder = worker(tmp_path, says("good"), name="stays")
    await host.deploy(folder)
    (folder / "entry.py").write_text(entry)
    error = await host.cli("deploy", cwd=folder, fails=True)
    assert told in error
    assert await host.get("stays") == (200, "good")


async def test_versions_rollback_and_deployments(host: Host, tmp_path: Path) -> None:
    folder = worker(tmp_path, says("one"), name="rolls")
    first = await host.deploy(folder, "--message", "the first", "--tag", "v1")
    (folder / "entry.py").write_text(says("two"))
    second = await host.deploy(folder)
    assert await host.get("rolls") == (200, "two")
    assert "rolls" in await host.cli("rollback", cwd=folder)
    assert await host.get("rolls") == (200, "one")
    await host.cli("rollback", second, cwd=folder)
    assert await host.get("rolls") == (200, "two")
    versions = json.loads(await host.cli("versions", "--json", cwd=folder))
    assert [(row["id"], row["number"]) for row in versions] == [(second, 2), (first, 1)]
    assert versions[1]["annotations"] == {
        "workers/message": "the first",
        "workers/tag": "v1",
        "workers/triggered_by": "upload",
    }
    rows = json.loads(await host.cli("deployments", "--json", cwd=folder))
    assert [row["versions"][0]["version_id"] for row in rows] == [second, first, second, first]


async def test_two_versions_share_requests(host: Host, tmp_path: Path) -> None:
    folder = worker(tmp_path, says("old"), name="shares")
    old = await host.deploy(folder)
    (folder / "entry.py").write_text(says("new"))
    new = await host.deploy(folder)

    async def share(percentage: float) -> None:
        versions = [{"version_id": new, "percentage": percentage}, {"version_id": old, "percentage": 100 - percentage}]
        assert (await host.api("POST", "scripts/shares/deployments", {"versions": versions}))[0] == 200

    async def answer(**headers: str) -> str:
        return (await host.get("shares", headers={name.replace("_", "-"): value for name, value in headers.items()}))[1]

    await share(50)
    assert {await answer() for _ in range(60)} == {"old", "new"}
    keyed = {key: await answer(Cloudflare_Workers_Version_Key=key) for key in map(str, range(20))}
    assert set(keyed.values()) == {"old", "new"}
    assert {key: await answer(Cloudflare_Workers_Version_Key=key) for key in keyed} == keyed
    for id, text in ((old, "old"), (new, "new")):
        wanted = {await answer(Cloudflare_Workers_Version_Overrides=f'shares="{id}"') for _ in range(10)}
        assert wanted == {text}
    await share(90)
    grown = {key: await answer(Cloudflare_Workers_Version_Key=key) for key in keyed}
    assert all(grown[key] == "new" for key in keyed if keyed[key] == "new")


@pytest.mark.parametrize("versions", [
    None, [], [{}], [{"version_id": "x"}], [{"version_id": "VERSION", "percentage": 50}],
    [{"version_id": "VERSION", "percentage": "100"}], [{"version_id": "VERSION", "percentage": True}],
    [{"version_id": "VERSION", "percentage": 50}] * 2, [{"version_id": "nobody's", "percentage": 100}],
    [{"version_id": "VERSION", "percentage": 100}] * 3, [{"version_id": "VERSION", "percentage": -1}], "x", {"a": 1},
])  # fmt: skip
async def test_deployments_that_make_no_sense(host: Host, tmp_path: Path, versions: Any) -> None:
    id = await host.deploy(worker(tmp_path, says("x"), name="sense"))
    body = json.loads(json.dumps({"versions": versions}).replace("VERSION", id))
    status, answer = await host.api("POST", "scripts/sense/deployments", body)
    assert 400 <= status < 500, answer
    assert answer["errors"][0]["message"]
    assert await host.get("sense") == (200, "x")


async def test_secrets_are_sealed_and_belong_to_versions(host: Host, tmp_path: Path) -> None:
    entry = (
        "from workers import Response\n"
        "def fetch(request, env): return Response(getattr(env, 'KEY', 'none') + getattr(env, 'B', ''))"
    )
    folder = worker(tmp_path, entry, name="sealed")
    before = await host.deploy(folder)
    assert await host.get("sealed") == (200, "none")
    await host.cli("secret", "put", "KEY", cwd=folder, stdin="a-very-secret-text\n")
    assert await host.get("sealed") == (200, "a-very-secret-text")
    assert await host.cli("secret", "list", cwd=folder) == "KEY\n"
    await host.deploy(folder)
    assert await host.get("sealed") == (200, "a-very-secret-text"), "a deploy keeps secrets"
    await host.cli("secret", "bulk", cwd=folder, stdin=json.dumps({"B": "!", "KEY": "new"}))
    assert await host.get("sealed") == (200, "new!")
    await host.cli("secret", "delete", "B", cwd=folder)
    assert await host.get("sealed") == (200, "new")
    await host.cli("rollback", before, cwd=folder)
    assert await host.get("sealed") == (200, "none")
    kept = b"".join(path.read_bytes() for path in host.data.rglob("*") if path.is_file())
    assert b"a-very-secret-text" not in kept
    assert "a-very-secret-text" not in host.log()
    assert (host.data / "secrets.key").stat().st_mode & 0o777 == 0o600
    listed = json.dumps((await host.api("GET", "scripts/sealed/versions"))[1])
    assert "KEY" in listed
    assert "a-very-secret-text" not in listed


async def test_secrets_may_come_first(host: Host, tmp_path: Path) -> None:
    entry = "from workers import Response\ndef fetch(request, env): return Response(env.KEY)"
    form = {"metadata": json.dumps({"main_module": "early"}), "early": "export default {}"}
    data = aiohttp.FormData()
    data.add_field("metadata", form["metadata"])
    data.add_field("early", form["early"], filename="early", content_type="application/javascript+module")
    async with host.http.put(f"{host.url}/client/v4/accounts/host/workers/scripts/early", data=data) as response:
        assert response.status == 200, await response.text()
    secret = {"name": "KEY", "text": "t", "type": "secret_text"}
    assert (await host.api("PUT", "scripts/early/secrets", secret))[0] == 200
    await host.deploy(worker(tmp_path, entry, name="early"))
    assert await host.get("early") == (200, "t")


async def test_a_worker_that_is_deleted_is_gone(host: Host, tmp_path: Path) -> None:
    folder = worker(tmp_path, says("x"), name="gone")
    await host.deploy(folder)
    await host.cli("delete", "gone", "--yes")
    assert (await host.get("gone"))[0] == 404
    assert "does not exist" in await host.cli("versions", cwd=folder, fails=True)
    await host.deploy(folder)
    assert await host.get("gone") == (200, "x")


async def test_workers_are_shut_in(host: Host, tmp_path: Path) -> None:
    entry = (
        "import os, socket, subprocess, tempfile\nfrom workers import Response\n"
        "def tried(what):\n"
        "    try: what(); return 'done'\n"
        "    except Exception as error: return type(error).__name__\n"
        "def fetch(request, env):\n"
        "    return Response.json({\n"
        "        'passwd': tried(lambda: open('/etc/passwd')), 'data': tried(lambda: open(env.DATA + '/host.db')),\n"
        "        'run': tried(lambda: subprocess.run(['true'])),\n"
        "        'socket': tried(lambda: socket.create_connection(('127.0.0.1', 9))),\n"
        "        'parent': tried(lambda: os.kill(os.getppid(), 0)), 'code': tried(lambda: open(__file__, 'w')),\n"
        "        'temp': tried(lambda: tempfile.TemporaryFile().write(b'x')),\n"
        "        'environ': [name for name in os.environ if 'PILOT' in name]})"
    )  # fmt: skip
    config = f'[vars]\nDATA = "{host.data}"\n'
    await host.deploy(worker(tmp_path, entry, config, "shut"))
    assert json.loads((await host.get("shut"))[1]) == {
        "passwd": "PermissionError",
        "data": "PermissionError",
        "run": "PermissionError",
        "socket": "PermissionError",
        "parent": "PermissionError",
        "code": "PermissionError",
        "temp": "done",
        "environ": [],
    }


async def test_errors_tell_strangers_nothing(host: Host, tmp_path: Path) -> None:
    entry = "def fetch(request): raise ValueError('the inner workings')"
    await host.deploy(worker(tmp_path, entry, name="fails"))
    status, text = await host.get("fails")
    assert (status, "inner" in text, str(host.data) in text) == (500, False, False)
    line = await host.says("the inner workings")
    assert 'File "entry.py", line 1' in line["trace"], "named from the worker's own folder"


async def test_streams_of_the_model(host: Host, tmp_path: Path) -> None:
    entry = (
        "async def fetch(request, env):\n"
        "    return await env.AI.run('@cf/meta/llama-2-7b-chat-int8', {'prompt': 'a b c', 'stream': True})"
    )
    await host.deploy(worker(tmp_path, entry, '[ai]\nbinding = "AI"\n', "model"))
    status, text = await host.get("model")
    assert status == 200
    assert text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("name", ["../x", "/etc/x", "a/../../x", "a\\b", "C:x", "a//b", ""])
async def test_paths_that_leave_their_folder(host: Host, name: str) -> None:
    data = aiohttp.FormData(quote_fields=False)
    data.add_field("metadata", json.dumps({"main_module": "entry.py"}))
    data.add_field("entry.py", says("x"), filename="entry.py", content_type="text/x-python")
    data.add_field("odd", "x", filename=name, content_type="text/plain")
    async with host.http.put(f"{host.url}/client/v4/accounts/host/workers/scripts/odd", data=data) as response:
        assert response.status == 400, await response.text()
    assert (await host.get("odd"))[0] == 404


async def test_unknown_places(host: Host) -> None:
    assert (await host.ask("/nothing"))[0] == 404
    assert (await host.ask("/_w/nobody/"))[0] == 404
    status, answer = await host.api("GET", "scripts/nobody/anything/else")
    assert (status, answer["errors"][0]["code"]) == (404, 10007)
    assert (await host.api("GET", "services/nobody"))[1]["errors"][0]["code"] == 10090


async def test_streams_finish_on_the_version_they_began_on(host: Host, tmp_path: Path) -> None:
    entry = (
        "import asyncio\ngo = asyncio.Event()\n"
        "from workers import Response, URL\n"
        "async def chunks():\n    yield 'begun'\n    await go.wait()\n    yield 'VERSION'\n"
        "async def fetch(request):\n"
        "    if URL(request.url).pathname == '/go': go.set()\n"
        "    return Response(chunks() if URL(request.url).pathname == '/stream' else 'VERSION')\n"
    )  # fmt: skip
    folder = worker(tmp_path, entry.replace("VERSION", "one").replace("go.wait()", "asyncio.sleep(1)"), name="streams")
    await host.deploy(folder)
    async with host.http.get(f"{host.url}/_w/streams/stream") as response:
        assert await response.content.readany() == b"begun"
        (folder / "entry.py").write_text(entry.replace("VERSION", "two"))
        await host.deploy(folder)
        assert await host.get("streams") == (200, "two")
        assert await response.content.read() == b"one"


async def test_no_request_fails_across_deploys(host: Host, tmp_path: Path) -> None:
    folder, failed, answered, over = worker(tmp_path, says("v0"), name="busy"), [], 0, False
    await host.deploy(folder)

    async def ask() -> None:
        nonlocal answered
        while not over:
            status, text = await host.get("busy")
            answered += 1
            if status != 200 or not text.startswith("v"):
                failed.append((status, text))

    asking = [asyncio.create_task(ask()) for _ in range(4)]
    ids = [await host.deploy(folder)]
    (folder / "entry.py").write_text(says("v1"))
    ids.append(await host.deploy(folder))
    for number in range(100):
        share = {"versions": [{"version_id": ids[number % 2], "percentage": 100}]}
        assert (await host.api("POST", "scripts/busy/deployments", share))[0] == 200
    over = True
    await asyncio.gather(*asking)
    assert failed == []
    assert answered > 100


async def test_two_deploys_at_once_are_ordered(host: Host, tmp_path: Path) -> None:
    folders = [worker(tmp_path / text, says(text), name="both") for text in ("left", "right")]
    ids = await asyncio.gather(*map(host.deploy, folders))
    rows = json.loads(await host.cli("deployments", "--json", cwd=folders[0]))
    assert {row["versions"][0]["version_id"] for row in rows} == set(ids)
    newest = ("left", "right")[ids.index(rows[0]["versions"][0]["version_id"])]
    assert await host.get("both") == (200, newest)


async def test_what_was_deployed_survives_a_kill(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", worker(tmp_path / "app", says("one"))
    async with hosting(data) as host:
        first = await host.deploy(folder)
        await host.cli("secret", "put", "KEY", cwd=folder, stdin="secret")
        host.process.send_signal(signal.SIGKILL)
        await host.process.wait()
    async with hosting(data) as host:
        assert await host.get("app") == (200, "one")
        versions = json.loads(await host.cli("versions", "--json", cwd=folder))
        assert versions[-1]["id"] == first
        assert await host.cli("secret", "list", cwd=folder) == "KEY\n"
        error = await host.cli("host", "--data", str(data), "--port", "0", fails=True)
        assert "another host" in error


async def test_tokens(tmp_path: Path) -> None:
    data, folder = tmp_path / "data", worker(tmp_path / "app", says("one"))
    async with hosting(data) as host:
        tokens = {
            scope: (await host.cli("host", "--data", str(data), "token", "create", scope, "--scope", scope)).strip()
            for scope in ("deploy", "read", "ai")
        }
        for command in (["deploy"], ["versions"], ["rollback"], ["delete", "-y"], ["status"], ["tail"],
                        ["secret", "list"], ["secret", "put", "KEY"]):  # fmt: skip
            host.token = ""
            error = await host.cli(*command, cwd=folder, fails=True)
            assert "none was given" in error
            assert "export PILOT_API_TOKEN=" in error
        host.token = "wrong"
        error = await host.cli("deploy", cwd=folder, fails=True)
        assert "Authentication" in error
        assert "export PILOT_API_TOKEN=" in error
        host.token = tokens["read"]
        assert "no scope 'deploy'" in await host.cli("deploy", cwd=folder, fails=True)
        await host.cli("status")
        host.token = tokens["deploy"]
        await host.deploy(folder)
        assert await host.get("app") == (200, "one"), "a worker's own routes are public"
        run = f"{host.url}/client/v4/accounts/host/ai/run/@cf/meta/llama-2-7b-chat-int8"
        for scope, status in (("ai", 200), ("read", 401)):
            headers = {"authorization": f"Bearer {tokens[scope]}"}
            async with host.http.post(run, json={"prompt": "a"}, headers=headers) as response:
                assert response.status == status
        await host.cli("host", "--data", str(data), "token", "revoke", "deploy")
        assert "Authentication" in await host.cli("deploy", cwd=folder, fails=True)
        log = await host.cli("host", "--data", str(data), "audit")
        assert ("  200  PUT " in log, "403" in log) == (True, False)
        kept = b"".join(path.read_bytes() for path in data.rglob("*") if path.is_file())
        assert not any(token.encode() in kept or token in host.log() for token in tokens.values())
        host.token = "wrong"
        errors = [await host.api("GET", "subdomain", headers={"authorization": "Bearer no"}) for _ in range(30)]
        assert errors[-1][0] == 429


async def test_tails(host: Host, tmp_path: Path) -> None:
    entry = (
        "import sys\nfrom workers import Response, URL\n"
        "def fetch(request):\n    print('seen', URL(request.url).pathname)\n"
        "    if 'fails' in request.url: raise ValueError('on purpose')\n    return Response('x')\n"
    )  # fmt: skip
    folder = worker(tmp_path, entry, name="tailed")
    await host.deploy(folder)
    tail = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-m", "runtime.cli", "tail", "--format", "json", cwd=folder, limit=1 << 20,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PILOT_HOST": host.url, "PILOT_API_TOKEN": host.token},
    )  # fmt: skip
    assert tail.stdout is not None
    assert tail.stderr is not None
    async with asyncio.timeout(60):
        assert b"tailing" in await tail.stderr.readline()
        await host.get("tailed", "/good", headers={**dict.fromkeys(CREDENTIALS, "hidden"), **OTHERS})
        await host.get("tailed", "/fails")
        events, lines = [], []
        while len(events) < 2 or len(lines) < 2:
            event = json.loads(await tail.stdout.readline())
            events += [event] if event["event"] else []
            lines += [line["message"][0] for line in event["logs"]]
    assert lines == ["seen /good", "seen /fails"]
    assert [event["outcome"] for event in events] == ["ok", "exception"]
    assert events[0]["event"]["request"]["method"] == "GET"
    assert events[0]["event"]["response"]["status"] == 200
    seen = events[0]["event"]["request"]["headers"]
    assert "hidden" not in str(events)
    assert {name for name, value in seen.items() if value == "REDACTED"} == {*CREDENTIALS, *OTHERS} - {"x-plain"}
    assert seen["x-plain"] == "shown"
    assert events[1]["exceptions"][0]["name"] == "ValueError"
    assert events[1]["exceptions"][0]["message"] == "on purpose"
    tail.send_signal(signal.SIGINT)
    async with asyncio.timeout(30):
        await tail.communicate()
    for words in (["--name", "nobody"], ["nobody"]):
        assert "does not exist" in await host.cli("tail", *words, fails=True)


async def test_a_hosts_own_settings(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "host.toml").write_text("[pilot]\npadding = false\nopenai_routes = true\n")
    async with hosting(data) as host:
        body = {"model": "@cf/meta/llama-2-7b-chat-int8", "messages": [{"role": "user", "content": "a b"}]}
        async with host.http.post(
            f"{host.url}/v1/chat/completions", json=body, headers={"authorization": f"Bearer {host.token}"}
        ) as response:
            assert (await response.json())["choices"][0]["message"]["content"] == "a b"
    (data / "host.toml").write_text("[pilot]\npading = false\n")
    async with hosting(tmp_path / "other") as host:
        error = await host.cli("host", "--data", str(data), "--port", "0", fails=True)
        assert "host.toml" in error
        assert "pading" in error
