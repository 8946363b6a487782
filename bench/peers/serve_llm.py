"""``python serve_llm.py MODEL PORT REPLICAS ENGINE``: ray.serve.llm's OpenAI app on a Ray of its own, which keeps its
files here. ENGINE, in JSON, is all that is set of vLLM's. It goes on until it is ended."""

from __future__ import annotations

import json
import os
import signal
import sys

import ray
from ray import serve
from ray.serve.llm import LLMConfig, build_openai_app


def main(model: str, port: str, replicas: str, engine: str) -> None:
    kept = {name: value for name, value in os.environ.items() if name.startswith(("PACED_", "VLLM_", "PYTHONPATH"))}
    ray.init(address="local", num_cpus=16, num_gpus=0, object_store_memory=80 << 20, include_dashboard=False,
             _temp_dir=os.getcwd())  # fmt: skip
    serve.start(http_options={"host": "127.0.0.1", "port": int(port)}, proxy_location="HeadOnly")
    config = LLMConfig(
        model_loading_config={"model_id": "paced", "model_source": model},
        deployment_config={"num_replicas": int(replicas)},
        engine_kwargs=json.loads(engine),
        placement_group_config={"bundles": [{"CPU": 1}]},
        runtime_env={"env_vars": kept},
    )
    serve.run(build_openai_app({"llm_configs": [config]}), blocking=False)
    signal.pause()


if __name__ == "__main__":
    main(*sys.argv[1:])
