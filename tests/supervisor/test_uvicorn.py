"""What ``runtime/supervisor/http/protocol.py`` and ``cycles.py`` use of uvicorn's internals, which no documentation of
it promises."""

from __future__ import annotations

import ast
import asyncio
import inspect
import tomllib
from pathlib import Path

import uvicorn
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from runtime.supervisor.http import cycles, protocol

ROOT = Path(__file__).parents[2]
TREE = ast.Module([*ast.parse(inspect.getsource(protocol)).body, *ast.parse(inspect.getsource(cycles)).body], [])

OURS = {"begin_task", "shut", "let_go", "lost", "patience"}  # public, and no name of uvicorn's


def attributes(tree: ast.AST, variable: str) -> set[str]:
    """``name`` of each ``variable.name``."""
    nodes = (node for node in ast.walk(tree) if isinstance(node, ast.Attribute))
    return {node.attr for node in nodes if isinstance(node.value, ast.Name) and node.value.id == variable}


def class_named(name: str) -> ast.ClassDef:
    return next(node for node in TREE.body if isinstance(node, ast.ClassDef) and node.name == name)


def missing(owner: object, names: set[str]) -> list[str]:
    kind = type(owner).__name__
    return [f"uvicorn {uvicorn.__version__} has no {kind}.{name} any more" for name in sorted(names)
            if not hasattr(owner, name)]  # fmt: skip


async def application(scope: object, receive: object, send: object) -> None: ...


async def objects() -> tuple[HttpToolsProtocol, RequestResponseCycle, uvicorn.Server]:
    config = uvicorn.Config(application, http=protocol.Protocol, lifespan="off", log_config=None)
    connection = HttpToolsProtocol(config=config, server_state=ServerState(), app_state={})
    connection.on_message_begin()
    parameters = inspect.signature(RequestResponseCycle).parameters
    return connection, RequestResponseCycle(**dict.fromkeys(parameters)), uvicorn.Server(config)


def test_every_name_of_uvicorns_that_is_used_is_there() -> None:
    """Else uvicorn's upper bound in pyproject.toml was raised too far: the adapter has to follow first."""
    connection, cycle, server = asyncio.run(objects())
    overridden = {name for name in vars(protocol.Protocol) if not name.startswith("_")} - OURS
    private = {name for name in vars(protocol.Protocol) if name.startswith("_")}
    ours = {name for name in private if not hasattr(HttpToolsProtocol, name)} | OURS
    of_connection = attributes(class_named("Protocol"), "self") - ours
    of_server = attributes(class_named("Server"), "self") - {"stop", "open_requests"}
    absent = [
        *missing(connection, of_connection | overridden | {"_start_asgi_task"}),
        *missing(cycle, attributes(TREE, "cycle") - {"task"}),
        *missing(server, of_server | {"capture_signals", "started"}),
        *missing(server.config, {"timeout_graceful_shutdown"}),
        *missing(server.server_state, {"connections"}),
        *missing(FlowControl(asyncio.Transport()), attributes(TREE, "flow")),
    ]
    assert not absent, "\n".join([*absent, "runtime/supervisor/http/protocol.py or cycles.py has to do without it."])
    assert {"cycle", "parser", "transport"} <= of_connection  # they were found at all
    assert "response_started" in attributes(TREE, "cycle")


def test_uvicorn_has_an_upper_bound() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    bound = next(line for line in project["dependencies"] if line.startswith("uvicorn"))
    assert ",<" in bound
