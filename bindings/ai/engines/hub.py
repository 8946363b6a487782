"""Is a Hugging Face model to be had? Asked before the libraries are, which retry for minutes.

Call ``check_available`` before anything imports ``huggingface_hub``: it reads its environment once.
"""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.request
from importlib import import_module
from pathlib import Path
from typing import Any

from runtime.errors import UserError
from runtime.places import expanded

PATIENCE_S = 5.0  # seconds for the hub to answer at all


def check_available(model: str) -> None:
    """Raise UserError unless ``model`` (a folder, a file or a repo id) is on disk or can be fetched.

    An unreachable hub counts as offline from here on: what is in the cache is used without asking for news.
    Blocks for at most a few seconds; call it in a thread.
    """
    if "://" in model or os.environ.get("VLLM_USE_MODELSCOPE", "").lower() in ("1", "true"):
        return
    if _is_path(model):
        return _check_path(expanded(model, "vllm: model"))
    if not _offline() and _reachable(model):
        return
    os.environ["HF_HUB_OFFLINE"] = "1"
    if not _cached(model):
        raise UserError(
            "the model is not on this machine and the Hugging Face hub cannot be reached",
            where=model,
            remedy=f"Where there is a network:  pilot pull {model}\n"
            "or name a folder that holds it in models.yaml:  model: /path/to/the/model",
        )


def _is_path(model: str) -> bool:
    return model.startswith(("/", "./", "../", "~")) or Path(model).exists()


def _check_path(path: Path) -> None:
    if not path.exists():
        raise UserError(
            f"there is no file or folder {path}",
            where="vllm: model",
            remedy="Give the folder of a model, or a Hugging Face repo id such as org/name.",
        )
    if path.is_dir() and not any((path / name).exists() for name in ("config.json", "params.json")):
        raise UserError(
            f"{path} holds no model: config.json is missing",
            where="vllm: model",
            remedy="Give the folder that holds it, or the repo id itself.",
        )


def _offline() -> bool:
    return any(
        os.environ.get(name, "").lower() in ("1", "true", "yes", "on")
        for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")
    )


def _reachable(model: str) -> bool:
    """Any answer will do, "no" included: the library says it better. Honours proxies and SSL_CERT_FILE."""
    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    try:
        with urllib.request.urlopen(f"{hub}/api/models/{model}", timeout=PATIENCE_S):
            return True
    except urllib.error.HTTPError as error:
        error.close()
        return error.code < 500 and error.code != 407  # a proxy that refuses is no hub
    except (OSError, ValueError, http.client.HTTPException):
        return False


def _cached(model: str) -> bool:
    hub: Any = import_module("huggingface_hub")
    try:
        return isinstance(hub.try_to_load_from_cache(model, "config.json"), str)
    except ValueError:  # not a repo id at all
        return False


__all__ = ["check_available"]
