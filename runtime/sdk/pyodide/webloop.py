"""Pyodide's event loop is asyncio's here; its futures have a promise's methods as well."""

from __future__ import annotations

import asyncio

from runtime.isolate.calls.promised import PyodideFuture

PyodideTask = asyncio.Task
WebLoop = asyncio.AbstractEventLoop
WebLoopPolicy = asyncio.AbstractEventLoopPolicy

__all__ = ["PyodideFuture", "PyodideTask", "WebLoop", "WebLoopPolicy"]
