"""``python -m bench``: everything side by side in one run. See NOTES.md for what the figures mean."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from itertools import product
from pathlib import Path

from bench import against, load, machine, measures, model, report
from bench.figures import FIGURES, Figure
from bench.measures import Length, Numbers
from bench.running import Running, Server
from runtime.bench.plot import short

RESULTS = Path(__file__).parent / "results"
QUICK_SERVERS = ["pilot", "workerd (JS)", "uvicorn, raw ASGI", "vllm serve"]  # what a quick run starts
DEFAULT_LENGTH = Length(2, 6)


def main() -> None:
    options = arguments()
    load.compiled()
    if not (load.CACHE / "model" / "config.json").exists():
        model.make(load.CACHE / "model")
    chosen = chosen_figures(options)
    present = available(chosen, chosen_servers(options))
    length = chosen_length(options)
    results, began = report.empty(), time.perf_counter()
    count = options.rounds or (1 if options.quick else 3)
    with closing(rounds(count, began + 60 * options.minutes, chosen, present, length, results)) as done:
        for number in done:
            judged = against.table(results, chosen, options.against) if options.against else []
            paths = report.write(Path(options.out), options.name, results, [*head(present, number), *judged])
    log(f"{time.perf_counter() - began:.0f} s; {paths[0]}, {paths[1]}")
    print(paths[0].read_text())


def arguments() -> argparse.Namespace:
    names = sorted({server.name for figure in FIGURES for server in figure.servers})
    parser = argparse.ArgumentParser(prog="make bench ARGS=...", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, help="default 3, with --quick 1")
    parser.add_argument("--minutes", type=float, default=20, help="begin no round that would end after these (20)")
    parser.add_argument("--only", nargs="*", choices=_names(), help="these figures")
    parser.add_argument("--servers", nargs="*", metavar="NAME", help="these alone", choices=names)
    parser.add_argument("--against", metavar="FOLDER", type=_checkout, help="another checkout of this project, "
                        "in turns with this one; no peers, unless --servers names them")  # fmt: skip
    parser.add_argument("--seconds", type=float, help="of every measured window (2)")
    parser.add_argument("--repeats", type=int, help="of what happens once at a time: launches, saves, first tokens (6)")
    parser.add_argument("--soak", type=float, default=60, metavar="SECONDS", help="how long the soak lasts (60)")
    parser.add_argument("--out", default=RESULTS)
    parser.add_argument("--name", default="table")
    return parser.parse_args()


def _checkout(text: str) -> Path:
    try:
        return against.checkout(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _names() -> list[str]:
    """Of figures, and of several of them."""
    return [figure.key for figure in FIGURES] + sorted({figure.group for figure in FIGURES} - {""})


def chosen_figures(options: argparse.Namespace) -> list[Figure]:
    if options.only:
        chosen = [figure for figure in FIGURES if {figure.key, figure.group} & set(options.only)]
    else:
        chosen = [figure for figure in FIGURES if not figure.asked and (figure.quick or not options.quick)]
    return against.beside(chosen, options.against) if options.against else chosen


def chosen_servers(options: argparse.Namespace) -> Callable[[Server], bool]:
    """Whether one takes part. What is judged against another checkout needs no peers."""
    if options.servers:
        twins = {against.twin_name(name, options.against) for name in options.servers} if options.against else set()
        return lambda server: server.name in {*options.servers, *twins}
    if options.against:
        return lambda server: server.is_ours
    if options.quick and not options.only:
        return lambda server: server.name in QUICK_SERVERS
    return lambda server: True


def chosen_length(options: argparse.Namespace) -> Length:
    return Length(options.seconds or DEFAULT_LENGTH.seconds, options.repeats or DEFAULT_LENGTH.repeats, options.soak)


def available(chosen: list[Figure], wanted: Callable[[Server], bool]) -> list[Server]:
    """Every server of the chosen figures that can be started here; the others are named."""
    servers = []
    for server in dict.fromkeys(server for figure in chosen for server in figure.servers):
        if not wanted(server):
            continue
        if server.missing is not None or not server.version:
            log(f"left out: {server.name}, which is not installed ({server.missing or 'no such package'})")
        else:
            servers.append(server)
    return servers


def rounds(
    count: int, end: float, chosen: list[Figure], present: list[Server], length: Length, results: report.Results
) -> Generator[int]:
    """Every server is started once; then each round goes through all figures and, at each, back and forth through the
    servers. What starts its own servers comes first, once: it repeats by itself. No round is begun that would be
    over after ``end``."""
    with load.other_side("source", measures.INTERVAL_MS) as target, ExitStack() as stack:
        for figure, server in product([f for f in chosen if f.alone], present):
            if server in figure.servers:
                take(results, figure, server, lambda f=figure, s=server: f.measure(s, length))
        started = [(server, running) for server in present if (running := start(stack, server, chosen, target))]
        for number in range(1, count + 1):
            log(f"round {number} of {count}")
            began = time.perf_counter()
            for figure in chosen:
                for server, running in started if number % 2 else reversed(started):
                    if server in figure.servers and not figure.alone:
                        take(results, figure, server, lambda f=figure, s=server, r=running: f.measure(s, r, length))
            yield number
            if number < count and 2 * time.perf_counter() - began > end:
                return log(f"no time for round {number + 1}: see --minutes")


def start(stack: ExitStack, server: Server, chosen: list[Figure], target: str) -> Running | None:
    if not any(server in figure.servers and not figure.alone for figure in chosen):
        return None
    try:
        return stack.enter_context(server.run(target=target, interval_ms=measures.INTERVAL_MS))
    except (RuntimeError, load.LoadError, OSError) as error:
        log(f"left out: {server.name}: {error}")
        return None


def take(results: report.Results, figure: Figure, server: Server, measure: Callable[[], Numbers]) -> None:
    if not machine.wait_until_idle():
        log(f"{figure.key}, {server.name}: a server is still busy with what its clients have left")
    try:
        numbers = measure()
    except (load.LoadError, RuntimeError, OSError) as error:
        return log(f"no figure: {server.name}, {figure.key}: {error}")
    results[figure.key][server.name].append(numbers)
    columns = "  ".join(f"{name} {short(value)}" for name, value in numbers.items())
    log(f"{figure.key:12} {server.name:24} {columns}")


def head(present: list[Server], rounds: int) -> list[str]:
    versions = ", ".join(dict.fromkeys(f"{server.name} {server.version}" for server in present))
    pinned = f"server on CPU {machine.SERVER}, load, event source and EngineCore on CPU {machine.LOAD}"
    busy = f"load average {os.getloadavg()[0]:.1f} at the end{', all this ahead of it' if machine.is_ahead() else ''}"
    today = time.strftime("%Y-%m-%d")
    return [f"{today}. {machine.describe()}; {pinned}; {rounds} rounds; {busy}.", "", f"{versions}."]


def log(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    machine.ends_tidily()
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
