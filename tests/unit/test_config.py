"""A configuration is used or refused, every problem named with its mend, and a secret is never shown."""

from __future__ import annotations

import math
import string
from typing import TYPE_CHECKING, Annotated, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BeforeValidator, SecretStr

from antiphon.config import Config, ConfigError, RawConfig, load
from antiphon.plugins import ProviderSettings, ProviderType, load_provider_types
from tests.support.scripted import ScriptedModel

if TYPE_CHECKING:
    from pathlib import Path

    from antiphon.plugins import ProviderTools

SECRET = "sk-0123456789-very-secret"


class KeyedSettings(ProviderSettings):
    api_key: SecretStr
    base_url: str = "https://example.com/v1"
    models: tuple[str, ...] = ()
    retries: int = 0
    wait: int | bool | None = None
    region: Annotated[str, BeforeValidator(str.strip)] = ""


def build(name: str, section: KeyedSettings, tools: ProviderTools) -> ScriptedModel:
    del section, tools
    return ScriptedModel(provider=name)


KINDS = {"keyed": ProviderType(name="keyed", settings=KeyedSettings, build=build), **load_provider_types()}
GOOD: dict[str, Any] = {"providers": {"acme": {"type": "keyed", "api_key": SECRET}}, "aliases": {"default": "acme/large"}}


def loaded(folder: Path, document: Any, environment: dict[str, str] | None = None) -> Config:
    file = folder / "antiphon.yaml"
    file.write_text(document if isinstance(document, str) else yaml.safe_dump(document), encoding="utf-8")
    return load(KINDS, file=file, environment=environment or {})


def attempted(folder: Path, document: Any, environment: dict[str, str] | None = None) -> Config | ConfigError:
    try:
        return loaded(folder, document, environment)
    except ConfigError as error:
        return error


def problems(folder: Path, document: Any, environment: dict[str, str] | None = None) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, document, environment)
    assert SECRET not in str(caught.value)
    return caught.value.problems


def test_defaults_alone_are_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = load(KINDS, environment={})
    assert (50051, 8080, "127.0.0.1") == (config.server.grpc_port, config.server.http_port, config.server.host)
    assert (["local"], {"default": "local/smollm2-135m-instruct"}) == (list(config.providers), config.aliases)


def test_the_file_of_the_folder_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "antiphon.yaml").write_text("server: {grpc_port: 1}", encoding="utf-8")
    assert 1 == load(KINDS, environment={}).server.grpc_port


def test_a_named_file_goes_before_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "antiphon.yaml").write_text("server: {grpc_port: 1}", encoding="utf-8")
    (tmp_path / "other.yaml").write_text("server: {grpc_port: 2}", encoding="utf-8")
    assert 2 == load(KINDS, environment={"ANTIPHON_CONFIG": "other.yaml"}).server.grpc_port


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "null"])
def test_an_empty_file_is_defaults(tmp_path: Path, text: str) -> None:
    assert 50051 == loaded(tmp_path, text).server.grpc_port


def test_variables_go_over_the_file(tmp_path: Path) -> None:
    environment = {
        "ANTIPHON_SERVER__GRPC_PORT": "0",
        "ANTIPHON_LOG__ACCESS": "false",
        "ANTIPHON_COMPLETION__IDLE_TIMEOUT_S": "1.5",
        "ANTIPHON_PROVIDERS__ACME__MODELS": "[a, b]",
        "ANTIPHON_TARGET": "elsewhere:1",
        "ANTIPHON_API_KEY": "x",
        "HOME": "/",
    }
    config = loaded(tmp_path, {**GOOD, "server": {"grpc_port": 7, "http_port": 8}}, environment)
    assert (0, 8, False, 1.5) == (config.server.grpc_port, config.server.http_port, config.log.access, config.completion.idle_timeout_s)
    assert ("a", "b") == config.providers["acme"].settings.models


