"""``python -m bench.cluster``: what replicas cost, and the same paced work through pilot, vLLM's router and
``ray.serve.llm``, in turns. Six minutes on a machine at rest; the results go to ``results/cluster.md``."""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

import uvloop

from bench import load, machine, model, replicas, report, routers
from bench.routers import DIRECT, PILOT, ROUTED, SERVED
from bench.targets import Bound, Cell, Target, table

RESULTS = Path(__file__).parent / "results" / "cluster.md"
TITLES = {
    "routers": f"{routers.REPLICAS} replicas of a model, each stream has a token every {routers.INTERVAL_MS:g} ms",
    "links": f"The way to a replica, both ends, {replicas.STREAMS} streams × {replicas.RATE}/s",
    "more": f"More replicas, 32 streams × {replicas.RATE}/s each",
    "choice": "The choice among eight replicas",
    "chats": f"Simulated chats on four replicas with room for {replicas.CACHE_TOKENS:,} tokens each",
}
_LINK = replicas.LINK_TOKEN


def _beside(what: str, column: str, peer: str, times: float) -> Target:
    return Target(what, Cell("routers", column), Bound(times, Cell("routers", column, peer)))


TARGETS = (
    *(_beside(f"CPU per token, {streams} streams, µs", f"CPU/token at {streams} µs", peer, times)
      for streams in routers.STREAMS for peer, times in ((SERVED, 0.1), (DIRECT, 1), (ROUTED, 1))),
    *(_beside(f"of it in front of the replicas, {streams} streams, µs", f"of it in front at {streams} µs", ROUTED, 1)
      for streams in routers.STREAMS),
    *(_beside(f"first token beyond the model's step, {streams} at once, ms", f"added at {streams} ms", peer, times)
      for streams, _ in routers.FIRSTS for peer, times in ((SERVED, 0.3), (DIRECT, 1), (ROUTED, 1))),
    Target("CPU per token of the way over TLS, µs", Cell("links", _LINK, "TLS"),
           Bound(1.3, Cell("links", _LINK, "socketpair")), Bound(1.15, Cell("links", _LINK, "socketpair"))),
    Target("first token over TLS, ms", Cell("links", replicas.LINK_FIRST, "TLS"),
           Bound(2, Cell("links", replicas.LINK_FIRST, "socketpair"), plus=True),
           Bound(0.5, Cell("links", replicas.LINK_FIRST, "socketpair"), plus=True)),
    Target("choice among 8 replicas, µs", Cell("choice", replicas.CHOICE, replicas.BY_ROOT), Bound(20), Bound(8)),
    *(Target(f"tokens/s of {number} replicas, of linear", Cell("more", "of linear", number), Bound(0.95, least=True))
      for number in ("2", "4")),
    Target("chats of two fronts: tokens found in a cache", Cell("chats", "cached", replicas.TWO_FRONTS),
           Bound(1.4, Cell("chats", "cached", "round robin"), least=True)),
    Target("the same: busiest replica ÷ mean", Cell("chats", "busiest ÷ mean", replicas.TWO_FRONTS), Bound(1.5)),
)  # fmt: skip


def main() -> None:
    options = arguments()
    load.compiled()
    if not (load.CACHE / "model" / "config.json").exists():
        model.make(load.CACHE / "model")
    began, results, before = time.perf_counter(), report.empty(), os.getloadavg()[0]
    if "costs" in options.only:
        costs(results)
    rounds = compared(results, options, began) if "peers" in options.only else 0
    text = written(results, [head(rounds, before), "", versions(results)])
    if options.out:
        Path(options.out).write_text(text)
    print(text)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.cluster", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=("costs", "peers"), default=("costs", "peers"))
    parser.add_argument(
        "--servers", nargs="*", choices=[peer.server.name for peer in routers.PEERS], default=(PILOT, ROUTED, SERVED)
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=float, default=5.5, help="begin no round that would end after these (5.5)")
    parser.add_argument("--out", default=RESULTS)
    return parser.parse_args()


def costs(results: report.Results) -> None:
    """What needs no server."""
    results["choice"][replicas.BY_ROOT] = replicas.choice()
    results["chats"] |= replicas.chats()
    results["links"] |= uvloop.run(replicas.by_link())
    results["more"] |= uvloop.run(replicas.more_of_them())


def compared(results: report.Results, options: argparse.Namespace, began: float) -> int:
    """Rounds back and forth through all that serve; how many."""
    with routers.started(tuple(options.servers), say) as present:
        for number in range(1, options.rounds + 1):
            turn = time.perf_counter()
            for peer, running in present if number % 2 else reversed(present):
                machine.wait_until_idle(8)
                try:
                    results["routers"][peer.server.name].append(routers.measure(peer, running))
                except (load.LoadError, RuntimeError, OSError) as error:
                    say(f"no figure: {peer.server.name}: {error}")
            say(f"round {number} of {options.rounds}: {time.perf_counter() - turn:.0f} s")
            if 2 * time.perf_counter() - turn - began > options.minutes * 60:
                return number
    return options.rounds


def written(results: report.Results, top: list[str]) -> str:
    lines = [
        "# Replicas side by side",
        "",
        *top,
        "",
        "Medians over the rounds; in brackets the lowest and the highest.",
        "",
    ]
    lines += table(results, TARGETS)
    for key, title in TITLES.items():
        if results[key]:
            lines += [f"## {title}", "", *report.rows(results[key]), ""]
    return "\n".join(lines)


def head(rounds: int, load_before: float) -> str:
    pinned = f"servers on CPU {machine.SERVER}, load and EngineCores on CPU {machine.LOAD}"
    busy = f"load average {load_before:.1f} at the start, {os.getloadavg()[0]:.1f} at the end"
    busy += ", all this ahead of it" if machine.is_ahead() else ""
    return f"{time.strftime('%Y-%m-%d')}. {machine.describe()}; {pinned}; {rounds} rounds; {busy}."


def versions(results: report.Results) -> str:
    measured = [peer.server for peer in routers.PEERS if peer.server.name in results["routers"]]
    return ", ".join(f"{server.name} {server.version}" for server in measured)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    machine.ends_tidily()
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted")
