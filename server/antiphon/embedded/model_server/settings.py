"""What the parent hands over on the first line of standard input."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, cast


@dataclass(frozen=True, slots=True)
class Settings:
    """See `antiphon.embedded.model_config.EmbeddedModelConfig` for the meaning of the fields."""

    api_key: str
    parent_pid: int
    runtime_dir: Path
    gguf_path: Path
    embedder_path: Path
    embedder_tokenizer_path: Path
    model_name: str
    threads: int
    parallel_slots: int
    max_waiting: int
    context_tokens: int
    default_max_tokens: int

    def __repr__(self) -> str:
        """Leave the key out of tracebacks and logs."""
        return f"Settings(model_name={self.model_name!r})"


def parse_settings(line: bytes) -> Settings:
    """Read the settings from one JSON line."""
    values = cast("dict[str, Any]", json.loads(line))
    for field in fields(Settings):
        if field.name.endswith(("_path", "_dir")):
            values[field.name] = Path(values[field.name])
    return Settings(**values)
