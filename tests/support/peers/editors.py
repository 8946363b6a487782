"""An editor's debugger: the Debug Adapter Protocol, as VS Code speaks it to debugpy.

Of each process that the adapter tells of (``debugpyAttach``) it opens a session of its own, with the same breakpoints.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any


class Session:
    """One process's."""

    def __init__(self, editor: Editor, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._editor, self._reader, self._writer = editor, reader, writer
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._initialized = asyncio.Event()
        self._task = asyncio.create_task(self._read())

    async def attach(self, options: dict[str, Any]) -> None:
        await self.ask("initialize", adapterID="debugpy", clientID="test", pathFormat="path", linesStartAt1=True)
        attached = self.ask("attach", **options)
        await self._initialized.wait()
        for path, lines in self._editor.breakpoints.items():
            await self.set_breakpoints(path, lines)
        await self.ask("configurationDone")
        await attached

    async def set_breakpoints(self, path: Path, lines: list[int]) -> None:
        wanted = [{"line": line} for line in lines]
        await self.ask("setBreakpoints", source={"path": str(path)}, breakpoints=wanted)

    def ask(self, command: str, **arguments: Any) -> asyncio.Future[Any]:
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        body = {"seq": number, "type": "request", "command": command, "arguments": arguments}
        data = json.dumps(body).encode()
        self._writer.write(b"Content-Length: %d\r\n\r\n%s" % (len(data), data))
        return answer

    def close(self) -> None:
        self._task.cancel()
        self._writer.close()

    async def _read(self) -> None:
        while head := await self._reader.readline():
            await self._reader.readline()
            message = json.loads(await self._reader.readexactly(int(head.partition(b":")[2])))
            if message["type"] == "response" and (answer := self._answers.pop(message["request_seq"], None)):
                if message["success"]:
                    answer.set_result(message.get("body", {}))
                else:
                    answer.set_exception(RuntimeError(message.get("message", "")))
            elif message["type"] == "event":
                await self._happened(message["event"], message.get("body", {}))

    async def _happened(self, event: str, body: dict[str, Any]) -> None:
        if event == "initialized":
            self._initialized.set()
        elif event == "stopped":
            self._editor.stops.put_nowait((self, body))
        elif event == "debugpyAttach":
            self._editor.join(body)


class Editor:
    """``breakpoints``: lines of each file. ``stops``: where something stands still."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.breakpoints: dict[Path, list[int]] = {}
        self.stops: asyncio.Queue[tuple[Session, dict[str, Any]]] = asyncio.Queue()
        self.sessions: list[Session] = []
        self._joining: set[asyncio.Task[None]] = set()

    def join(self, options: dict[str, Any]) -> None:
        task = asyncio.create_task(self.attach(options))
        self._joining.add(task)
        task.add_done_callback(self._joining.discard)

    async def attach(self, options: dict[str, Any]) -> None:
        session = Session(self, *await asyncio.open_connection("127.0.0.1", self._port))
        self.sessions.append(session)
        await session.attach(options)

    async def stopped(self, within: float = 60.0) -> tuple[Session, int, dict[str, str]]:
        """Whose, its thread, and the local variables where that stands. debugpy may tell of a stop twice: what has gone
        on since is passed over."""
        async with asyncio.timeout(within):
            while True:
                session, body = await self.stops.get()
                with suppress(RuntimeError):
                    return session, body["threadId"], await _variables(session, body["threadId"])


async def _variables(session: Session, thread: int) -> dict[str, str]:
    """Raises RuntimeError: it stands still no more."""
    stack = await session.ask("stackTrace", threadId=thread)
    scopes = await session.ask("scopes", frameId=stack["stackFrames"][0]["id"])
    values = await session.ask("variables", variablesReference=scopes["scopes"][0]["variablesReference"])
    return {one["name"]: one["value"] for one in values["variables"]}


@asynccontextmanager
async def editor(port: int, breakpoints: dict[Path, list[int]]) -> AsyncIterator[Editor]:
    """Attached as the launch.json of the docs says, and to all that there was by then."""
    opened = Editor(port)
    opened.breakpoints = breakpoints
    try:
        async with asyncio.timeout(60):
            await opened.attach({"connect": {"host": "127.0.0.1", "port": port}, "justMyCode": True})
            while len(opened.sessions) < 2 or opened._joining:
                await asyncio.sleep(0.05)
        yield opened
    finally:
        for session in opened.sessions:
            session.close()
