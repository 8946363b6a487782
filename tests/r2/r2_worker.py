"""The worker of test_r2.py: each function is a case, with its assertions inside, where a user's code is."""

import hashlib
from contextlib import contextmanager
from datetime import datetime, timedelta

from pyodide.ffi import JsException

from workers import URL, Blob, Headers, ReadableStream, Response, WorkerEntrypoint

MIB = 1024 * 1024
GONE = "The specified multipart upload does not exist. (10024)"


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        name = URL(request.url).pathname.strip("/")
        answer = await globals()[name](self.env.R2, *([request] if name.startswith("request_") else []))
        return Response("held\n") if answer is None else answer


async def refused(call):
    """(name, message) of what a call raises."""
    try:
        await call
    except JsException as error:
        return error.name, error.message
    raise AssertionError("it was not refused")


@contextmanager
def raises(kind, text):
    try:
        yield
    except kind as error:
        found = str(error)
    else:
        raise AssertionError("it was not refused")
    assert text in found


async def body(bucket, key, **options):
    return await (await bucket.get(key, **options)).text()


async def put_answers_the_head(r2):
    before = datetime.now() - timedelta(milliseconds=1)
    head = await r2.put("head", "hello")
    assert (head.key, head.size) == ("head", 5)
    assert len(head.version) == 32
    assert head.etag == hashlib.md5(b"hello").hexdigest()
    assert head.httpEtag == f'"{head.etag}"'
    assert before <= head.uploaded <= datetime.now()
    assert head.range is None
    assert (await r2.head("head")).range == {"offset": 0, "length": 5, "suffix": None}
    assert dict(head.httpMetadata) == dict.fromkeys(
        ["contentType", "contentLanguage", "contentDisposition", "contentEncoding", "cacheControl", "cacheExpiry"]
    )
    assert head.customMetadata == {}
    assert (head.storageClass, head.ssecKeyMd5) == ("", None)
    assert bytes(head.checksums.md5).hex() == head.etag
    assert head.checksums.sha256 is None
    assert head.checksums.toJSON().md5 == head.etag
    assert not hasattr(head, "body")
    again = await r2.put("head", "hello")
    assert again.version != head.version


async def what_can_be_put(r2):
    async def chunks():
        yield b"a"
        yield b"bc"

    for value, content in [
        ("é", "é".encode()), (b"\0\xff", b"\0\xff"), (memoryview(b"view"), b"view"), (None, b""), ("", b""),
        (Blob(["bl", b"ob"], type="text/plain"), b"blob"), (ReadableStream(chunks()), b"abc"), (chunks(), b"abc"),
    ]:  # fmt: skip
        head = await r2.put("value", value)
        assert head.size == len(content)
        assert head.httpMetadata.contentType is None
        assert bytes(await (await r2.get("value")).bytes()) == content
    for value in (5, 1.5, True, {"a": 1}, [1]):
        name, text = await refused(r2.put("value", value))
        assert name == "TypeError"
        assert text.startswith("Failed to execute 'put' on 'R2Bucket': parameter 2 is not of type")
    assert await body(r2, "value") == "abc"


async def a_body_is_read_once(r2):
    await r2.put("once", '{"a": [1, null]}')
    found = await r2.get("once")
    assert not found.bodyUsed
    assert (await found.json()).a == [1, None]
    assert found.bodyUsed
    used = "Body has already been used. It can only be used once. Use tee() first if you need to read it twice."
    assert await refused(found.text()) == ("TypeError", used)
    assert type(await (await r2.get("once")).arrayBuffer()) is memoryview
    assert type(await (await r2.get("once")).blob()) is Blob


async def what_is_not_there(r2):
    assert await r2.get("nope") is None
    assert await r2.head("nope") is None
    assert await r2.get("nope", onlyIf={"etagMatches": "x"}) is None
    assert await r2.delete("nope") is None


