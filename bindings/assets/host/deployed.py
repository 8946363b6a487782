"""The assets of a host's versions: how they come with an upload, and what is served of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from bindings.assets import first
from bindings.assets.files import Contents, Rules
from bindings.assets.host.files import ManifestFiles
from bindings.assets.host.store import AssetStore
from bindings.assets.host.token import Tokens
from bindings.assets.places import KEY
from bindings.assets.rules.headers import HeaderRules
from bindings.assets.rules.redirects import RedirectRules
from bindings.assets.settings import HTML_HANDLING, NOT_FOUND_HANDLING, DeployedAssets, base_of
from bindings.base import ProductContext, Route
from runtime.errors import RequestError

_SETTINGS = {  # of the upload → ours; nothing else of it counts
    "html_handling": "html_handling",
    "not_found_handling": "not_found_handling",
    "run_worker_first": "run_worker_first",
    "base_path": "base_path",
    "_headers": "headers",
    "_redirects": "redirects",
}


class Deployed:
    """``root``: where a host keeps them."""

    def __init__(self, root: Path, contents: Contents) -> None:
        self._store, self._tokens, self._contents = AssetStore(root), Tokens(root / "key"), contents

    def routes(self, context: ProductContext) -> Sequence[Route]:
        from bindings.assets.host.routes import UploadRoutes  # of a host alone

        return UploadRoutes(context, self._store, self._tokens).routes()

    def received(self, worker: str, metadata: Mapping[str, Any], before: Mapping[str, Any]) -> Mapping[str, object]:
        """``{"assets": {"manifest", "config"}}``: those of this upload, or of the version before with ``keep_assets``.
        Raises RequestError."""
        given = metadata.get(KEY)
        if given is None:
            kept = before.get(KEY) if metadata.get("keep_assets") else None
            return {KEY: kept} if kept else {}
        if not isinstance(given, Mapping) or not isinstance(given.get("config") or {}, Mapping):
            raise RequestError(400, "the metadata's 'assets' is not an object, or its 'config' is none")
        site = self._tokens.site(worker, given.get("jwt"))
        config = {ours: value for name, ours in _SETTINGS.items() if (value := (given.get("config") or {}).get(name))}
        _check(config)
        return {KEY: {"manifest": site, "config": config}}

    def files(self, table: DeployedAssets, worker: str, warn: Callable[[str], None]) -> ManifestFiles:
        """Raises UserError."""

        def warner(name: str) -> Callable[[int, str], None]:
            return lambda line, what: warn(f"{worker}: {name}, line {line}: {what}")

        headers = HeaderRules(table.headers, warner("_headers"))
        redirects = RedirectRules(table.redirects, warner("_redirects"), table.html_handling)
        site = self._store.site(table.manifest)
        return ManifestFiles(site, Rules(headers, redirects), self._store, self._contents)

    def sweep(self, kept: Sequence[Mapping[str, Any]]) -> None:
        self._store.sweep({metadata[KEY]["manifest"] for metadata in kept if metadata.get(KEY)})


def table_of(uploaded: Sequence[Mapping[str, Any]], metadata: Mapping[str, Any]) -> object | None:
    """``[assets]`` of a version, from its bindings and what ``received`` kept. Raises RequestError."""
    kept = metadata.get(KEY)
    if kept:
        binding = {"binding": uploaded[-1]["name"]} if uploaded else {}
        return {**kept["config"], **binding, "manifest": kept["manifest"]}
    if uploaded:
        raise RequestError(400, f"the binding {uploaded[-1]['name']!r} needs assets, and there are none")
    return None


def _check(config: Mapping[str, object]) -> None:
    """Raises RequestError."""
    try:
        table = msgspec.convert(config, DeployedAssets)
    except msgspec.ValidationError as error:
        raise RequestError(400, f"the configuration of the assets: {error}") from None
    rules = table.run_worker_first
    problem = first.problem(rules) if isinstance(rules, list) else None
    if table.html_handling not in HTML_HANDLING or table.not_found_handling not in NOT_FOUND_HANDLING:
        problem = "html_handling or not_found_handling has none of its values"
    if base_of(table.base_path) is None:
        problem = "base_path is not the path of a folder"
    if problem:
        raise RequestError(400, f"the configuration of the assets: {problem}")


__all__ = ["Deployed", "table_of"]