@pytest.mark.parametrize(
    "key", ["12345678", "0x1F", "1e5", "true", "null", "2026-11-22", "a: b", "x #y", "~", "*x", "{x", "!x", "01", "1_000"]
)
def test_a_secret_in_a_variable_is_taken_as_it_is(tmp_path: Path, key: str) -> None:
    config = loaded(tmp_path, GOOD, {"ANTIPHON_PROVIDERS__ACME__API_KEY": key})
    assert key == config.providers["acme"].settings.api_key.get_secret_value()


def test_secrets_come_from_where_they_are(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(f"{SECRET}\n", encoding="utf-8")
    for source in ({"env": "KEY"}, {"file": str(tmp_path / "key")}):
        document = {"providers": {"acme": {"type": "keyed", "api_key": source}}, "aliases": {}}
        assert SECRET == loaded(tmp_path, document, {"KEY": SECRET}).providers["acme"].settings.api_key.get_secret_value()


def test_what_is_shown_holds_no_secret_and_can_be_read_back(tmp_path: Path) -> None:
    config = loaded(tmp_path, GOOD)
    assert SECRET not in config.shown()
    assert SECRET not in repr(config)
    assert "acme/large" == yaml.safe_load(config.shown())["aliases"]["default"]
    assert {"type", "api_key", "base_url", "models", "retries", "wait", "region"} == set(
        yaml.safe_load(config.shown())["providers"]["acme"]
    )


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ({"sever": {}}, "sever: no such setting; did you mean 'server'?"),
        ({"server": {"grpc_prot": 1}}, "server.grpc_prot: no such setting; did you mean 'grpc_port'?"),
        ({"log": {"levle": "info"}}, "log.levle: no such setting; did you mean 'level'?"),
        (
            {"completion": {"first_token_timeout": 1}},
            "completion.first_token_timeout: no such setting; did you mean 'first_token_timeout_s'?",
        ),
        ({"server": {"zzz": 1}}, "server.zzz: no such setting"),
        (
            {"providers": {"acme": {"type": "keyed", "api_kye": SECRET, "api_key": SECRET}}, "aliases": {}},
            "providers.acme.api_kye: no such setting; did you mean 'api_key'?",
        ),
        (
            {"providers": {"acme": {"type": "keyd"}}, "aliases": {}},
            "providers.acme.type: no provider of type 'keyd' is installed; did you mean 'keyed'?",
        ),
        (
            {**GOOD, "aliases": {"x": "acem/large"}},
            "aliases.x: 'acem/large' names no model of a configured provider; write provider/model; did you mean 'acme'?",
        ),
        ({**GOOD, "aliases": {"x": "acme"}}, "aliases.x: 'acme' names no model of a configured provider; write provider/model"),
    ],
)
def test_an_unknown_name_comes_with_the_nearest_one(tmp_path: Path, document: Any, expected: str) -> None:
    assert any(problem.startswith(expected) for problem in problems(tmp_path, document))


@pytest.mark.parametrize("variable", ["ANTIPHON_SERVER__GRPC_PROT", "ANTIPHON_SEVER__GRPC_PORT", "ANTIPHON_SERVER", "ANTIPHON_TARGT"])
def test_an_unknown_variable_comes_with_the_nearest_one(tmp_path: Path, variable: str) -> None:
    [problem] = problems(tmp_path, GOOD, {variable: "1"})
    assert "did you mean" in problem


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"server": {"grpc_port": 65_536}}, "server.grpc_port"),
        ({"server": {"grpc_port": "many"}}, "server.grpc_port"),
        ({"server": {"max_request_bytes": 10}}, "server.max_request_bytes"),
        ({"server": {"drain_grace_s": 0}}, "server.drain_grace_s"),
        ({"server": {"drain_grace_s": math.nan}}, "server.drain_grace_s"),
        ({"completion": {"first_token_timeout_s": math.inf}}, "completion.first_token_timeout_s"),
        ({"server": {"deadline_margin_s": math.nan}}, "server.deadline_margin_s"),
        ({"server": {"deadline_margin_s": -1}}, "server.deadline_margin_s"),
        ({"log": {"level": "loud"}}, "log.level"),
        ({"server": None}, "server"),
        ({"server": []}, "server"),
        ({"providers": {"Acme!": {"type": "keyed"}}}, "providers"),
        ({"providers": {"acme": {}}}, "providers.acme.type"),
        ({"providers": {"acme": {"type": "keyed", "api_key": [SECRET]}}, "aliases": {}}, "providers.acme.api_key"),
        ({"providers": {"acme": {"type": "keyed", "api_key": SECRET, "retries": SECRET}}, "aliases": {}}, "providers.acme.retries"),
        ({"aliases": {"a b": "local/x"}}, "aliases"),
        ({"aliases": {"a": 1}}, "aliases.a"),
        ({1: 2}, "1"),
    ],
)
def test_a_bad_value_is_named_by_its_place(tmp_path: Path, document: Any, place: str) -> None:
    assert any(problem.startswith(place) for problem in problems(tmp_path, document))


