"""Which parts of Antiphon are on in a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.pairing.access import Access

# Enough to see every kind of call within seconds and little enough that traces do not outgrow the logs: what a busy service commonly keeps.
PRODUCTION_SAMPLE_RATIO = 0.1


@dataclass(frozen=True, slots=True)
class Setup:
    """One way to run Antiphon. What is not named here has its default; metrics and the limits of admission are always on.

    Attributes:
        name: Names it in results and on the command line.
        title: What a reader sees.
        tls: Whether the ports speak TLS.
        key: Whether each call is asked for an API key.
        sample_ratio: The share of calls traced, by OTLP to a local collector; 0: tracing is off.
        record_content: Whether spans hold prompts and answers.
        access_log: Whether each call is logged, as JSON.
        workers: Processes.
        json: Whether it is asked at its second port, by the Connect protocol in JSON.
        without: Steps of the chain that are taken out by their class's name, to see what one costs that no setting switches off.
    """

    name: str
    title: str
    tls: bool = False
    key: bool = False
    sample_ratio: float = 0.0
    record_content: bool = False
    access_log: bool = False
    workers: int = 1
    json: bool = False
    without: tuple[str, ...] = ()

    def config(self, grpc_port: int, http_port: int, upstream_url: str, access: Access) -> dict[str, Any]:
        """Returns the configuration: the defaults, the parts that are on, and one provider named `bench`."""
        document: dict[str, Any] = {
            "server": {"host": "127.0.0.1", "grpc_port": grpc_port, "http_port": http_port},
            "log": {"access": self.access_log, "format": "json"},
            "providers": {"bench": {"type": "openai", "base_url": f"{upstream_url}/v1", "api_key": "bench"}},
            "aliases": {},
        }
        if self.workers > 1:
            document["server"]["workers"] = self.workers
        if self.tls:
            document["tls"] = {"certificate": str(access.certificate), "private_key": str(access.private_key)}
        if self.key:
            document["auth"] = {"keys": [access.key_entry]}
        if self.sample_ratio:
            document["telemetry"] = {
                "traces": "otlp",
                "otlp_endpoint": upstream_url,
                "sample_ratio": self.sample_ratio,
                "record_content": self.record_content,
            }
        return document


OFF = Setup("off", "everything off")
EVERYTHING = Setup("everything", "everything on", tls=True, key=True, sample_ratio=PRODUCTION_SAMPLE_RATIO, access_log=True)
# Each alone, over everything off.
PARTS = (
    Setup("access-log", "access log, JSON", access_log=True),
    Setup("tls", "TLS", tls=True),
    Setup("key", "API key", key=True),
    Setup("traces-tenth", "traces, a tenth of the calls", sample_ratio=PRODUCTION_SAMPLE_RATIO),
    Setup("traces-all", "traces, all calls", sample_ratio=1.0),
    Setup("content", "traces, all calls, with their content", sample_ratio=1.0, record_content=True),
    EVERYTHING,
    Setup("everything-traced", "everything on, all calls traced", tls=True, key=True, sample_ratio=1.0, access_log=True),
    Setup("workers", "two workers", workers=2),
    Setup("json", "the second port, JSON", json=True),
    Setup("no-metrics", "metrics of calls", without=("Access",)),
    Setup("no-admission", "admission", without=("Admission",)),
)
SETUPS = {setup.name: setup for setup in (OFF, *PARTS)}
