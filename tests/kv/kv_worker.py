"""The worker of test_kv.py: each function is a case, with its assertions inside, where a user's code is."""

import asyncio
import copy
import math
import time
from datetime import datetime

from pyodide.ffi import JsException

from workers import URL, Blob, FormData, ReadableStream, Response, WorkerEntrypoint

TYPES = 'Unknown response type. Possible types are "text", "arrayBuffer", "json", and "stream".'
VALUES = "KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as values."
MIB = 1024 * 1024


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = URL(request.url).pathname.strip("/")
        answer = await globals()[name](self.env.KV, *([request] if name.startswith("request_") else []))
        return Response("held\n") if answer is None else answer


async def refused(call):
    """(name, message) of what a call raises."""
    try:
        await call
    except JsException as error:
        found = error
    else:
        raise AssertionError("it was not refused")
    assert str(found) == f"{found.name}: {found.message}"
    return found.name, found.message


async def cannot_be_sent(call):
    try:
        await call
    except TypeError as error:
        return str(error)
    raise AssertionError("it was sent")


# What is kept


async def text_is_kept(kv):
    assert await kv.put("text", "é\0日本") is None
    assert await kv.get("text") == "é\0日本"
    for read in (kv.get("text", "text"), kv.get("text", type="text"), kv.get("text", {"type": "text"})):
        assert await read == "é\0日本"
    await kv.put("text", b"a\xffb\xc3")
    assert await kv.get("text") == "a\ufffdb\ufffd"
    await kv.put("text", "")
    assert await kv.get("text") == ""


async def json_is_read(kv):
    await kv.put("json", '{"a": {"b": [1.0, null, "x"]}, "keys": 2}')
    found = await kv.get("json", "json")
    assert found.a.b == [1, None, "x"]
    assert (found["keys"], type(found.a.b[0])) == (2, int)
    await kv.put("scalar", "null")
    assert await kv.get("scalar", type="json") is None
    await kv.put("list", "[1]")
    assert await kv.get("list", "json") == [1]


async def bytes_are_a_memoryview(kv):
    await kv.put("bytes", memoryview(b"\0\xff"))
    found = await kv.get("bytes", "arrayBuffer")
    assert isinstance(found, memoryview)
    assert bytes(found) == b"\0\xff"
    await kv.put("bytes", b"")
    assert bytes(await kv.get("bytes", "arrayBuffer")) == b""


async def a_stream_is_read(kv):
    await kv.put("stream", b"abc" * 100_000)
    stream = await kv.get("stream", "stream")
    assert isinstance(stream, ReadableStream)
    assert b"".join([chunk async for chunk in stream]) == b"abc" * 100_000
    await kv.put("stream", b"abc")
    assert [chunk async for chunk in await kv.get("stream", type="stream")] == [b"abc"]
    assert (await (Response(await kv.get("stream", "stream"))).text()) == "abc"


async def a_stream_is_kept(kv):
    async def parts(count):
        for number in range(count):
            yield bytes([number]) * 1000

    for count in (0, 3, 250):
        await kv.put("from stream", ReadableStream(parts(count)))
        assert bytes(await kv.get("from stream", "arrayBuffer")) == b"".join([part async for part in parts(count)])
    await kv.put("from stream", parts(2))  # beyond upstream: any async iterator
    assert len(await kv.get("from stream")) == 2000
    await kv.put("copy", await kv.get("from stream", "stream"))
    assert len(await kv.get("copy")) == 2000


async def a_large_stream_is_copied(kv):
    await kv.put("large", bytes(3 * MIB))
    await kv.put("large copy", await kv.get("large", "stream"))
    assert bytes(await kv.get("large copy", "arrayBuffer")) == bytes(3 * MIB)


async def a_stream_is_used_once(kv):
    stream = Response("abc").body
    await kv.put("once", stream)
    assert "used already" in await cannot_be_sent(kv.put("once", stream))


