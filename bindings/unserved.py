"""What Wrangler can put into ``env`` and is not served here: a worker that asks for it is told so, by name.

The worker starts all the same: a warning names the binding and what to do instead, and so does an exception once it is
used. A host refuses an upload that has one. Facts: Wrangler's ``config-schema.json``. Whoever builds one of these takes
its row away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from bindings.base import names_in


class Bound(msgspec.Struct):
    binding: str


class Named(msgspec.Struct):
    name: str


class Bindings(msgspec.Struct):
    bindings: list[Named] = []


class Unserved(NamedTuple):
    """The shape of the key's table, as far as names in ``env`` are in it, and what people call the product."""

    shape: object  # for msgspec
    label: str
    type: str = ""  # of a binding in an upload, where something else can be done instead

    @property
    def said(self) -> str:
        why = "not available here yet" if not self.type else f"not served here: {_INSTEAD[self.type]}"
        return f"is {self.label}, which is {why}"


_SEARCH = "env.AI and Vectorize search your documents, as workers/rag does"
_INSTEAD = {  # of what stays out, by the type of an upload's binding
    "agent_memory": "keep it in D1, and search it with Vectorize",
    "ai_search": _SEARCH,
    "ai_search_namespace": _SEARCH,
    "browser": "run a browser as a service of yours, such as Playwright's, and fetch that",
    "dispatch_namespace": "name the other worker as a service binding, or fetch its address",
    "media": "run ffmpeg as a service of yours, and fetch that",
    "mtls_certificate": "let a proxy of yours show the certificate, and fetch the proxy",
    "pipelines": "write to R2, D1 or Analytics Engine",
    "stream": "keep the files in R2, and answer ranges of them",
    "vpc_network": "fetch the address itself",
    "vpc_service": "fetch the address itself",
}

UNSERVED: dict[str, Unserved] = {
    "agent_memory": Unserved(list[Bound], "Agent Memory", "agent_memory"),
    "ai_search": Unserved(list[Bound], "AI Search", "ai_search"),
    "ai_search_namespaces": Unserved(list[Bound], "AI Search namespaces", "ai_search_namespace"),
    "analytics": Unserved(Bound, "Analytics"),
    "artifacts": Unserved(list[Bound], "Artifacts"),
    "browser": Unserved(Bound, "Browser Rendering", "browser"),
    "dispatch_namespaces": Unserved(list[Bound], "Workers for Platforms", "dispatch_namespace"),
    "flagship": Unserved(list[Bound], "Flagship"),
    "k2": Unserved(list[Bound], "K2"),
    "media": Unserved(Bound, "Media Transformations", "media"),
    "mtls_certificates": Unserved(list[Bound], "mTLS certificates", "mtls_certificate"),
    "pipelines": Unserved(list[Bound], "Pipelines", "pipelines"),
    "stream": Unserved(Bound, "Stream", "stream"),
    "unsafe": Unserved(Bindings, "Unsafe bindings"),
    "unsafe_hello_world": Unserved(list[Bound], "Hello World"),
    "vpc_networks": Unserved(list[Bound], "VPC networks", "vpc_network"),
    "vpc_services": Unserved(list[Bound], "VPC services", "vpc_service"),
}


def unserved(settings: Mapping[str, Any]) -> Iterator[tuple[str, str, Unserved]]:
    """(key, name in ``env``, what it is) of every binding that these settings ask for in vain."""
    for key, what in UNSERVED.items():
        yield from ((key, name, what) for name in names_in(settings.get(key)))


def said_of(type: str) -> str:
    """What to do instead of a binding of this type, for whoever uploads one."""
    return f": {_INSTEAD[type]}" if type in _INSTEAD else ""


class UnservedBinding(msgspec.Struct):
    """The host's half."""

    name: str
    what: Unserved
    client: str = "bindings.refusing:Refusing"
    client_args: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        self.client_args = {"text": f"env.{self.name} {self.what.said}"}

    def describe(self) -> tuple[str, str]:
        return self.what.label, "not served here"

    async def call(self, method: str, args: Sequence[Any]) -> object:
        raise NotImplementedError  # nothing calls it


__all__ = ["UNSERVED", "Unserved", "UnservedBinding", "said_of", "unserved"]
