"""What a host wants of a cluster, and what it is told: the words that cross between it, its agent and the actors."""

from __future__ import annotations

from typing import Any

import msgspec

from bindings.ai.engine.protocol import EngineSpec


class OfRelease(msgspec.Struct, frozen=True):
    """What every release can read of any other's ``WantedReplica``."""

    version: str


class WantedReplica(msgspec.Struct, frozen=True, kw_only=True):
    """What an actor is made of. ``name``: the same in every front that wants it; ``row``: in ``models.yaml``;
    ``where``: a node's labels; ``version``: of Pilotlight."""

    name: str
    row: str = ""
    spec: EngineSpec
    gpus: float
    where: dict[str, str] = {}
    linger_s: float
    version: str

    @property
    def group(self) -> str:
        """What the replicas of one row have in common in their names."""
        return group_of(self.name)


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """Where a replica listens, on which node; or why it cannot."""

    node: str
    host: str = ""
    port: int = 0
    certificate: str = ""
    token: str = ""
    error: str = ""


def group_of(name: str) -> str:
    """``pilot/HASH/INDEX`` without its index."""
    return name.rpartition("/")[0]


def differences(ours: WantedReplica, theirs: WantedReplica) -> str:
    """``max_model_len: 4096 here, 8192 there; ...``: what keeps two hosts from sharing the replicas of a row."""
    here, there = _facts(ours), _facts(theirs)
    names = [name for name in {**here, **there} if here.get(name) != there.get(name)]
    return "; ".join(f"{name}: {_said(here.get(name))} here, {_said(there.get(name))} there" for name in names)


def _facts(wanted: WantedReplica) -> dict[str, Any]:
    spec = wanted.spec
    own = {"engine": spec.engine, "model": spec.model, "runner": spec.runner, "gpus": wanted.gpus}
    return {**own, "where": wanted.where, "Pilotlight": wanted.version, **spec.options}


def _said(value: object) -> str:
    return "nothing" if value is None else msgspec.json.encode(value).decode()


__all__ = ["Address", "OfRelease", "WantedReplica", "differences", "group_of"]
