"""The process's settings arrive whole, and its key stays out of what is printed."""

from __future__ import annotations

import json
from pathlib import Path

from antiphon.embedded.model_server.settings import Settings, parse_settings


def test_settings_are_read_from_one_line() -> None:
    values = {
        "api_key": "secret",
        "parent_pid": 1,
        "runtime_dir": "r",
        "gguf_path": "g",
        "embedder_path": "e",
        "embedder_tokenizer_path": "t",
        "model_name": "m",
        "threads": 1,
        "parallel_slots": 2,
        "max_waiting": 3,
        "context_tokens": 4,
        "default_max_tokens": 5,
    }
    settings = parse_settings(json.dumps(values).encode())
    assert Settings("secret", 1, Path("r"), Path("g"), Path("e"), Path("t"), "m", 1, 2, 3, 4, 5) == settings
    assert "secret" not in repr(settings)
