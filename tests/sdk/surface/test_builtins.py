"""Methods of JavaScript's built-in objects on what stands for them, in a worker."""

from __future__ import annotations

from pathlib import Path

import pytest

from serving import ROUTER, serving, write

ENTRY = (
    """
import js
from js import Array, Date, JSON, Map, Math, Number, Object, Promise, Reflect, Set, TextEncoder, Uint8Array
from workers import Response

def arrays():
    items = Array.of(1, 2, 3, 4)
    big = lambda item: item > 2
    return Response.json([
        items.push(5, 6), items.findLast(big), items.findLastIndex(big), items.findLastIndex(lambda item: item > 9),
        items.reduceRight(lambda one, other: f"{one}{other}"), items.with_(0, 9), items.toSpliced(1, 4),
        list(items.values()), Array.of(1, [2, [3]]).flat(2), items.length,
    ])

def groups():
    one, two = Set.new([1, 2]), Set.new([2, 3])
    seen, kind = [], lambda item: "odd" if item % 2 else "even"
    one.forEach(lambda item: seen.append(item))
    return Response.json([
        one.union(two).size, one.intersection(two).size, one.difference(two).size, one.symmetricDifference(two).size,
        one.isSubsetOf(two), list(one.values()), [list(pair) for pair in one.entries()], seen,
        Map.groupBy([1, 2, 3], kind).get("odd"), one.add(9) is one, one.clear(), one.size,
    ])

def numbers():
    return Response.json([
        Math.max() < 0, Math.min(1, 2), Math.clz32(1), Math.imul(0xffffffff, 5), Math.fround(5.5), Math.log1p(0),
        Math.SQRT1_2, Number("0x10"), Number(""), Number("inf") != Number("inf"), Number.MAX_VALUE > 1e308,
    ])

def objects():
    target = Object.defineProperties(Object.new(), {"a": {"value": 1}})
    return Response.json([
        target.a, Object.isFrozen(target), Object.isExtensible(target),
        Object.getOwnPropertyDescriptor(target, "a").value,
        Object.getOwnPropertyDescriptor(target, "b"), Reflect.deleteProperty(target, "a"), dict(target),
        Reflect.defineProperty(target, "c", {"value": 2}), target.c,
    ])

async def failures():
    try:
        await Promise.any([Promise.reject("one"), Promise.reject("two")])
    except js.AggregateError as error:
        told = [str(error), sorted(map(str, error.errors))]
    made, kept = js.AggregateError.new(["a"], "several"), Array.of(1)
    weak = js.WeakRef.new(kept)
    return Response.json([told, made.errors, made.message, weak.deref() is kept, js.WeakRef.new(5).deref()])

async def others():
    buffer = Uint8Array.new(4)
    into = TextEncoder.new().encodeInto("aé€", buffer)
    try:
        Date.new("bad").toISOString()
    except Exception as error:
        wrong = str(error)
    return Response.json([
        [into.read, into.written, list(buffer)], wrong, Date.new(0).toTimeString(), await Promise.try_(lambda: 5),
        JSON.parse('{"a": [1], "b": 2}', lambda key, value: None if key == "b" else value * 2 if key == "0" else value),
        js.Request.new("http://a/", {"cf": {"x": 1}}).cf.x, (await js.Response.new("x").blob()).constructor.name,
    ])
"""
    + ROUTER
)
SAID = {
    "/arrays": [
        6, 6, 5, -1, "654321", [9, 2, 3, 4, 5, 6], [1, 6], [1, 2, 3, 4, 5, 6], [1, 2, 3], 6,
    ],
    "/groups": [3, 1, 1, 2, False, [1, 2], [[1, 1], [2, 2]], [1, 2], [1, 3], True, None, 0],
    "/numbers": [True, 1, 31, -5, 5.5, 0, 2**-0.5, 16, 0, True, True],
    "/objects": [1, False, True, 1, None, True, {}, True, 2],
    "/failures": [
        ["AggregateError: All promises were rejected", ["Error: one", "Error: two"]], ["a"], "several", True, 5,
    ],
    "/others": [
        [2, 3, [97, 195, 169, 0]], "RangeError: Invalid time value", "00:00:00 GMT+0000 (Coordinated Universal Time)",
        5, {"a": [2]}, 1, "Blob",
    ],
}  # fmt: skip


@pytest.mark.asyncio
async def test_built_in_objects(tmp_path: Path) -> None:
    write(tmp_path, ENTRY)
    async with serving(tmp_path) as pilot:
        for path, said in SAID.items():
            assert await pilot.told(path) == said
