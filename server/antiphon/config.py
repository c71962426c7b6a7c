"""The server's configuration: one YAML file, then `ANTIPHON_*` variables over it. The only reader of environment and files."""

from __future__ import annotations

import difflib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, cast

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


FILE_VARIABLE = "ANTIPHON_CONFIG"
PREFIX = "ANTIPHON_"
# Read by the SDK and the command line, not by the server.
CLIENT_VARIABLES = frozenset({FILE_VARIABLE, "ANTIPHON_TARGET", "ANTIPHON_API_KEY"})
DEFAULT_FILE = Path("antiphon.yaml")

# A file can name a value many times over: what is written in a few lines must not take the memory of millions.
_MOST_VALUES = 100_000
# What the YAML library raises where a value is not what its tag says, as in `!!bool maybe`.
_CONSTRUCTION_ERRORS = (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError)

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


def disable_fork_handlers() -> None:
    """Keeps gRPC from hooking fork. Call it before anything imports grpc.

    The server never forks: what it spawns is exec'd at once, and the hooks would only warn on standard error that threads are running.
    """
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")


class ConfigError(Exception):
    """The configuration cannot be used.

    Attributes:
        problems: One sentence each, with the place and the mend.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class Section(BaseModel):
    """A part of the configuration. Unknown keys are errors; values never change after loading."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ServerSection(Section):
    """Where the server listens and what it takes."""

    host: str = Field(default="127.0.0.1", description="The address of both ports.")
    grpc_port: Port = Field(default=50051, description="gRPC. 0: any free port.")
    http_port: Port = Field(default=8080, description="Health, readiness and metrics over HTTP. 0: any free port.")
    max_request_bytes: int = Field(default=16 * 2**20, ge=1024, le=2**30, description="The largest request message.")
    drain_grace_s: Seconds = Field(default=20.0, description="How long calls in progress may go on after SIGTERM.")
    deadline_margin_s: float = Field(
        default=0.1, ge=0, le=10, description="Taken off the call's deadline for the provider's; never more than a tenth of what is left."
    )


class CompletionSection(Section):
    """Limits of completion calls."""

    first_token_timeout_s: Seconds = Field(default=120.0, description="How long a provider may take to its first token.")
    idle_timeout_s: Seconds = Field(default=60.0, description="How long a provider may fall silent in mid-stream.")


class EmbeddedModelSection(Section):
    """The model that runs beside the server."""

    name: str = Field(
        default="smollm2-135m-instruct", pattern=r"^[A-Za-z0-9._:-]{1,128}$", description="The name under which it is served."
    )
    weights: Path | None = Field(default=None, description="A GGUF file. Unset: the packaged SmolLM2-135M-Instruct.")
    threads: int = Field(default=1, ge=1, le=256, description="Threads of the engine.")
    slots: int = Field(default=2, ge=1, le=64, description="Calls worked on at a time; more wait.")
    context_tokens: int = Field(
        default=4096, ge=256, le=1_048_576, description="Context window of one call; memory grows with it times the slots."
    )
    start_timeout_s: Seconds = Field(default=60.0, description="How long loading may take.")


class LogSection(Section):
    """What the server writes to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="The least level written.")
    format: Literal["auto", "json", "console"] = Field(default="auto", description="auto: console on a terminal, JSON lines elsewhere.")
    access: bool = Field(default=True, description="Whether each call is logged.")


class ProviderSection(BaseModel):
    """One provider. `type` names its kind; the other keys are the kind's own settings."""

    model_config = ConfigDict(extra="allow", frozen=True)

    type: str


class ProviderKind(Protocol):
    """A kind of provider, as far as its settings are concerned."""

    @property
    def settings(self) -> type[BaseModel]:
        """The model of its settings."""
        ...