def test_all_problems_are_told_at_once(tmp_path: Path) -> None:
    told = problems(tmp_path, {"server": {"grpc_port": -1, "x": 1}, "log": {"level": "loud"}})
    assert 3 == len(told)


FAR_FROM_GOOD: dict[str, Any] = {
    "servre": {},
    "server": {"grpc_port": "many", "grpc_prot": 1},
    "log": {"level": "loud"},
    "providers": {
        "keyless": {"type": "keyed"},
        "mistyped": {"type": "keyd", "api_key": {"env": "ABSENT"}},
        "strict": {"type": "keyed", "api_key": {"file": "/nowhere/at/all"}, "retries": "often", "retires": 1},
        "kindless": {"api_key": "x"},
    },
    "aliases": {"good": "keyless/large", "bad": "kyless/large", "number": 7},
}


def test_every_problem_is_told_in_one_pass(tmp_path: Path) -> None:
    told = problems(tmp_path, FAR_FROM_GOOD, {"ANTIPHON_LOG__LEVLE": "info", "ANTIPHON_TARGT": "x"})
    places = [
        "ANTIPHON_TARGT",
        "servre",
        "server.grpc_port",
        "server.grpc_prot",
        "log.level",
        "log.levle",
        "providers.keyless.api_key",
        "providers.mistyped.type",
        "providers.mistyped.api_key",
        "providers.strict.api_key",
        "providers.strict.retries",
        "providers.strict.retires",
        "providers.kindless.type",
        "aliases.bad",
        "aliases.number",
    ]
    assert sorted(places) == sorted(problem.partition(":")[0] for problem in told)


