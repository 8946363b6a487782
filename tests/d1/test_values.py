"""What may be bound, what SQLite makes of it, and what is read: D1 knows JavaScript's values."""

from __future__ import annotations

from pathlib import Path

from d1_support import database
from dev_server import StartPilot


async def test_what_is_bound_is_a_double_and_affinity_decides(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with database(start_pilot, tmp_path) as ask:
        await ask("await db.exec('CREATE TABLE t (i INTEGER, t TEXT, r REAL, n)')")
        for value, wanted in (
            ("5", [["integer", 5], ["text", "5.0"], ["real", 5], ["real", 5]]),
            ("1.5", [["real", 1.5], ["text", "1.5"], ["real", 1.5], ["real", 1.5]]),
            ("True", [["integer", 1], ["text", "1.0"], ["real", 1], ["real", 1]]),
            ("False", [["integer", 0], ["text", "0.0"], ["real", 0], ["real", 0]]),
            ("2**52", [["integer", 2**52], ["text", f"{2**52}.0"], ["real", 2**52], ["real", 2**52]]),
            ("float('nan')", [["null", None]] * 4),
            ("float('-inf')", [["null", None]] * 4),
            ("None", [["null", None]] * 4),
            ("'7'", [["integer", 7], ["text", "7"], ["real", 7], ["text", "7"]]),
            ("'a\\x00b'", [["text", "a\x00b"]] * 4),
            ("'\\ud800x'", [["text", "\ufffdx"]] * 4),
            ("b'\\x00\\xff'", [["blob", [0, 255]]] * 4),
            ("memoryview(b'')", [["blob", []]] * 4),
            ("[1, 2, 255]", [["blob", [1, 2, 255]]] * 4),
        ):  # fmt: skip
            [row] = await ask(
                f"""
                value = {value}
                await db.prepare("DELETE FROM t").run()
                await db.prepare("INSERT INTO t VALUES (?1, ?1, ?1, ?1)").bind(value).run()
                return await db.prepare("SELECT typeof(i), i, typeof(t), t, typeof(r), r, typeof(n), n FROM t").raw()
                """
            )
            assert [row[at : at + 2] for at in (0, 2, 4, 6)] == wanted, value
        assert await ask("return await db.prepare('SELECT typeof(?1), ?1 / 2').bind(5).raw()") == [["real", 2.5]]


async def test_what_cannot_be_bound(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with database(start_pilot, tmp_path) as ask:
        for value, wanted in (
            ("2**53 - 1", "D1_TYPE_ERROR: Type 'bigint' not supported for value '9007199254740991'"),
            ("-2**63", "D1_TYPE_ERROR: Type 'bigint' not supported for value '-9223372036854775808'"),
            ("[1, 2, 300]", "D1_TYPE_ERROR: Type 'object' not supported for value '1,2,300'"),
            ("['a']", "D1_TYPE_ERROR: Type 'object' not supported for value 'a'"),
            ("{'a': 1}", "D1_TYPE_ERROR: Type 'object' not supported for value '[object Object]'"),
            (
                "datetime(2026, 11, 27, 10, 5, 6, tzinfo=UTC)",
                "D1_TYPE_ERROR: Type 'object' not supported for value "
                "'Fri Nov 27 2026 10:05:06 GMT+0000 (Coordinated Universal Time)'",
            ),
            ("(1, 2)", "<class 'tuple'> cannot be sent over RPC."),
            ("bytearray(b'a')", "<class 'bytearray'> cannot be sent over RPC."),
        ):
            said = await ask(
                f"""
                from datetime import UTC, datetime
                try:
                    db.prepare("SELECT ?").bind({value})
                except JsException as error:
                    assert error.name == "Error" and error.cause.message == error.message.split(": ", 1)[1]
                    return error.message
                except TypeError as error:
                    return str(error)
                """
            )
            assert said == wanted, value


async def test_what_is_read(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with database(start_pilot, tmp_path) as ask:
        for expression, wanted in (
            ("9007199254740991", "int 9007199254740991"),
            ("9007199254740993", "float 9007199254740992.0"),
            ("9223372036854775807", "float 9.223372036854776e+18"),
            ("1.0", "int 1"),
            ("1.5", "float 1.5"),
            ("1e300", "float 1e+300"),
            ("1e999", "NoneType None"),
            ("-1e999", "NoneType None"),
            ("NULL", "NoneType None"),
            ("'text'", "str text"),
            ("x'00ff'", "list [0, 255]"),
            ("x''", "list []"),
            ("json('[1,2]')", "str [1,2]"),
        ):
            got = await ask(
                f'v = await db.prepare("SELECT {expression} AS v").first("v")\nreturn f"{{type(v).__name__}} {{v}}"'
            )
            assert got == wanted, expression


async def test_large_values_pass(start_pilot: StartPilot, tmp_path: Path) -> None:
    async with database(start_pilot, tmp_path) as ask:
        assert await ask(
            """
            await db.exec("CREATE TABLE t (a)")
            await db.prepare("INSERT INTO t VALUES (?)").bind("x" * 2_000_001).run()
            await db.prepare("INSERT INTO t VALUES (?)").bind(bytes(1_000_000)).run()
            lengths = await db.prepare("SELECT length(a) FROM t").raw()
            blob = (await db.prepare("SELECT a FROM t WHERE typeof(a) = 'blob'").first("a"))
            too_big = await caught(db.prepare("INSERT INTO t VALUES (?)").bind("x" * 3_000_000).run())
            return [lengths, len(blob), sum(blob), too_big]
            """
        ) == [[[2_000_001], [1_000_000]], 1_000_000, 0, "D1_ERROR: string or blob too big: SQLITE_TOOBIG"]
