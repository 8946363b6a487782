"""CSS selectors against an element and those it stands in, as they come: what HTMLRewriter knows of CSS.

``cssselect`` reads them. There is nothing to look ahead to, so ``:last-child`` and ``+`` are refused, as upstream.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from cssselect import parser as css

Matches = Callable[[Sequence["Open"], int], bool]
"""``matches(path, at)``: whether ``path[at]`` is meant; what stands before it is what it stands in."""


@dataclass(slots=True)
class Open:
    """An element whose end tag has not come. ``index``: among its siblings from 1; ``of_type``: among those alike."""

    tag: str
    attributes: dict[str, str]
    index: int = 1
    of_type: int = 1
    children: int = 0
    kinds: dict[str, int] = field(default_factory=dict)

    def added(self, tag: str, attributes: dict[str, str]) -> Open:
        """A child."""
        self.children += 1
        self.kinds[tag] = self.kinds.get(tag, 0) + 1
        return Open(tag, attributes, self.children, self.kinds[tag])


def compiled(selector: str) -> Matches:
    """Raises TypeError for a selector that cannot be used."""
    try:
        parsed = css.parse(selector)
    except css.SelectorSyntaxError as error:
        raise TypeError(f"Parser error: {error}: {selector!r}") from None
    if any(one.pseudo_element for one in parsed):
        raise TypeError(f"Parser error: Unsupported pseudo-class or pseudo-element in selector: {selector!r}")
    each = [_matches(one.parsed_tree, selector) for one in parsed]
    return lambda path, at: any(matches(path, at) for matches in each)


def _matches(tree: css.Tree, selector: str) -> Matches:
    make = _MAKERS.get(type(tree).__name__)
    if make is None:
        raise TypeError(f"Parser error: Unsupported syntax in selector: {selector!r}")
    return make(tree, selector)


def _element(tree: css.Element, selector: str) -> Matches:
    if tree.element is None:
        return lambda path, at: True
    tag = tree.element.lower()
    return lambda path, at: path[at].tag == tag


def _class(tree: css.Class, selector: str) -> Matches:
    inner, name = _matches(tree.selector, selector), tree.class_name
    return lambda path, at: name in path[at].attributes.get("class", "").split() and inner(path, at)


def _hash(tree: css.Hash, selector: str) -> Matches:
    inner, id = _matches(tree.selector, selector), tree.id
    return lambda path, at: path[at].attributes.get("id") == id and inner(path, at)


def _attribute(tree: css.Attrib, selector: str) -> Matches:
    inner, name, operator = _matches(tree.selector, selector), tree.attrib.lower(), tree.operator
    if operator == "exists":
        return lambda path, at: name in path[at].attributes and inner(path, at)
    wanted, test = (tree.value and tree.value.value) or "", _OPERATORS.get(operator)
    if test is None:
        raise TypeError(f"Parser error: Unsupported attribute operator {operator} in selector: {selector!r}")
    return lambda path, at: (
        (found := path[at].attributes.get(name)) is not None and test(found, wanted) and inner(path, at)
    )


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "=": lambda found, wanted: found == wanted,
    "~=": lambda found, wanted: wanted in found.split(),
    "^=": lambda found, wanted: bool(wanted) and found.startswith(wanted),
    "$=": lambda found, wanted: bool(wanted) and found.endswith(wanted),
    "*=": lambda found, wanted: bool(wanted) and wanted in found,
    "|=": lambda found, wanted: found == wanted or found.startswith(f"{wanted}-"),
}


def _combined(tree: css.CombinedSelector, selector: str) -> Matches:
    outer, inner = _matches(tree.selector, selector), _matches(tree.subselector, selector)
    if tree.combinator == ">":
        return lambda path, at: at > 0 and inner(path, at) and outer(path, at - 1)
    if tree.combinator == " ":
        return lambda path, at: inner(path, at) and any(outer(path, above) for above in range(at))
    raise TypeError(f"Parser error: Unsupported combinator {tree.combinator} in selector: {selector!r}")


def _negation(tree: css.Negation, selector: str) -> Matches:
    inner, other = _matches(tree.selector, selector), _matches(tree.subselector, selector)
    return lambda path, at: inner(path, at) and not other(path, at)


def _pseudo(tree: css.Pseudo, selector: str) -> Matches:
    inner = _matches(tree.selector, selector)
    if tree.ident == "first-child":
        return lambda path, at: path[at].index == 1 and inner(path, at)
    if tree.ident == "first-of-type":
        return lambda path, at: path[at].of_type == 1 and inner(path, at)
    raise TypeError(f"Parser error: Unsupported pseudo-class :{tree.ident} in selector: {selector!r}")


def _function(tree: css.Function, selector: str) -> Matches:
    inner = _matches(tree.selector, selector)
    if tree.name not in ("nth-child", "nth-of-type"):
        raise TypeError(f"Parser error: Unsupported pseudo-class :{tree.name}() in selector: {selector!r}")
    step, first = css.parse_series(tree.arguments)
    by_type = tree.name == "nth-of-type"

    def matches(path: Sequence[Open], at: int) -> bool:
        number = (path[at].of_type if by_type else path[at].index) - first
        hit = number == 0 if step == 0 else number % step == 0 and number // step >= 0
        return hit and inner(path, at)

    return matches


_MAKERS: dict[str, Callable[[Any, str], Matches]] = {
    "Element": _element, "Class": _class, "Hash": _hash, "Attrib": _attribute, "CombinedSelector": _combined,
    "Negation": _negation, "Pseudo": _pseudo, "Function": _function,
}  # fmt: skip

__all__ = ["Matches", "Open", "compiled"]
