"""``python routed.py ROUTER PORT SERVE ...``: two ``vllm serve`` (SERVE is its command but for the port) and, once both
serve, vLLM's router before them. All end with this process."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import ExitStack, suppress

PATIENCE_S = 240


def main(router: str, port: str, *serve: str) -> None:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with ExitStack() as stack:
        ports = [free_port() for _ in range(2)]
        for each in ports:
            begin(stack, *serve, "--port", str(each))
        urls = [f"http://127.0.0.1:{each}" for each in ports]
        for url in urls:
            until_serving(f"{url}/health")
        begin(stack, router, "--host", "127.0.0.1", "--port", port, "--prometheus-port", str(free_port()),
              "--worker-urls", *urls, "--log-level", "warning").wait()  # fmt: skip


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def begin(stack: ExitStack, *command: str) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command)
    stack.callback(process.terminate)
    return process


def until_serving(url: str) -> None:
    for _ in range(PATIENCE_S * 2):
        with suppress(OSError), urllib.request.urlopen(url, timeout=5):
            return
        time.sleep(0.5)
    sys.exit(f"nothing answers at {url}")


if __name__ == "__main__":
    main(*sys.argv[1:])
