"""``pilot bench``: from the command line to the report."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import click
import msgspec

from runtime.bench import report
from runtime.bench.rounds import Plan, Row, measure
from runtime.bench.target import Target, probe, worker
from runtime.errors import ConfigError, UserError


class BenchOptions(msgspec.Struct, frozen=True):
    """The command line."""

    what: str | None  # a URL, a script or nothing
    worker: tuple[str, ...]  # flags for `pilot dev`
    path: str
    method: str | None
    headers: tuple[str, ...]
    body: str | None
    streams: str
    duration: float
    rounds: int
    warm_up: float
    against: tuple[str, ...]
    against_body: str | None
    against_headers: tuple[str, ...]
    pin: bool
    wait: float
    format: str
    out: Path | None

    @property
    def running(self) -> bool:
        return self.what is not None and "://" in self.what


def run(options: BenchOptions) -> int:
    """The exit code: 0, or 130 when it was interrupted, after what was measured has been shown."""
    return asyncio.run(_run(options))


async def _run(options: BenchOptions) -> int:
    plan, rows, targets = _plan(options), dict[tuple[str, int], Row](), list[Target]()
    task = asyncio.ensure_future(_measure(options, plan, targets, rows))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        await task
    except asyncio.CancelledError:
        _log("interrupted")
    _show(options, plan, targets, list(rows.values()))
    return 130 if task.cancelled() else 0


async def _measure(options: BenchOptions, plan: Plan, targets: list[Target], rows: dict[tuple[str, int], Row]) -> None:
    competitors = _competitors(options)
    async with _address(options) as url:
        targets += [_ours(options, url), *competitors]
        for target in targets:
            stream = await probe(target, options.wait)
            _log(f"{target.name}: {target.method} {target.url}{' answers with an event stream' if stream else ''}")
        await measure(targets, plan, rows, _log)


@asynccontextmanager
async def _address(options: BenchOptions) -> AsyncIterator[str]:
    if options.running:
        assert options.what is not None
        yield options.what
        return
    _log("starting the worker ...")
    script = [options.what] if options.what else []
    async with worker([*script, *options.worker], options.wait, _cpus()[0] if options.pin else None) as url:
        yield url


def _ours(options: BenchOptions, url: str) -> Target:
    name = "worker" if not options.running else urlsplit(url).netloc.rpartition("@")[2]
    absolute = urljoin(url, options.path) if options.path else url
    return _target(name, absolute, options.method, options.headers, options.body)


def _competitors(options: BenchOptions) -> list[Target]:
    """``--against URL`` or ``--against NAME=URL``; without a request of its own it is asked the same."""
    body = options.against_body if options.against_body is not None else options.body
    targets = []
    for value in options.against:
        name, url = value.split("=", 1) if "=" in value.partition("://")[0] else ("", value)
        headers = options.against_headers or options.headers
        targets.append(_target(name or urlsplit(url).netloc.rpartition("@")[2], url, options.method, headers, body))
    return targets


def _target(name: str, url: str, method: str | None, headers: tuple[str, ...], body: str | None) -> Target:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError("is not an address", where=url, remedy="Write it like  http://localhost:8000/v1/completions")
    pairs, text = [_header(line) for line in headers], _body(body)
    if text.lstrip()[:1] in ("{", "[") and not any(name.lower() == "content-type" for name, _ in pairs):
        pairs.append(("Content-Type", "application/json"))
    return Target(name, url, (method or ("POST" if text else "GET")).upper(), tuple(pairs), text)


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name.strip() or "\n" in line or "\r" in line:
        raise ConfigError(f"{name!r} is not a header", where="--header", remedy="Write it like  -H 'Name: value'")
    return name.strip(), value.strip()


def _body(value: str | None) -> str:
    if not value or not value.startswith("@"):
        return value or ""
    try:
        return Path(value[1:]).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {value[1:]}: {error}", where="--body", remedy="Name a file:  --body @FILE"
        ) from None


def _plan(options: BenchOptions) -> Plan:
    try:
        streams = tuple(dict.fromkeys(int(part) for part in options.streams.split(",")))
    except ValueError:
        streams = ()
    if not streams or not all(0 < count <= 10_000 for count in streams):
        raise ConfigError(
            f"{options.streams!r} is no list of numbers from 1 to 10000",
            where="--streams",
            remedy="Write it like  --streams 1,16,64",
        )
    return Plan(streams, options.duration, options.rounds, options.warm_up, _cpus()[-1] if options.pin else None)


def _cpus() -> list[int]:
    if not hasattr(os, "sched_getaffinity"):
        raise ConfigError("this system cannot tie a process to a CPU", where="--pin", remedy="Leave it out.")
    return sorted(os.sched_getaffinity(0))


def _show(options: BenchOptions, plan: Plan, targets: list[Target], rows: list[Row]) -> None:
    if not rows:
        return
    if options.format == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(report.document(rows, targets, plan))))
    else:
        from rich.console import Console

        Console(width=None if sys.stdout.isatty() else 400).print(report.table(rows))
        for warning in (warning for row in rows for warning in row.warnings()):
            _log(f"warning: {warning}")
    if options.out is not None:
        try:
            for path in report.write(options.out, rows, targets, plan):
                _log(str(path))
        except OSError as error:
            raise UserError(f"cannot write there: {error}", where="--out", remedy="Name another folder.") from None


def _log(text: str) -> None:
    click.echo(text, err=True)