async def delete_one_and_many(r2):
    for key in "abc":
        await r2.put(key, key)
    await r2.delete("a")
    assert await r2.head("a") is None
    await r2.delete(["b", "c", "nope"])
    assert await r2.head("b") is None
    assert await r2.head("c") is None


async def metadata_comes_back(r2):
    expiry = datetime(2030, 1, 2, 3, 4, 5)
    http = {"contentType": "text/x", "cacheControl": "no-store", "contentLanguage": "fr", "cacheExpiry": expiry}
    await r2.put("meta", "x", httpMetadata=http, customMetadata={"a": "1", "n": 5}, storageClass="InfrequentAccess")
    found = await r2.head("meta")
    assert found.httpMetadata.contentType == "text/x"
    assert found.httpMetadata.cacheExpiry == expiry
    assert found.httpMetadata.contentEncoding is None
    assert found.customMetadata == {"a": "1", "n": "5"}
    assert found.storageClass == "InfrequentAccess"
    headers = Headers()
    found.writeHttpMetadata(headers)
    assert headers.get("content-type") == "text/x"
    assert headers.get("cache-control") == "no-store"
    assert headers.get("content-language") == "fr"
    assert headers.get("expires").endswith(" GMT")
    await r2.put("meta", "x", httpMetadata=Headers({"content-type": "a/b", "expires": headers.get("expires")}))
    found = await r2.head("meta")
    assert (found.httpMetadata.contentType, found.httpMetadata.cacheExpiry) == ("a/b", expiry)
    await r2.put("meta", "x")
    assert (await r2.head("meta")).httpMetadata.contentType is None
    text = "put: Your metadata headers exceed the maximum allowed metadata size. (10012)"
    assert await refused(r2.put("meta", "x", customMetadata={"a": "x" * 8192})) == ("Error", text)
    await r2.put("meta", "x", customMetadata={"a": "x" * 8191})


async def options_may_be_one_object(r2):
    await r2.put("option", "0123456789", {"customMetadata": {"a": "b"}})
    found = await r2.get("option", {"range": {"offset": 2, "length": 3}})
    assert found.customMetadata == {"a": "b"}
    assert await found.text() == "234"


async def ranges(r2):
    for content in ("0123456789", "0123456789" * 20_000):
        head = await r2.put("range", content)
        size = len(content)
        for given, part in [
            ({"offset": 2}, content[2:]), ({"length": 3}, content[:3]), ({"offset": 2, "length": 3}, content[2:5]),
            ({"suffix": 4}, content[-4:]), ({"suffix": size + 5}, content),
            ({"offset": 7, "length": size}, content[7:]),
            ({}, content), (None, content), (Headers({"range": "bytes=1-3"}), content[1:4]),
            (Headers({"range": "bytes=5-"}), content[5:]), (Headers({"range": "bytes=-2"}), content[-2:]),
            (Headers({"range": "bytes=1-2,4-5"}), content), (Headers({"range": f"bytes={size}-"}), content),
            (Headers({"range": "lines=1-2"}), content), (Headers(), content),
        ]:  # fmt: skip
            found = await r2.get("range", range=given)
            assert found.size == size
            assert found.etag == head.etag
            assert found.range.length == len(part)
            assert content[found.range.offset :].startswith(part)
            assert await found.text() == part, given
        unsatisfiable = "get: The requested range is not satisfiable (10039)"
        for given in ({"offset": size}, {"length": 0}, {"suffix": 0}):
            assert await refused(r2.get("range", range=given)) == ("Error", unsatisfiable)
    negative = "Invalid range. Starting offset (-1) must be greater than or equal to 0."
    assert await refused(r2.get("range", range={"offset": -1})) == ("RangeError", negative)
    both = await refused(r2.get("range", range={"offset": 1, "suffix": 1}))
    assert both == ("TypeError", "Suffix is incompatible with offset.")
    for name, told in (("offset", "range. Starting offset"), ("suffix", "suffix. Suffix")):
        for value, text in ((1.5, "an integer, not floating point"), (float("nan"), "greater than or equal to 0")):
            kind, said = await refused(r2.get("range", range={name: value}))
            assert (kind, said.startswith(f"Invalid {told} ("), text in said) == ("RangeError", True, True)


