"""The server's configuration, its only reader of environment and files. What the settings do is not decided here."""

from antiphon.config.agreement import is_loopback
from antiphon.config.certificates import CertificateError, Certificates, read_certificates, server_context, signature_of
from antiphon.config.identity import AuthSection, KeySection
from antiphon.config.loading import (
    Config,
    ConfigError,
    configured_workers,
    disable_fork_handlers,
    from_text,
    load,
    load_with_text,
    masked,
    quiet_grpc,
)
from antiphon.config.section import Section
from antiphon.config.sections import (
    EmbeddedModelSection,
    LimitsSection,
    LogSection,
    RawConfig,
    ServerSection,
    TelemetrySection,
    TlsSection,
    WebSection,
)

__all__ = [
    "AuthSection",
    "CertificateError",
    "Certificates",
    "Config",
    "ConfigError",
    "EmbeddedModelSection",
    "KeySection",
    "LimitsSection",
    "LogSection",
    "RawConfig",
    "Section",
    "ServerSection",
    "TelemetrySection",
    "TlsSection",
    "WebSection",
    "configured_workers",
    "disable_fork_handlers",
    "from_text",
    "is_loopback",
    "load",
    "load_with_text",
    "masked",
    "quiet_grpc",
    "read_certificates",
    "server_context",
    "signature_of",
]
