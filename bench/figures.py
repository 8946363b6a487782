"""The figures: what is measured, and on which servers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bench import answers, assets, bindings, bodies, calls, frameworks, fronts, keeping, sockets
from bench import measures as m
from bench import servers as s
from bench.idle import idle
from bench.measures import Numbers
from bench.running import Server
from bench.soak import soak


@dataclass(frozen=True)
class Figure:
    """``lead`` is the column the plot shows. ``measure(server, running, length)`` runs on a started server;
    with ``alone`` it is ``measure(server, length)`` and starts what it needs."""

    key: str
    title: str
    lead: str
    servers: tuple[Server, ...]
    measure: Callable[..., Numbers]
    alone: bool = False
    quick: bool = True
    asked: bool = False  # only when named
    group: str = ""  # several that are named as one


WORKERS = (s.OURS, s.WORKERD, s.MINIFLARE, s.WRANGLER)
PYTHON = (s.UVICORN, s.GRANIAN, s.STARLETTE, s.FASTAPI)
MODELS = (s.VLLM, s.VLLM_SERVE, s.VLLM_RUST, s.BY_HAND)
LAUNCHED = (s.OURS, s.ECHO, s.MINIFLARE, s.WORKERD, s.WRANGLER, s.UVICORN)

FIGURES = (
    Figure("hello", "Hello world, 64 connections", "CPU/request µs", WORKERS + PYTHON, m.hello),
    Figure("proxied", "256 event streams × 100/s, a fetched body passed through (servers without workers: their own)",
           "CPU/event µs", (*WORKERS, *PYTHON, s.SSE_STARLETTE, s.EPOLL), m.proxied),
    Figure("post", "100 KB of JSON posted, parsed, written anew and answered, 16 connections", "CPU/request µs",
           bodies.POSTED, bodies.posted),
    Figure("upload", "An upload of 1 GB handed on unread to another server", "CPU/MB µs", bodies.UPLOADED,
           bodies.uploaded, quick=False),
    Figure("r2 put", "An upload of 1 GB handed on unread to R2", "CPU/MB µs", bodies.KEPT, bodies.kept, quick=False),
    Figure("memory", "Memory after some requests", "PSS MB", (*WORKERS, s.UVICORN), m.memory),
    Figure("idle", "2,000 idle streams", "KB/stream", (s.OURS, s.ECHO, s.WORKERD, s.UVICORN), idle,
           alone=True, quick=False),
    Figure("save", "Save to new code answering", "save to answer p50 ms", (s.OURS, s.WRANGLER), m.save),
    Figure("launch", "Launch to first 200", "launch s", LAUNCHED, m.launch, alone=True, quick=False),
    Figure("tokens", "256 streams, a token each per 10 ms (EngineCore excluded)", "CPU/token µs", MODELS, m.tokens),
    Figure("again", "The same, the worker reads the stream and writes it again", "CPU/token µs", (s.VLLM,),
           m.tokens_again, quick=False),
    Figure("floor", "The same, AsyncLLM in process without HTTP", "CPU/token µs", (s.IN_PROCESS,),
           m.floor, quick=False),
    Figure("first", "Time to first token, a step of 10 ms", "TTFT p50 at 64 ms", MODELS, m.first),
    Figure("first floor", "The same, AsyncLLM in process without HTTP", "TTFT p50 at 64 ms", (s.IN_PROCESS,),
           m.first_floor, quick=False),
    Figure("abort", "Client leaves to EngineCore aborting", "abort p50 ms", MODELS, m.abort, quick=False),
    Figure("fronts", "768 streams, more tokens than one CPU passes on, with one front and with two on it", "tokens/s",
           fronts.HOSTS, fronts.tokens, alone=True, quick=False),
    Figure("embeddings", "env.AI: embeddings of 100 texts of 20 words (EngineCore excluded)", "CPU/request ms",
           answers.EMBEDDINGS, answers.embedded, quick=False, group="answers"),
    Figure("picture", "env.AI: a chat with a picture of 2 MB", "CPU/request ms", answers.CHATS, answers.pictured,
           quick=False, group="answers"),
    Figure("json mode", "env.AI: JSON mode", "CPU/request ms", answers.CHATS, answers.json_mode, quick=False,
           group="answers"),
    Figure("tools", "env.AI: a chat with a tool, which is called", "CPU/request ms", answers.CHATS, answers.tools,
           quick=False, group="answers"),
    Figure("asset", "A static asset of 4 KiB, 64 connections", "req/s", assets.ALL, assets.small, quick=False,
           group="bindings"),
    Figure("large asset", "A static asset of 10 MiB, 4 connections", "CPU/MB µs", assets.ALL, assets.large,
           quick=False, group="bindings"),
    Figure("kv get", "KV: get 1 KiB", "p50 over empty µs", bindings.ALL, bindings.kv_get, quick=False,
           group="bindings"),
    Figure("kv put", "KV: put 1 KiB, durable", "p50 over empty µs", bindings.ALL, bindings.kv_put, quick=False,
           group="bindings"),
    Figure("kv puts", "KV: 64 connections, 50 puts of 1 KiB at a time in each request", "CPU/put µs", bindings.ALL,
           bindings.kv_puts, quick=False, group="bindings"),
    Figure("d1 insert", "D1: insert a row, durable (and the same SQL by sqlite3 in a server's process)",
           "p50 over empty µs", bindings.WITH_SQLITE, bindings.d1_insert, quick=False, group="bindings"),
    Figure("d1 select", "D1: a row by its id", "CPU over empty µs", bindings.WITH_SQLITE, bindings.d1_select,
           quick=False, group="bindings"),
    Figure("d1 hundred", "D1: 100 rows of four columns", "CPU over empty µs", bindings.WITH_SQLITE,
           bindings.d1_hundred, quick=False, group="bindings"),
    Figure("r2 get", "R2: an object of 100 MB handed on unread, 4 connections (servers of files: that file)",
           "CPU/MB µs", (keeping.R2, keeping.NGINX, keeping.HTTP_SERVER), keeping.r2_get, quick=False,
           group="bindings"),
    Figure("search", "Vectorize: topK 10 of 100,000 × 384 (numpy: a matrix times a vector)", "p50 ms",
           (keeping.VECTORIZE, keeping.NUMPY), keeping.search, quick=False, group="bindings"),
    Figure("rpc", "A method of another worker", "p50 over empty µs", calls.ALL, calls.rpc, quick=False, group="calls"),
    Figure("service", "fetch of another worker", "p50 over empty µs", calls.ALL, calls.service, quick=False,
           group="calls"),
    Figure("count", "Durable Object: a call that writes a counter, durable", "p50 at 1 µs", calls.ALL, calls.count,
           quick=False, group="calls"),
    Figure("counts", "The same, 800 calls of one object at a time", "writes/s", calls.ALL, calls.counts, quick=False,
           group="calls"),
    Figure("queue", "Queue: send to handled, batches of 100 within 1 s", "messages/s", calls.ALL, calls.queue,
           quick=False, group="calls"),
    Figure("echo", "WebSocket: a message of 100 bytes, and back", "p50 at 1 µs", sockets.ALL, sockets.echo, quick=False,
           group="calls"),
    Figure("broadcast", "WebSocket: a message to 256", "CPU/delivery µs", sockets.TO_ALL, sockets.broadcast,
           quick=False, group="calls"),
    Figure("idle sockets", "10,000 idle WebSockets that hibernate", "KB/socket", sockets.KEPT, sockets.idle, alone=True,
           quick=False, group="calls"),
    Figure("fastapi", "FastAPI, a small object as JSON, 64 connections", "CPU/request µs", frameworks.FASTAPI,
           frameworks.hello, quick=False, group="frameworks"),
    Figure("django", "Django, a page of a template, 64 connections", "CPU/request µs", frameworks.DJANGO,
           frameworks.hello, quick=False, group="frameworks"),
    Figure("imports", "import workers, js", "CPU ms", (s.OURS,), frameworks.imports, alone=True, quick=False,
           group="frameworks"),
    Figure("save packages", "Save to new code answering: FastAPI, pydantic, openai and langchain imported",
           "save to answer p50 ms", (frameworks.PACKAGES,), m.save, quick=False, group="frameworks"),
    Figure("first hour", "pilot init, pilot dev, to the first token of the embedded model", "launch s",
           (frameworks.FIRST_HOUR,), m.launch, alone=True, quick=False, group="frameworks"),
    Figure("soak", "256 streams, clients leaving at random", "growth MB/min", (s.VLLM, s.ECHO, s.VLLM_SERVE), soak,
           quick=False, asked=True),
)  # fmt: skip
