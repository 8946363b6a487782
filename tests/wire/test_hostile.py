"""A worker that attacks its host over its own channel, by its prints or by its answers: it is ended by name, and what
others ask meanwhile is answered."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from hosting import API, Host, hosting, says, worker

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(os.name != "posix" or os.uname().sysname != "Linux", reason="a host is Linux's"),
]

HOSTILE = Path(__file__).parents[2] / "bench" / "workers" / "hostile.py"
ENDED = {
    "junk": "the worker's process was ended: it sent",
    "deep": "lists in lists, more than 128 deep",
    "map": "more than 1,000,000 values",
    "streams": "a kind that is not for it to send",
    "answers": "it answers what it was not asked",
}
OUTLASTED = ("calls", "tiny", "bytes", "stacks", "print", "line", "ai")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def host(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Host]:
    folder = tmp_path_factory.mktemp("hostile")
    async with hosting(folder / "data", "--isolates", "1") as running:
        await running.deploy(worker(folder / "other", says("untouched"), name="other"))
        yield running


async def attacked(host: Host, folder: Path, name: str) -> tuple[int, str]:
    """The attack's own answer, which came while another worker answered."""
    await host.deploy(worker(folder, HOSTILE.read_text(), '[ai]\nbinding = "AI"\n', f"does-{name}"))
    attack, others = asyncio.create_task(host.get(f"does-{name}", f"/{name}")), 0
    while not attack.done() or not others:
        assert await host.get("other") == (200, "untouched")
        others += 1
    return await attack


@pytest.mark.parametrize("name", ENDED)
async def test_it_is_ended_by_name(host: Host, tmp_path: Path, name: str) -> None:
    status, text = await attacked(host, tmp_path, name)
    assert (status, "1102" in text) == (503, True), text
    assert ENDED[name] in (await host.event("error", worker=f"does-{name}"))["text"]
    async with asyncio.timeout(30):
        while await host.get(f"does-{name}") != (200, "fine"):
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("name", OUTLASTED)
async def test_it_harms_itself_alone(host: Host, tmp_path: Path, name: str) -> None:
    assert (await attacked(host, tmp_path, name))[0] in (200, 503)


async def test_an_answer_of_too_many_headers(host: Host, tmp_path: Path) -> None:
    assert (await attacked(host, tmp_path, "headers"))[0] == 500
    await host.event("script_error", worker="does-headers", what="more than 1000 headers")


async def test_a_huge_error_is_told_in_part(host: Host, tmp_path: Path) -> None:
    assert (await attacked(host, tmp_path, "raise"))[0] == 500
    line = await host.event("script_error", worker="does-raise")
    assert line["what"].startswith("ValueError: xxx")
    assert len(str(line)) < 1_000_000


async def test_an_upload_of_countless_parts(host: Host) -> None:
    part = b'--b\r\ncontent-disposition: form-data; name="a"\r\n\r\n\r\n'
    body, others = io.BytesIO(part * 100_000 + b"--b--\r\n"), 0
    headers = {"content-type": "multipart/form-data; boundary=b"}
    upload = asyncio.create_task(host.http.put(f"{host.url}{API}/scripts/parts", headers=headers, data=body))
    while not upload.done() or not others:
        assert await host.get("other") == (200, "untouched")
        others += 1
    async with await upload as response:
        assert (response.status, "more than 25000 parts" in await response.text()) == (400, True)


async def test_json_of_countless_lists(host: Host) -> None:
    url = f"{host.url}{API}/scripts/other/deployments"
    async with host.http.post(url, data=b"[" * 300_000 + b"]" * 300_000) as response:
        assert (response.status, "more than 250,000 lists" in await response.text()) == (400, True)
