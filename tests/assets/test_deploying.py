"""Assets as part of a deploy: each file once, kept across versions, served as in dev; and a host that dies."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import signal
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from hosting import API, Host, hosting
from sites import get, lay_out

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.timeout(300),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]

BIG = os.urandom(700_000)
FILES: dict[str, str | bytes] = {
    "index.html": "home", "about.html": "about", "404.html": "lost", "big.bin": BIG, "copy.bin": BIG, "secret.txt": "s",
    "_headers": "/*\n  X-All: 1\nnonsense\n", "_redirects": "/old /about 301\n", ".assetsignore": "secret.txt\n",
}  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    async with hosting(tmp_path_factory.mktemp("host") / "data") as running:
        running.token = await token(running)
        yield running


async def token(host: Host) -> str:
    return (await host.cli("host", "--data", str(host.data), "token", "create", "ci")).strip()


def listing(files: dict[str, bytes]) -> dict[str, Any]:
    items = {path: {"hash": _hash(content), "size": len(content)} for path, content in files.items()}
    return {"manifest": items}


def _hash(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()  # any 32 hex digits will do: they are the client's


async def begin(host: Host, name: str, files: dict[str, bytes], token: str | None = None) -> tuple[int, Any]:
    return await host.api(
        "POST",
        f"scripts/{name}/assets-upload-session",
        listing(files),
        headers={"authorization": f"Bearer {host.token if token is None else token}"},
    )


async def upload(host: Host, jwt: str, files: dict[str, bytes]) -> tuple[int, Any]:
    form = aiohttp.FormData()
    for name, content in files.items():
        form.add_field(name, base64.b64encode(content), filename=name, content_type="application/octet-stream")
    url = f"{host.url}{API}/assets/upload?base64=true"
    async with host.http.post(url, data=form, headers={"authorization": f"Bearer {jwt}"}) as answer:
        return answer.status, await answer.json(content_type=None)


def blobs(host: Host) -> set[str]:
    return {path.name for path in (host.data / "state/assets/files").glob("*/*")}


async def test_a_site_with_a_worker(host: Host, tmp_path: Path) -> None:
    lay_out(tmp_path, FILES, not_found_handling="404-page")
    assert "assets: 5 files, 1.4 MB" in await host.cli("deploy", "--dry-run", cwd=tmp_path)
    assert not blobs(host)
    output = await host.cli("deploy", cwd=tmp_path)
    assert "assets: 5 files, 1.4 MB" in output
    assert "assets: 4 new, 1 there already" in output  # two files have one content
    prefix = "/_w/site"
    answer = await get(host, "/about", prefix=prefix)
    assert (answer.status, answer.body, answer.headers["x-all"]) == (200, b"about", "1")
    assert (await get(host, "/big.bin", prefix=prefix)).body == BIG
    assert (await get(host, "/about.html?x=1", prefix=prefix)).headers["location"] == "/_w/site/about?x=1"
    assert (await get(host, "/old", prefix=prefix)).headers["location"] == "/_w/site/about"
    assert (await get(host, "/api", prefix=prefix)).body == b"worker GET"
    assert (await get(host, "/secret.txt", prefix=prefix)).body == b"worker GET"
    assert (await get(host, "/via/about.html", prefix=prefix)).body == b"about"
    assert (await get(host, "/entry.py", prefix=prefix)).body == b"worker GET"
    await host.says("site: _headers, line 3")
    bundle = [path.name for path in (host.data / "bundles").rglob("*") if path.is_file()]
    assert "about.html" not in bundle  # they are no part of the worker's code

    output = await host.cli("deploy", cwd=tmp_path)
    assert "assets: 0 new, 5 there already" in output
    (tmp_path / "public/about.html").write_text("new")
    assert "assets: 1 new, 4 there already" in await host.cli("deploy", cwd=tmp_path)
    assert (await get(host, "/about", prefix=prefix)).body == b"new"
    await host.cli("rollback", cwd=tmp_path)
    assert (await get(host, "/about", prefix=prefix)).body == b"about"
    await host.cli("secret", "put", "KEY", stdin="x", cwd=tmp_path)
    assert (await get(host, "/", prefix=prefix)).body == b"home"


async def test_a_site_alone(host: Host, tmp_path: Path) -> None:
    lay_out(tmp_path, FILES, script=None, not_found_handling="single-page-application")
    config = tmp_path / "wrangler.toml"
    config.write_text(config.read_text().replace('name = "site"', 'name = "alone"'))
    await host.cli("deploy", cwd=tmp_path)
    assert (await get(host, "/nowhere", prefix="/_w/alone")).body == b"home"
    port = host.url.rpartition(":")[2]
    by_name = await get(host, "/about.html", headers={"host": f"alone.localhost:{port}"})
    assert by_name.headers["location"] == "/about"
    status, answer = await host.api("GET", "scripts/alone/versions", headers={"authorization": f"Bearer {host.token}"})
    assert (status, len(answer["result"]["items"])) == (200, 1)


async def test_a_version_may_keep_the_assets_of_the_one_before(host: Host, tmp_path: Path) -> None:
    files = {"/a.html": b"kept"}
    jwt = (await begin(host, "keeper", files))[1]["result"]["jwt"]
    jwt = (await upload(host, jwt, {_hash(b"kept"): b"kept"}))[1]["result"]["jwt"]
    for metadata in ({"assets": {"jwt": jwt, "config": {"html_handling": "none"}}}, {"keep_assets": True}):
        script = {"main_module": "w.py", "bindings": [{"name": "ASSETS", "type": "assets"}], **metadata}
        status, answer = await put(host, "keeper", script)
        assert status == 200, answer
        assert (await get(host, "/a.html", prefix="/_w/keeper")).body == b"kept"
    status, answer = await put(host, "keeper", {"main_module": "w.py", "bindings": [{"name": "A", "type": "assets"}]})
    assert (status, "needs assets" in answer["errors"][0]["message"]) == (400, True)


async def put(host: Host, name: str, metadata: dict[str, Any]) -> tuple[int, Any]:
    form = aiohttp.FormData()
    form.add_field("metadata", json.dumps(metadata))
    form.add_field("w.py", b"def fetch(request): pass", filename="w.py", content_type="text/x-python")
    url = f"{host.url}{API}/scripts/{name}"
    async with host.http.put(url, data=form, headers={"authorization": f"Bearer {host.token}"}) as answer:
        return answer.status, await answer.json(content_type=None)


async def test_what_is_refused(host: Host) -> None:
    good = {"/a": b"a"}
    assert (await begin(host, "w", good, "wrong"))[0] in (401, 403)
    assert (await begin(host, "../w", good))[0] in (400, 404)
    assert (await begin(host, "W", good))[0] == 400
    for body in ({}, {"manifest": {"/a": {"hash": "short", "size": 1}}},
                 {"manifest": {"a": listing(good)["manifest"]["/a"]}},
                 {"manifest": {"/a": {"hash": "0" * 32, "size": -1}}},
                 {"manifest": {"/a": {"hash": "0" * 32, "size": 25 * 1024 * 1024 + 1}}},
                 {"manifest": {"/a": {"hash": "0" * 32, "size": 1}, "/b": {"hash": "0" * 32, "size": 2}}},
                 {"manifest": {f"/{number}": {"hash": "0" * 32, "size": 1} for number in range(20_001)}}):  # fmt: skip
        headers = {"authorization": f"Bearer {host.token}"}
        url = f"{host.url}{API}/scripts/w/assets-upload-session"
        async with host.http.post(url, data=BytesIO(json.dumps(body).encode()), headers=headers) as response:
            status, answer = response.status, await response.json(content_type=None)
        assert (status, answer["success"]) == (400, False)
    jwt = (await begin(host, "w", good))[1]["result"]["jwt"]
    head, claims, signature = jwt.split(".")
    forged = json.loads(base64.urlsafe_b64decode(claims + "=="))
    forged["worker"] = "other"
    fake = base64.urlsafe_b64encode(json.dumps(forged).encode()).rstrip(b"=").decode()
    for wrong in ("", "x", f"{head}.{fake}.{signature}", f"{head}.{claims}.", f"{head}.{claims}.{'A' * 43}"):
        assert (await upload(host, wrong, {_hash(b"a"): b"a"}))[0] == 403
    assert (await upload(host, jwt, {_hash(b"b"): b"b"}))[0] == 400  # not in the list
    assert (await upload(host, jwt, {_hash(b"a"): b"aa"}))[0] == 400  # another size
    unfinished = {"main_module": "w.py", "assets": {"jwt": jwt, "config": {}}}
    assert (await put(host, "w", unfinished))[0] == 400
    jwt = (await upload(host, jwt, {_hash(b"a"): b"a"}))[1]["result"]["jwt"]
    assert (await put(host, "another", {"main_module": "w.py", "assets": {"jwt": jwt, "config": {}}}))[0] == 400
    for config in ({"html_handling": "x"}, {"run_worker_first": ["x"]}, {"base_path": "a?b"}, {"html_handling": 5}):
        assert (await put(host, "w", {"main_module": "w.py", "assets": {"jwt": jwt, "config": config}}))[0] == 400
    outside = {"directory": "/etc", "manifest": "../../x", "html_handling": "none"}  # what is not the client's to say
    assert (await put(host, "w", {"main_module": "w.py", "assets": {"jwt": jwt, "config": outside}}))[0] == 200
    assert (await get(host, "/a", prefix="/_w/w")).body == b"a"
    assert (await get(host, "/passwd", prefix="/_w/w")).status != 200


async def test_no_client_speaks_for_another_workers_files(host: Host) -> None:
    """A hash is what a client calls a file: what it sent under it is served to its own worker alone."""
    name = _hash(b"real")
    jwt = (await begin(host, "evil", {"/a": b"real"}))[1]["result"]["jwt"]
    assert (await upload(host, jwt, {name: b"fake"}))[0] == 201
    status, answer = await begin(host, "good", {"/a": b"real"})
    assert (status, answer["result"]["buckets"]) == (200, [[name]])


async def test_an_upload_is_asked_for_in_pieces(host: Host) -> None:
    files = {f"/{number}.txt": b"%d" % number for number in range(600)}
    result = (await begin(host, "many", files))[1]["result"]
    assert [len(bucket) for bucket in result["buckets"]] == [250, 250, 100]
    by_hash = {_hash(content): content for content in files.values()}
    buckets = [{name: by_hash[name] for name in bucket} for bucket in result["buckets"]]
    answers = [await upload(host, result["jwt"], bucket) for bucket in buckets]
    assert [status for status, _ in answers] == [202, 202, 201]
    assert [bool(answer["result"]["jwt"]) for _, answer in answers] == [False, False, True]


async def test_a_deploy_that_is_too_large_says_so(host: Host, tmp_path: Path) -> None:
    lay_out(tmp_path, {"index.html": ""}, script=None)
    with (tmp_path / "public/huge.bin").open("wb") as file:
        file.truncate(25 * 1024 * 1024 + 1)
    output = await host.cli("deploy", cwd=tmp_path, fails=True)
    assert "huge.bin" in output
    assert "over 25 MiB" in output
    assert ".assetsignore" in output


async def test_a_host_that_is_killed_in_mid_upload_goes_on_from_there(tmp_path: Path) -> None:
    files = {f"/{number}.bin": os.urandom(200_000) for number in range(40)}
    by_hash = {_hash(content): content for content in files.values()}
    data = tmp_path / "data"
    async with hosting(data) as host:
        host.token = await token(host)
        key = host.token
        result = (await begin(host, "site", files))[1]["result"]
        jwt, names = result["jwt"], [name for bucket in result["buckets"] for name in bucket]
        half = {name: by_hash[name] for name in names[:20]}
        assert (await upload(host, jwt, half))[0] == 202
        acknowledged = blobs(host)
        assert len(acknowledged) == 20
        rest = asyncio.create_task(upload(host, jwt, {name: by_hash[name] for name in names[20:]}))
        while len(blobs(host)) < 25:
            await asyncio.sleep(0)
        host.process.send_signal(signal.SIGKILL)
        await asyncio.gather(rest, return_exceptions=True)
        await host.process.wait()
    async with hosting(data) as host:
        host.token = key
        for place in (data / "state/assets/files").glob("*/*"):
            assert hashlib.sha256(place.read_bytes()).hexdigest() == place.name  # whole, or not there
        result = (await begin(host, "site", files))[1]["result"]
        missing = {name for bucket in result["buckets"] for name in bucket}
        assert missing <= set(names[20:])
        jwt = result["jwt"]  # and what was acknowledged need not be sent again
        status, answer = await upload(host, jwt, {name: by_hash[name] for name in missing})
        assert status == 201
        metadata = {"assets": {"jwt": answer["result"]["jwt"], "config": {}}}
        assert (await put(host, "site", {"main_module": "w.py", **metadata}))[0] == 200
    async with hosting(data) as host:
        for path, content in files.items():
            assert (await get(host, path, prefix="/_w/site")).body == content


async def test_files_that_no_version_names_are_removed(tmp_path: Path) -> None:
    data = tmp_path / "data"
    sites = {name: tmp_path / name for name in ("one", "two")}
    async with hosting(data) as host:
        host.token = key = await token(host)
        for name, folder in sites.items():
            folder.mkdir()
            lay_out(folder, {"same.txt": "same", f"{name}.txt": name}, script=None)
            config = folder / "wrangler.toml"
            config.write_text(config.read_text().replace('name = "site"', f'name = "{name}"'))
            await host.deploy(folder)
        assert len(blobs(host)) == 3
        await host.cli("delete", "--yes", cwd=sites["one"])
        assert len(blobs(host)) == 3  # an upload may be about to name them
    for place in (data / "state/assets").rglob("*"):
        os.utime(place, (1, 1), follow_symlinks=False)
    async with hosting(data) as host:
        host.token = key
        assert len(blobs(host)) == 2
        assert len(list((data / "state/assets/hashes/one").iterdir())) == 1  # of the file that is two's as well
        assert (await get(host, "/same.txt", prefix="/_w/two")).body == b"same"
        assert (await get(host, "/two.txt", prefix="/_w/two")).body == b"two"


async def test_a_full_disk_is_said_and_breaks_nothing(tmp_path: Path) -> None:
    def no_large_files() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000))

    files = {"/small": b"small", "/large": os.urandom(500_000)}
    async with hosting(tmp_path / "data", before=no_large_files) as host:
        host.token = await token(host)
        jwt = (await begin(host, "site", files))[1]["result"]["jwt"]
        status, answer = await upload(host, jwt, {_hash(files["/large"]): files["/large"]})
        assert (status, "cannot write" in answer["errors"][0]["message"]) == (507, True)
        assert (await upload(host, jwt, {_hash(b"small"): b"small"}))[0] == 202
        assert [path.name for path in (host.data / "state/assets/files").rglob("*") if path.is_file()] == [
            hashlib.sha256(b"small").hexdigest()
        ]
