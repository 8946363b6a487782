"""The benchmark itself: a tiny run ends in a table and a plot. What the figures are is no test."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
sys.path.append(str(ROOT))  # bench/ is not installed

from bench import gpu, gpu_model, running, targets  # noqa: E402
from bench.figures import FIGURES  # noqa: E402

SMALL = ("--seconds", "0.3", "--repeats", "1", "--rounds", "2")


async def bench(*arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench", *arguments, cwd=ROOT, stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(120):
        output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


@pytest.mark.skipif(shutil.which("cc") is None, reason="the load generator is compiled on first use")
async def test_a_tiny_run_writes_a_table_and_a_plot(tmp_path: Path) -> None:
    servers = ("--servers", "pilot", "uvicorn, raw ASGI")
    status, output = await bench(
        "--only", "hello", "proxied", *servers, *SMALL, "--out", str(tmp_path), "--name", "tiny"
    )
    assert status == 0, output
    table = (tmp_path / "tiny.md").read_text()
    assert "## Hello world, 64 connections" in table
    for server in ("pilot", "uvicorn, raw ASGI"):
        assert table.count(f"\n| {server} | ") == 2, output
    plot = ElementTree.parse(tmp_path / "tiny.svg").getroot()
    bars = plot.findall(".//{http://www.w3.org/2000/svg}rect")
    assert len(bars) == 4, output


@pytest.mark.skipif(shutil.which("cc") is None, reason="the load generator is compiled on first use")
async def test_bodies_are_sent_whole(tmp_path: Path) -> None:
    """What the load posts is larger than a socket takes at once; what it uploads, the other side reads to its end."""
    arguments = ("--only", "post", "upload", "--servers", "pilot", *SMALL[:-1], "1")
    status, output = await bench(*arguments, "--out", str(tmp_path), "--name", "bodies")
    assert status == 0, output
    assert "no figure" not in output
    heads, _, row = re.findall(
        r"^\|.*\|$", (tmp_path / "bodies.md").read_text().partition("## An upload")[2], re.MULTILINE
    )[:3]
    assert float(dict(zip(cells(heads), cells(row), strict=True))["MB/s"].replace(",", "")) > 1


@pytest.mark.skipif(shutil.which("cc") is None, reason="the load generator is compiled on first use")
async def test_another_checkout_is_measured_in_turns(tmp_path: Path) -> None:
    """Its own code runs, for it is another; the table has ours divided by theirs."""
    yesterday = tmp_path / "yesterday"
    for package in ("runtime", "bindings"):
        shutil.copytree(ROOT / package, yesterday / package, ignore=shutil.ignore_patterns("__pycache__"))
    ran, module = tmp_path / "ran", yesterday / "runtime" / "supervisor" / "dev.py"
    module.write_text(module.read_text() + f"\nPath({str(ran)!r}).touch()\n")
    status, output = await bench(
        "--only", "hello", "--against", str(yesterday), *SMALL, "--out", str(tmp_path), "--name", "turns"
    )
    assert status == 0, output
    table = (tmp_path / "turns.md").read_text()
    judged = table[table.index("## Against yesterday") : table.index("## Hello world")]
    assert "| hello, pilot | CPU/request µs | " in judged
    assert "\n| pilot, yesterday | " in table
    assert "uvicorn" not in table, "peers are measured when they are named"
    assert ran.exists(), output


async def test_a_folder_that_is_no_checkout_is_told(tmp_path: Path) -> None:
    status, output = await bench("--only", "hello", "--against", str(tmp_path), "--out", str(tmp_path))
    assert status == 2
    assert "has no runtime/cli.py" in output


async def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    status, output = await bench("--only", "hello", "--servers", "nothing of that name", "--out", str(tmp_path))
    assert status == 2
    assert "nothing of that name" in output


@pytest.mark.skipif(shutil.which("cc") is None, reason="the load generator is compiled on first use")
async def test_the_soak_ends_with_every_stream_open(tmp_path: Path) -> None:
    """Clients leave and come again for two seconds; the table says what became of memory and streams."""
    arguments = ("--only", "soak", "--servers", "pilot, echo engine", "--rounds", "1", "--soak", "2")
    status, output = await bench(*arguments, "--out", str(tmp_path), "--name", "soak")
    assert status == 0, output
    heads, _, row = re.findall(r"^\|.*\|$", (tmp_path / "soak.md").read_text(), re.MULTILINE)
    found = dict(zip(cells(heads), cells(row), strict=True))
    assert found["open at the end"] == "256", output
    assert float(found["left by client"]) > 20
    assert found["broken"] == "0.00"
    assert float(found["MB at 100 %"]) > 10


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_target_is_met_or_not() -> None:
    """Against a limit, a multiple of another server's figure, or that figure and some more."""
    rounds = {"hello": {"pilot": [{"µs": 30.0}, {"µs": 50.0}, {"µs": 40.0}], "peer": [{"µs": 50.0}]}}
    peer = targets.Cell("hello", "µs", "peer")
    assert targets.Cell("hello", "µs").median(rounds) == 40
    for bound, verdict in (
        (targets.Bound(40), "≤ 40 **met**"),
        (targets.Bound(39), "≤ 39 **not met**"),
        (targets.Bound(41, least=True), "≥ 41 **not met**"),
        (targets.Bound(0.8, peer), "≤ 0.8 × peer: × 0.80 **met**"),
        (targets.Bound(0.7, peer), "≤ 0.7 × peer: × 0.80 **not met**"),
        (targets.Bound(-11, peer, plus=True), "≤ peer + -11: -10.00 **not met**"),
        (targets.Bound(1, targets.Cell("hello", "µs", "nobody")), "≤ 1 × nobody (not measured)"),
    ):
        assert bound.verdict(40, rounds) == verdict


