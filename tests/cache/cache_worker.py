"""The Cache API as a worker meets it: ``/NAME`` runs the function of that name, which says "held" or raises."""

import inspect

from js import Response as JsResponse
from js import caches

from workers import URL, Request, Response
from workers import fetch as other_fetch

FRESH = {"cache-control": "max-age=60"}
HERE = "https://cache.example/"


async def fetch(request, env, ctx):
    route = URL(request.url).pathname[1:]
    if route == "pass":
        return await caches.default.match(HERE + "large")
    if route == "keep":
        await caches.default.put(HERE + "large", Response(request.body, headers=FRESH))
        return Response("kept")
    if route == "count":
        found = [await caches.default.match(f"{HERE}many/{number}") for number in range(40)]
        return Response(str(sum(answer is not None for answer in found)))
    if route == "fetched":
        body = await request.json()
        answer = await other_fetch(body["url"], cf=body["cf"], headers=body.get("headers", {}))
        text = f"{answer.headers.get('cf-cache-status')} {answer.status} {answer.url == body['url']}"
        return Response(f"{text}\n{await answer.text()}")
    if route == "seen":
        answer = await caches.default.match(HERE + "lasting")
        return Response("-" if answer is None else await answer.text())
    done = globals()[route]()
    if inspect.isawaitable(done):
        await done
    return Response("held")


async def refused(work, *texts):
    try:
        await work
    except Exception as error:
        found = error
    else:
        raise AssertionError("not refused")
    assert all(text in str(found) for text in texts), str(found)
    return found


async def put(path, body="body", status=200, cache=caches.default, **headers):
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    await cache.put(HERE + path, Response(body, status=status, headers=named or FRESH))
    return await cache.match(HERE + path)


async def what_was_put_is_matched():
    answer = await put("a?x=1#part", "text", content_type="text/plain", cache_control="max-age=60", x_own="1")
    assert (answer.status, await answer.text()) == (200, "text")
    assert answer.headers["content-type"] == "text/plain"
    assert answer.headers["x-own"] == "1"
    assert answer.headers["cf-cache-status"] == "HIT"
    assert answer.headers["content-length"] == "4"
    assert 0 <= int(answer.headers["age"]) < 30
    assert "GMT" in answer.headers["date"]


async def the_key_is_the_url_with_its_query():
    await put("key?x=1")
    assert await caches.default.match(HERE + "key?x=1#other") is not None
    assert await caches.default.match(HERE + "key?x=2") is None
    assert await caches.default.match(Request(HERE + "key?x=1")) is not None


async def the_last_one_counts():
    await put("again", "one")
    assert await (await put("again", "two")).text() == "two"


async def both_kinds_of_response():
    await caches.default.put(HERE + "js", JsResponse.new("js", headers=FRESH))
    assert await (await caches.default.match(HERE + "js")).text() == "js"


async def a_body_is_matched_again_and_again():
    await put("often", "x" * 200_000)
    for _ in range(3):
        assert len(await (await caches.default.match(HERE + "often")).text()) == 200_000


async def what_cannot_be_put():
    response = Response("x", headers=FRESH)
    error = await refused(caches.default.put(Request(HERE, method="POST"), response), "non-GET request")
    assert error.name == "TypeError"
    await refused(caches.default.put(HERE, Response("x", status=206)), "range request (206 Partial Content)")
    await refused(caches.default.put(HERE, Response("x", headers={**FRESH, "vary": "*"})), "'Vary: *' header")
    await refused(caches.default.put(HERE, "text"), "parameter 2 is not of type 'Response'")
    await refused(caches.default.put("/rel", response), "Invalid URL: /rel")
    await refused(caches.default.match("/rel"), "Invalid URL: /rel")
    await response.text()
    await refused(caches.default.put(HERE, response), "Body has already been used")
    await refused(caches.default.add(HERE), "Failed to execute 'add' on 'Cache': the method is not implemented.")
    for name in ("addAll", "keys", "matchAll"):
        await refused(getattr(caches.default, name)([HERE]), f"Failed to execute '{name}' on 'Cache'")
    for field in ("ignoreSearch", "ignoreVary"):
        text = f"The '{field}' field on 'CacheQueryOptions' is not implemented."
        await refused(caches.default.match(HERE, {field: True}), text)
    await refused(caches.default.delete(HERE, 5), "parameter 2 is not of type 'CacheQueryOptions'")


async def what_says_no_time_is_not_kept():
    for number, headers in enumerate(
        (
            {"x": "y"},
            {"cache_control": "no-store, max-age=60"},
            {"cache_control": "private, max-age=60"},
            {"cache_control": "max-age=0"},
            {"cache_control": "s-maxage=0, max-age=60"},
            {"expires": "0"},
            {"expires": "Thu, 01 Jan 2015 00:00:00 GMT"},
            {"cache_control": "max-age=60", "set_cookie": "a=1"},
            {"cache_control": "max-age=often"},
            {"cache_control": "public"},
        )
    ):
        assert await put(f"no/{number}", **headers) is None, headers
    assert await put("no/500", status=500) is None


