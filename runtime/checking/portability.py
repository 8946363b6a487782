"""Whether a worker would also run on Cloudflare: its configuration, its packages, its code, its products."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from importlib.metadata import Distribution, distributions
from pathlib import Path

from bindings import products
from bindings.deploying import Apart
from runtime.checking import sources
from runtime.checking.upstream import upstream
from runtime.config import Config
from runtime.config.keys import keys_of
from runtime.packages.declared import Declared


def apart(config: Config, named: Declared | None, packages: Path | None) -> list[Apart]:
    """``packages``: the folder where those that are ``named`` are installed."""
    found = [*_settings(config), *_fields(config)]
    if named is not None and packages is not None:
        found += _packages(named, packages)
    read = list(sources.sources(config))
    found += [one for source in read for one in sources.apart(source, config)]
    texts = [text for source in read for text in sources.texts(source)]
    found += [one for product in products() for one in product.apart(config, texts)]
    return found


def _settings(config: Config) -> Iterator[Apart]:
    file = config.source.file
    if config.main is not None and "python_workers" not in config.compatibility_flags:
        remedy = 'Add:  compatibility_flags = ["python_workers"]'
        yield Apart(file, "Python needs the compatibility flag python_workers there", remedy)
    if config.compatibility_date is None:
        yield Apart(
            file, "has no compatibility_date, which Wrangler asks for", 'Add:  compatibility_date = "2026-09-08"'
        )
    if "pilot" in config.places:
        yield Apart(config.at("pilot"), "is ours alone: Wrangler warns of it and goes on", stops=False)


def _fields(config: Config) -> Iterator[Apart]:
    """Fields of products' tables that Wrangler does not know."""
    for product in products():
        theirs, ours, table = (
            upstream().keys.get(product.key, []),
            keys_of(product.key),
            config.products.get(product.key),
        )
        if not theirs or ours is None:
            continue
        for item in table if isinstance(table, list) else [table]:
            for field in item if isinstance(item, Mapping) else ():
                if field in ours and field not in theirs and not field.startswith("experimental_"):
                    what = f"'{field}' is ours alone: Wrangler warns of it and goes on"
                    yield Apart(config.at(product.key), what, stops=False)


def _packages(named: Declared, packages: Path) -> Iterator[Apart]:
    """Those with compiled parts: Cloudflare runs what is built for Pyodide."""
    for one in sorted(distributions(path=[str(packages)]), key=lambda one: one.name):
        name = re.sub(r"[-_.]+", "-", one.name).lower()
        if _is_pure(one):
            continue
        need = next((need for need in named.needs if need.name == name), None)
        where = f"{named.file.name}, line {need.line}" if need and need.line else named.file.name
        theirs = upstream().compiled.get(name)
        if theirs is None:
            what = f"{one.name} {one.version} has compiled parts, and Pyodide {upstream().pyodide} has no build of it"
            yield Apart(where, what, "Its authors may publish one for PyEmscripten: look for such wheels on PyPI.")
        elif theirs != one.version:
            what = f"{one.name} is {one.version} here, and {theirs} in Pyodide {upstream().pyodide}"
            yield Apart(where, what, stops=False)


def _is_pure(one: Distribution) -> bool:
    return "root-is-purelib: true" in (one.read_text("WHEEL") or "root-is-purelib: true").lower()


__all__ = ["apart"]
