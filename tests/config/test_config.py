"""Configuration: what Wrangler accepts is accepted, and what is wrong is said with place and remedy."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bindings.ai.settings import AISettings, models_file
from runtime import config
from runtime.config import Config
from runtime.errors import ConfigError, UserError

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Write a configuration beside an entry script, and load it."""

    def write_and_load(text: str, name: str = "wrangler.toml", **options: Any) -> Config:
        (tmp_path / "entry.py").write_text("async def fetch(request, env, ctx): ...\n")
        (tmp_path / name).write_text(textwrap.dedent(text), encoding="utf-8")
        return config.load(None, cwd=tmp_path, **options)

    return write_and_load


def complaint(load: Load, text: str, name: str = "wrangler.toml", **options: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, name, **options)
    return str(caught.value)


# --- the three formats ----------------------------------------------------------------------------------


def test_toml(load: Load, tmp_path: Path) -> None:
    loaded = load("""
        name = "hello"
        main = "entry.py"
        compatibility_date = "2026-01-01"
        compatibility_flags = ["python_workers"]
        [vars]
        GREETING = "hi"
        LIMITS = { tokens = 3, deep = [1, 2.5, true] }
        [ai]
        binding = "AI"
        [dev]
        port = 9000
        ip = "0.0.0.0"
    """)
    assert loaded.path == tmp_path / "wrangler.toml"
    assert (loaded.name, loaded.root, loaded.main) == ("hello", tmp_path, tmp_path / "entry.py")
    assert (loaded.compatibility_date, loaded.compatibility_flags) == ("2026-01-01", ("python_workers",))
    assert loaded.vars == {"GREETING": "hi", "LIMITS": {"tokens": 3, "deep": [1, 2.5, True]}}
    assert loaded.products == {"ai": {"binding": "AI"}}
    assert (loaded.dev.port, loaded.dev.ip) == (9000, "0.0.0.0")
    assert loaded.warnings == ()


@pytest.mark.parametrize("name", ["wrangler.json", "wrangler.jsonc"])
def test_json_with_comments_bom_trailing_commas_and_a_repeated_key(load: Load, name: str) -> None:
    loaded = load(
        """\ufeff{
        // the worker
        "$schema": "node_modules/wrangler/config-schema.json",
        "name": "j", "main": "entry.py", /* twice: */ "vars": {"A": 1}, "vars": {"B": [1,], "N": null},
        "ai": {"binding": "AI", "remote": true},
    }""",
        name,
    )
    assert loaded.name == "j"
    assert loaded.vars == {"B": [1], "N": None}
    assert loaded.warnings == ()


def test_toml_with_a_bom_and_windows_line_ends(load: Load) -> None:
    assert load('\ufeffname = "w"\r\nmain = "entry.py"\r\n').name == "w"


def test_json_comes_before_jsonc_before_toml(load: Load, tmp_path: Path) -> None:
    load('name = "t"\nmain = "entry.py"')
    assert load('{"name": "c", "main": "entry.py"}', "wrangler.jsonc").name == "c"
    assert load('{"name": "j", "main": "entry.py"}', "wrangler.json").name == "j"
    assert config.load(Path("wrangler.toml"), cwd=tmp_path).name == "t"


def test_found_from_a_folder_below_and_by_its_folder(load: Load, tmp_path: Path) -> None:
    load('name = "up"\nmain = "entry.py"')
    below = tmp_path / "src" / "deep"
    below.mkdir(parents=True)
    assert config.load(None, cwd=below).name == "up"
    assert config.load(tmp_path, cwd=Path("/")).name == "up"


def test_a_bare_script_needs_no_configuration(tmp_path: Path) -> None:
    (tmp_path / "My Worker.py").write_text("")
    loaded = config.load(Path("My Worker.py"), cwd=tmp_path, variables={"A": "1"})
    assert (loaded.path, loaded.name, loaded.main) == (None, "my-worker", tmp_path / "My Worker.py")
    assert loaded.vars == {"A": "1"}


def test_a_missing_name_is_the_folders(load: Load, tmp_path: Path) -> None:
    assert load('main = "entry.py"').name == config.values.slug(tmp_path.name)


# --- what Wrangler accepts ------------------------------------------------------------------------------