async def what_says_one_is():
    for number, headers in enumerate(
        (
            {"cache_control": "s-maxage=10, max-age=0"},
            {"cache_control": "Max-Age=60"},
            {"cache_control": 'max-age="60"'},
            {"expires": "Thu, 01 Jan 2099 00:00:00 GMT"},
            {"cache_control": "public, max-age=60"},
        )
    ):
        assert await put(f"yes/{number}", **headers) is not None, headers
    missing = await put("yes/404", status=404, cache_control="max-age=60", cf_cache_status="MISS")
    assert (missing.status, missing.statusText) == (404, "Not Found")
    assert missing.headers["cf-cache-status"] == "HIT"
    assert await put("yes/vary", vary="accept", cache_control="max-age=60") is not None


async def a_cookie_that_is_private_is_left_out():
    answer = await put("cookie", cache_control="private=set-cookie, max-age=60", set_cookie="a=1")
    assert "set-cookie" not in answer.headers


async def methods():
    await put("method")
    post, head = Request(HERE + "method", method="POST"), Request(HERE + "method", method="HEAD")
    for request in (post, head):
        assert await caches.default.match(request) is None
        assert await caches.default.match(request, {"ignoreMethod": True}) is not None
        assert await caches.default.match(request, ignoreMethod=True) is not None
    assert await caches.default.delete(post) is False
    assert await caches.default.delete(post, ignoreMethod=True) is True
    assert await caches.default.delete(HERE + "method") is False


async def conditions():
    modified = "Wed, 01 Jan 2025 10:00:00 GMT"
    await put("tagged", etag='"t"', last_modified=modified, cache_control="max-age=60")
    for name, value, status in (
        ("if-none-match", '"t"', 304),
        ("if-none-match", 'W/"t"', 304),
        ("if-none-match", '"u", "t"', 304),
        ("if-none-match", '"u"', 200),
        ("if-modified-since", modified, 304),
        ("if-modified-since", "Wed, 01 Jan 2025 09:00:00 GMT", 200),
        ("if-modified-since", "yesterday", 200),
    ):
        answer = await caches.default.match(Request(HERE + "tagged", headers={name: value}))
        assert (answer.status, await answer.text()) == (status, "body" if status == 200 else ""), (name, value)


async def ranges():
    for path, body in (("short", "0123456789"), ("long", "0123456789" * 20_000)):
        await put(path, body)
        size = len(body)
        for asked, first, last in (
            ("0-3", 0, 3),
            ("5-", 5, size - 1),
            ("-2", size - 2, size - 1),
            ("3-99999999", 3, size - 1),
            ("0-0", 0, 0),
        ):
            answer = await caches.default.match(Request(HERE + path, headers={"range": f"bytes={asked}"}))
            assert answer.status == 206
            assert answer.headers["content-range"] == f"bytes {first}-{last}/{size}"
            assert await answer.text() == body[first : last + 1]
        for asked in ("99999999-", "-0"):
            answer = await caches.default.match(Request(HERE + path, headers={"range": f"bytes={asked}"}))
            assert (answer.status, answer.headers["content-range"]) == (416, f"bytes */{size}")
        for asked in ("5-3", "a-b", "0-1,3-4"):
            answer = await caches.default.match(Request(HERE + path, headers={"range": f"bytes={asked}"}))
            assert (answer.status, len(await answer.text())) == (200, size)


async def named_caches_are_apart():
    one, two = await caches.open("one"), await caches.open("two")
    await put("apart", "one", cache=one)
    assert await two.match(HERE + "apart") is None
    assert await caches.default.match(HERE + "apart") is None
    assert await (await (await caches.open("one")).match(HERE + "apart")).text() == "one"
    assert await two.delete(HERE + "apart") is False


async def what_has_expired_is_gone():
    import asyncio

    assert await put("brief", cache_control="max-age=1") is not None
    await asyncio.sleep(1.2)
    assert await caches.default.match(HERE + "brief") is None
    assert await caches.default.delete(HERE + "brief") is False


async def an_answer_of_another_server_can_be_put_as_it_is():
    source = Response(iter_of("a", "b"), headers={**FRESH, "content-type": "text/plain"})
    copy = source.clone()
    await caches.default.put(HERE + "cloned", copy)
    assert await source.text() == "ab"
    assert await (await caches.default.match(HERE + "cloned")).text() == "ab"


async def iter_of(*chunks):
    for chunk in chunks:
        yield chunk


async def many():
    for number in range(40):
        await put(f"many/{number}", "x" * 50_000)
        if number >= 10:
            assert await caches.default.match(f"{HERE}many/0") is not None  # what is asked for stays


async def lasting():
    await put("lasting", "here")


async def env_has_none():
    from workers import env

    assert "js.caches" not in list(env)
    assert "caches" not in list(env)