@pytest.mark.parametrize(
    ("document", "environment", "only"),
    [
        # A value that is not there is neither missing nor of the wrong type, nor is what holds it.
        ({"providers": {"acme": {"type": "keyed", "api_key": {"env": "ABSENT"}}}, "aliases": {}}, {}, "providers.acme.api_key"),
        ({"server": {"grpc_port": {"env": "ABSENT"}}}, {}, "server.grpc_port"),
        ({"server": {"env": "ABSENT"}}, {}, "server"),
        ({"providers": {"acme": {"type": {"env": "ABSENT"}, "api_key": "x"}}, "aliases": {"a": "acme/m"}}, {}, "providers.acme.type"),
        ({"providers": {"env": "ABSENT"}, "aliases": {"a": "acme/m"}}, {}, "providers"),
        (
            {"providers": {"acme": {"type": "keyed", "api_key": "x", "models": [{"env": "ABSENT"}]}}, "aliases": {}},
            {},
            "providers.acme.models[0]",
        ),
        (
            {"providers": {"acme": {"type": "keyed", "api_key": "x", "region": {"env": "ABSENT"}}}, "aliases": {}},
            {},
            "providers.acme.region",
        ),
        # What is misspelled is not missing, too.
        ({"providers": {"acme": {"type": "keyed", "api_kye": "x"}}, "aliases": {}}, {}, "providers.acme.api_kye"),
        ({"providers": {"acme": {"tpye": "keyed", "api_key": "x"}}, "aliases": {"a": "acme/m"}}, {}, "providers.acme.tpye"),
        ({"provider": {"acme": {"type": "keyed", "api_key": "x"}}, "aliases": {"a": "acme/m"}}, {}, "provider"),
        (
            {**GOOD, "provider": {"other": {"type": "keyed"}}, "aliases": {"a": "acme/m", "b": "other/m"}},
            {},
            "provider",
        ),
        ({**GOOD, "aliases": {"a": "acme/"}}, {}, "aliases.a"),
        # An alias is right once its provider is.
        ({"providers": {"acme": {"type": "keyd"}}, "aliases": {"a": "acme/m"}}, {}, "providers.acme.type"),
        ({"providers": {"acme": {"type": "keyed"}}, "aliases": {"a": "acme/m"}}, {}, "providers.acme.api_key"),
        ({"providers": {"Acme": {"type": "keyed", "api_key": "x"}}, "aliases": {"a": "acme/m"}}, {}, "providers.Acme"),
        ({"providers": [], "aliases": {"a": "acme/m"}}, {}, "providers"),
        ({"aliases": {"a": 7}}, {}, "aliases.a"),
        # A variable has no place where the file has something else than a section.
        ({"server": 5}, {"ANTIPHON_SERVER__HOST": "::1"}, "server"),
        (GOOD, {"ANTIPHON_PROVIDERS__ACEM__API_KEY": "x"}, "providers.acem.type"),
        # A union's members refuse the same value, each in its own words.
        ({"providers": {"acme": {"type": "keyed", "api_key": "x", "wait": []}}, "aliases": {}}, {}, "providers.acme.wait"),
        ({"server": {"grpc_port": 8080}}, {}, "server.http_port"),
    ],
)
def test_what_only_follows_from_a_problem_is_not_told(tmp_path: Path, document: Any, environment: dict[str, str], only: str) -> None:
    [problem] = problems(tmp_path, document, environment)
    assert only == problem.partition(":")[0]


def test_an_unknown_key_is_told_beside_its_missing_value(tmp_path: Path) -> None:
    told = problems(tmp_path, {"log": {"levle": {"env": "ABSENT"}}})
    expected = ["log.levle: no such setting; did you mean 'level'?", "log.levle: the environment has no variable 'ABSENT'; set it"]
    assert expected == sorted(told)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ANTIPHON_SERVER__GRPC_PORT", "many"),
        ("ANTIPHON_SERVER__GRPC_PROT", "1"),
        ("ANTIPHON_PROVIDERS__ACME__MODELS", "[[]]"),
        ("ANTIPHON_PROVIDERS__ACEM__API_KEY", "x"),
        ("ANTIPHON_PROVIDERS__ACME__BASE_URL", "{env: ABSENT}"),
        ("ANTIPHON_PROVIDERS__ACME__BASE_URL__X", "1"),
        ("ANTIPHON_ALIASES__X", "acem/large"),
    ],
)
def test_a_problem_of_a_variable_names_it(tmp_path: Path, variable: str, value: str) -> None:
    document = {"providers": {"acme": {"type": "keyed", "api_key": SECRET, "base_url": "https://x"}}, "aliases": {}}
    [problem] = problems(tmp_path, document, {variable: value})
    assert variable in problem


def test_a_variable_that_goes_into_a_shared_section_changes_only_its_own(tmp_path: Path) -> None:
    text = "providers: {a: &a {type: keyed, api_key: x}, b: *a}\naliases: {}\n"
    config = loaded(tmp_path, text, {"ANTIPHON_PROVIDERS__A__RETRIES": "3"})
    assert (3, 0) == (config.providers["a"].settings.retries, config.providers["b"].settings.retries)