async def what_a_stream_raises_is_raised(kv):
    await kv.put("broken", "before")

    class Mine(Exception):
        pass

    async def breaks():
        yield "x" * 200_000
        raise Mine("half-way")

    found = None
    try:
        await kv.put("broken", ReadableStream(breaks()))
    except Mine as error:
        found = str(error)
    assert found == "half-way"
    assert await kv.get("broken") == "before"


async def a_stream_that_is_refused_is_closed(kv):
    closed = asyncio.Event()

    class Source:
        def __aiter__(self):
            return self

        async def __anext__(self):
            raise AssertionError("it was read")

        async def aclose(self):
            closed.set()

    assert (await refused(kv.put("", ReadableStream(Source()))))[1] == "Key name cannot be empty."
    async with asyncio.timeout(20):
        await closed.wait()


async def absent_is_none(kv):
    for kind in ("text", "json", "arrayBuffer", "stream"):
        assert await kv.get("absent", kind) is None
        assert await kv.getWithMetadata("absent", kind) == {"value": None, "metadata": None, "cacheStatus": None}


async def numbers_become_text(kv):
    for value, text in [(5, "5"), (1.5, "1.5"), (2.0, "2"), (True, "true"), (False, "false"), (None, "null"),
                        (2**60, "1152921504606846976"), (math.nan, "NaN")]:  # fmt: skip
        await kv.put("number", value)
        assert await kv.get("number") == text, value


async def keys_become_text(kv):
    for key, text in [(5, "5"), (None, "null"), (True, "true"), (1.5, "1.5"), (["a", "b"], "a,b")]:
        await kv.put(text, f"of {text}")
        if key != ["a", "b"]:
            assert await kv.get(key) == f"of {text}", key
        await kv.delete(key)
        assert await kv.get(text) is None, key


async def other_values_are_refused(kv):
    for value in ({"a": 1}, [1], {1}, datetime.now(), object(), Blob(["x"]), FormData()):
        assert await refused(kv.put("other", value)) == ("TypeError", VALUES), value
    assert await cannot_be_sent(kv.put("other", bytearray(b"x"))) == "<class 'bytearray'> cannot be sent over RPC."
    assert await cannot_be_sent(kv.put("other", ("x",))) == "<class 'tuple'> cannot be sent over RPC."
    assert await cannot_be_sent(kv.put("other", "x", metadata=("x",))) == "<class 'tuple'> cannot be sent over RPC."
    work = kv.get("other")
    assert "Awaitable" in await cannot_be_sent(kv.put("other", work))
    work.close()
    assert await kv.get("other") is None


async def a_delete_deletes(kv):
    await kv.put("gone", "x", metadata=1)
    assert await kv.delete("gone") is None
    assert await kv.get("gone") is None
    assert await kv.delete("gone") is None


async def a_list_of_keys_is_not_deleted(kv):
    await kv.put("k1", "1")
    await kv.put("k1,k2", "strange")
    await kv.delete(["k1", "k2"])
    assert await kv.get("k1") == "1"
    assert await kv.get("k1,k2") is None


async def files_take_their_turns(kv):
    for size in (10, 200_000, 10, 300_000, 400_000, 102_400, 102_401):
        await kv.put("turns", "x" * size)
        assert len(await kv.get("turns")) == size
        assert len(await kv.get("turns", "arrayBuffer")) == size
    await kv.delete("turns")
    assert await kv.get("turns") is None


# Metadata