def test_every_target_is_a_figure_of_its_server() -> None:
    known = {(figure.key, server.name) for figure in FIGURES for server in figure.servers}
    for target in targets.TARGETS:
        bases = [bound.of for bound in (target.must, target.aim) if bound and bound.of]
        assert {(cell.figure, cell.server) for cell in (target.value, *bases)} <= known, target.what


def test_every_token_of_the_gpu_model_says_something(tmp_path: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers", reason="comes with vLLM")
    size = json.loads((gpu_model.make("tiny", tmp_path) / "config.json").read_text())["vocab_size"]
    tokenizer = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert tokenizer.get_vocab_size() == size
    assert all(tokenizer.decode([token]) for token in range(size))
    assert tokenizer.decode(tokenizer.encode("bade fi").ids) == "bade fi"


def test_engine_arguments_are_the_same_for_both() -> None:
    arguments = {
        "model": "m",
        "load_format": "dummy",
        "enforce_eager": True,
        "enable_prefix_caching": False,
        "max_model_len": 8,
    }
    assert gpu.flags(arguments) == [
        "--load-format",
        "dummy",
        "--enforce-eager",
        "--no-enable-prefix-caching",
        "--max-model-len",
        "8",
    ]
    assert dict(map(gpu.engine_argument, ["a=1", "b=text", "c=false"])) == {"a": 1, "b": "text", "c": False}
    compilation = dict([gpu.engine_argument('compilation_config={"cudagraph_mode": "FULL"}')])
    assert gpu.flags(compilation) == ["--compilation-config", '{"cudagraph_mode": "FULL"}']


SAYS = """
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(sys.argv[2].encode())

HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.mark.e2e
def test_an_argument_that_is_a_json_object_reaches_the_server_whole() -> None:
    text = '{"cudagraph_mode": "FULL", "pass_config": {}} {port'
    with running.Server("says", (sys.executable, "-c", SAYS, "{port}", text)).run(pinned=False) as server:
        assert running.first_bytes(server.port, "/", None).decode() == text
