"""toMarkdown through both doors: real documents, hostile ones, and what the process that reads them may do."""

from __future__ import annotations

import asyncio
import io
import json
import os
import sys
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from documents import pdf
from serving import ROUTER, Served, serving, without, write

PATH = "/client/v4/accounts/acc/ai/tomarkdown"
BEARER = {"Authorization": "Bearer any"}
PATIENCE = aiohttp.ClientTimeout(total=150)
WORKER = (
    ROUTER
    + """
from workers import Blob, File, Response

PAGE = "<h1>Hi</h1><p>there</p>"

async def one(env):
    return Response.json(await env.AI.toMarkdown({"name": "a.html", "blob": Blob([PAGE], type="text/html")}))

async def two(env):
    files = [File([PAGE], "b.htm"), {"name": "c", "blob": Blob(["a,b"], type="text/csv")}]
    options = {"conversionOptions": {"html": {"cssSelector": "p"}}}
    return Response.json(await env.AI.to_markdown(files, options))

async def refused(env):
    try:
        await env.AI.toMarkdown([{"name": "a.pdf"}])
    except TypeError as error:
        return Response(str(error))

async def known(env):
    return Response.json(await env.AI.toMarkdown().supported())
"""
)

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pilot(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    folder: Path = tmp_path_factory.mktemp("markdown")
    (folder / "entry.py").write_text(WORKER)
    (folder / "wrangler.toml").write_text('name = "w"\nmain = "entry.py"\n[ai]\nbinding = "AI"\n')
    async with serving(folder) as pilot:
        yield pilot


async def convert(pilot: Served, files: dict[str, bytes], field: str = "files", options: Any = None) -> list[Any]:
    """The result items for files by name."""
    form = aiohttp.FormData()
    for name, content in files.items():
        form.add_field(field, content, filename=name, content_type="application/octet-stream")
    if options is not None:
        form.add_field("conversionOptions", json.dumps(options))
    async with pilot.http.post(pilot.url + PATH, data=form, headers=BEARER, timeout=PATIENCE) as response:
        body = await response.json()
        assert (response.status, body["success"], body["errors"]) == (200, True, []), body
        result: list[Any] = body["result"]
        return result


def docx(paragraphs: str) -> bytes:
    """The least Word document."""
    main = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    schemas = "http://schemas.openxmlformats.org"
    document = f"{schemas}/officeDocument/2006/relationships/officeDocument"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{schemas}/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{main}"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{schemas}/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{document}" Target="word/document.xml"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{schemas}/wordprocessingml/2006/main"><w:body>'
        + paragraphs
        + "</w:body></w:document>",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return out.getvalue()


def xlsx() -> bytes:
    from openpyxl import Workbook

    book, out = Workbook(), io.BytesIO()
    book.active.append(["city", "people"])
    book.active.append(["New York", 8])
    book.save(out)
    return out.getvalue()


def pptx() -> bytes:
    from pptx import Presentation

    deck, out = Presentation(), io.BytesIO()
    deck.slides.add_slide(deck.slide_layouts[1]).shapes.title.text = "Good morning"
    deck.save(out)
    return out.getvalue()


async def test_documents_of_many_kinds(pilot: Served) -> None:
    word = docx("<w:p><w:r><w:t>Hello Word</w:t></w:r></w:p>")
    page = b"<html><body><h1>Hi</h1><script>no()</script><p><a href='/x'>there</a></p></body></html>"
    files = {
        "a.pdf": pdf("Hello PDF"),
        "b.docx": word,
        "c.xlsx": xlsx(),
        "d.pptx": pptx(),
        "e.HTML": page,
        "f.csv": b"\xef\xbb\xbfcity,people\nNew York,8\n",
        "g.txt": "Grüße".encode(),
    }
    found = await convert(pilot, files)
    texts = {item["name"]: item.get("data", item) for item in found}
    assert list(texts) == list(files)
    table = "| city | people |\n| --- | --- |\n| New York | 8 |"
    assert (texts["a.pdf"], texts["b.docx"], texts["e.HTML"]) == ("Hello PDF", "Hello Word", "# Hi\n\n[there](/x)")
    assert (texts["f.csv"], texts["g.txt"]) == (table, "Grüße")
    assert table in texts["c.xlsx"]
    assert "# Good morning" in texts["d.pptx"]
    first, last = found[0], found[-1]
    assert list(first) == ["id", "name", "mimeType", "format", "tokens", "data"]
    assert (first["mimeType"], first["format"], first["tokens"]) == ("application/pdf", "markdown", 3)
    assert (last["mimeType"], last["format"]) == ("text/plain", "text")
    assert len({item["id"] for item in found}) == len(files)


async def test_conversion_options_and_the_other_name_of_the_field(pilot: Served) -> None:
    page = b"<nav>menu</nav><main><a href='x'>there</a></main>"
    options = {"html": {"cssSelector": "main", "hostname": "example.org"}, "unknown": 1}
    (found,) = await convert(pilot, {"a.html": page}, "files[]", options)
    assert found["data"] == "[there](https://example.org/x)"


@pytest.mark.parametrize("options", ["{", "[]", '{"html": 1}', '{"pdf": {"images": {"convert": true}}}'])
async def test_options_that_are_wrong_or_not_served_are_refused(pilot: Served, options: str) -> None:
    form = aiohttp.FormData()
    form.add_field("files", b"x", filename="a.txt")
    form.add_field("conversionOptions", options)
    async with pilot.http.post(pilot.url + PATH, data=form, headers=BEARER) as response:
        body = await response.json()
    assert (response.status, body["errors"][0]["code"]) == (400, 5006)
    assert "conversionOptions" in body["errors"][0]["message"]


async def test_a_hostile_file_harms_itself_alone(pilot: Served) -> None:
    """Memory without end (two ways), no document at all, a document cut short, nesting without end."""
    wide = b"," * 50_000 + b"\n" + b"a\n" * 10_000  # half a billion cells, in 70 KB
    deep = b"<div>" * 5_000 + b"at the bottom"
    # in a thread: seconds, in which the loop must see that the server closes an idle connection
    bomb = await asyncio.to_thread(lambda: docx("<w:p><w:r><w:t>" + " " * 500_000_000 + "</w:t></w:r></w:p>"))
    files = {
        "wide.csv": wide,
        "bomb.docx": bomb,
        "not.docx": b"PK\x03\x04 nonsense",
        "cut.pdf": pdf("x")[:60],
        "deep.html": deep,
        "movie.mkv": b"?",
        "fine.md": b"# fine",
    }
    found = {item["name"]: item for item in await convert(pilot, files)}
    assert {name: item["format"] for name, item in found.items()} == {
        **dict.fromkeys(["wide.csv", "bomb.docx", "not.docx", "cut.pdf", "movie.mkv"], "error"),
        "deep.html": "markdown",
        "fine.md": "markdown",
    }
    assert all(set(item) == {"id", "name", "mimeType", "format", "error"} for item in found.values() if "error" in item)
    assert "memory" in found["wide.csv"]["error"]
    assert found["fine.md"]["data"] == "# fine"


async def test_what_is_no_form_is_refused(pilot: Served) -> None:
    for body, headers in (
        (b"x", {}),
        (b"x", {"content-type": "multipart/form-data; boundary=b"}),
        (b"a=b", {"content-type": "application/x-www-form-urlencoded"}),
    ):
        async with pilot.http.post(pilot.url + PATH, data=body, headers=BEARER | headers) as response:
            assert (response.status, (await response.json())["errors"][0]["code"]) == (400, 5006)


async def test_what_is_supported(pilot: Served) -> None:
    async with pilot.http.get(pilot.url + PATH + "/supported", headers=BEARER) as response:
        rest = (await response.json())["result"]
    assert {"extension": ".pdf", "mimeType": "application/pdf"} in rest
    assert rest == json.loads((await pilot.ask("/known"))[1])


async def test_from_a_worker(pilot: Served) -> None:
    one = json.loads((await pilot.ask("/one", timeout=PATIENCE))[1])
    assert (one["name"], one["format"], one["data"]) == ("a.html", "markdown", "# Hi\n\nthere")
    two = json.loads((await pilot.ask("/two", timeout=PATIENCE))[1])
    assert [item["data"] for item in two] == ["there", "| a | b |\n| --- | --- |"]
    assert "'blob': Blob" in (await pilot.ask("/refused"))[1]


async def test_where_the_library_is_not_installed(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    write(tmp_path, WORKER, '[ai]\nbinding = "AI"\n')
    async with serving(tmp_path, env=without(tmp_path_factory.mktemp("site"), "markitdown")) as bare:
        status, text = await bare.ask(PATH + "/supported", headers=BEARER)
        error = json.loads(text)["errors"][0]
        assert (status, error["code"]) == (500, 3043)
        assert "pip install -e '.[markdown]'" in error["message"]
        assert "pip install" in (await bare.ask("/one"))[1]


@pytest.mark.parametrize("attempt", [
    "open('/etc/hostname').read()", "open('/tmp/pilot-left-here', 'w')", "os.open('pyvenv.cfg', os.O_RDWR)",
    "__import__('socket').create_connection(('127.0.0.1', 9))", "__import__('subprocess').run(['true'])",
    "os.system('true')", "os.fork()",
])  # fmt: skip
async def test_a_sealed_process_touches_nothing(attempt: str) -> None:
    """What a library could be tricked into is refused by Python itself, once the process is sealed."""
    code = f"import os\nfrom bindings.limited import child\nchild.seal()\n{attempt}"
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        code,
        cwd=sys.prefix,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert b"PermissionError: a conversion may not" in output, output.decode()