EVERYTHING = """
    "$schema" = "x"
    name = "all"
    main = "./entry.py"
    account_id = "abc"
    compatibility_date = "2026-01-01"
    compatibility_flags = ["python_workers", "nodejs_compat"]
    workers_dev = true
    preview_urls = false
    routes = ["example.com/*", { pattern = "a.example.com", custom_domain = true }]
    send_metrics = false
    keep_vars = true
    upload_source_maps = true
    no_bundle = true
    minify = false
    find_additional_modules = true
    base_dir = "."
    rules = [{ type = "PythonModule", globs = ["**/*.py"], fallthrough = true }]
    migrations = [{ tag = "v1", new_classes = ["Room"] }]
    tail_consumers = [{ service = "tail" }]
    define = { VERSION = "'1'" }
    placement = { mode = "smart" }
    limits = { cpu_ms = 50 }
    observability = { enabled = true, head_sampling_rate = 0.5, logs = { enabled = true } }
    build = { cwd = "src" }
    triggers = { crons = [] }
    alias = { a = "b" }
    python_modules = { exclude = ["**/*.pyc"] }
    [dev]
    port = 8787
    local_protocol = "http"
    inspector_port = 9229
"""


def test_settings_that_change_nothing_here_are_silent(load: Load) -> None:
    assert load(EVERYTHING).warnings == ()


def test_products_that_are_not_here_are_named(load: Load) -> None:
    warnings = load("""
        main = "entry.py"
        build = { command = "make" }
        [[pipelines]]
        binding = "EVENTS"
        pipeline = "p"
        [browser]
        binding = "BROWSER"
        [[containers]]
        class_name = "Box"
    """).warnings
    text = "\n".join(warnings)
    assert "pipelines: env.EVENTS is Pipelines, which is not served here: write to R2, D1 or Analytics Engine" in text
    assert "env.BROWSER is Browser Rendering, which is not served here: run a browser as a service of yours" in text
    assert "containers: containers are not run here" in text
    assert "build command" in text


def test_unknown_keys_warn_with_the_key_that_was_meant(load: Load) -> None:
    warnings = load('main = "entry.py"\nvar = "x"\nzzz = 1').warnings
    assert "wrangler.toml: unknown key 'var' is ignored (did you mean 'vars'?)" in warnings
    assert "wrangler.toml: unknown key 'zzz' is ignored" in warnings


def test_so_do_unknown_keys_of_a_table(load: Load) -> None:
    loaded = load('main = "entry.py"\n[ai]\nbinding = "AI"\nremot = true\n[dev]\nprt = 1\ninspector_port = 2')
    assert loaded.warnings == (
        "wrangler.toml: ai: unknown key 'remot' is ignored (did you mean 'remote'?)",
        "wrangler.toml: dev: unknown key 'prt' is ignored (did you mean 'port'?)",
    )


def test_empty_products_are_silent(load: Load) -> None:
    assert load('main = "entry.py"\nkv_namespaces = []\ndurable_objects = { bindings = [] }').warnings == ()


@pytest.mark.parametrize("text", ["2026-01-02", "2026-1-2", "2026/01/02"])
def test_dates_as_wrangler_takes_them(load: Load, text: str) -> None:
    loaded = load(f'main = "entry.py"\ncompatibility_date = "{text}"')
    assert loaded.compatibility_date == "2026-01-02"


def test_wrangler_refuses_some_names_and_so_do_we(load: Load) -> None:
    assert "bad-name" in complaint(load, 'name = "Bad Name"\nmain = "entry.py"')
    assert load('name = "good_name-1"\nmain = "entry.py"').name == "good_name-1"


# --- environments ---------------------------------------------------------------------------------------

ENVIRONMENTS = """
    name = "app"
    main = "entry.py"
    compatibility_date = "2026-01-01"
    [vars]
    A = "top"
    B = "top"
    [ai]
    binding = "AI"
    [pilot]
    drain = 5
    body_limit = "1MB"
    [env.staging]
    workers_dev = false
    [env.prod]
    name = "production"
    compatibility_date = "2026-02-02"
    vars = { A = "prod" }
    ai = { binding = "MODEL" }
    pilot = { drain = 60 }
"""