async def conditions_of_get(r2):
    head = await r2.put("if", "x")
    past, future = datetime.now() - timedelta(hours=1), datetime.now() + timedelta(hours=1)
    for condition, holds in [
        ({"etagMatches": head.etag}, True), ({"etagMatches": "other"}, False), ({"etagMatches": "*"}, True),
        ({"etagDoesNotMatch": head.etag}, False), ({"etagDoesNotMatch": "other"}, True),
        ({"etagDoesNotMatch": "*"}, False), ({"uploadedAfter": past}, True), ({"uploadedAfter": future}, False),
        ({"uploadedBefore": past}, False), ({"uploadedBefore": future}, True),
        ({"etagMatches": head.etag, "uploadedBefore": past}, True),
        ({"etagDoesNotMatch": "other", "uploadedAfter": future}, True),
        (Headers({"if-match": head.httpEtag}), True), (Headers({"if-match": '"a", "b"'}), False),
        (Headers({"if-match": f'"a", W/{head.httpEtag}'}), True), (Headers({"if-none-match": head.httpEtag}), False),
        (Headers({"if-none-match": "*"}), False),
        (Headers({"if-modified-since": "Wed, 01 Jan 2020 00:00:00 GMT"}), True),
        (Headers({"if-modified-since": "Fri, 01 Jan 2100 00:00:00 GMT"}), False),
        (Headers({"if-unmodified-since": "Wed, 01 Jan 2020 00:00:00 GMT"}), False), (Headers(), True),
    ]:  # fmt: skip
        found = await r2.get("if", onlyIf=condition)
        assert found.etag == head.etag
        assert hasattr(found, "body") == holds, condition
    quoted = f"Conditional ETag should not be wrapped in quotes ({head.httpEtag})."
    assert await refused(r2.get("if", onlyIf={"etagMatches": head.httpEtag})) == ("TypeError", quoted)
    unquoted = await refused(r2.get("if", onlyIf=Headers({"if-match": head.etag})))
    assert unquoted == ("Error", "Invalid ETag in if-match header")
    granular = {"uploadedAfter": head.uploaded.replace(microsecond=0), "secondsGranularity": True}
    assert not hasattr(await r2.get("if", onlyIf=granular), "body")


async def conditions_of_put(r2):
    await r2.delete("put if")
    first = await r2.put("put if", "1", onlyIf={"etagDoesNotMatch": "*"})
    assert first.size == 1
    assert await r2.put("put if", "22", onlyIf={"etagDoesNotMatch": "*"}) is None
    assert await r2.put("put if", "22", onlyIf={"etagMatches": "other"}) is None
    assert await body(r2, "put if") == "1"
    assert (await r2.put("put if", "22", onlyIf={"etagMatches": first.etag})).size == 2
    await r2.delete("put if")
    assert await r2.put("put if", "x", onlyIf={"etagMatches": "*"}) is None


async def checksums(r2):
    for name in ("md5", "sha1", "sha256", "sha384", "sha512"):
        digest = hashlib.new(name, b"hello").digest()
        for value in (digest, digest.hex(), digest.hex().upper()):
            head = await r2.put("sum", "hello", **{name: value})
            assert bytes(getattr(head.checksums, name)) == digest
        assert (await r2.head("sum")).checksums.toJSON()[name] == digest.hex()
    wrong, right = "0" * 32, hashlib.md5(b"hello").hexdigest()
    assert await refused(r2.put("sum", "hello", md5=wrong)) == (
        "Error",
        "put: The MD5 checksum you specified did not match what we received.\n"
        f"You provided a MD5 checksum with value: {wrong}\nActual MD5 was: {right} (10037)",
    )
    large = b"x" * MIB
    name, text = await refused(r2.put("sum", large, sha256="0" * 64))
    assert "SHA-256 checksum you specified" in text
    assert await body(r2, "sum") == "hello"
    assert await refused(r2.put("sum", "x", sha256="00")) == ("TypeError", "SHA-256 is 64 hex characters, not 2")
    both = await refused(r2.put("sum", "x", md5=right, sha1="0" * 40))
    assert both == ("TypeError", "You cannot specify multiple hashing algorithms.")


