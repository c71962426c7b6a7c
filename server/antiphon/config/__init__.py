"""The server's configuration, its only reader of environment and files. What the settings do is not decided here."""

from antiphon.config.identity import AuthSection, KeySection
from antiphon.config.loading import Config, ConfigError, disable_fork_handlers, load, masked
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
    "disable_fork_handlers",
    "load",
    "masked",
]
