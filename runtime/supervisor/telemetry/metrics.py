"""``GET /__pilot/metrics``: what the supervisor, its products and their engines have counted, for Prometheus.

A path of our own rather than a port: Prometheus reaches it where it reaches the worker. In dev it is open to
whoever reaches this machine's loopback address; anywhere else it wants ``PILOT_API_TOKEN`` as a bearer token,
and where none is set there is no such path.
"""

from __future__ import annotations

import hmac
import ipaddress
import operator
import os
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any
from urllib.parse import urlsplit

from bindings.base import Product, ProductContext, Route
from runtime.metrics import Counter, Histogram
from runtime.supervisor.telemetry.exposition import Collected, choose
from runtime.supervisor.telemetry.together import together
from runtime.web import Request, Response

PATH = "/__pilot/metrics"
DURATION_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))


class Requests:
    """The HTTP requests that this supervisor has answered to their last byte."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, int], list[float]] = {}  # by method and status: a count per bucket, and the sum

    def answered(self, method: str, status: int, seconds: float) -> None:
        row = self._rows.get((method, status)) or self._row(method, status)
        row[bisect_left(DURATION_BUCKETS_S, seconds)] += 1
        row[-1] += seconds

    def rows(self) -> list[list[Any]]:
        """As plain data, for ``with_others``."""
        return [[method, status, row] for (method, status), row in self._rows.items()]

    def with_others(self, others: Iterable[list[list[Any]]]) -> Requests:
        """And those that other supervisors have answered."""
        together = Requests()
        for method, status, row in (*self.rows(), *chain.from_iterable(others)):
            before = together._rows.get((method, status), [0.0] * len(row))
            together._rows[method, status] = list(map(operator.add, before, row))
        return together

    def families(self) -> list[Any]:
        count = Counter("pilot_http_requests", "HTTP requests answered.", "method", "status")
        about = "From a request's head to the last byte of its answer."
        taken = Histogram("pilot_http_request_duration_seconds", about, DURATION_BUCKETS_S, "method")
        for (method, status), row in self._rows.items():
            count.add(method, str(status), by=sum(row[:-1]))
            taken.add(row, method)
        return [count.family(), taken.family()]

    def _row(self, method: str, status: int) -> list[float]:
        """Anyone may invent a method: those have one in common."""
        key = method if method in _METHODS else "other", status
        return self._rows.setdefault(key, [0.0] * (len(DURATION_BUCKETS_S) + 2))


class Metrics:
    """The route. ``token``: what a scraper must bring; None: nothing."""

    def __init__(
        self,
        context: ProductContext,
        products: Sequence[type[Product]],
        requests: Requests,
        token: str | None,
        others: Sequence[list[Any]] = (),
    ) -> None:
        """``others``: families of other supervisors, as ``plain`` gives them."""
        self._others = others
        self._context, self._products, self._requests, self._token = context, products, requests, token

    def routes(self) -> list[Route]:
        return [Route("GET", PATH, self.show)]

    async def show(self, request: Request) -> Response:
        if self._token is not None and not _brings(request, self._token):
            return Response("a bearer token is needed\n", status=401, headers={"www-authenticate": "Bearer"})
        families = [*_process(), *self._requests.families()]
        for product in self._products:
            families += await product.metrics(self._context)
        families = list(together(families, self._others))
        encode, kind = choose(request.headers.get("accept") or "")
        return Response(encode(Collected(families)), headers={"content-type": kind, "cache-control": "no-store"})


def metrics_routes(context: ProductContext, products: Sequence[type[Product]], requests: Requests) -> list[Route]:
    """None where ``is_private`` says no."""
    if not is_private(context):
        return []
    return Metrics(context, products, requests, os.environ.get("PILOT_API_TOKEN") or None).routes()


def is_private(context: ProductContext) -> bool:
    """Whether only who may can ask: not at an address that others can reach, unless a token is set."""
    return bool(os.environ.get("PILOT_API_TOKEN")) or (not context.on_host and _is_loopback(context.url))


def _process() -> Iterable[Any]:
    """This process: memory, processor time, open files."""
    from prometheus_client import ProcessCollector

    return ProcessCollector(registry=None).collect()


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _brings(request: Request, token: str) -> bool:
    scheme, _, credentials = (request.headers.get("authorization") or "").partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(credentials.strip().encode("latin-1"), os.fsencode(token))


__all__ = ["PATH", "Metrics", "Requests", "is_private", "metrics_routes"]