async def keys(r2):
    for key in ("", "a/b/../c", "\0", "é" * 512, "x" * 1024, "."):
        await r2.put(key, "found")
        assert await body(r2, key) == "found"
        await r2.delete(key)
    for call in (r2.put("x" * 1025, "v"), r2.get("é" * 513), r2.head("x" * 1025), r2.delete("x" * 1025)):
        name, text = await refused(call)
        assert (name, text.partition(": ")[2]) == ("Error", "The specified object name is not valid. (10020)")
    await r2.put(5, "number")
    assert await body(r2, "5") == "number"


async def list_in_byte_order(r2):
    names = ["list/B", "list/a", "list/b", "list/é", "list/\uffff", "list/\U0001f600"]
    for key in reversed(names):
        await r2.put(key, "x", httpMetadata={"contentType": "a/b"}, customMetadata={"k": "v"})
    page = await r2.list(prefix="list/")
    assert [found.key for found in page.objects] == names
    assert (page.truncated, page.cursor, page.delimitedPrefixes) == (False, None, [])
    assert page.objects[0].customMetadata == {}
    assert page.objects[0].httpMetadata.contentType is None
    included = await r2.list(prefix="list/", include=["httpMetadata", "customMetadata"], limit=1)
    assert included.objects[0].customMetadata == {"k": "v"}
    assert included.objects[0].httpMetadata.contentType == "a/b"
    after = await r2.list(prefix="list/", startAfter="list/b")
    assert [found.key for found in after.objects] == names[3:]
    seen, cursor = [], None
    while True:
        page = await r2.list(prefix="list/", limit=4, cursor=cursor)
        seen += [found.key for found in page.objects]
        if not page.truncated:
            break
        cursor = page.cursor
    assert seen == names
    await r2.delete(names)
    for limit in (0, 1001, -1, 1.5):
        text = "list: MaxKeys params must be positive integer <= 1000. (10022)"
        assert await refused(r2.list(limit=limit)) == ("Error", text)


def wrong(field, options, kind):
    said = f"Incorrect type for the '{field}' field on '{options}': the provided value is not of type '{kind}'."
    return "TypeError", said


async def options_have_types(r2):
    await r2.put("typed", "x")
    for given, error in [
        ({"range": 5}, wrong("range", "GetOptions", "Range or Headers")),
        ({"range": {"offset": "1"}}, wrong("offset", "Range", "number")),
        ({"onlyIf": 5}, wrong("onlyIf", "GetOptions", "Conditional or Headers")),
        ({"onlyIf": {"etagMatches": ["x"]}}, wrong("etagMatches", "Conditional", "string")),
        ({"onlyIf": {"uploadedAfter": "2020-01-01"}}, wrong("uploadedAfter", "Conditional", "date")),
    ]:
        assert await refused(r2.get("typed", given)) == error
    for given, error in [
        ({"customMetadata": 5}, wrong("customMetadata", "PutOptions", "object")),
        ({"onlyIf": 5}, wrong("onlyIf", "PutOptions", "Conditional or Headers")),
        ({"httpMetadata": 5}, wrong("httpMetadata", "PutOptions", "HttpMetadata or Headers")),
        ({"httpMetadata": {"cacheExpiry": "x"}}, wrong("cacheExpiry", "HttpMetadata", "date")),
        ({"md5": 5}, wrong("md5", "PutOptions", "BufferSource or string")),
        ({"ssecKey": "no hex"}, ("Error", "SSE-C Key has invalid format")),
    ]:
        assert await refused(r2.put("typed", "y", given)) == error
    for given, error in [
        ({"prefix": 5}, wrong("prefix", "ListOptions", "string")),
        ({"include": "httpMetadata"}, wrong("include", "ListOptions", "Array")),
        ({"include": ["bogus"]}, ("RangeError", "Unsupported include value bogus")),
    ]:
        assert await refused(r2.list(given)) == error
    for call, method, number, kind in [
        (r2.get("typed", 5), "get", 2, "GetOptions"), (r2.put("typed", "x", "y"), "put", 3, "PutOptions"),
        (r2.list("typed"), "list", 1, "ListOptions"),
    ]:  # fmt: skip
        text = f"Failed to execute '{method}' on 'R2Bucket': parameter {number} is not of type '{kind}'."
        assert await refused(call) == ("TypeError", text)
    assert hasattr(await r2.get("typed", onlyIf={"uploadedAfter": 0}), "body")
    assert (await r2.put("typed", "x", httpMetadata={"cacheExpiry": 5000})).httpMetadata.cacheExpiry is not None
    assert await r2.get("typed", range=None, onlyIf=None) is not None