def test_a_secret_in_place_of_a_variables_name_is_not_shown(tmp_path: Path) -> None:
    [problem] = problems(tmp_path, {"providers": {"acme": {"type": "keyed", "api_key": {"env": SECRET}}}, "aliases": {}})
    assert problem.startswith("providers.acme.api_key: ")


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("a: [", 1, 5, "expected the node content"),
        ("server:\n  host: x\n\tport: 1", 3, 1, "cannot start any token"),
        ("log: {level: info}\nserver: a: b", 2, 10, "mapping values are not allowed here"),
        ("a: 'x\nb: 1\n", 3, 1, "begins at line 1, column 4"),
        ("server:\n  host: x\n port: 1", 3, 2, "expected <block end>"),
        ("a: 1\nb: x\x00y\n", 2, 5, "special characters are not allowed"),
        ("a: *missing", 1, 4, "undefined alias"),
        ("a: 1\nb: !x y", 2, 4, "could not determine a constructor"),
        ("a:\n  - 2026-99-99", 2, 5, "form does not allow"),
        ("a: {b: !!bool maybe}", 1, 8, "form does not allow"),
        ("a: 1\n---\nb: 2", 2, 1, "found another document"),
        ("log:\n  level: info\n  access: true\n  level: debug", 4, 3, "a second time"),
        ("log: {level: info}\nserver: {}\nlog: {}", 3, 1, "a second time"),
    ],
)
def test_what_is_no_yaml_is_told_by_line_and_column(tmp_path: Path, text: str, line: int, column: int, what: str) -> None:
    [problem] = problems(tmp_path, text)
    assert problem.startswith(f"{tmp_path / 'antiphon.yaml'}: is no YAML at line {line}, column {column}: ")
    assert what in problem
    assert problem.isprintable()


def test_a_key_that_overrides_what_is_merged_stands_once(tmp_path: Path) -> None:
    text = "server: &s {grpc_port: 1, http_port: 2}\nlog: {}\n"
    assert [] != problems(tmp_path, text + "embedded_model: {<<: *s, grpc_port: 3}")
    assert all("second time" not in one for one in problems(tmp_path, text + "embedded_model: {<<: *s, grpc_port: 3}"))


@pytest.mark.parametrize(
    "value", [f"!{SECRET}", f"*{SECRET}", f"!{SECRET}!x y", f"&{SECRET} 1, b: &{SECRET} 2", f'"\\{SECRET}', f"@{SECRET}"]
)
def test_a_secret_that_is_no_yaml_is_not_shown(tmp_path: Path, value: str) -> None:
    assert all("0123456789" not in problem for problem in problems(tmp_path, f"a: {{api_key: {value}}}"))


def test_variables_are_checked_beside_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    environment = {
        "ANTIPHON_SERVER__GRPC_PORT": "many",
        "ANTIPHON_LOG__LEVLE": "info",
        "ANTIPHON_PROVIDERS__ACME__API_KEY": "for a provider of the file",
        "ANTIPHON_ALIASES__X": "acme/large",
    }
    told = problems(tmp_path, "a: [", environment)
    assert ["antiphon.yaml", "log.levle", "server.grpc_port"] == sorted(one.partition(":")[0].rpartition("/")[2] for one in told)


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "\t",
        "- a\n- b",
        "text",
        "1",
        "a: &a [*a]",
        "server: &s {host: *s}",
        "!!timestamp x",
        "!!bool x",
        "!!int ''",
        "!!float x",
        "a: !!python/object:os.system {}",
        "? [a]\n: b",
        "a: 2026-99-99",
        "a: b\x00",
        "[" * 5000,
        "{a: " * 2000 + "1" + "}" * 2000,
        "x: '\ud7ff\ufffe'",
        "<<: 1",
        "a: !!binary %%",
        "%YAML 9.9\n---\na: 1",
        "a: *missing",
    ],
)
def test_no_file_fails_otherwise(tmp_path: Path, text: str) -> None:
    assert problems(tmp_path, text)


