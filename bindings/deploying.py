"""What of a product goes to a host with a worker, how it comes back there, and what of it is other on Cloudflare: one
half of ``Product``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

if TYPE_CHECKING:
    from runtime.config import Config

Sent = Callable[[int, int], None]  # (bytes so far, bytes in all)


# Fields that many tables have and that do nothing here:
IDLE_FIELDS: Mapping[str, str] = {
    "remote": "everything is kept on this machine: true is refused",
    "jurisdiction": "everything is kept on this machine",
    "preview_id": "there is one resource, that of the id",
    "preview_database_id": "there is one database, that of the id",
    "preview_bucket_name": "there is one bucket, that of the name",
    "staging": "there is no other AI",
}


class Text(NamedTuple):
    """A text that stands in the worker's code, and where: ``entry.py, line 3``."""

    value: str
    where: str


class Apart(NamedTuple):
    """What would not be so on Cloudflare. ``stops``: the worker would not work there."""

    where: str
    what: str
    remedy: str = ""
    stops: bool = True


class HostApi(Protocol):
    """A host's deploy API, as ``pilot deploy`` has it."""

    def with_token(self, token: str) -> HostApi:
        """With another token than the person's own."""

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        form: tuple[bytes, str] | None = None,
        sent: Sent | None = None,
    ) -> Any:
        """The result of one call below ``accounts/host/workers``, or with a slash in front below ``accounts/host``.
        Raises UserError with what the host says."""


class WorkerRegistry(Protocol):
    """What a host keeps of its workers besides their versions. Its calls block for as long as the disk takes."""

    def workers(self) -> Sequence[str]:
        """Their names."""

    def settings(self, worker: str) -> dict[str, Any] | None:
        """None: there is no such worker."""

    def change(self, worker: str, **settings: Any) -> None:
        """Change these of its settings; they go when it is deleted."""


class Shipment(Protocol):
    """What goes to a host ahead of the upload."""

    @property
    def lines(self) -> Sequence[str]:
        """What ``pilot deploy`` says of it, with ``--dry-run`` too."""

    def send(self, host: HostApi, worker: str, tell: Callable[[str], None], sent: Sent) -> Mapping[str, object]:
        """What stands in the upload's metadata for it. Raises UserError."""


class Deploying:
    idle: ClassVar[Mapping[str, str]] = {}  # fields of its table that do nothing here, besides those above → why

    @classmethod
    def apart(cls, config: Config, texts: Sequence[Text]) -> Iterator[Apart]:
        """What of this configuration, and of the texts in its code, is other on Cloudflare."""
        return iter(())

    types: ClassVar[tuple[str, ...]] = ()  # of Cloudflare's upload API, that ``restore`` reads

    @classmethod
    def upload(cls, config: Config) -> Sequence[Mapping[str, Any]]:
        """Its bindings as Cloudflare's upload API has them: ``{"name", "type", ...}``."""
        return ()

    @classmethod
    def metadata(cls, config: Config) -> Mapping[str, object]:
        """What it has in an upload's metadata besides bindings."""
        return {}

    @classmethod
    def shipment(cls, config: Config) -> Shipment | None:
        """What ``pilot deploy`` sends besides the worker's files. Raises UserError."""
        return None

    @classmethod
    def follow_up(cls, config: Config, host: HostApi) -> None:
        """What ``pilot deploy`` asks the host for once the worker's new version answers. Raises UserError."""

    @classmethod
    def restore(cls, uploaded: Sequence[Mapping[str, Any]]) -> object:
        """The table that those bindings of its ``types`` come from. Raises ``RequestError``."""
        raise NotImplementedError

    @classmethod
    def table(cls, uploaded: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]) -> object | None:
        """The same with what ``received`` has kept; None: the worker does not use the product."""
        return cls.restore(uploaded) if uploaded else None


__all__ = ["IDLE_FIELDS", "Apart", "Deploying", "HostApi", "Sent", "Shipment", "Text", "WorkerRegistry"]
