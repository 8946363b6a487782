"""A Ray cluster on this machine, in a process of its own: ``python ray_cluster.py GPUS LABELS GPUS LABELS ...``, a head
and a node for each pair. It answers every line of its input, ``[method, arguments, named ones]`` in JSON, with a line.

A killed head ends its driver, so no test may be one.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from typing import Any

import psutil
import ray
from ray.cluster_utils import Cluster

COMMON = {"node_ip_address": "127.0.0.1", "object_store_memory": 80 << 20, "num_cpus": 0}
HEAD = {**COMMON, "include_dashboard": False, "include_log_monitor": False, "no_monitor": True}


class Nodes:
    def __init__(self, nodes: list[str]) -> None:
        self.cluster = Cluster(initialize_head=True, head_node_args=HEAD)
        self.nodes: list[Any] = []
        for gpus, labels in zip(nodes[::2], nodes[1::2], strict=True):
            self.add(int(gpus), labels)

    def add(self, gpus: int, labels: str, address: str = "127.0.0.1", **environment: str) -> int:
        """Its number. ``environment``: of what runs there, beside this one."""
        own = {**COMMON, "node_ip_address": address, "env_vars": environment}
        self.nodes.append(self.cluster.add_node(**own, num_gpus=gpus, labels=json.loads(labels), wait=True))
        return len(self.nodes) - 1

    def address(self) -> str:
        return str(self.cluster.address)

    def kill_node(self, number: int) -> None:
        """Its raylet, as when a machine is lost; the workers end with it."""
        self.nodes[number].kill_raylet()

    def freeze_node(self, pid: int) -> None:
        """All that this raylet runs, as when a machine hangs or its cable is cut."""
        raylet = psutil.Process(pid)
        self.frozen = [raylet, *raylet.children(recursive=True)]
        for process in self.frozen:
            process.suspend()

    def end_frozen(self) -> None:
        for process in self.frozen:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    def kill_head(self) -> None:
        self.cluster.head_node.kill_gcs_server(check_alive=False)

    def begin_head(self) -> None:
        """Again, with what it has kept."""
        self.cluster.head_node.start_gcs_server()


def main() -> None:
    nodes = Nodes(sys.argv[1:])
    print(json.dumps(nodes.address()), flush=True)
    for line in sys.stdin:
        method, args, named = json.loads(line)
        print(json.dumps(getattr(nodes, method)(*args, **named)), flush=True)
    try:
        nodes.cluster.shutdown()
    finally:
        ray.shutdown()
        os.killpg(0, signal.SIGKILL)  # Ray's agents outlive their raylets for half a minute


if __name__ == "__main__":
    main()