async def list_folds_at_the_delimiter(r2):
    names = ["f/a", "f/b/1", "f/b/2", "f/c", "f/d/", "f/d/e/1", "f/z"]
    for key in names:
        await r2.put(key, "x")
    page = await r2.list(prefix="f/", delimiter="/")
    assert [found.key for found in page.objects] == ["f/a", "f/c", "f/z"]
    assert page.delimitedPrefixes == ["f/b/", "f/d/"]
    seen, cursor = [], None
    while True:
        page = await r2.list({"prefix": "f/", "delimiter": "/", "limit": 1, "cursor": cursor})
        seen += [found.key for found in page.objects] + page.delimitedPrefixes
        if not page.truncated:
            break
        cursor = page.cursor
    assert seen == ["f/a", "f/b/", "f/c", "f/d/", "f/z"]
    await r2.delete(names)
    assert (await r2.list(prefix="f/")).objects == []


async def multipart(r2):
    upload = await r2.createMultipartUpload("big", httpMetadata={"contentType": "a/b"}, customMetadata={"k": "v"})
    assert upload.key == "big"
    assert len(upload.uploadId) == 171
    contents = [bytes([n]) * 5 * MIB for n in (1, 2)] + [b"end"]
    parts = [await upload.uploadPart(n, content) for n, content in enumerate(contents, 1)]
    assert parts[0].partNumber == 1
    again = r2.resumeMultipartUpload("big", upload.uploadId)
    parts[1] = await again.uploadPart(2, ReadableStream(pieces(b"\3" * 5 * MIB)))
    contents[1] = b"\3" * 5 * MIB
    assert await r2.head("big") is None
    head = await again.complete(list(reversed(parts)))
    digests = b"".join(hashlib.md5(content).digest() for content in contents)
    assert head.etag == hashlib.md5(digests).hexdigest() + "-3"
    assert head.size == 10 * MIB + 3
    assert head.checksums.md5 is None
    assert (head.httpMetadata.contentType, head.customMetadata) == ("a/b", {"k": "v"})
    assert bytes(await (await r2.get("big")).bytes()) == b"".join(contents)
    assert await refused(upload.uploadPart(1, "x")) == ("Error", "uploadPart: " + GONE)
    assert await refused(upload.complete(parts)) == ("Error", "completeMultipartUpload: " + GONE)
    assert await upload.abort() is None
    await r2.delete("big")


async def pieces(content):
    for at in range(0, len(content), 100_000):
        yield content[at : at + 100_000]