class RawConfig(Section):
    """The file as it is written; providers' own settings are not looked at yet."""

    server: ServerSection = ServerSection()
    completion: CompletionSection = CompletionSection()
    embedded_model: EmbeddedModelSection = EmbeddedModelSection()
    log: LogSection = LogSection()
    providers: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")], ProviderSection] = {"local": ProviderSection(type="local")}
    aliases: dict[Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,128}$")], str] = {"default": "local/smollm2-135m-instruct"}


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
    providers: dict[str, Provider]
    aliases: dict[str, str]

    def shown(self) -> str:
        """Returns it as YAML with its secrets masked."""
        dumped = self.model_dump(mode="json", exclude={"providers"})
        dumped["providers"] = {
            name: {"type": provider.type, **provider.settings.model_dump(mode="json")} for name, provider in self.providers.items()
        }
        return yaml.safe_dump(_masked(dumped), sort_keys=False)


def _masked(value: Any) -> Any:
    """Masks what an address can hide: a password before its host, and the values of its query."""
    if isinstance(value, dict):
        return {key: _masked(item) for key, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_masked(item) for item in cast("list[Any]", value)]
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
        ConfigError: Something in it cannot be used; every problem is named.
    """
    variables = os.environ if environment is None else environment
    chosen = file or _file_from(variables)
    document = _read(chosen) if chosen else {}
    problems = _overlay(document, variables)
    document = cast("dict[str, Any]", _resolve(document, variables, "", problems))
    if problems:
        raise ConfigError(problems)
    try:
        raw = RawConfig.model_validate(document)
    except ValidationError as error:
        raise ConfigError(_told(error, RawConfig, "")) from None
    return _checked(raw, kinds)


def _checked(raw: RawConfig, kinds: Mapping[str, ProviderKind]) -> Config:
    problems: list[str] = []
    providers: dict[str, Provider] = {}
    for name, section in raw.providers.items():
        kind = kinds.get(section.type)
        if kind is None:
            problems.append(f"providers.{name}.type: no provider of type {section.type!r} is installed{_nearest(section.type, kinds)}")
            continue
        try:
            settings = kind.settings.model_validate(section.model_extra or {})
        except ValidationError as error:
            problems += _told(error, kind.settings, f"providers.{name}.")
            continue
        providers[name] = Provider(type=section.type, settings=settings)
    aliases = dict(raw.aliases)
    if "local" not in raw.providers and aliases == RawConfig.model_fields["aliases"].default:
        aliases = {}
    for alias, target in aliases.items():
        provider, slash, _ = target.partition("/")
        if not slash or provider not in raw.providers:
            problems.append(
                f"aliases.{alias}: {target!r} names no model of a configured provider; write provider/model{_nearest(provider, raw.providers)}"
            )
    if problems:
        raise ConfigError(problems)
    return Config(
        server=raw.server,
        completion=raw.completion,
        embedded_model=raw.embedded_model,
        log=raw.log,
        providers=providers,
        aliases=aliases,
    )


def _file_from(variables: Mapping[str, str]) -> Path | None:
    if named := variables.get(FILE_VARIABLE):
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _read(file: Path) -> dict[str, Any]:
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([f"{file}: cannot be read: {error.strerror if isinstance(error, OSError) else 'not UTF-8'}"]) from None
    except yaml.YAMLError as error:
        raise ConfigError([f"{file}: is no YAML: {str(error).splitlines()[0]}"]) from None
    except RecursionError:
        raise ConfigError([f"{file}: is nested too deep"]) from None
    except _CONSTRUCTION_ERRORS:
        raise ConfigError([f"{file}: holds a value that its own tag or form does not allow, such as a date that is none"]) from None
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise ConfigError([f"{file}: must hold keys and values at its top level"])
    if not _is_bounded(cast("object", document)):
        raise ConfigError([f"{file}: holds more than {_MOST_VALUES} values, what it refers to by `*` included"])
    return cast("dict[str, Any]", document)


def _is_bounded(document: object) -> bool:
    """Says whether a document is small enough to look at; one that holds itself never is."""
    count = 0
    waiting: list[object] = [document]
    while waiting:
        value = waiting.pop()
        count += 1
        if count > _MOST_VALUES:
            return False
        if isinstance(value, dict):
            waiting += cast("dict[Any, Any]", value).values()
        elif isinstance(value, list):
            waiting += cast("list[Any]", value)
    return True


def _overlay(document: dict[str, Any], variables: Mapping[str, str]) -> list[str]:
    """Puts `ANTIPHON_SECTION__KEY=value` over the file's values; returns what cannot be placed."""
    problems: list[str] = []
    for variable, text in sorted(variables.items()):
        if not variable.startswith(PREFIX) or variable in CLIENT_VARIABLES:
            continue
        path = variable.removeprefix(PREFIX).lower().split("__")
        if path[0] not in RawConfig.model_fields or len(path) == 1:
            known = {f"{PREFIX}{section}__{key}".upper() for section, key in _scalar_keys()} | CLIENT_VARIABLES
            problems.append(f"{variable}: no such setting{_nearest(variable, known)}")
            continue
        value = _value_of(text)
        target: dict[str, Any] | None = document
        for key in path[:-1]:
            inner: Any = target.setdefault(key, {}) if target is not None else None
            target = cast("dict[str, Any]", inner) if isinstance(inner, dict) else None
        if target is None:
            problems.append(f"{variable}: the file has no section there to put it into")
        else:
            target[path[-1]] = value
    return problems


