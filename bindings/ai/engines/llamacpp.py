"""The ``llamacpp`` engine: a GGUF file on the CPU (or a GPU that llama.cpp knows), with no torch in sight.

Theory of operation
-------------------
``xllamacpp`` is llama.cpp's own server as a library: slots that are decoded together in one batch, prompt
caches, chat templates. A completion runs in a thread of ours inside ``handle_completions``, which calls back
for every token and stops when the callback returns true: that is how a request is aborted, at the next token
or, while the prompt is read, at the next batch. Batches are small (``n_batch``) and ``return_progress`` makes
it call back after each. At most ``n_parallel`` requests are inside; the rest wait here: leaving is free.

Chat templates and the tokenizer are not in the library's interface, only in its HTTP server. That one listens
on a Unix socket in a private folder; we send it what it needs and then generate from token ids, so the
number that the limits are checked against is exact.

Options: ``n_ctx`` (tokens per request; default 8192, or less if the model was trained for less),
``n_parallel`` (default 4), ``n_threads`` and ``n_threads_batch`` (default: the physical cores that are ours;
for the tokens of a small model, one), and any field of ``xllamacpp.CommonParams``.

Equal seeds give equal text while a request runs alone; in company, rounding may differ.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

from bindings.ai import cores, weights
from bindings.ai.engine import Delta, EngineError, EngineInfo, EngineSpec, Generate, Progress, check_limits
from runtime.errors import ConfigError, UserError

EMBEDDED = "embedded"  # the model's name for weights.embedded_model
_DEFAULTS = {"n_ctx": 8192, "n_parallel": 4, "verbosity": 1, "ui": False}
_THREADS = {"n_threads": "cpuparams", "n_threads_batch": "cpuparams_batch"}
_SMALL = 256 << 20  # bytes


class LlamaCppEngine:
    alive = True

    def __init__(self, server: Any, http: Any, info: EngineInfo, slots: int, stack: AsyncExitStack) -> None:
        self.info, self.live = info, 0
        self._server, self._http, self._stack = server, http, stack
        self._slots = asyncio.Semaphore(slots)
        self._threads = ThreadPoolExecutor(slots, "llama.cpp")
        self._running: set[_Completion] = set()

    @classmethod
    async def open(cls, spec: EngineSpec, progress: Progress) -> LlamaCppEngine:
        """Fetch the embedded model if that is the one, and load. Raises UserError with a remedy."""
        path = await weights.embedded_model(progress) if spec.model == EMBEDDED else _existing(spec.model)
        progress("load", None)
        async with AsyncExitStack() as stack:
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="pilot-"))
            options = {**_DEFAULTS, **spec.options}
            server = await asyncio.to_thread(_load, path, options, f"{folder}/llama.sock")
            http = await stack.enter_async_context(_session(f"{folder}/llama.sock"))
            info = await _describe(http, path)
            return cls(server, http, info, options["n_parallel"], stack.pop_all())
        raise AssertionError("unreachable")

    async def generate(self, request: Generate, request_id: str) -> AsyncGenerator[Delta, None]:
        prompt = await self._tokens(request)
        check_limits(request, len(prompt), self.info.context_window)
        await self._slots.acquire()
        completion = self._start(_body(request, prompt))
        try:
            async for delta in completion.deltas(len(prompt)):
                yield delta
        finally:
            completion.left = True

    def _start(self, body: dict[str, Any]) -> _Completion:
        """Run one completion in a thread; its slot is free again when llama.cpp has let go of it."""
        completion = _Completion(asyncio.get_running_loop())
        self.live += 1
        self._running.add(completion)
        future = completion.loop.run_in_executor(
            self._threads, self._server.handle_completions, body, completion.arrived)
        future.add_done_callback(lambda done: self._ended(completion, done))
        return completion

    def _ended(self, completion: _Completion, done: asyncio.Future[None]) -> None:
        self.live -= 1
        self._running.discard(completion)
        self._slots.release()
        completion.queue.put_nowait(None if done.cancelled() else done.exception())

    async def _tokens(self, request: Generate) -> list[int]:
        text = request.prompt or ""
        if request.messages is not None or not request.raw:
            messages = request.messages or [{"role": "user", "content": text}]
            text = (await self._ask("/apply-template", {"messages": messages}))["prompt"]
        asked = {"content": text, "add_special": True, "parse_special": True}
        tokens: list[int] = (await self._ask("/tokenize", asked))["tokens"]
        return tokens

    async def _ask(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        async with self._http.post(path, json=body) as response:
            answer: dict[str, Any] = await response.json()
        if "error" in answer:
            raise _refusal(answer["error"])
        return answer

    async def aclose(self) -> None:
        for completion in self._running:
            completion.left = True
        await asyncio.to_thread(self._threads.shutdown)
        await self._stack.aclose()
        self._server = await asyncio.to_thread(self._free)

    def _free(self) -> None:
        """The destructor waits for llama.cpp's main loop: not for the event loop's thread."""
        self._server = None


class _Completion:
    """One request inside llama.cpp. Setting ``left`` ends it at the next call back."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop, self.left = loop, False
        self.queue: asyncio.Queue[Any] = asyncio.Queue()

    def arrived(self, chunk: dict[str, Any]) -> bool:
        """Called in llama.cpp's thread."""
        if not self.left:
            self.loop.call_soon_threadsafe(self.queue.put_nowait, chunk)
        return self.left

    async def deltas(self, prompt_tokens: int) -> AsyncGenerator[Delta, None]:
        """``timings.predicted_n`` counts the tokens so far, those held back for half a character too."""
        seen = 0
        while isinstance(chunk := await self.queue.get(), dict):
            if "error" in chunk:
                raise _refusal(chunk["error"])
            choice, total = chunk["choices"][0], chunk["timings"]["predicted_n"]
            if choice["text"] or choice["finish_reason"]:
                yield Delta(choice["text"], total - seen, prompt_tokens, choice["finish_reason"])
                seen = total
        if chunk is not None:
            raise chunk


