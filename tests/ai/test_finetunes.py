"""LoRA fine-tunes through Cloudflare's own client: made, filled with files that are checked, found by ``lora``."""

from __future__ import annotations

import asyncio
import io
import json
import struct
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from cloudflare import APIStatusError, AsyncCloudflare

from adapter_support import ADAPTER, GOOD, LORA_A, LORA_B, safetensors
from bindings.ai.engine.protocol import Delta, Generate
from bindings.ai.finetunes.adapter import CONFIG, WEIGHTS
from bindings.ai.finetunes.store import Finetunes
from service_support import Scripted, serve
from serving import Served, serving

ACCOUNT = "0123456789abcdef"
ROOT = f"/client/v4/accounts/{ACCOUNT}/ai/finetunes"
BEARER = {"Authorization": "Bearer right"}
BASE = "@cf/mistral/mistral-7b-instruct-v0.2-lora"
PLAIN = "@cf/meta/llama-2-7b-chat-int8"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    """With a body limit that an adapter is far over: its own is 500 MB."""
    folder = tmp_path_factory.mktemp("finetunes")
    (folder / "entry.py").write_text("from workers import Response\n\ndef fetch(request):\n    return Response('hi')\n")
    (folder / "wrangler.toml").write_text(
        'name = "w"\nmain = "entry.py"\n[ai]\nbinding = "AI"\n[pilot]\nbody_limit = 10_000\n'
    )
    async with serving(folder, env={"PILOT_API_TOKEN": "right"}) as pilot:
        yield pilot


@pytest_asyncio.fixture(loop_scope="module")
async def cloudflare(pilot: Served) -> AsyncIterator[AsyncCloudflare]:
    async with AsyncCloudflare(api_token="right", base_url=f"{pilot.url}/client/v4", max_retries=0) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def made(cloudflare: AsyncCloudflare, pilot: Served) -> AsyncIterator[str]:
    """The id of a fine-tune without files."""
    found: Any = await cloudflare.ai.finetunes.create(account_id=ACCOUNT, model=BASE, name="made")
    yield found.id
    await ask(pilot, "DELETE", f"/{found.id}")


async def ask(pilot: Served, method: str, path: str, **options: Any) -> tuple[int, Any]:
    async with pilot.http.request(method, pilot.url + ROOT + path, headers=BEARER, **options) as response:
        return response.status, await response.json()


async def upload(pilot: Served, id: str, name: str, content: bytes) -> tuple[int, int]:
    """(status, the error's code or 0)."""
    form = aiohttp.FormData()
    form.add_field("file_name", name)
    form.add_field("file", io.BytesIO(content), filename="blob")
    status, body = await ask(pilot, "POST", f"/{id}/finetune-assets", data=form)
    return status, body["errors"][0]["code"] if body["errors"] else 0


async def run(pilot: Served, lora: str | None, model: str = BASE) -> tuple[int, int]:
    url = f"{pilot.url}/client/v4/accounts/{ACCOUNT}/ai/run/{model}"
    async with pilot.http.post(url, json={"prompt": "hi", "raw": True, "lora": lora}, headers=BEARER) as response:
        body = await response.json()
        return response.status, body["errors"][0]["code"] if body["errors"] else 0


async def test_from_making_one_to_using_it(cloudflare: AsyncCloudflare, pilot: Served, tmp_path: Path) -> None:
    made: Any = await cloudflare.ai.finetunes.create(
        account_id=ACCOUNT, model=BASE, name="pirate", description="arr", public=True
    )
    assert (made.model, made.name, made.description, made.public) == (BASE, "pirate", "arr", True)
    assert made.created_at.tzinfo
    (tmp_path / WEIGHTS).write_bytes(ADAPTER)
    assert await run(pilot, "pirate") == (400, 3039)  # no files yet
    first: Any = await cloudflare.ai.finetunes.assets.create(
        made.id, account_id=ACCOUNT, file_name=CONFIG, file=json.dumps(GOOD).encode()
    )
    assert first.success is True
    assert await run(pilot, "pirate") == (400, 3039)
    second: Any = await cloudflare.ai.finetunes.assets.create(
        "pirate", account_id=ACCOUNT, file_name=WEIGHTS, file=tmp_path / WEIGHTS
    )
    assert second.success is True
    assert await run(pilot, "pirate") == await run(pilot, made.id)
    assert (await run(pilot, "pirate"))[1] not in (3039, 5006)
    [listed] = [item for item in await cloudflare.ai.finetunes.list(account_id=ACCOUNT) or [] if item.id == made.id]
    assert (listed.name, listed.modified_at > made.modified_at) == ("pirate", True)
    public: list[Any] = [
        item
        async for item in cloudflare.ai.finetunes.public.list(account_id=ACCOUNT, limit=5, offset=0, order_by="name")
    ]
    assert [item.name for item in public] == ["pirate"]
    assert (await ask(pilot, "GET", "/pirate"))[1]["result"]["id"] == made.id
    assert (await ask(pilot, "DELETE", "/pirate"))[0] == 200
    assert await run(pilot, "pirate") == (400, 5006)
    assert not list(pilot.folder.glob(f".pilot/state/finetunes/{made.id}*"))