def _value_of(text: str) -> Any:
    """Reads a variable: lists and mappings as YAML, everything else as it stands.

    A number or a truth value is made of its text by the setting that wants one; a key that looks like a number, or like YAML, must stay a key.
    """
    if not text.startswith(("[", "{")):
        return text
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, *_CONSTRUCTION_ERRORS):
        return text
    return value if _is_bounded(value) else text


def _scalar_keys() -> list[tuple[str, str]]:
    return [
        (section, key)
        for section, field in RawConfig.model_fields.items()
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
        for key in field.annotation.model_fields
    ]


def _resolve(value: Any, variables: Mapping[str, str], place: str, problems: list[str]) -> Any:
    """Replaces `{env: NAME}` and `{file: PATH}` by what they point to, so that no secret has to stand in the file."""
    if isinstance(value, list):
        return [_resolve(item, variables, f"{place}[{index}]", problems) for index, item in enumerate(cast("list[Any]", value))]
    if not isinstance(value, dict):
        return value
    mapping = cast("dict[Any, Any]", value)
    if set(mapping) == {"env"} and isinstance(mapping["env"], str):
        if mapping["env"] not in variables:
            problems.append(f"{place}: the environment has no variable {mapping['env']!r}")
        return variables.get(mapping["env"])
    if set(mapping) == {"file"} and isinstance(mapping["file"], str):
        try:
            return Path(mapping["file"]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError, ValueError):
            problems.append(f"{place}: the file {mapping['file']!r} cannot be read")
            return None
    return {key: _resolve(item, variables, f"{place}.{key}" if place else str(key), problems) for key, item in mapping.items()}


def _told(error: ValidationError, model: type[BaseModel], prefix: str) -> list[str]:
    problems: list[str] = []
    for problem in error.errors(include_url=False, include_input=False):
        place = prefix + ".".join(str(step) for step in problem["loc"])
        if problem["type"] == "extra_forbidden":
            known = _fields_at(model, problem["loc"][:-1])
            problems.append(f"{place}: no such setting{_nearest(str(problem['loc'][-1]), known)}")
        else:
            problems.append(f"{place}: {problem['msg'][:1].lower()}{problem['msg'][1:]}")
    return problems


def _fields_at(model: type[BaseModel], place: tuple[int | str, ...]) -> list[str]:
    current = model
    for step in place:
        field = current.model_fields.get(str(step))
        annotation = field.annotation if field else None
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        current = next((one for one in candidates if isinstance(one, type) and issubclass(one, BaseModel)), current)
    return list(current.model_fields)


def _nearest(name: str, known: Iterable[str]) -> str:
    found = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {found[0]!r}?" if found else ""
