"""Measures the tool chooser alone on `calibration.json`: what its weights and its threshold were set on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from antiphon.embedded.model_config import locate_model_files
from antiphon.embedded.model_server.minilm_embedder import MiniLmEmbedder
from antiphon.embedded.model_server.tool_chooser import choose_tool
from antiphon.embedded.model_server.tools import parse_tools


def main() -> None:
    """Print every decision and the totals."""
    files = locate_model_files(None)
    embedder = MiniLmEmbedder(files.embedder, files.embedder_tokenizer)
    prompts: dict[str, Any] = json.loads((Path(__file__).parent / "calibration.json").read_text())
    toolsets = {name: parse_tools(tools) for name, tools in prompts["toolsets"].items()}
    right = meant = text = 0
    for prompt in prompts["tool_prompts"] + prompts["no_tool_prompts"]:
        choice = choose_tool(embedder, prompt["messages"][-1]["content"], toolsets[prompt["toolset"]])
        expected = prompt.get("expected_tool")
        print(f"{prompt['id']} {choice.tool.name:24} {choice.margin:+.3f} expected {expected or 'text'}")
        right += choice.tool.name == expected
        meant += choice.is_meant and expected is not None
        text += not choice.is_meant and expected is None
    print(f"right tool {right} of {len(prompts['tool_prompts'])}")
    print(f"a call where one is meant {meant} of {len(prompts['tool_prompts'])}")
    print(f"text where no tool is meant {text} of {len(prompts['no_tool_prompts'])}")


if __name__ == "__main__":
    main()
