"""What a worker that has loaded the configuration tells the supervisor, which knows no kinds of provider and so could not check it itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from antiphon.config import EmbeddedModelSection, LogSection, ServerSection

if TYPE_CHECKING:
    from antiphon.config import Config


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that was checked.

    Attributes:
        text: The whole of it, secrets included, for `config.from_text` in each worker.
        server: The section that says where and how to serve.
        log: The section of the log.
        embedded_model: The section of the model beside the server.
        providers: The configured providers' names.
        default_model: What the alias `default` stands for; None where there is none.
        encrypted: Whether the ports speak TLS.
        asks: Whether callers need a key or a certificate.
    """

    text: str = field(repr=False)
    server: ServerSection
    log: LogSection
    embedded_model: EmbeddedModelSection
    providers: tuple[str, ...]
    default_model: str | None
    encrypted: bool = False
    asks: bool = False

    @classmethod
    def of(cls, config: Config, text: str) -> Self:
        """Takes from a configuration what the supervisor needs."""
        default = config.aliases.get("default")
        return cls(
            text,
            config.server,
            config.log,
            config.embedded_model,
            tuple(config.providers),
            default,
            config.tls.enabled,
            config.auth.identifies,
        )

    def to_json(self) -> dict[str, Any]:
        """Writes it for the channel."""
        return {
            "text": self.text,
            "server": self.server.model_dump(mode="json"),
            "log": self.log.model_dump(mode="json"),
            "embedded_model": self.embedded_model.model_dump(mode="json"),
            "providers": self.providers,
            "default_model": self.default_model,
            "encrypted": self.encrypted,
            "asks": self.asks,
        }

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Self:
        """Reads what `to_json` wrote."""
        return cls(
            value["text"],
            ServerSection.model_validate(value["server"]),
            LogSection.model_validate(value["log"]),
            EmbeddedModelSection.model_validate(value["embedded_model"]),
            tuple(value["providers"]),
            value["default_model"],
            value["encrypted"],
            value["asks"],
        )
