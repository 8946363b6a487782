"""models/search: what REST, ``env.AI.models`` and the binding's proxy route answer from.

Facts: docs/reference/catalog.md#search.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec

from bindings.ai.catalog import items as catalog_items
from bindings.ai.catalog.models import Model
from bindings.ai.catalog.resolve import Catalog
from bindings.ai.errors import bad_input

Positive = Annotated[int, msgspec.Meta(ge=1)]
MAX_PER_PAGE = 1000  # upstream's own default is not documented, and here everything fits on one


class CatalogQuery(msgspec.Struct, frozen=True):
    """The filters; those that are not given let everything pass."""

    author: str | None = None
    hide_experimental: bool = False
    include_deprecated: bool = False
    page: Positive = 1
    per_page: Positive = MAX_PER_PAGE
    search: str | None = None
    source: float | None = None
    task: str | None = None
    format: Literal["openrouter"] | None = None

    def allows(self, model: Model, *, own: bool) -> bool:
        """A model past upstream's date is left out unless asked for; but not one the project itself names."""
        return (
            (self.author is None or self.author.lower() == catalog_items.author(model).lower())
            and (self.task is None or self.task.lower() == model.task.lower())
            and (self.source is None or self.source == catalog_items.source(model))
            and (self.search is None or self.search.lower() in f"{model.id}\n{model.description}".lower())
            and not (self.hide_experimental and model.beta)
            and (self.include_deprecated or own or not catalog_items.is_deprecated(model))
        )


class CatalogPage(msgspec.Struct, frozen=True):
    """One page of the answer, and its ``result_info``. A page past the last one is empty: clients ask until it is."""

    items: list[catalog_items.Item]
    info: dict[str, int]
    format: str | None


def search_models(catalog: Catalog, params: Mapping[str, Any]) -> CatalogPage:
    """``params``: the query's parameters, as strings or as what they mean. Raises ModelError 5006."""
    query = _query(params)
    own = {model.id for model in catalog.own}
    matching = [model for model in catalog.models() if query.allows(model, own=model.id in own)]
    size = min(query.per_page, MAX_PER_PAGE)
    shown = matching[(query.page - 1) * size : query.page * size]
    as_item = catalog_items.openrouter if query.format else catalog_items.item
    info = {
        "count": len(shown),
        "page": query.page,
        "per_page": size,
        "total_count": len(matching),
        "total_pages": -(-len(matching) // size),
    }
    return CatalogPage([as_item(model) for model in shown], info, query.format)


def authors(catalog: Catalog) -> list[catalog_items.Item]:
    names = dict.fromkeys(catalog_items.author(model) for model in catalog.models())
    return [catalog_items.author_item(name) for name in sorted(names) if name]


def tasks(catalog: Catalog) -> list[catalog_items.Item]:
    names = dict.fromkeys([*catalog_items.TASKS, *(model.task for model in catalog.models())])
    return [catalog_items.task(name) for name in names]


def _query(params: Mapping[str, Any]) -> CatalogQuery:
    """Empty means absent, and keys nobody knows are let pass, as clients rely on."""
    known = {key: value for key, value in params.items() if value not in ("", None)}
    try:
        return msgspec.convert(known, CatalogQuery, strict=False)
    except msgspec.ValidationError as error:
        raise bad_input(f"query: {error}") from None


__all__ = ["CatalogPage", "authors", "search_models", "tasks"]