async def test_wranglers_way(pilot: Served) -> None:
    """It posts JSON as text, lists with an empty query, and names its files ``blob``."""
    text = {"Content-Type": "text/plain;charset=UTF-8", **BEARER}
    body = json.dumps({"model": BASE, "name": "wrangled", "description": ""})
    async with pilot.http.post(pilot.url + ROOT, data=body, headers=text) as response:
        id = (await response.json())["result"]["id"]
    form = aiohttp.FormData()
    form.add_field("file_name", CONFIG)
    form.add_field("file", json.dumps(GOOD).encode(), filename="blob", content_type="application/octet-stream")
    assert (await ask(pilot, "POST", f"/{id}/finetune-assets/", data=form))[0] == 200
    for path in ("?", "/"):
        assert "wrangled" in [item["name"] for item in (await ask(pilot, "GET", path))[1]["result"]]
    assert "wrangled" not in str((await ask(pilot, "GET", "/public"))[1])
    await ask(pilot, "DELETE", f"/{id}")


async def test_the_file_may_come_before_its_name_and_be_large(pilot: Served, made: str) -> None:
    content = safetensors({LORA_A: [8, 65536], LORA_B: [65536, 8]})
    form = aiohttp.FormData()
    form.add_field("file", io.BytesIO(content), filename="x")
    form.add_field("file_name", WEIGHTS)
    assert (await ask(pilot, "POST", f"/{made}/finetune-assets", data=form))[0] == 200
    [kept] = pilot.folder.glob(f".pilot/state/finetunes/{made}/*/{WEIGHTS}")
    assert kept.read_bytes() == content


async def test_both_files_at_once_and_again(pilot: Served, made: str) -> None:
    """Each upload makes a version; none loses the other's file."""
    config = json.dumps(GOOD).encode()
    for _ in range(2):
        both = await asyncio.gather(upload(pilot, made, CONFIG, config), upload(pilot, made, WEIGHTS, ADAPTER))
        assert both == [(200, 0), (200, 0)]
    [folder] = pilot.folder.glob(f".pilot/state/finetunes/{made}/*")
    assert sorted(file.name for file in folder.iterdir()) == [CONFIG, WEIGHTS]


@pytest.mark.parametrize(
    "name",
    [
        "adapter.bin",
        "../adapter_config.json",
        "/etc/passwd",
        "adapter_config.json/..",
        "",
        "adapter_config.json\0",
        "x" * 5000,
    ],
)
async def test_only_two_names_are_taken(pilot: Served, made: str, name: str) -> None:
    assert await upload(pilot, made, name, b"{}") == (400, 5006)


BAD_CONFIGS = {
    "no JSON": b"{",
    "no object": b"[]",
    "not text": b"\xff\xfe",
    "too deep": b"[" * 100_000,
    "too large": b'{"r": 8, "model_type": "mistral", "x": "' + b"x" * 1_000_001 + b'"}',
    **{
        name: json.dumps({**GOOD, **change}).encode()
        for name, change in {
            "rank 33": {"r": 33},
            "rank 0": {"r": 0},
            "rank true": {"r": True},
            "rank text": {"r": "8"},
            "no rank": {"r": None},
            "other family": {"model_type": "qwen"},
            "no family": {"model_type": None},
            "a list as family": {"model_type": ["mistral"]},
            "another base's family": {"model_type": "llama"},
            "not LoRA": {"peft_type": "IA3"},
            "quantized": {"base_model_name_or_path": "TheBloke/Mistral-7B-AWQ"},
        }.items()
    },
}


@pytest.mark.parametrize("content", BAD_CONFIGS.values(), ids=BAD_CONFIGS)
async def test_a_bad_configuration_is_refused(pilot: Served, made: str, content: bytes) -> None:
    assert await upload(pilot, made, CONFIG, content) == (400, 5006)
    assert not list(pilot.folder.glob(f".pilot/state/finetunes/{made}/*"))


