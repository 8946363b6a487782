"""models.yaml and the choice of who answers: every upstream model, the project's own, the stand-in."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from bindings.ai.catalog import resolve as catalog_module
from bindings.ai.catalog.resolve import EMBEDDED, Catalog
from bindings.ai.engine import options as engine_options
from bindings.ai.engine.protocol import EngineSpec
from bindings.ai.engines import echo
from bindings.ai.engines.openai import engine as openai
from bindings.ai.errors import ModelError
from runtime.errors import ConfigError

INT8 = "@cf/meta/llama-2-7b-chat-int8"
FP16 = "@cf/meta/llama-2-7b-chat-fp16"


def own(tmp_path: Path, text: str) -> Catalog:
    file = tmp_path / "models.yaml"
    file.write_text(text)
    return Catalog.load(file)


def test_every_upstream_model_is_there_and_parses() -> None:
    models = Catalog.load().models()
    assert len(models) >= 104
    assert sum(model.task == "Text Generation" for model in models) == 73
    assert len({model.catalog_id for model in models}) == len(models)
    assert all(model.id.startswith(("@cf/", "@hf/")) for model in models)


def test_the_announced_pair_has_the_announced_limits() -> None:
    int8, fp16 = Catalog.load().model(INT8), Catalog.load().model(FP16)
    assert (int8.max_input_tokens, int8.max_output_tokens) == (2048, 1800)
    assert (fp16.max_input_tokens, fp16.max_output_tokens) == (3072, 2500)
    assert (int8.default_max_tokens, int8.default_temperature, int8.deprecated) == (256, 0.6, "2026-05-30")
    assert Catalog.load().model("@cf/qwen/qwen3-30b-a3b-fp8").default_max_tokens == 2000


def test_vllm_gets_real_dtype_and_quantization() -> None:
    def spec(id: str) -> EngineSpec:
        return Catalog.load().resolve(id, "vllm").spec

    assert spec(FP16) == EngineSpec(engine="vllm", model="meta-llama/Llama-2-7b-chat-hf", options={"dtype": "float16"})
    int8 = spec(INT8)
    assert (int8.options["dtype"], int8.options["quantization"]) == ("float16", "torchao")
    assert "Int8WeightOnlyConfig" in int8.options["hf_overrides"]["quantization_config_dict_json"]
    assert spec("@hf/thebloke/zephyr-7b-beta-awq").options == {"quantization": "awq"}


def test_without_weights_the_embedded_model_stands_in_and_says_so() -> None:
    served = Catalog.load().resolve(INT8, "llamacpp")
    assert (served.spec, served.stand_in, served.answers) == (EMBEDDED, True, "SmolLM2-135M-Instruct")
    assert served.model.max_input_tokens == 2048


def test_engine_choice() -> None:
    upstream = Catalog.load().resolve(INT8, "openai")
    assert (upstream.spec.model, upstream.stand_in) == (INT8, False)
    echo = Catalog.load().resolve(INT8, "echo")
    assert (echo.spec, echo.stand_in) == (EngineSpec(engine="echo", model="echo"), True)


@pytest.mark.parametrize(
    ("installed", "gpu", "engine"), [(True, True, "vllm"), (True, False, "llamacpp"), (False, True, "llamacpp")]
)
def test_automatic_choice_is_vllm_only_with_a_gpu(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, installed: bool, gpu: bool, engine: str
) -> None:
    monkeypatch.setattr(catalog_module, "GPU_NODES", (str(tmp_path if gpu else tmp_path / "none"),))
    monkeypatch.setattr(catalog_module, "find_spec", lambda name: object() if installed else None)
    assert Catalog.load().resolve(INT8).spec.engine == engine


@pytest.mark.vllm
def test_own_models_add_and_override(tmp_path: Path) -> None:
    catalog = own(
        tmp_path,
        f"""
"{INT8}":
  max_output_tokens: 100
  deprecated: null
  llamacpp: {{model: ./weights/llama.gguf, n_ctx: 4096}}
  vllm: {{tensor_parallel_size: 2}}
my-model:
  engine: openai
  options: {{base_url: "http://127.0.0.1:9/v1"}}
  model: qwen
other:
  engine: vllm
  vllm: {{model: acme/other, dtype: bfloat16}}
  options: {{max_model_len: 512}}
  preload: true
