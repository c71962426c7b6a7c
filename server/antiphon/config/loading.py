"""Loads the configuration: one YAML file, then `ANTIPHON_*` variables over it."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from antiphon.config.agreement import check_agreement
from antiphon.config.identity import AuthSection
from antiphon.config.problems import Problems, did_you_mean, nearest
from antiphon.config.sections import (
    CompletionSection,
    EmbeddedModelSection,
    LimitsSection,
    LogSection,
    RawConfig,
    Section,
    ServerSection,
    TelemetrySection,
    TlsSection,
    WebSection,
)
from antiphon.config.yaml_text import YamlTextError, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from antiphon.config.problems import Place

FILE_VARIABLE = "ANTIPHON_CONFIG"
PREFIX = "ANTIPHON_"
# Read by the SDK and the command line, not by the server.
CLIENT_VARIABLES = frozenset(
    {
        FILE_VARIABLE,
        "ANTIPHON_TARGET",
        "ANTIPHON_API_KEY",
        "ANTIPHON_ROOT_CERTIFICATES",
        "ANTIPHON_CLIENT_CERTIFICATE",
        "ANTIPHON_CLIENT_KEY",
    }
)
DEFAULT_FILE = Path("antiphon.yaml")

# As POSIX has them; anything else that stands for a variable's name is more likely the secret itself.
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def disable_fork_handlers() -> None:
    """Keeps gRPC from hooking fork, and quiet. Call it before anything imports grpc.

    The server never forks: what it spawns is exec'd at once, and the hooks would only warn on standard error that threads are running.
    """
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    quiet_grpc()


def quiet_grpc() -> None:
    """Keeps gRPC from writing lines of its own. Call it before anything imports grpc.

    It writes one to standard error for each TLS handshake that fails: in a server's log nobody could parse it and anybody could cause it, and a command
    says in a line of its own what went wrong.
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


class ConfigError(Exception):
    """The configuration cannot be used.

    Attributes:
        problems: One sentence each, with the place and the mend.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class ProviderKind(Protocol):
    """A kind of provider, as far as its settings are concerned."""

    @property
    def settings(self) -> type[BaseModel]:
        """The model of its settings."""
        ...


class Provider(BaseModel):
    """One provider, checked."""

    model_config = ConfigDict(frozen=True, arbitrary_types_allowed=True)

    type: str
    settings: Any


class Config(BaseModel):
    """The whole configuration, checked. `model_dump(mode="json")` masks its secrets."""

    model_config = ConfigDict(frozen=True)

    server: ServerSection
    completion: CompletionSection
    embedded_model: EmbeddedModelSection
    log: LogSection
    limits: LimitsSection
    tls: TlsSection
    auth: AuthSection
    web: WebSection
    telemetry: TelemetrySection
    providers: dict[str, Provider]
    aliases: dict[str, str]

    def shown(self) -> str:
        """Returns it as YAML with its secrets masked."""
        dumped = self.model_dump(mode="json", exclude={"providers"})
        dumped["providers"] = {
            name: {"type": provider.type, **provider.settings.model_dump(mode="json")} for name, provider in self.providers.items()
        }
        return yaml.safe_dump(masked(dumped), sort_keys=False)


def masked(value: Any) -> Any:
    """Masks what an address can hide: a password before its host, and the values of its query."""
    if isinstance(value, dict):
        return {key: masked(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [masked(item) for item in cast("list[Any]", value)]
    if isinstance(value, str) and "://" in value:
        value = re.sub(r"://[^/@]*@", "://**********@", value)
        return re.sub(r"([?&][^=&#]+)=[^&#]*", r"\1=**********", value)
    return value


def load(kinds: Mapping[str, ProviderKind], *, file: Path | None = None, environment: Mapping[str, str] | None = None) -> Config:
    """Loads and checks the configuration.

    Args:
        kinds: The kinds of provider that are installed.
        file: The YAML file. None: what `ANTIPHON_CONFIG` names, else `antiphon.yaml` where it exists, else defaults alone.
        environment: The variables to read; None means the process's own.

    Raises:
        ConfigError: Something in it cannot be used; every problem is named, and none that only follows from another.
    """
    return _checked(*_resolved_document(file, environment), kinds)


def load_with_text(kinds: Mapping[str, ProviderKind], *, file: Path | None = None) -> tuple[Config, str]:
    """Loads and checks the configuration as `load` does.

    Returns:
        The configuration, and the text from which `from_text` makes it again in another process, whatever has become of the file and the environment.
        It holds the secrets.

    Raises:
        ConfigError: Something in it cannot be used.
    """
    document, problems = _resolved_document(file, None)
    return _checked(document, problems, kinds), json.dumps(document, default=str)


def from_text(kinds: Mapping[str, ProviderKind], text: str) -> Config:
    """Makes the configuration that `load_with_text` loaded.

    Raises:
        ConfigError: It cannot be used with these kinds of provider.
    """
    return _checked(json.loads(text), Problems(), kinds)


def configured_workers(file: Path | None) -> int:
    """Returns `server.workers` without checking anything else; 1 where it cannot be read, which `load` will tell of."""
    document, _ = _resolved_document(file, None)
    section: Any = document.get("server")
    written: Any = cast("dict[str, Any]", section).get("workers", 1) if isinstance(section, dict) else 1
    try:
        return int(written)
    except (TypeError, ValueError):
        return 1


def _resolved_document(file: Path | None, environment: Mapping[str, str] | None) -> tuple[dict[str, Any], Problems]:
    """Returns the file's settings under those of the environment, references resolved, and what was wrong on the way."""
    variables = os.environ if environment is None else environment
    problems = Problems()
    document, whole = _read(file or _file_from(variables), problems)
    _overlay(document, variables, problems)
    if not whole:
        # What variables say of providers and aliases means something only beside what the file says of them.
        document = {key: value for key, value in document.items() if key not in {"providers", "aliases"}}
    return {key: _resolve(value, variables, (key,), problems) for key, value in document.items()}, problems


