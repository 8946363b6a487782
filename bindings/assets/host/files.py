"""The files of a deployed version: a list that never changes, and contents by their hash."""

from __future__ import annotations

from bindings.assets.files import Asset, Contents, Rules, read
from bindings.assets.host.store import AssetStore, SiteFiles
from bindings.storage.file_body import FileBody


class ManifestFiles:
    """``files``: path → (SHA-256, bytes)."""

    def __init__(self, files: SiteFiles, rules: Rules, store: AssetStore, contents: Contents) -> None:
        self._files, self._rules, self._store, self._contents = files, rules, store, contents
        self._assets: dict[str, Asset] = {}

    def rules(self) -> Rules:
        return self._rules

    def exists(self, path: str) -> bool:
        return path in self._files

    async def open(self, path: str) -> tuple[Asset, bytes | FileBody] | None:
        digest, size = self._files[path]
        asset = self._assets.get(path)
        if asset is None:
            asset = self._assets[path] = Asset.of(path, digest[:32], size)
        content = self._contents.get(digest)
        if content is not None:
            return asset, content
        body = read(self._store.file(digest), size)
        if isinstance(body, bytes):
            self._contents.keep(digest, body)
        return asset, body


__all__ = ["ManifestFiles"]