async def multipart_refusals(r2):
    upload = await r2.createMultipartUpload("parts")
    small = [await upload.uploadPart(1, "a"), await upload.uploadPart(2, "b")]
    text = "completeMultipartUpload: Your proposed upload is smaller than the minimum allowed object size. (10011)"
    assert await refused(upload.complete(small)) == ("Error", text)
    unknown = "completeMultipartUpload: One or more of the specified parts could not be found. (10025)"
    assert await refused(upload.complete([{"partNumber": 3, "etag": "x"}])) == ("Error", unknown)
    assert await refused(upload.complete([{"partNumber": 1, "etag": "x"}])) == ("Error", unknown)
    number = "Part number must be between 1 and 10000 (inclusive). Actual value was: "
    for given in (0, 10_001):
        assert await refused(upload.uploadPart(given, "x")) == ("TypeError", f"{number}{given}")
    for given, said in (("x", 0), (None, 0), (float("inf"), 0)):
        assert await refused(upload.uploadPart(given, "x")) == ("TypeError", f"{number}{said}")
    assert await refused(upload.complete([{}])) == ("TypeError", f"{number}0")
    kind, text = await refused(upload.complete(None))
    assert (kind, text.startswith("Failed to execute 'complete' on 'R2MultipartUpload'")) == ("TypeError", True)
    kind, text = await refused(upload.uploadPart(1, None))
    assert (kind, text.startswith("Failed to execute 'uploadPart' on 'R2MultipartUpload'")) == ("TypeError", True)
    assert (await upload.complete(small[:1])).etag.endswith("-1")
    empty = await (await r2.createMultipartUpload("parts")).complete([])
    assert (empty.size, empty.etag[-2:]) == (0, "-0")
    aborted = await r2.createMultipartUpload("parts")
    part = await aborted.uploadPart(1, "x")
    assert await aborted.abort() is None
    assert await aborted.abort() is None
    assert await refused(aborted.complete([part])) == ("Error", "completeMultipartUpload: " + GONE)


async def a_customers_key(r2):
    key = b"k" * 32
    head = await r2.put("sealed", "x", ssecKey=key)
    assert head.ssecKeyMd5 == hashlib.md5(key).hexdigest()
    assert await body(r2, "sealed", ssecKey=key.hex()) == "x"
    assert (await refused(r2.get("sealed")))[0] == "Error"
    assert await refused(r2.put("sealed", "x", ssecKey=b"short")) == ("Error", "SSE-C Key must be 32 bytes in length")


async def a_put_that_fails_leaves_what_was_there(r2):
    async def breaks():
        yield b"x" * MIB
        raise ValueError("broken")

    await r2.put("kept", "before")
    with raises(ValueError, "broken"):
        await r2.put("kept", breaks())
    assert await body(r2, "kept") == "before"


async def what_is_being_read_stays_whole(r2):
    content = bytes(range(256)) * 4096
    await r2.put("replaced", content)
    reading = aiter((await r2.get("replaced")).body)
    first = await anext(reading)
    await r2.put("replaced", b"other" * MIB)
    await r2.delete("replaced")
    assert first + b"".join([chunk async for chunk in reading]) == content


async def two_bindings_of_one_name_are_one_bucket(r2):
    from workers import env

    await r2.put("shared", "x")
    assert (await env.SAME.head("shared")).size == 1
    assert await env.OTHER.head("shared") is None


async def names_are_those_of_javascript(r2):
    with raises(AttributeError, "it is createMultipartUpload"):
        r2.create_multipart_upload("x")


async def request_keeps_its_body(r2, request):
    head = await r2.put("body", request.body)
    return Response(f"{head.size} {head.etag}")


async def request_gives_the_body(r2, request):
    found = await r2.get("body", range=request.headers)
    return Response(found.body, headers={"etag": found.httpEtag})


async def request_puts(r2, request):
    key = URL(request.url).search.removeprefix("?key=")
    await r2.put(key, await request.bytes())
    return Response("put\n")


async def request_gets(r2, request):
    found = await r2.get(URL(request.url).search.removeprefix("?key="))
    return Response("(none)" if found is None else found.body)
