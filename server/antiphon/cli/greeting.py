"""What `antiphon serve` prints once it serves."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

from antiphon.cli.listening import address, reached_at
from antiphon.config import ServerSection, is_loopback

# Where a client looks that is told nothing. The SDK itself stays out of the supervisor, which imports no gRPC.
_USUAL = f"127.0.0.1:{ServerSection.model_fields['grpc_port'].default}"


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
        asks: Whether callers need a key or a certificate.
    """

    host: str
    grpc_port: int
    http_port: int
    providers: tuple[str, ...]
    default_model: str | None
    encrypted: bool = False
    asks: bool = False

    def text(self) -> str:
        """Returns it, without its last line's end."""
        scheme = "https://" if self.encrypted else ""
        host = reached_at(self.host)
        near = address(host, self.grpc_port)
        # Elsewhere than on loopback a client takes TLS for granted.
        target = scheme + near if self.encrypted or is_loopback(host) else f"http://{near}"
        chat = "antiphon chat" if target == _USUAL else f"antiphon chat --target {target}"
        lines = (
            f"Antiphon serves gRPC at {scheme}{address(self.host, self.grpc_port)}",
            f"health, readiness and metrics at {'https' if self.encrypted else 'http'}://{address(self.host, self.http_port)}",
            f"models: {', '.join(self.providers)}; the default is {self.default_model or 'not set'}",
            "",
            f"Now type, in another terminal:  {_prefix()}{chat}",
            *(["which takes its API key from ANTIPHON_API_KEY; `antiphon keys create` makes one"] if self.asks else []),
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