async def metadata_goes_along(kv):
    await kv.put("meta", "x", metadata={"a": [1.0, None], "ü": True})
    found = await kv.getWithMetadata("meta")
    assert (found.value, found.metadata.a, found.metadata["ü"], found.cacheStatus) == ("x", [1, None], True, None)
    await kv.put("meta", "y", {"metadata": "text"})
    assert await kv.getWithMetadata("meta", "arrayBuffer") == {"value": b"y", "metadata": "text", "cacheStatus": None}
    await kv.put("meta", "z")
    assert (await kv.getWithMetadata("meta")).metadata is None
    await kv.put("meta", "z", metadata=0)
    assert (await kv.getWithMetadata("meta")).metadata == 0
    await kv.put("meta", "z", metadata=None)
    assert (await kv.getWithMetadata("meta", "text")).metadata is None
    await kv.put("meta", "z" * 200_000, metadata={"large": True})
    found = await kv.getWithMetadata("meta", type="stream")
    assert found.metadata.large
    assert sum([len(chunk) async for chunk in found.value]) == 200_000


async def metadata_is_limited(kv):
    await kv.put("meta", "x", metadata="m" * 1022)
    assert (await kv.getWithMetadata("meta")).metadata == "m" * 1022
    told = "KV PUT failed: 413 Metadata length of 1025 exceeds limit of 1024."
    assert await refused(kv.put("meta", "x", metadata="m" * 1023)) == ("Error", told)
    told = ("TypeError", "Do not know how to serialize a BigInt")
    assert await refused(kv.put("meta", "x", metadata=[2**60])) == told


# Several at once


async def several_are_read(kv):
    await kv.put("b1", '{"a": 1}', metadata=7)
    await kv.put("b2", "2")
    found = await kv.get(["b2", "missing", "b1", "b2"])
    assert list(found.items()) == [("b2", "2"), ("missing", None), ("b1", '{"a": 1}')]
    assert (await kv.get(["b1"], "json")).b1.a == 1
    assert (await kv.get(["b2"], {"type": "json"})).b2 == 2
    found = await kv.getWithMetadata(["b1", "missing"])
    assert found == {"b1": {"value": '{"a": 1}', "metadata": 7}, "missing": None}
    await kv.put("5", "five")
    assert await kv.get([5]) == {"5": "five"}


async def several_are_limited(kv):
    failed = "KV GET_BULK failed: "
    await kv.put("no json", "hello")
    assert await refused(kv.get([])) == ("Error", failed + "400 You must request a minimum of 1 key")
    many = [str(number) for number in range(101)]
    assert await refused(kv.get(many)) == ("Error", failed + "400 You can request a maximum of 100 keys")
    assert len(await kv.get(many[:100])) == 100
    text = failed + '400 "arrayBuffer" is not a valid type. Use "json" or "text"'
    assert await refused(kv.get(["a"], "arrayBuffer")) == ("Error", text)
    text = failed + "400 At least one of the requested keys corresponds to a non-json value"
    assert await refused(kv.get(["no json"], "json")) == ("Error", text)
    text = failed + "414 UTF-8 encoded length of 513 exceeds key length limit of 512."
    assert await refused(kv.getWithMetadata(["k" * 513])) == ("Error", text)


async def several_have_a_size(kv):
    for number in range(3):
        await kv.put(f"size{number}", bytes(9 * MIB))
    text = "KV GET_BULK failed: 413 Total size of request exceeds the limit of 25MB"
    assert await refused(kv.get(["size0", "size1", "size2"])) == ("Error", text)
    for number in range(3):
        await kv.delete(f"size{number}")


# What is refused


async def keys_are_checked(kv):
    for key, told in [("", "Key name cannot be empty."), (".", '"." is not allowed as a key name.'),
                      ("..", '".." is not allowed as a key name.')]:  # fmt: skip
        for call in (kv.get(key), kv.put(key, "x"), kv.delete(key), kv.getWithMetadata(key)):
            assert await refused(call) == ("TypeError", told)
    for key in ("k" * 513, "é" * 256 + "k"):
        told = " failed: 414 UTF-8 encoded length of 513 exceeds key length limit of 512."
        assert await refused(kv.get(key)) == ("Error", "KV GET" + told)
        assert await refused(kv.put(key, "x")) == ("Error", "KV PUT" + told)
        assert await refused(kv.list(prefix=key)) == ("Error", "KV GET" + told)
    await kv.put("é" * 256, "long")
    assert await kv.get("é" * 256) == "long"
    for key in ("../../etc/passwd", "a/b\0c", "%2e%2e", " "):
        await kv.put(key, "x")
        assert await kv.get(key) == "x"