BAD_WEIGHTS = {
    "empty": b"",
    "short": b"1234",
    "no header": struct.pack("<Q", 2**62) + b"{}",
    "not JSON": struct.pack("<Q", 2) + b"{{",
    "a list": struct.pack("<Q", 2) + b"[]",
    "no tensors": struct.pack("<Q", 2) + b"{}",
    "not LoRA's": safetensors({"model.embed_tokens.weight": [8, 8]}),
    "cut": ADAPTER[:-1],
    "more than it says": safetensors({LORA_A: [8, 8]}, spare=b"x"),
    "rank 64": safetensors({LORA_A: [64, 128]}),
    "overlapping": safetensors({LORA_A: [8, 8], LORA_B: [8, 8]}, data_offsets=[0, 128]),
    "another type": safetensors({LORA_A: [8, 8]}, dtype="F64"),
    "no type": safetensors({LORA_A: [8, 8]}, dtype="X"),
    "negative": safetensors({LORA_A: [8, 8]}, shape=[-8, -8]),
    "a word": safetensors({LORA_A: [8]}, shape="x"),
    "enormous": safetensors({LORA_A: [8, 8]}, shape=[8, 2**62]),
}


@pytest.mark.parametrize("content", BAD_WEIGHTS.values(), ids=BAD_WEIGHTS)
async def test_bad_weights_are_refused(pilot: Served, made: str, content: bytes) -> None:
    assert await upload(pilot, made, WEIGHTS, content) == (400, 5006)
    assert not list(pilot.folder.glob(f".pilot/state/finetunes/{made}/*"))


async def test_more_than_500_megabytes_are_refused_before_they_are_sent(pilot: Served, made: str) -> None:
    headers = {**BEARER, "Content-Type": "multipart/form-data; boundary=x", "Content-Length": "600000000"}
    url = f"{pilot.url}{ROOT}/{made}/finetune-assets"
    async with pilot.http.post(url, data=_endless(), headers=headers) as response:
        assert (response.status, (await response.json())["errors"][0]["code"]) == (413, 3006)


async def _endless() -> AsyncIterator[bytes]:
    for _ in range(600):
        yield bytes(1_000_000)


MULTIPART = "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
BAD_FORMS = {
    "no form": ("application/json", b"{}"),
    "no boundary": ("multipart/form-data", b"--x--\r\n"),
    "nothing": (MULTIPART, b""),
    "no parts": (MULTIPART, b"--x--\r\n"),
    "noise": (MULTIPART, b"\x00" * 100),
    "no end": (MULTIPART, PART % (b"file", b"1")),
    "no name": (MULTIPART, PART % (b"file", b"{}") + b"--x--\r\n"),
    "no file": (MULTIPART, PART % (b"file_name", CONFIG.encode()) + b"--x--\r\n"),
    "two files": (MULTIPART, PART % (b"file", b"{}") * 2 + PART % (b"file_name", b"x") + b"--x--\r\n"),
    "a long boundary": ("multipart/form-data; boundary=" + "x" * 5000, b"--x--\r\n"),
}


@pytest.mark.parametrize(("kind", "content"), BAD_FORMS.values(), ids=BAD_FORMS)
async def test_a_malformed_form_is_refused(pilot: Served, made: str, kind: str, content: bytes) -> None:
    headers = {**BEARER, "Content-Type": kind}
    async with pilot.http.post(f"{pilot.url}{ROOT}/{made}/finetune-assets", data=content, headers=headers) as response:
        assert (response.status, (await response.json())["success"]) == (400, False)


BAD_FIELDS = {
    "nothing": ({}, 400, 5006),
    "no name": ({"model": BASE}, 400, 5006),
    "no model": ({"name": "x"}, 400, 5006),
    "a number": ({"model": BASE, "name": 1}, 400, 5006),
    "a list": ({"model": [BASE], "name": "x"}, 400, 5006),
    "unprintable": ({"model": BASE, "name": "a\nb"}, 400, 5006),
    "long": ({"model": BASE, "name": "x" * 600}, 400, 5006),
    "public as text": ({"model": BASE, "name": "x", "public": "yes"}, 400, 5006),
    "no such model": ({"model": "@cf/none/such", "name": "x"}, 400, 5007),
    "a base that takes none": ({"model": PLAIN, "name": "x"}, 405, 5005),
}


@pytest.mark.parametrize(("fields", "status", "code"), BAD_FIELDS.values(), ids=BAD_FIELDS)
async def test_what_cannot_be_made(pilot: Served, fields: dict[str, Any], status: int, code: int) -> None:
    found, body = await ask(pilot, "POST", "", json=fields)
    assert (found, body["errors"][0]["code"]) == (status, code)