def test_bindings_and_vars_are_not_inherited(load: Load) -> None:
    staging = load(ENVIRONMENTS, environment="staging")
    assert (staging.name, staging.environment) == ("app-staging", "staging")
    assert (staging.vars, staging.products) == ({}, {})
    assert staging.compatibility_date == "2026-01-01"
    assert "wrangler.toml: env.staging: has no 'vars'; the top level's is not inherited" in staging.warnings
    assert "wrangler.toml: env.staging: has no 'ai'; the top level's is not inherited" in staging.warnings


def test_an_environment_overrides(load: Load) -> None:
    prod = load(ENVIRONMENTS, environment="prod")
    assert (prod.name, prod.compatibility_date) == ("production", "2026-02-02")
    assert (prod.vars, prod.products) == ({"A": "prod"}, {"ai": {"binding": "MODEL"}})
    assert (prod.pilot.drain, prod.pilot.body_limit) == (60, 1_000_000)
    (warning,) = prod.warnings
    assert warning == "wrangler.toml: env.prod.vars: has no B; the top level's vars are not inherited"


def test_without_an_environment_the_top_level_stands(load: Load) -> None:
    assert load(ENVIRONMENTS).vars == {"A": "top", "B": "top"}


def test_an_undefined_environment_lists_those_that_exist(load: Load) -> None:
    text = complaint(load, ENVIRONMENTS, environment="prd")
    assert "wrangler.toml: env: there is no environment 'prd' (did you mean 'prod'?)" in text
    assert "Defined: staging, prod" in text


def test_an_environment_where_none_is_defined_warns_as_wrangler_does(load: Load) -> None:
    loaded = load('name = "app"\nmain = "entry.py"\nvars = { A = "x" }', environment="dev")
    assert (loaded.name, loaded.vars) == ("app-dev", {"A": "x"})
    assert "no environments" in loaded.warnings[0]


def test_a_mistake_inside_an_environment_is_placed_there(load: Load) -> None:
    text = 'main = "entry.py"\n[[env.prod.r2_buckets]]\nbinding = "A"\n[[env.prod.r2_buckets]]\nbindng = "B"'
    assert complaint(load, text, environment="prod") == (
        "wrangler.toml: [[env.prod.r2_buckets]] #2: has no 'binding'\n  It says 'bindng': write 'binding'."
    )
    assert load(text).name


# --- mistakes -------------------------------------------------------------------------------------------


ENTRY = 'main = "entry.py"\n'


@pytest.mark.parametrize(("text", "says"), [
    ("main = 3", "wrangler.toml: main: must be a string, not a whole number"),
    ('name = "x"', "wrangler.toml: main: is missing"),
    ('man = "entry.py"', "It says 'man': write 'main'."),
    ('main = "nope.py"', "wrangler.toml: main: there is no nope.py"),
    ('main = "wrangler.toml"', "wrangler.toml: main: wrangler.toml is not Python"),
])  # fmt: skip
def test_a_main_that_cannot_be_used(load: Load, text: str, says: str) -> None:
    assert says in complaint(load, text)


@pytest.mark.parametrize(("text", "says"), [
    ('vars = 3', "wrangler.toml: vars: must be a table, not a whole number"),
    ('workers_dev = "yes"', "wrangler.toml: workers_dev: must be true or false, not a string"),
    ('compatibility_flags = ["a", 3]', "wrangler.toml: compatibility_flags[1]: must be a string"),
    ('compatibility_date = 2026-01-01', 'Write:  compatibility_date = "2026-01-01"'),
    ('compatibility_date = "soon"', "'soon' is not a date"),
    ('[dev]\nport = "9000"', "wrangler.toml: dev.port: must be a whole number, not a string"),
    ('[dev]\nport = 90000', "wrangler.toml: dev.port: must be a whole number <= 65535"),
    ('[ai]\nbind = "AI"', "wrangler.toml: ai: has no 'binding'"),
    ('[ai]\nbindng = "AI"', "It says 'bindng': write 'binding'."),
    ('[[kv_namespaces]]\nbinding = 1', "[[kv_namespaces]] #1, binding: must be a string"),
    ('[vars]\nD = 2026-01-01', "wrangler.toml: vars.D: is a TOML date"),
    ('[vars]\nN = 9223372036854775808', "wrangler.toml: vars.N: does not fit in 64 bits"),
    ('[vars]\nAI = "x"\n[ai]\nbinding = "AI"', "'AI' is both a variable and a Workers AI binding"),
    ('[pilot]\nbodylimit = 3', "pilot: has no setting 'bodylimit' (did you mean 'body_limit'?)"),
    ('[pilot]\nbody_limit = "lots"', "wrangler.toml: pilot.body_limit: 'lots' is not a size"),
    ('[pilot]\ndrain = -1', "wrangler.toml: pilot.drain: must be a number >= 0"),
    ('[pilot]\ndrain = inf', "wrangler.toml: pilot.drain: must be a number <= 86400"),
    ('[pilot]\ndrain = nan', "wrangler.toml: pilot.drain: must be a number"),
    ('[pilot]\nload_timeout = 1e400', "wrangler.toml: pilot.load_timeout: must be a number <= 86400"),
    ('[pilot]\nwait_until = 86401', "wrangler.toml: pilot.wait_until: must be a number <= 86400"),
    ('[pilot]\nmodels = "nope.yaml"', "wrangler.toml: pilot.models: there is no nope.yaml"),
])  # fmt: skip
def test_a_mistake_names_file_key_and_remedy(load: Load, text: str, says: str) -> None:
    assert says in complaint(load, ENTRY + text)