async def options_are_an_object(kv):
    for call, method, number, kind in (
        (kv.put("a", "v", 5), "put", 3, "PutOptions"), (kv.list("a"), "list", 1, "ListOptions"),
        (kv.get(), "get", 1, "string or Array"),
    ):  # fmt: skip
        text = f"Failed to execute '{method}' on 'KvNamespace': parameter {number} is not of type '{kind}'."
        assert await refused(call) == ("TypeError", text)
    assert await kv.put("a", "v", None) is None
    assert await refused(kv.get(["a", ""])) == ("Error", "KV GET_BULK failed: 400 Key names must not be empty")
    text = 'KV GET_BULK failed: 400 Illegal key name ".". Please use a different name.'
    assert await refused(kv.get(["."])) == ("Error", text)


async def types_are_checked(kv):
    for call in (kv.get("k", "bytes"), kv.get("k", type="x"), kv.getWithMetadata("k", {"type": "Text"})):
        assert await refused(call) == ("TypeError", TYPES)
    await kv.put("hello", "hello")
    text = """Unexpected token 'h', "hello" is not valid JSON"""
    assert await refused(kv.get("hello", "json")) == ("SyntaxError", text)


async def values_are_limited(kv):
    whole = bytes(25 * MIB)
    await kv.put("whole", whole)
    assert (await kv.get("whole", "arrayBuffer")) == whole
    told = ("Error", "KV PUT failed: 413 Value length of 26214401 exceeds limit of 26214400.")
    for value in (whole + b"x", memoryview(whole + b"x"), "x" * 26214401):
        assert await refused(kv.put("whole", value)) == told

    async def endless():
        while True:
            yield bytes(MIB)

    name, message = await refused(kv.put("whole", ReadableStream(endless())))
    assert name == "Error"
    assert message.startswith("KV PUT failed: 413 Value length of 2")
    assert message.endswith(" exceeds limit of 26214400.")
    assert len(await kv.get("whole", "arrayBuffer")) == 25 * MIB
    await kv.delete("whole")


async def expiry_is_checked(kv):
    failed, now = "KV PUT failed: 400 Invalid ", int(time.time())
    least = "Expiration TTL must be at least 60."
    for ttl, told in [(59, f"expiration_ttl of 59. {least}"), (59.9, f"expiration_ttl of 59. {least}"),
                      (0, "expiration_ttl of 0. Please specify integer greater than 0."),
                      (-5, "expiration_ttl of -5. Please specify integer greater than 0."),
                      ("60", "expiration_ttl of 0. Please specify integer greater than 0.")]:  # fmt: skip
        assert await refused(kv.put("ttl", "x", expirationTtl=ttl)) == ("Error", failed + told), ttl
    past = "Please specify integer greater than the current number of seconds since the UNIX epoch."
    assert await refused(kv.put("ttl", "x", expiration=1)) == ("Error", f"{failed}expiration of 1. {past}")
    soon = "Expiration times must be at least 60 seconds in the future."
    told = f"{failed}expiration of {now + 30}. {soon}"
    assert await refused(kv.put("ttl", "x", expiration=now + 30)) == ("Error", told)
    assert await kv.get("ttl") is None
    await kv.put("ttl", "x", expirationTtl=60.5)
    (key,) = (await kv.list(prefix="ttl"))["keys"]
    assert now + 60 <= key.expiration <= now + 90
    await kv.put("ttl", "x", {"expiration": now + 600})
    (key,) = (await kv.list(prefix="ttl"))["keys"]
    assert key == {"name": "ttl", "expiration": now + 600}
    await kv.put("ttl", "x")
    assert (await kv.list(prefix="ttl"))["keys"] == [{"name": "ttl"}]
    await kv.put("ttl", "x", expiration_ttl=10, bogus={"a": 1})  # as upstream: ignored
    assert (await kv.list(prefix="ttl"))["keys"] == [{"name": "ttl"}]