def _checked(document: dict[str, Any], problems: Problems, kinds: Mapping[str, ProviderKind]) -> Config:
    """Checks everything before it refuses anything."""
    _check_types(document, kinds, problems)
    raw: RawConfig | None = None
    try:
        raw = RawConfig.model_validate(document)
    except ValidationError as error:
        problems.add_refused(error, RawConfig, document)
    check_agreement(document, problems)
    providers = _checked_providers(document, kinds, problems)
    aliases = _checked_aliases(document, problems)
    if raw is None or problems.lines():
        raise ConfigError(problems.lines())
    return Config(
        server=raw.server,
        completion=raw.completion,
        embedded_model=raw.embedded_model,
        log=raw.log,
        limits=raw.limits,
        tls=raw.tls,
        auth=raw.auth,
        web=raw.web,
        telemetry=raw.telemetry,
        providers=providers,
        aliases=aliases,
    )


def _check_types(document: dict[str, Any], kinds: Mapping[str, ProviderKind], problems: Problems) -> None:
    """Looks for sections of providers that do not say their type."""
    for name, section in _written(document, "providers").items():
        if not isinstance(section, dict) or "type" in section:
            continue
        place: Place = ("providers", name)
        keys = [key for key in cast("dict[Any, Any]", section) if isinstance(key, str)]
        if near := nearest("type", keys, cutoff=0.7):
            problems.add_unknown((*place, near), ["type"])
        else:
            problems.add_missing((*place, "type"), f"field required; there are {', '.join(sorted(kinds))}")


def _checked_providers(document: dict[str, Any], kinds: Mapping[str, ProviderKind], problems: Problems) -> dict[str, Provider]:
    """Checks each provider's own settings; what is no section of a provider has been told before."""
    providers: dict[str, Provider] = {}
    for name, section in _written(document, "providers").items():
        if not isinstance(section, dict):
            continue
        own = dict(cast("dict[Any, Any]", section))
        named = own.pop("type", None)
        if not isinstance(named, str):
            continue
        place: Place = ("providers", name)
        kind = kinds.get(named)
        if kind is None:
            hint = did_you_mean(nearest(named, kinds)) or f"; there are {', '.join(sorted(kinds))}"
            problems.add((*place, "type"), f"no provider of type {named!r} is installed{hint}")
            continue
        try:
            providers[name] = Provider(type=named, settings=kind.settings.model_validate(own))
        except ValidationError as error:
            problems.add_refused(error, kind.settings, own, place)
        except Exception:
            # A kind's own validator may not be made for what stands in place of a value.
            if not problems.is_unresolved_within(place):
                raise
    return providers


def _checked_aliases(document: dict[str, Any], problems: Problems) -> dict[str, str]:
    providers = _written(document, "providers")
    aliases = _written(document, "aliases")
    if "local" not in providers and aliases == RawConfig.model_fields["aliases"].default:
        return {}
    if problems.is_at(("providers",)):
        return aliases  # nobody knows which providers there are
    fields = list(RawConfig.model_fields)
    misspelled = [key for key in document if key not in fields and nearest(str(key), fields) == "providers"]
    names = [name for key in ("providers", *misspelled) for name in _written(document, key) if isinstance(name, str)]
    for alias, target in aliases.items():
        if not isinstance(target, str):
            continue
        provider, _, model = target.partition("/")
        near = nearest(provider, names)
        if (model and provider in names) or problems.is_at(("providers", near)):
            continue  # good, or right once another problem is mended
        told = f"{target!r} names no model of a configured provider; write provider/model{did_you_mean(near)}"
        problems.add(("aliases", alias), told)
    return aliases