async def test_a_name_is_taken_once_and_there_are_thirty_at_most(cloudflare: AsyncCloudflare, pilot: Served) -> None:
    makers = [cloudflare.ai.finetunes.create(account_id=ACCOUNT, model=BASE, name=f"n{i}") for i in range(30)]
    await asyncio.gather(*makers)
    with pytest.raises(APIStatusError, match="30 finetunes"):
        await cloudflare.ai.finetunes.create(account_id=ACCOUNT, model=BASE, name="n30")
    await ask(pilot, "DELETE", "/n0")
    with pytest.raises(APIStatusError, match="'n1' exists"):
        await cloudflare.ai.finetunes.create(account_id=ACCOUNT, model=BASE, name="n1")
    for number in range(1, 30):
        assert (await ask(pilot, "DELETE", f"/n{number}"))[0] == 200


async def test_unknown_ones_and_wrong_models(pilot: Served, made: str) -> None:
    for method, path in (("GET", "/none"), ("DELETE", "/none"), ("GET", "/..%2F..%2Fetc")):
        status, body = await ask(pilot, method, path)
        assert (status, body["success"]) == (404, False)
    assert await upload(pilot, "none", CONFIG, b"{}") == (404, 3042)
    assert await run(pilot, "none") == (400, 5006)
    assert await run(pilot, made, PLAIN) == (405, 5005)
    assert await run(pilot, made, "@cf/google/gemma-7b-it-lora") == (400, 5006)


@pytest.mark.parametrize("query", ["limit=-1", "limit=x", "limit=nan", "offset=1e99", "orderBy=public;drop"])
async def test_a_public_list_that_cannot_be_read_is_refused(pilot: Served, query: str) -> None:
    status, body = await ask(pilot, "GET", f"/public?{query}")
    assert (status, body["errors"][0]["code"]) == (400, 5006)


class Asked(Scripted):
    """Keeps the request."""

    async def generate(self, request: Generate, request_id: str) -> AsyncGenerator[Delta, None]:
        self.request = request
        async for delta in super().generate(request, request_id):
            yield delta


async def test_an_engine_is_given_the_folder_of_the_newest_version(tmp_path: Path) -> None:
    engine = Asked([Delta("hi", 1, finish_reason="stop")])
    service, finetunes = serve(engine), Finetunes(tmp_path, print)
    service.adapters = finetunes
    row = await finetunes.create(service.catalog.model(BASE), {"name": "mine"})
    folders = []
    for content in (GOOD, {**GOOD, "r": 16}):
        for name, data in ((CONFIG, json.dumps(content).encode()), (WEIGHTS, ADAPTER)):
            await finetunes.receive(row["id"], form(name, data), MULTIPART)
        await service.run(BASE, {"prompt": "hi", "lora": "mine"})
        folders.append(Path(engine.request.lora or ""))
        assert json.loads((folders[-1] / CONFIG).read_text()) == content
        assert (folders[-1] / WEIGHTS).read_bytes() == ADAPTER
    assert folders[0] != folders[1]  # an engine that has loaded the first knows that this is another
    await finetunes.aclose()


async def form(name: str, content: bytes) -> AsyncIterator[bytes]:
    """In pieces of three bytes: a boundary may be cut anywhere."""
    whole = PART % (b"file_name", name.encode()) + PART % (b"file", content) + b"--x--\r\n"
    for start in range(0, len(whole), 3):
        yield whole[start : start + 3]


async def test_what_was_made_is_there_after_a_restart(tmp_path: Path) -> None:
    (tmp_path / "entry.py").write_text("def fetch(request): ...\n")
    (tmp_path / "wrangler.toml").write_text('name = "w"\nmain = "entry.py"\n[ai]\nbinding = "AI"\n')
    for there in ([], ["kept"]):
        async with serving(tmp_path, env={"PILOT_API_TOKEN": "right"}) as pilot:
            assert [item["name"] for item in (await ask(pilot, "GET", ""))[1]["result"]] == there
            if not there:
                await ask(pilot, "POST", "", json={"model": BASE, "name": "kept"})


async def test_a_broken_disk_stops_the_fine_tunes_alone(tmp_path: Path) -> None:
    (tmp_path / "entry.py").write_text("def fetch(request): ...\n")
    (tmp_path / "wrangler.toml").write_text('name = "w"\nmain = "entry.py"\n[ai]\nbinding = "AI"\n')
    broken = tmp_path / ".pilot/state/finetunes/finetunes.sqlite"
    broken.parent.mkdir(parents=True)
    broken.write_text("this is no database" * 1000)
    async with serving(tmp_path, env={"PILOT_API_TOKEN": "right"}) as pilot:
        for method, body in (("GET", None), ("POST", {"model": BASE, "name": "lost"})):
            status, answer = await ask(pilot, method, "", json=body)
            assert (status, answer["errors"][0]["code"], answer["result"]) == (500, 3043, {})
        assert await run(pilot, "lost") == (500, 3043)
        assert await run(pilot, None) == (200, 0)
