"""How every use of llama.cpp here begins: the library imported, options checked and set, the model loaded."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path
from typing import Any

from bindings.ai.engine import embedded
from bindings.ai.engine import options as engine_options
from bindings.ai.engines import cores
from bindings.ai.engines.llamacpp.interfaces import LlamaServer
from bindings.ai.hub.cache import cached_gguf
from bindings.ai.hub.names import wanted
from runtime.errors import ConfigError, UserError
from runtime.places import expanded

_THREADS = {"n_threads": "cpuparams", "n_threads_batch": "cpuparams_batch"}
SMALL_MODEL_BYTES = 256 << 20


def load(path: Path, options: dict[str, Any], socket: str, **own: object) -> LlamaServer:
    """llama.cpp's server, listening on ``socket``. ``options`` are a person's, ``own`` the engine's."""
    engine_options.check("llamacpp", options, "llamacpp: options")
    xllamacpp = library()
    params = xllamacpp.CommonParams()
    params.model.path = str(path)
    params.hostnames = [socket]
    total = options["n_ctx"] * options["n_parallel"]
    for name, value in {**_tuning(path, bool(gpus())), **options, **own, "n_ctx": total}.items():
        _set(params, name, value)
    try:
        server: LlamaServer = xllamacpp.Server(params)
        return server
    except RuntimeError as error:
        raise UserError(
            f"llama.cpp cannot load it: {error}",
            where=str(path),
            remedy="Is it a complete GGUF file? If memory is short, lower n_ctx or n_parallel.",
        ) from None


def library() -> Any:
    """xllamacpp, imported so that its threads sleep while they wait for each other.

    By default they spin. Where anything else wants a core (a browser, a compiler) each step then waits for a
    thread that is not running: measured on 2 cores with one busy neighbour, 1 token/s instead of 44.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    try:
        return import_module("xllamacpp")
    except ImportError as error:
        raise UserError(
            f"llama.cpp cannot be used here: {error}",
            where="engine: llamacpp",
            remedy="libgomp comes with:  apt install libgomp1   (dnf install libgomp)"
            if "libgomp" in str(error)
            else "pip install xllamacpp",
        ) from None


def _set(params: Any, name: str, value: object) -> None:
    if name in _THREADS:
        params, name = getattr(params, _THREADS[name]), "n_threads"
    known = [field for field in dir(params) if not field.startswith("_")]
    if name not in known:
        raise engine_options.unknown(name, [*known, *_THREADS], "llamacpp: options")
    try:
        setattr(params, name, value)
    except (TypeError, ValueError, OverflowError) as error:
        what, where = f"{value!r} will not do: {error}", f"llamacpp: options: {name}"
        raise ConfigError(what, where=where, remedy="Leave it out, for llama.cpp's default.") from None


def existing(name: str) -> Path:
    path = expanded(name, "llamacpp: model")
    if path.is_file():
        return path
    if (meant := wanted(name)) is not None and meant.variant:
        if (found := cached_gguf(name)) is not None:
            return found
        raise UserError("is not on this machine", where=f"llamacpp: model: {name}", remedy=f"pilot pull {name}")
    raise UserError(
        f"there is no file {path}",
        where="llamacpp: model",
        remedy="Give the path of a GGUF file, or a name such as org/name:Q4_K_M,\n"
        f"or {embedded.NAME!r} for the built-in model.",
    )


def _tuning(path: Path, gpu: bool) -> dict[str, int]:
    """How many threads, and how much of a prompt at a time: a batch is how long leaving may take.

    Reading a prompt gains from every core. Making a token of a small model does not: its hundreds of steps
    are shorter than the time that sleeping threads take to meet (95 tokens/s with 1 thread, 50 to 70 with 2).

    Of a small model, with 2 threads, 1,500 tokens of a prompt take 16 s of processor time 16 at a time, 11.7 s 64 at
    a time and 10.8 s 128 at a time; llama.cpp's own 2048 in pieces of 512 take 10.4 s, but other streams wait for all
    of them.
    """
    small, count = path.stat().st_size < SMALL_MODEL_BYTES, cores.usable()
    threads = {"n_threads": 1 if small else count, "n_threads_batch": count}
    batch = 128 if small else 64
    return threads if gpu else {**threads, "n_batch": batch, "n_ubatch": batch}


def gpus() -> list[str]:
    devices = library().get_device_info()
    return [device["description"] for device in devices if "GPU" in str(device["type"])]


__all__ = ["existing", "gpus", "library", "load"]
