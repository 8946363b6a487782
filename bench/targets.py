"""What the figures are meant to be, beside what they are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median

from bench.measures import Numbers
from runtime.bench.plot import short

Results = Mapping[str, Mapping[str, list[Numbers]]]


@dataclass(frozen=True)
class Cell:
    """A figure, a server and a column of its table."""

    figure: str
    column: str
    server: str = "pilot"

    def median(self, results: Results) -> float | None:
        rounds = results.get(self.figure, {}).get(self.server, [])
        values = [numbers[self.column] for numbers in rounds if self.column in numbers]
        return median(values) if values else None


@dataclass(frozen=True)
class Bound:
    """At most ``limit``, or ``limit`` times ``of``, or ``of`` plus ``limit``; or at least ``limit``."""

    limit: float
    of: Cell | None = None
    plus: bool = False
    least: bool = False

    def verdict(self, value: float, results: Results) -> str:
        base = self.of.median(results) if self.of else None
        if self.of and base is None:
            return f"{self} (not measured)"
        limit = self.limit if base is None else base + self.limit if self.plus else base * self.limit
        met = value >= limit if self.least else value <= limit
        ratio = "" if base is None else f": {value - base:+.2f}" if self.plus else f": × {value / base:.2f}"
        return f"{self}{ratio} **{'met' if met else 'not met'}**"

    def __str__(self) -> str:
        if self.of is None:
            return f"{'≥' if self.least else '≤'} {self.limit:,g}"
        whose = "none" if self.of.server == _ECHO else self.of.server
        sign = "≥" if self.least else "≤"
        return f"{sign} {whose} + {self.limit:g}" if self.plus else f"{sign} {self.limit:g} × {whose}"


@dataclass(frozen=True)
class Target:
    what: str
    value: Cell
    must: Bound
    aim: Bound | None = None


_TOKEN, _FIRST, _HELLO = "CPU/token µs", "TTFT p50 at 64 ms", "CPU/request µs"
_EVENT = "CPU/event µs"
_ONE, _ECHO = "TTFT p50 at 1 ms", "pilot, echo engine"
_MB = "CPU/MB µs"
_MINI, _WS = "miniflare (JS)", "uvicorn, websockets"
_SQLITE = "sqlite3, in process"
_SERVE, _RUST, _WORKERD = "vllm serve", "vLLM's Rust frontend", "workerd (JS)"

TARGETS = (
    Target("CPU per streamed token, µs", Cell("tokens", _TOKEN), Bound(0.75, Cell("tokens", _TOKEN, _RUST)),
           Bound(0.6, Cell("tokens", _TOKEN, _RUST))),
    Target("256 streams, a token an event, events/s", Cell("tokens", "events/s"), Bound(25_000, least=True)),
    Target("256 streams, ITL p99, ms", Cell("tokens", "ITL p99 ms"), Bound(16)),
    Target("TTFT p50, 64 streams, ms", Cell("first", _FIRST), Bound(1.15, Cell("first", _FIRST, _RUST)),
           Bound(1, Cell("first", _FIRST, _RUST))),
    Target("CPU per admitted request, µs", Cell("first", _HELLO), Bound(350), Bound(250)),
    Target("TTFT, 1 stream, over AsyncLLM in process, ms", Cell("first", _ONE),
           Bound(0.8, Cell("first floor", _ONE, "AsyncLLM in process"), plus=True),
           Bound(0.5, Cell("first floor", _ONE, "AsyncLLM in process"), plus=True)),
    Target("CPU per token read and written again, µs", Cell("again", _TOKEN), Bound(16), Bound(12)),
    Target("hello, CPU per request, µs", Cell("hello", _HELLO), Bound(0.8, Cell("hello", _HELLO, _WORKERD)),
           Bound(0.65, Cell("hello", _HELLO, _WORKERD))),
    Target("hello, 1 connection, p50, µs", Cell("hello", "p50 at 1 µs"),
           Bound(1, Cell("hello", "p50 at 1 µs", _WORKERD)), Bound(130)),
    Target("an event of a fetched body, CPU, µs", Cell("proxied", _EVENT),
           Bound(1, Cell("proxied", _EVENT, _WORKERD)), Bound(0.8, Cell("proxied", _EVENT, _WORKERD))),
    Target("tokens/s of two fronts on one CPU", Cell("fronts", "tokens/s", "pilot host --fronts 2"),
           Bound(0.9, Cell("fronts", "tokens/s", "pilot host"), least=True),
           Bound(0.975, Cell("fronts", "tokens/s", "pilot host"), least=True)),
    Target("100 KB of JSON posted and answered, CPU, µs", Cell("post", _HELLO),
           Bound(1, Cell("post", _HELLO, _WORKERD))),
    Target("upload of 1 GB to another server, CPU per MB, µs", Cell("upload", _MB),
           Bound(1, Cell("upload", _MB, _WORKERD))),
    Target("upload of 1 GB to R2, CPU per MB, µs", Cell("r2 put", _MB), Bound(1, Cell("r2 put", _MB, _MINI))),
    Target("launch to first 200, echo engine, s", Cell("launch", "launch s", _ECHO), Bound(0.6),
           Bound(0.3)),
    Target("save to new code answering, median, ms", Cell("save", "save to answer p50 ms"), Bound(20), Bound(15)),
    Target("save to new code answering, p99, ms", Cell("save", "p99 ms"), Bound(30)),
    Target("supervisor, zygote and isolate, PSS, MB", Cell("memory", "PSS MB"), Bound(60), Bound(50)),
    Target("2,000 idle streams of the worker, KB each", Cell("idle", "KB/stream"), Bound(15), Bound(12)),
    Target("2,000 idle streams of a model, KB each", Cell("idle", "KB/stream", _ECHO), Bound(24), Bound(16)),
    Target("2,000 idle streams of a model, CPU, %", Cell("idle", "CPU %", _ECHO),
           Bound(1, Cell("idle", "CPU % without them", _ECHO), plus=True)),
    *(
        Target(f"env.AI, {figure}: {what}", Cell(figure, column), Bound(1, Cell(figure, column, _SERVE)))
        for figure in ("embeddings", "picture", "json mode", "tools")
        for what, column in (("CPU per request, ms", "CPU/request ms"), ("one at a time, p50, ms", "p50 at 1 ms"))
    ),
    Target("FastAPI in a worker, CPU per request, µs", Cell("fastapi", _HELLO, "pilot, FastAPI"),
           Bound(1.15, Cell("fastapi", _HELLO, "FastAPI on uvicorn"))),
    Target("save with FastAPI, pydantic, openai, langchain, ms",
           Cell("save packages", "save to answer p50 ms", "pilot, FastAPI and packages"), Bound(60)),
    Target("pilot init, pilot dev, to the first token, s", Cell("first hour", "launch s", "pilot init && pilot dev"),
           Bound(1.5)),
    Target("Django in a worker, CPU per request, µs", Cell("django", _HELLO, "pilot, Django"),
           Bound(1.15, Cell("django", _HELLO, "Django on uvicorn"))),
    Target("import workers, js: CPU, ms", Cell("imports", "CPU ms"), Bound(15)),
    Target("static asset of 4 KiB, 64 connections, req/s", Cell("asset", "req/s"),
           Bound(3, Cell("asset", "req/s", "miniflare"), least=True),
           Bound(0.6, Cell("asset", "req/s", "Starlette StaticFiles"), least=True)),
    Target("static asset of 4 KiB, CPU per request, µs", Cell("asset", "CPU/request µs"),
           Bound(1, Cell("asset", "CPU/request µs", "Starlette StaticFiles"))),
    Target("KV get of 1 KiB, p50, µs", Cell("kv get", "p50 at 1 µs"), Bound(0.5, Cell("kv get", "p50 at 1 µs", _MINI))),
    Target("KV get, CPU, µs", Cell("kv get", "CPU/request µs"), Bound(0.5, Cell("kv get", "CPU/request µs", _MINI))),
    Target("KV get, p50 over an empty handler, µs", Cell("kv get", "p50 over empty µs"), Bound(120)),
    Target("KV put, durable, p50, µs", Cell("kv put", "p50 at 1 µs"), Bound(0.7, Cell("kv put", "p50 at 1 µs", _MINI))),
    Target("KV durable puts/s, 64 connections", Cell("kv puts", "puts/s"), Bound(20_000, least=True)),
    Target("D1 insert, durable, p50, µs", Cell("d1 insert", "p50 at 1 µs"),
           Bound(0.7, Cell("d1 insert", "p50 at 1 µs", _MINI))),
    Target("D1 select of a row, CPU, µs", Cell("d1 select", _HELLO), Bound(0.5, Cell("d1 select", _HELLO, _MINI)),
           Bound(2, Cell("d1 select", _HELLO, _SQLITE))),
    Target("D1 select of 100 rows, CPU, µs", Cell("d1 hundred", _HELLO), Bound(0.5, Cell("d1 hundred", _HELLO, _MINI)),
           Bound(2, Cell("d1 hundred", _HELLO, _SQLITE))),
    Target("R2, 100 MB passed through, MB/s", Cell("r2 get", "MB/s"),
           Bound(1, Cell("r2 get", "MB/s", "python -m http.server"), least=True),
           Bound(1, Cell("r2 get", "MB/s", "nginx"), least=True)),
    Target("R2, 100 MB passed through, memory more, MB", Cell("r2 get", "PSS MB more"), Bound(5)),
    Target("Vectorize, topK 10 of 100,000 × 384, p50, ms", Cell("search", "p50 ms"),
           Bound(1.5, Cell("search", "p50 ms", "numpy, in process")), Bound(5)),
    Target("RPC, p50 over an empty handler, µs", Cell("rpc", "p50 over empty µs"), Bound(150), Bound(80)),
    Target("RPC, CPU over an empty handler, µs", Cell("rpc", "CPU over empty µs"),
           Bound(0.5, Cell("rpc", "CPU over empty µs", _MINI))),
    Target("RPC, CPU of a request with a call, µs", Cell("rpc", "CPU/request µs"),
           Bound(0.5, Cell("rpc", "CPU/request µs", _MINI))),
    Target("Durable Object, one durable write, p50, µs", Cell("count", "p50 at 1 µs"),
           Bound(0.7, Cell("count", "p50 at 1 µs", _MINI))),
    Target("Durable Object, durable writes of one object, 1/s", Cell("counts", "writes/s"),
           Bound(1, Cell("counts", "writes/s", _MINI), least=True), Bound(5000, least=True)),
    Target("queue, beyond the batch's timeout, p50, ms", Cell("queue", "beyond the timeout p50 ms"), Bound(10)),
    Target("queue, messages/s", Cell("queue", "messages/s"), Bound(5000, least=True)),
    Target("WebSocket, echo on one, p50, µs", Cell("echo", "p50 at 1 µs"),
           Bound(1.5, Cell("echo", "p50 at 1 µs", _WS)), Bound(1, Cell("echo", "p50 at 1 µs", _WS))),
    Target("WebSocket, CPU of an echoed message, 64 sockets, µs", Cell("echo", "CPU/message at 64 µs"),
           Bound(1.5, Cell("echo", "CPU/message at 64 µs", _WS)), Bound(1, Cell("echo", "CPU/message at 64 µs", _WS))),
    Target("WebSocket, a message to 256, p50, ms", Cell("broadcast", "until all have it p50 ms"),
           Bound(1.5, Cell("broadcast", "until all have it p50 ms", _WS)),
           Bound(1, Cell("broadcast", "until all have it p50 ms", _WS))),
    Target("10,000 idle hibernating WebSockets, KB each", Cell("idle sockets", "KB/socket"), Bound(12), Bound(8)),
    Target("soak, growth of memory, MB/min", Cell("soak", "growth MB/min"), Bound(1)),
    Target("soak, live requests less open streams", Cell("soak", "live, less open"), Bound(0)),
    Target("soak, live after all left", Cell("soak", "live after all left"), Bound(0)),
)  # fmt: skip


def table(results: Results, targets: tuple[Target, ...] = TARGETS) -> list[str]:
    """Lines of Markdown; only what was measured."""
    lines = []
    for target in targets:
        if (value := target.value.median(results)) is not None:
            aim = target.aim.verdict(value, results) if target.aim else ""
            lines.append(f"| {target.what} | {short(value)} | {target.must.verdict(value, results)} | {aim} |")
    return ["## Targets", "", "| | pilot | must | aim |", "|---|---:|---|---|", *lines, ""] if lines else []