def test_places_in_json_are_written_as_json(load: Load) -> None:
    text = '{"main": "entry.py", "kv_namespaces": [{"binding": "A"}, {"id": "x"}]}'
    assert complaint(load, text, "wrangler.jsonc") == (
        'wrangler.jsonc: kv_namespaces[1]: has no \'binding\'\n  Add:  "binding": "NAME"'
    )


@pytest.mark.parametrize(("name", "text", "where", "line"), [
    ("wrangler.toml", 'main = "entry.py"\nname = "c\n', "wrangler.toml, line 2, column 10", 'name = "c'),
    ("wrangler.toml", "main =", "wrangler.toml, line 1, column 7", "main ="),
    ("wrangler.json", '{"main": "a",\n "b": 1,,}', "wrangler.json, line 2, column ", '"b": 1,,}'),
    ("wrangler.jsonc", '{"main": [1', "wrangler.jsonc, line 1, column ", '{"main": [1'),
    ("wrangler.jsonc", "", "wrangler.jsonc, line 1, column 1", ""),
])  # fmt: skip
def test_a_syntax_error_shows_the_line(load: Load, name: str, text: str, where: str, line: str) -> None:
    said = complaint(load, text, name)
    assert said.startswith(where)
    assert line in said
    assert said.rstrip().endswith("^")


def test_not_an_object_and_not_text(load: Load, tmp_path: Path) -> None:
    assert "must be a JSON object" in complaint(load, "[]", "wrangler.json")
    assert "nested too deeply" in complaint(load, "[" * 100_000, "wrangler.json")
    (tmp_path / "wrangler.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(ConfigError, match="not UTF-8"):
        config.load(None, cwd=tmp_path)


def test_no_configuration_at_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"pilot dev entry\.py"):
        config.load(tmp_path, cwd=tmp_path)
    with pytest.raises(ConfigError, match="no such file"):
        config.load(Path("other.toml"), cwd=tmp_path)


# --- [pilot] --------------------------------------------------------------------------------------------


def test_our_own_settings_have_defaults(load: Load) -> None:
    config = load('main = "entry.py"')
    pilot, models = config.pilot, config.settings(AISettings)
    assert (pilot.body_limit, models.load_timeout, pilot.drain, pilot.wait_until) == (100_000_000, 600, 30, 30)
    assert (models.padding, models.engine, models_file(config)) == (None, None, config.root / "models.yaml")


@pytest.mark.parametrize(("size", "amount"), [
    ("5", 5), ('"5"', 5), ('"100MB"', 10**8), ('"1.5 GiB"', 1610612736), ('"64kb"', 64000),
])  # fmt: skip
def test_sizes(load: Load, size: str, amount: int) -> None:
    assert load(f'main = "entry.py"\n[pilot]\nbody_limit = {size}').pilot.body_limit == amount


# --- secrets and --var ----------------------------------------------------------------------------------

PLAIN = 'main = "entry.py"\nvars = { TOKEN = "var", KEEP = "k" }'


