"""What `antiphon serve` prints once it serves."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from antiphon.cli.listening import address
from antiphon.config import ServerSection


@dataclass(frozen=True, slots=True)
class Greeting:
    """Where the server is, and what to do next.

    Attributes:
        host: The address of both ports.
        grpc_port: The first port.
        http_port: The second port.
        providers: The configured providers' names.
        default_model: What the alias `default` stands for; None where there is none.
        encrypted: Whether the ports speak TLS.
    """

    host: str
    grpc_port: int
    http_port: int
    providers: tuple[str, ...]
    default_model: str | None
    encrypted: bool = False

    def text(self) -> str:
        """Returns it, without its last line's end."""
        target = address(self.host, self.grpc_port)
        # The port that a client takes when it is told none.
        usual = self.grpc_port == ServerSection.model_fields["grpc_port"].default
        target = f"https://{target}" if self.encrypted else target
        chat = "antiphon chat" if usual and not self.encrypted else f"antiphon chat --target {target}"
        lines = (
            f"Antiphon serves gRPC at {target}",
            f"health, readiness and metrics at {'https' if self.encrypted else 'http'}://{address(self.host, self.http_port)}",
            f"models: {', '.join(self.providers)}; the default is {self.default_model or 'not set'}",
            "",
            f"Now type, in another terminal:  {_prefix()}{chat}",
        )
        return "\n".join(lines)


def _prefix() -> str:
    """The command as this installation is called: by its path where it is not on the PATH."""
    beside = Path(sys.executable).parent
    if shutil.which("antiphon") == str(beside / "antiphon") and not Path(".venv").is_dir():
        return ""
    try:
        return f"{beside.relative_to(Path.cwd())}/"
    except ValueError:
        return f"{beside}/"