def _written(document: dict[str, Any], key: str) -> dict[Any, Any]:
    """Returns a mapping as it is written, or its default; nothing where something else stands there."""
    if key not in document:
        return RawConfig().model_dump()[key]
    value: Any = document[key]
    return cast("dict[Any, Any]", value) if isinstance(value, dict) else {}


def _file_from(variables: Mapping[str, str]) -> Path | None:
    if named := variables.get(FILE_VARIABLE):
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _read(file: Path | None, problems: Problems) -> tuple[dict[str, Any], bool]:
    """Returns what a file holds, and whether it could be read."""
    if file is None:
        return {}, True
    try:
        document = parse(file.read_text(encoding="utf-8"))
    except OSError as error:
        problems.tell(f"{file}: cannot be read: {error.strerror}")
    except UnicodeDecodeError:
        problems.tell(f"{file}: cannot be read: not UTF-8")
    except YamlTextError as error:
        problems.tell(f"{file}: {error}")
    except ValueError:
        problems.tell(f"{str(file)!r}: cannot be read: no file can have this name")
    else:
        if document is None or isinstance(document, dict):
            return cast("dict[str, Any]", document or {}), True
        problems.tell(f"{file}: must hold keys and values at its top level")
    return {}, False


def _overlay(document: dict[str, Any], variables: Mapping[str, str], problems: Problems) -> None:
    """Puts `ANTIPHON_SECTION__KEY=value` over the file's values."""
    for variable, text in sorted(variables.items()):
        if not variable.startswith(PREFIX) or variable in CLIENT_VARIABLES:
            continue
        path = tuple(variable.removeprefix(PREFIX).lower().split("__"))
        if path[0] not in RawConfig.model_fields or len(path) == 1:
            known = {f"{PREFIX}{section}__{key}".upper() for section, key in _scalar_keys()} | CLIENT_VARIABLES
            problems.tell(f"{variable}: no such setting{did_you_mean(nearest(variable, known))}")
            continue
        section = document
        for depth, key in enumerate(path[:-1], start=1):
            if key not in section:
                problems.variables[path[:depth]] = variable
            inner: Any = section.get(key, {})
            if not isinstance(inner, dict):
                problems.add_without_section(path[:depth], variable)
                break
            # A copy, because the file can name one section in two places.
            copied = dict(cast("dict[str, Any]", inner))
            section[key] = copied
            section = copied
        else:
            section[path[-1]] = _value_of(text)
            problems.variables[path] = variable


def _value_of(text: str) -> Any:
    """Reads a variable: lists and mappings as YAML, everything else as it stands.

    A number or a truth value is made of its text by the setting that wants one; a key that looks like a number, or like YAML, must stay a key.
    """
    if not text.startswith(("[", "{")):
        return text
    try:
        return parse(text)
    except YamlTextError:
        return text


def _scalar_keys() -> list[tuple[str, str]]:
    return [
        (section, key)
        for section, field in RawConfig.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
        for key in field.annotation.model_fields
    ]


def _resolve(value: Any, variables: Mapping[str, str], place: Place, problems: Problems) -> Any:
    """Replaces `{env: NAME}` and `{file: PATH}` by what they point to, so that no secret has to stand in the file."""
    if isinstance(value, list):
        return [_resolve(item, variables, (*place, index), problems) for index, item in enumerate(cast("list[Any]", value))]
    if not isinstance(value, dict):
        return value
    mapping = cast("dict[Any, Any]", value)
    if set(mapping) == {"env"} and isinstance(name := mapping["env"], str):
        if name in variables:
            return variables[name]
        if _VARIABLE_NAME.fullmatch(name):
            return problems.add_unresolved(place, f"the environment has no variable {name!r}; set it")
        return problems.add_unresolved(place, "what stands after `env` is no variable's name; write the name of the variable that holds it")
    if set(mapping) == {"file"} and isinstance(mapping["file"], str):
        try:
            return Path(mapping["file"]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError, ValueError) as error:
            why = (
                error.strerror
                if isinstance(error, OSError)
                else "not UTF-8"
                if isinstance(error, UnicodeDecodeError)
                else "no name of a file"
            )
            return problems.add_unresolved(place, f"the file {mapping['file']!r} cannot be read: {why}")
    return {key: _resolve(item, variables, (*place, key), problems) for key, item in mapping.items()}