def _body(request: Generate, prompt: list[int]) -> dict[str, Any]:
    """The request in llama.cpp's words. What is not asked for keeps llama.cpp's own defaults."""
    wanted = {
        "temperature": request.temperature, "top_p": request.top_p, "top_k": request.top_k,
        "repeat_penalty": request.repetition_penalty, "frequency_penalty": request.frequency_penalty,
        "presence_penalty": request.presence_penalty, "stop": request.stop or None,
        "seed": None if request.seed is None else request.seed % 0xFFFFFFFF,  # the last one means "random"
    }
    repeatable = request.seed is not None or request.temperature == 0
    return {
        "prompt": prompt, "max_tokens": request.max_tokens, "stream": True,
        "return_progress": True, "timings_per_token": True,
        "cache_prompt": not repeatable,  # what is cached was computed in other batches: other rounding
        "repeat_last_n": len(prompt) + request.max_tokens,  # penalties look at the whole text, as vLLM's do
        **{key: value for key, value in wanted.items() if value is not None},
    }


def _load(path: Path, options: dict[str, Any], socket: str) -> Any:
    xllamacpp = _library()
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.hostnames = [socket]
    total = options["n_ctx"] * options["n_parallel"]
    for name, value in {**_tuning(path, bool(_gpus())), **options, "n_ctx": total}.items():
        _set(params, name, value)
    try:
        return xllamacpp.Server(params)
    except RuntimeError as error:
        raise UserError(
            f"llama.cpp cannot load it: {error}", where=str(path),
            remedy="Is it a complete GGUF file? If memory is short, lower n_ctx or n_parallel.",
        ) from None


def _library() -> Any:
    """xllamacpp, imported so that its threads sleep while they wait for each other.

    By default they spin. Where anything else wants a core (a browser, a compiler) each step then waits for a
    thread that is not running: measured on 2 cores with one busy neighbour, 1 token/s instead of 44.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        return import_module("xllamacpp")
    except ImportError as error:
        raise UserError(f"llama.cpp cannot be used here: {error}", where="engine: llamacpp",
                        remedy="libgomp comes with:  apt install libgomp1   (dnf install libgomp)"
                               if "libgomp" in str(error) else "pip install xllamacpp") from None


def _set(params: Any, name: str, value: Any) -> None:
    if name in _THREADS:
        params, name = getattr(params, _THREADS[name]), "n_threads"
    known = [field for field in dir(params) if not field.startswith("_")]
    if name not in known:
        close = get_close_matches(name, [*known, *_THREADS], 3)
        raise ConfigError(f"unknown option {name!r}", where="llamacpp: options",
                          remedy=f"Did you mean {' or '.join(close)}?" if close else "")
    try:
        setattr(params, name, value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ConfigError(f"{value!r} will not do: {error}", where=f"llamacpp: options: {name}") from None


def _existing(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_file():
        return path
    raise UserError(f"there is no file {path}", where="llamacpp: model",
                    remedy=f"Give the path of a GGUF file, or {EMBEDDED!r} for the built-in model.")


def _tuning(path: Path, gpu: bool) -> dict[str, int]:
    """How many threads, and how much of a prompt at a time: a batch is how long leaving may take.

    Reading a prompt gains from every core. Making a token of a small model does not: its hundreds of steps
    are shorter than the time that sleeping threads take to meet (95 tokens/s with 1 thread, 50 to 70 with 2).
    """
    small, count = path.stat().st_size < _SMALL, cores.usable()
    threads = {"n_threads": 1 if small else count, "n_threads_batch": count}
    batch = 16 if small else 64
    return threads if gpu else {**threads, "n_batch": batch, "n_ubatch": batch}


def _gpus() -> list[str]:
    devices = _library().get_device_info()
    return [device["description"] for device in devices if "GPU" in str(device["type"])]


def _session(socket: str) -> Any:
    import aiohttp

    # A connection for every question: the server closes kept ones when it likes, under a question too.
    connector = aiohttp.UnixConnector(socket, force_close=True)
    return aiohttp.ClientSession("http://llama.cpp", connector=connector, timeout=aiohttp.ClientTimeout(total=60))


async def _describe(http: Any, path: Path) -> EngineInfo:
    async with http.get("/props") as response:
        window = (await response.json())["default_generation_settings"]["n_ctx"]
    gpus = _gpus()
    return EngineInfo(engine="llamacpp", model=path.name, version=_library().__version__,
                      device=f"gpu: {gpus[0]}" if gpus else "cpu", context_window=window)


def _refusal(error: dict[str, Any]) -> EngineError:
    return EngineError(8007, 400, str(error.get("message", error)))