async def a_cache_ttl_is_checked(kv):
    await kv.put("cached", "x")
    assert await kv.get("cached", cacheTtl=60) == "x"
    assert await kv.get("cached", {"type": "text", "cacheTtl": 30}) == "x"
    text = "KV GET failed: 400 Invalid cache_ttl of 10. Cache TTL must be at least 30."
    assert await refused(kv.get("cached", cacheTtl=10)) == ("Error", text)
    assert await refused(kv.getWithMetadata("cached", cacheTtl=10)) == ("Error", text)


# Lists


async def a_list_is_in_byte_order(kv):
    names = ["", "A", "B", "a", "aa", "a\0", "~", "é", "日", "\U0001f525", "\uffff", "Z"]
    await asyncio.gather(*(kv.put(f"order/{name}", "x") for name in names))
    found = await kv.list(prefix="order/")
    listed = [key.name.removeprefix("order/") for key in found["keys"]]
    assert listed == sorted(names, key=str.encode)
    assert (found.list_complete, "cursor" in found, found.cacheStatus) == (True, False, None)
    assert (await kv.list({"prefix": "order/a"}))["keys"][0].name == "order/a"


async def a_list_has_pages(kv):
    await asyncio.gather(*(kv.put(f"page/{number:03}", "x", metadata={"n": number}) for number in range(25)))
    found, cursor, pages = [], None, 0
    while True:
        options = {"cursor": cursor} if cursor else {}
        page = await kv.list(prefix="page/", limit=10, **options)
        found += page["keys"]
        pages += 1
        if page.list_complete:
            break
        cursor = page.cursor
    assert (pages, [key.metadata.n for key in found]) == (3, list(range(25)))
    assert len((await kv.list(prefix="page/", limit="10"))["keys"]) == 10
    exact = await kv.list(prefix="page/", limit=25)
    assert (len(exact["keys"]), exact.list_complete) == (25, True)
    for limit in (0, -3, None):
        assert len((await kv.list(prefix="page/", limit=limit))["keys"]) == 25
    for cursor in ("!", "/w==", "äöü"):
        assert await kv.list(prefix="page/", cursor=cursor) == {"keys": [], "list_complete": True, "cacheStatus": None}
    text = "KV GET failed: 400 Invalid key_count_limit of 1001. Please specify an integer less than 1000."
    assert await refused(kv.list(limit=1001)) == ("Error", text)
    assert (await kv.list(limit=1000)).list_complete
    assert (await kv.list(prefix="nothing has this"))["keys"] == []


# The object itself


def no_attribute(thing, name):
    """What is said of an attribute that is not there."""
    try:
        getattr(thing, name)
    except AttributeError as error:
        return str(error)
    raise AssertionError(f"it has {name}")


async def names_are_javascripts(kv):
    assert "it is getWithMetadata, as in JavaScript" in no_attribute(kv, "get_with_metadata")
    assert "it has: delete, get, getWithMetadata, list, put" in no_attribute(kv, "put_many")
    assert getattr(kv, "missing", 5) == 5
    assert repr(kv) == "<KVNamespace KV>"
    assert copy.copy(kv)._name == "KV"


async def request_keeps_its_body(kv, request):
    await kv.put("body", request.body)
    return Response("kept\n")


async def request_gives_the_body(kv, request):
    return Response(await kv.get("body", "stream"), headers={"content-type": "application/octet-stream"})


async def request_puts(kv, request):
    params = URL(request.url).searchParams
    await kv.put(params.get("key"), await request.text())
    return Response("put\n")


async def request_gets(kv, request):
    found = await kv.get(URL(request.url).searchParams.get("key"))
    return Response("(none)" if found is None else found)