def test_a_file_that_grows_by_reference_is_refused_in_time(tmp_path: Path) -> None:
    levels = "\n".join(f"l{level}: &l{level} [{', '.join([f'*l{level - 1}'] * 9)}]" for level in range(1, 12))
    assert problems(tmp_path, f"l0: &l0 [x]\n{levels}")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "antiphon.yaml"
    file.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(KINDS, file=file, environment={})
    for missing in (tmp_path / "missing.yaml", tmp_path):
        with pytest.raises(ConfigError, match="cannot be read"):
            load(KINDS, file=missing, environment={})
    with pytest.raises(ConfigError):
        load(KINDS, environment={"ANTIPHON_CONFIG": "a\x00b"})


@pytest.mark.parametrize("source", [{"env": "MISSING"}, {"file": "/nowhere/at/all"}, {"file": "a\x00b"}])
def test_a_secret_that_is_not_there_is_told_by_its_place(tmp_path: Path, source: dict[str, str]) -> None:
    [problem] = problems(tmp_path, {"providers": {"acme": {"type": "keyed", "api_key": source}}, "aliases": {}})
    assert problem.startswith("providers.acme.api_key:")


SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(alphabet=string.printable, max_size=10), st.dates(), st.binary(max_size=5)
)
NAMES = st.one_of(
    st.sampled_from(
        [
            *RawConfig.model_fields,
            "grpc_port",
            "host",
            "type",
            "api_key",
            "env",
            "file",
            "level",
            "acme",
            "default",
            "first_token_timeout_s",
        ]
    ),
    st.text(max_size=8),
    st.integers(0, 3),
)
DOCUMENTS = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=5), max_leaves=15)
fuzzed = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])


@fuzzed
@given(
    document=st.dictionaries(NAMES, DOCUMENTS, max_size=6),
    variables=st.dictionaries(
        st.sampled_from(
            [
                "ANTIPHON_SERVER__HOST",
                "ANTIPHON_LOG__LEVEL",
                "ANTIPHON_PROVIDERS__ACME__TYPE",
                "ANTIPHON_ALIASES__X",
                "ANTIPHON___",
                "ANTIPHON_SERVER__A__B",
            ]
        ),
        st.text(max_size=12),
        max_size=3,
    ),
)
def test_any_document_is_a_configuration_or_refused(tmp_path: Path, document: Any, variables: dict[str, str]) -> None:
    config = attempted(tmp_path, yaml.safe_dump(document), variables)
    if isinstance(config, Config):
        yaml.safe_load(config.shown())


@fuzzed
@given(text=st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_a_configuration_or_refused(tmp_path: Path, text: str) -> None:
    attempted(tmp_path, text)


@fuzzed
@given(
    place=st.sampled_from(["api_key", "api_kye", "type", "models", "retries", "base_url"]),
    wrap=st.sampled_from(["plain", "list", "mapping", "number"]),
)
def test_a_secret_in_the_wrong_place_is_not_shown(tmp_path: Path, place: str, wrap: str) -> None:
    value: Any = {"plain": SECRET, "list": [SECRET], "mapping": {"x": SECRET}, "number": 1}[wrap]
    section = {"type": "keyed", "api_key": SECRET, place: value}
    if place == "type":
        section = {"type": "keyed", "api_key": value}
    config = attempted(tmp_path, {"providers": {"acme": section}, "aliases": {}})
    if isinstance(config, ConfigError):
        assert SECRET not in str(config)
    elif place not in {"models", "base_url"}:
        assert SECRET not in config.shown()


def test_an_address_is_shown_without_what_it_hides(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    url = "http://user:passw0rd@127.0.0.1:8000/v1?key=sk-in-query&region=eu"
    file.write_text(f"providers: {{openai: {{type: openai, base_url: '{url}'}}}}\naliases: {{}}\n", encoding="utf-8")
    shown = load(load_provider_types(), file=file, environment={}).shown()
    assert "http://**********@127.0.0.1:8000/v1?key=**********&region=**********" in shown
    assert "passw0rd" not in shown
    assert "sk-in-query" not in shown