def test_secrets_are_read_and_never_shown(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".dev.vars").write_text(
        '# a comment\nTOKEN=hunter2\nexport KEY = "-----BEGIN\nline-----"\nPATHLIKE=${HOME}/x\n', "utf-8-sig"
    )
    loaded = load(PLAIN)
    assert loaded.secrets == {"TOKEN": "hunter2", "KEY": "-----BEGIN\nline-----", "PATHLIKE": "${HOME}/x"}
    for text in (repr(loaded), str(loaded), repr(loaded.secrets), f"{loaded.secrets}"):
        assert "hunter2" not in text
        assert "BEGIN" not in text
    assert "TOKEN" in repr(loaded)


def test_an_environments_secrets_replace_the_others(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".dev.vars").write_text("A=all\nB=all\n")
    (tmp_path / ".dev.vars.prod").write_text("A=prod\n")
    text = 'main = "entry.py"\n[env.prod]\n[env.test]\n'
    assert load(text, environment="prod").secrets == {"A": "prod"}
    assert load(text, environment="test").secrets == {"A": "all", "B": "all"}


def test_dot_env_counts_where_there_is_no_dev_vars(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1\nB=1\n")
    (tmp_path / ".env.local").write_text("B=2\n")
    assert load(PLAIN).secrets == {"A": "1", "B": "2"}
    (tmp_path / ".dev.vars").write_text("C=3\n")
    assert load(PLAIN).secrets == {"C": "3"}


def test_a_line_that_is_no_assignment_warns_without_showing_it(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".dev.vars").write_text("A=1\nhunter2 hunter2\nB=2\n")
    loaded = load(PLAIN)
    assert loaded.secrets == {"A": "1", "B": "2"}
    assert loaded.warnings == (".dev.vars, line 2: not KEY=VALUE, ignored",)


def test_required_secrets(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'main = "entry.py"\nsecrets = { required = ["A", "B"] }'
    monkeypatch.setenv("B", "from-the-process")
    assert load(text).secrets == {"B": "from-the-process"}
    (tmp_path / ".env").write_text("A=1\nB=file\n")
    assert load(text).secrets == {"A": "1", "B": "from-the-process"}, "as wrangler: what is exported wins"
    (tmp_path / ".dev.vars").write_text("A=1\nOTHER=2\n")
    loaded = load(text)
    assert loaded.secrets == {"A": "1"}
    assert loaded.warnings == ("secret B is required and missing; add it to .dev.vars",)


def test_the_command_line_wins(load: Load, tmp_path: Path) -> None:
    (tmp_path / ".dev.vars").write_text("TOKEN=secret\n")
    loaded = load(PLAIN, variables={"TOKEN": "flag", "KEEP": "flag"})
    assert loaded.vars["KEEP"] == "flag"
    assert loaded.secrets == {"TOKEN": "flag"}
    assert "flag" not in repr(loaded.secrets)


def test_var_flags() -> None:
    assert config.parse_variable("URL:http://x:1") == ("URL", "http://x:1")
    assert config.parse_variable("EMPTY:") == ("EMPTY", "")
    for wrong in ("K=V", ":V", ""):
        with pytest.raises(UserError, match="KEY:VALUE"):
            config.parse_variable(wrong)


# --- for the rest of the runtime ------------------------------------------------------------------------


def test_watched_files_include_those_that_do_not_exist_yet(load: Load, tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("")
    loaded = load('main = "entry.py"\n[env.prod]\n[pilot]\nmodels = "my.yaml"', environment="prod")
    assert {tmp_path / name for name in ("wrangler.toml", ".dev.vars", ".dev.vars.prod", "my.yaml")} <= set(
        config.watched(loaded)
    )


def test_products_read_their_tables_with_the_same_errors(load: Load) -> None:
    loaded = load('main = "entry.py"\n[env.x.ai]\nbinding = "AI"\nremote = true', environment="x")
    assert loaded.typed("ai", dict[str, object])["binding"] == "AI"
    with pytest.raises(ConfigError, match=r"wrangler\.toml: env\.x\.ai: must be an array, not a table"):
        loaded.typed("ai", list[str])
    assert str(loaded.error("ai", "is odd", "binding", remedy="Fix it.")) == (
        "wrangler.toml: env.x.ai.binding: is odd\n  Fix it."
    )
