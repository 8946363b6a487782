"""``--log-format json``: one JSON object per line on stdout, for machines."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from runtime.controls import clean_json
from runtime.errors import ScriptError
from runtime.supervisor.observe.base import Banner, Level, Observer, RequestRecord
from runtime.supervisor.observe.output import Output
from runtime.supervisor.observe.throttle import Throttle


class JsonObserver(Observer):
    """Every line has ``time`` (UTC, ISO 8601), ``level`` and ``event``; absent values are left out."""

    def __init__(self, level: str) -> None:
        super().__init__(level)
        self._output = Output(sys.stdout, self._lost)
        self._encode = msgspec.json.Encoder(enc_hook=str).encode
        self._throttle = Throttle(step=0.1, every_s=1.0)

    def emit(self, level: Level, event: str, *, always: bool = False, **fields: object) -> None:
        if not always and not self.shows(level):
            return
        self._output.write(self._line(level, event, fields))

    def _line(self, level: Level, event: str, fields: dict[str, Any]) -> str:
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": level, "event": event}
        line.update((key, value) for key, value in fields.items() if value is not None)
        return self._text(line) + "\n"

    def _text(self, line: dict[str, Any]) -> str:
        try:
            return clean_json(self._encode(line).decode())
        except UnicodeEncodeError:  # lone surrogates, from a file name or a worker's print
            import json

            return json.dumps(line, default=str)

    def _lost(self, count: int) -> str:
        return self._line("warning", "lost", {"lines": count, "text": "nobody was reading"})

    def banner(self, banner: Banner) -> None:
        others = list(map(_about, banner.others)) or None
        about = _about(banner)
        self.emit("info", "banner", version=banner.version, **about, engines=list(banner.remarks), others=others)
        for warning in [warning for one in (banner, *banner.others) for warning in one.warnings]:
            self.warn(warning)

    def ready(self, url: str, *, keys: bool = False) -> None:
        self.emit("info", "ready", always=True, url=url)

    def tell(self, *lines: str) -> None:
        self.emit("info", "told", always=True, text="\n".join(lines))

    def clear(self) -> None:
        """Nobody looks at a screen."""

    def request(self, request: RequestRecord) -> None:
        fields = {**msgspec.structs.asdict(request), "ms": round(request.ms, 3)}
        self.emit(self.level_of(request.status, request.note), "request", **fields)

    def debug(self, text: str) -> None:
        self.emit("debug", "note", text=text)

    def note(self, text: str) -> None:
        self.emit("info", "note", text=text)

    def warn(self, text: str) -> None:
        self.emit("warning", "warning", text=text)

    def error(self, text: str, worker: str | None = None) -> None:
        self.emit("error", "error", text=text, worker=worker)

    def script_error(self, err: ScriptError, worker: str | None = None) -> None:
        self.emit(
            "error", "script_error", where=err.where, what=err.what, remedy=err.remedy, trace=err.trace, worker=worker
        )

    def fault(self, exc: BaseException, request_id: str | None = None) -> None:
        trace = "".join(traceback.format_exception(exc))
        self.emit("error", "fault", error=f"{type(exc).__name__}: {exc}", trace=trace, request_id=request_id)

    def worker_output(self, name: str, stream: Literal["stdout", "stderr"], line: str) -> None:
        self.emit("info", "output", always=True, worker=name, stream=stream, text=line)

    def importing(self, worker: str, script: str, seconds: float, what: str, url: str | None = None) -> None:
        self.emit("info", "importing", worker=worker, script=script, seconds=seconds, what=what or None, url=url)

    def blocked(self, worker: str, seconds: float, waiting: Sequence[str], where: str, trace: str) -> None:
        self.emit(
            "warning",
            "blocked",
            worker=worker,
            seconds=seconds,
            waiting=list(waiting),
            where=where or None,
            trace=trace or None,
        )

    def reloaded(self, version: int, ms: float, files: Sequence[str]) -> None:
        self.emit("info", "reloaded", version=version, ms=round(ms, 3), files=list(files))

    def progress(self, key: str, stage: str, fraction: float | None, detail: str = "") -> None:
        if self._throttle.passes(key, stage, fraction):
            self.emit("info", "progress", key=key, stage=stage, fraction=fraction, detail=detail)

    def progress_done(self, key: str, text: str) -> None:
        self._throttle.forget(key)
        self.emit("info", "progress_done", key=key, text=text)

    def stopping(self, reason: str, waiting: Sequence[str] = (), seconds: float = 0) -> None:
        self.emit("info", "stopping", reason=reason, waiting=list(waiting), seconds=seconds)

    def close(self) -> None:
        self._output.close()


def _about(banner: Banner) -> dict[str, Any]:
    bindings = [dict(zip(("name", "what", "where"), binding, strict=True)) for binding in banner.bindings]
    return {"url": banner.url, "name": banner.name, "config": banner.config_path, "bindings": bindings}