""",
    )
    model = catalog.model(INT8)
    assert (model.max_input_tokens, model.max_output_tokens, model.deprecated) == (2048, 100, None)
    local = catalog.resolve(INT8, "llamacpp")
    assert not local.stand_in
    assert local.spec.model == str(tmp_path / "weights" / "llama.gguf")
    assert local.spec.options == {"n_ctx": 4096}
    merged = catalog.resolve(INT8, "vllm").spec
    assert merged.model == "meta-llama/Llama-2-7b-chat-hf"
    assert merged.options.keys() == {"dtype", "quantization", "hf_overrides", "tensor_parallel_size"}
    mine = catalog.resolve("my-model", "llamacpp").spec
    assert mine == EngineSpec(engine="openai", model="qwen", options={"base_url": "http://127.0.0.1:9/v1"})
    assert catalog.resolve("other").spec.options == {"dtype": "bfloat16", "max_model_len": 512}
    assert [model.id for model in catalog.own if model.preload] == ["other"]
    assert len(catalog.models()) == len(Catalog.load().models()) + 2


def test_a_block_that_names_a_model_replaces_the_one_below(tmp_path: Path) -> None:
    catalog = own(tmp_path, f'"{INT8}":\n  vllm: {{model: acme/mine}}\n')
    assert catalog.resolve(INT8, "vllm").spec == EngineSpec(engine="vllm", model="acme/mine")


def test_vllm_makes_room_for_adapters_where_the_model_takes_them(tmp_path: Path) -> None:
    lora = "@cf/mistral/mistral-7b-instruct-v0.2-lora"
    assert Catalog().resolve(lora, "vllm").spec.options == {"enable_lora": True}
    assert "enable_lora" not in Catalog().resolve(INT8, "vllm").spec.options
    catalog = own(tmp_path, f'"{lora}":\n  options: {{enable_lora: false}}\n')
    assert catalog.resolve(lora, "vllm").spec.options == {"enable_lora": False}


def test_a_model_defined_as_an_echo_is_no_stand_in(tmp_path: Path) -> None:
    served = own(tmp_path, "parrot: {engine: echo, options: {rate: 50}}").resolve("parrot")
    assert served.spec == EngineSpec(engine="echo", model="echo", options={"rate": 50})
    assert not served.stand_in


def test_percent_encoded_ids_are_found() -> None:
    assert Catalog.load().model("@cf%2Fmeta%2Fllama-2-7b-chat-int8").id == INT8


@pytest.mark.parametrize(
    ("id", "engine", "text"),
    [
        ("@cf/none/such", None, "No such model @cf/none/such or task"),
        ("@cf/meta/llama-2-7b-chat-in8", None, f"or task: did you mean {INT8!r}"),
        ("llama-2-7b-chat-int8", None, f"or task: did you mean {INT8!r}"),
        ("@cf/baai/bge-reranker-base", "llamacpp", "no configured engine serves the task Reranking"),
        ("@cf/baai/bge-reranker-base", "llamacpp", "write `engine: vllm` under '@cf/baai/bge-reranker-base'"),
        ("@cf/zai-org/glm-5.3", "vllm", "write `vllm: {model: ...}` under '@cf/zai-org/glm-5.3'"),
    ],
)
def test_what_cannot_be_served_is_5007(id: str, engine: str | None, text: str) -> None:
    with pytest.raises(ModelError) as caught:
        Catalog.load().resolve(id, engine)
    assert (caught.value.code, caught.value.status) == (5007, 400)
    assert text in caught.value.description


def test_retired_only_where_marked(tmp_path: Path) -> None:
    Catalog.load().resolve(INT8, "echo")
    with pytest.raises(ModelError) as caught:
        own(tmp_path, f'"{INT8}": {{retired: true}}').resolve(INT8, "echo")
    assert (caught.value.code, caught.value.status) == (5028, 410)
    text = f"{INT8} was deprecated on 2026-05-30. See the model catalog for alternatives"
    assert caught.value.description == text


def test_stand_in_can_be_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="5007"):
        own(tmp_path, f'"{INT8}": {{stand_in: false}}').resolve(INT8, "llamacpp")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("m: {lorra: true}", ["models.yaml: m", "unknown field `lorra`", "did you mean 'lora'?"]),
        ("m: {context_window: big}", ["models.yaml: m: context_window", "expected `int"]),
        ("m: {llamacpp: {n_ctx: lots}}", ["models.yaml: m: llamacpp: n_ctx", "must be a whole number, not 'lots'"]),
        ("m: {llamacpp: {n_ctx: 0}}", ["models.yaml: m: llamacpp: n_ctx", "must be at least 1, not 0"]),
        ("m: {llamacpp: {n_batch: 4294967296}}", ["llamacpp: n_batch", "must be at most 2147483647, not 4294967296"]),
        ("m: {llamacpp: {n_batch: true}}", ["llamacpp: n_batch", "must be a whole number, not True"]),
        ("m: {llamacpp: {use_jinja: maybe}}", ["llamacpp: use_jinja", "must be true or false, not 'maybe'"]),
        ("m: {llamacpp: {n_cxt: 4}}", ["models.yaml: m: llamacpp", "unknown option 'n_cxt'", "n_ctx"]),
        ("m: {vllm: {gpu_memory_utilization: 90}}", ["vllm: gpu_memory_utilization", "must be at most 1, not 90"]),
        ("m: {vllm: {max_model_len: 32k}}", ["vllm: max_model_len", "must be a whole number, not '32k'"]),
        ("m: {vllm: {max_model_length: 32}}", ["unknown option 'max_model_length'", "Did you mean max_model_len"]),
        ("m: {openai: {timeout_s: 0}}", ["openai: timeout_s", "must be at least"]),
        ("m: {openai: {base-url: x}}", ["openai", "unknown option 'base-url'", "Did you mean base_url"]),
        ("m: {echo: {speed: 3}}", ["echo", "unknown option 'speed'", "The options are: rate, tokens"]),
        ("m: {engine: echo, options: {rate: fast}}", ["models.yaml: m: options: rate", "a number, not 'fast'"]),
        ("m: {engine: vlm}", ["models.yaml: m: engine", "unknown engine 'vlm'", "did you mean 'vllm'?"]),
        ("m: {engine: [a]}", ["models.yaml: m: engine", "unknown engine ['a']"]),
        ("m: {deprecated: 2026-05-30}", ["models.yaml: m: deprecated", "in quotes"]),
        ("m: {evidence: {facts: 1}}", ["models.yaml: m: evidence.facts"]),
        ("- a", ["holds no table"]),
        ("m: 3", ["models.yaml: m", "a model is an id followed by its fields"]),
        ("m: {a: [", ["models.yaml, line ", "not valid YAML"]),
        ("m: {x: !!python/object:os.system {}}", ["models.yaml", "not valid YAML"]),
        ("[" * 60, ["models.yaml, line 1", "nested more than 50 deep"]),
        ("[" * 100_000, ["models.yaml, line 1", "nest"]),  # PyYAML's own words, where it counts as well (6.0.4)
        ("- " * 100_000, ["models.yaml, line 1", "nested more than 50 deep"]),
        ("m:\n  options: &a {b: *a}", ["models.yaml, line 2", "the alias *a is not supported"]),
        ("m:\n  deprecated: 2026-99-99", ["models.yaml, line 2", "month must be in 1..12"]),
        (f"m:\n  max_batch: {'9' * 5000}", ["models.yaml, line 2", "a number of more than 1000 digits"]),
        ("m: {max_batch: 99999999999999999999}", ["models.yaml: m: max_batch", "does not fit in 64 bits"]),
        ("m: {options: {x: [1, .inf]}}", ["models.yaml: m: options: x[1]", "is not a finite number"]),
        ("m: {options: {1: 2}}", ["models.yaml: m: options", "the key 1 must be a string", 'Write:  "1":']),
        ("m: {options: {x: !!set {a}}}", ["models.yaml: m: options: x", "is a set, which JSON has not"]),
        ('m: {model: "./a\\0b"}', ["models.yaml: m: model", "NUL"]),
        ("m: {vllm: {model: 3}}", ["models.yaml: m: vllm: model", "must be a path or a name, not 3"]),
        ("m: {model: ~nobody-here/a}", ["models.yaml: m: model", "cannot be looked up"]),
        ("# " + "x" * 1_000_000, ["models.yaml", "is larger than 1,000,000 bytes"]),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else "",
)
def test_mistakes_are_named(tmp_path: Path, text: str, parts: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        own(tmp_path, text)
    for part in parts:
        assert part in str(caught.value)


def test_loading_waits_for_the_first_use() -> None:
    probe = (
        "import sys; from bindings.ai.catalog.resolve import Catalog\n"
        "catalog = Catalog.load(); assert 'yaml' not in sys.modules\n"
        "catalog.resolve('@cf/meta/llama-2-7b-chat-int8', 'echo')\n"
        "assert 'yaml' in sys.modules and 'vllm' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", probe], check=True, timeout=60)


def test_the_options_known_here_are_those_of_the_engines() -> None:
    """A value of the kind that is asked for is one that the engine takes."""
    assert engine_options.KNOWN["echo"].keys() == set(echo.EchoOptions.__struct_fields__)
    assert engine_options.KNOWN["openai"].keys() == {*openai.OpenAIOptions.__struct_fields__, "pooling"}
    params = import_module("xllamacpp").CommonParams()
    for name, kind in engine_options.KNOWN["llamacpp"].items():
        if name not in ("n_threads", "n_threads_batch", "pooling"):
            assert isinstance(getattr(params, name), kind.types), name


@pytest.mark.vllm
def test_the_options_known_here_are_those_vllm_fields() -> None:
    found = engine_options._vllm_fields()
    assert {"tensor_parallel_size", "max_num_seqs", "served_model_name", "enable_log_requests"} <= found.keys()
    assert engine_options.KNOWN["vllm"].keys() - found.keys() == {"chat_template", "pooling", "tool_call_parser"}


@pytest.mark.vllm
def test_a_gpus_bytes_are_a_number_that_vllm_takes(tmp_path: Path) -> None:
    """More than 32 bits hold, as every card of today has."""
    own(tmp_path, "m: {vllm: {model: a/b, kv_cache_memory_bytes: 8589934592}}")
    with pytest.raises(ConfigError, match="does not fit in 64 bits"):
        own(tmp_path, "m: {vllm: {model: a/b, kv_cache_memory_bytes: 9223372036854775808}}")
