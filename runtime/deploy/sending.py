"""A worker on its way: collected once, sent to one host or to several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click
import msgspec

from bindings.deploying import Shipment
from runtime.config import Config
from runtime.deploy import show, tree
from runtime.deploy.api import Host
from runtime.web.blobs import File
from runtime.web.forms import FormData, encode


class Parcel(msgspec.Struct, frozen=True):
    """``files`` by path, ``metadata`` as Cloudflare's API takes it, and what goes ahead of them."""

    config: Config
    files: Mapping[str, bytes]
    metadata: Mapping[str, Any]
    shipments: Sequence[Shipment]

    def send(self, target: Host) -> str:
        """Which code the host has then. Raises UserError."""
        read, result = self.config, self._deploy(target)
        origins = [{"hostname": domain} for domain in read.domains]
        target.call("PUT", f"scripts/{read.name}/domains/records", {"origins": origins})
        tree.follow_up(read, target)
        show.deployed(read.name, result, [*map(target.at, read.domains), f"{target.url}/_w/{read.name}/"])
        self._name_missing_secrets(target)
        return f"{read.name} with the code {result['etag'][:12]}"

    def _deploy(self, target: Host) -> Mapping[str, Any]:
        metadata = dict(self.metadata)
        for shipment in self.shipments:
            with show.progress(self.config.name) as on_sent:
                metadata |= shipment.send(target, self.config.name, click.echo, on_sent)
        form = FormData({"metadata": tree.encoded(metadata).decode()})
        for name, content in self.files.items():
            form.append(name, File([content], name, type=_type(name)))
        with show.progress(self.config.name) as on_sent:
            result: Mapping[str, Any] = target.call(
                "PUT", f"scripts/{self.config.name}", form=encode(form), sent=on_sent
            )
        return result

    def _name_missing_secrets(self, target: Host) -> None:
        wanted = set(self.config.secrets)
        if wanted and (missing := wanted - {row["name"] for row in self._secrets(target)}):
            click.echo(f"  not sent: the secrets {', '.join(sorted(missing))}.  pilot secret put NAME")

    def _secrets(self, target: Host) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = target.call("GET", f"scripts/{self.config.name}/secrets")
        return rows


def _type(name: str) -> str:
    return "text/x-python" if name.endswith(".py") else "application/octet-stream"


__all__ = ["Parcel"]
