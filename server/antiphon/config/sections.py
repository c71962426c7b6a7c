"""The sections of the configuration: every setting with its bounds, its default and its description."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from antiphon.config.identity import AuthSection
from antiphon.config.section import Section

Port = Annotated[int, Field(ge=0, le=65535)]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class ServerSection(Section):
    """Where the server listens and what it takes."""

    host: str = Field(default="127.0.0.1", description="The address of both ports.")
    grpc_port: Port = Field(default=50051, description="gRPC. 0: any free port.")
    http_port: Port = Field(default=8080, description="gRPC-Web, Connect and JSON; health, readiness and metrics. 0: any free port.")
    workers: int = Field(default=1, ge=1, le=64, description="Processes that serve the ports together. 1: this process alone.")
    max_request_bytes: int = Field(default=16 * 2**20, ge=1024, le=2**30, description="The largest request message.")
    drain_grace_s: Seconds = Field(default=20.0, description="How long calls in progress may go on after SIGTERM.")
    deadline_margin_s: float = Field(
        default=0.1, ge=0, le=10, description="Taken off the call's deadline for the provider's; never more than a tenth of what is left."
    )
    keepalive_s: Seconds = Field(default=60.0, description="How long a connection may be silent before it is pinged.")
    keepalive_timeout_s: Seconds = Field(default=20.0, description="How long a ping's answer may take before the connection is closed.")
    max_connection_age_s: Seconds | None = Field(
        default=None, description="How old a gRPC connection may grow before its client is sent to a new one. Unset: as old as it likes."
    )
    max_connection_age_grace_s: Seconds = Field(default=60.0, description="How long calls on such a connection may go on.")


class LimitsSection(Section):
    """What one process takes before it refuses; beside it stands `server.max_request_bytes`."""

    concurrent_calls: int = Field(default=1000, ge=1, le=1_000_000, description="Calls worked on at a time; more are refused.")
    memory_bytes: int | None = Field(
        default=None,
        ge=2**26,
        description="Resident memory from which on new calls are refused. Unset: nine tenths of what the container or the machine has for it.",
    )
    slow_reader_s: Seconds = Field(default=30.0, description="How long a stream's reader may take no event before the stream is ended.")


class TlsSection(Section):
    """Encryption of both ports. The files are read again when they change."""

    certificate: Path | None = Field(default=None, description="The server's certificate chain (PEM). Unset: plaintext.")
    private_key: Path | None = Field(default=None, description="Its key (PEM).")
    client_ca: Path | None = Field(
        default=None,
        description="Who signs clients' certificates (PEM). gRPC then takes no connection without one. Unset: none is asked for.",
    )
    require_client_certificate: bool = Field(default=False, description="Whether the second port takes no connection without one, either.")
    reload_interval_s: Seconds = Field(default=10.0, description="How often the files are looked at.")

    @property
    def enabled(self) -> bool:
        """Whether the ports speak TLS."""
        return self.certificate is not None


class WebSection(Section):
    """Who may reach the second port from a browser."""

    allowed_hosts: tuple[str, ...] = Field(
        default=(),
        description="Names under which the server may be asked, without port; `*` means any. Unset: those of loopback, and `server.host`.",
    )
    allowed_origins: tuple[str, ...] = Field(
        default=(),
        description="Origins whose pages may call, as in `https://app.example`; `*` means any. Unset: none but the server's own.",
    )


class TelemetrySection(Section):
    """Traces. Metrics are served at `/metrics`."""

    traces: Literal["off", "console", "otlp"] = Field(default="off", description="Where spans go: nowhere, to standard error, by OTLP.")
    otlp_endpoint: str = Field(
        default="http://127.0.0.1:4317", pattern=r"^https?://", description="The collector, OTLP over gRPC; `https` means TLS."
    )
    otlp_headers: dict[str, SecretStr] = Field(default_factory=dict[str, SecretStr], description="What each export carries.")
    sample_ratio: float = Field(default=1.0, ge=0, le=1, description="The share of calls traced, where the caller has not decided.")
    service_name: str = Field(default="antiphon", min_length=1, max_length=128, description="`service.name` of the spans.")
    record_content: bool = Field(default=False, description="Whether prompts and answers are recorded in spans.")


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


class RawConfig(Section):
    """The file as it is written; providers' own settings are not looked at yet."""

    server: ServerSection = ServerSection()
    completion: CompletionSection = CompletionSection()
    embedded_model: EmbeddedModelSection = EmbeddedModelSection()
    log: LogSection = LogSection()
    limits: LimitsSection = LimitsSection()
    tls: TlsSection = TlsSection()
    auth: AuthSection = AuthSection()
    web: WebSection = WebSection()
    telemetry: TelemetrySection = TelemetrySection()
    # pydantic copies a default before anybody gets it.
    providers: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,62}$")], ProviderSection] = {"local": ProviderSection(type="local")}  # noqa: RUF012
    aliases: dict[Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{1,128}$")], str] = {"default": "local/smollm2-135m-instruct"}  # noqa: RUF012
