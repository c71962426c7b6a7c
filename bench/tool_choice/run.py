"""Measures tool calls and JSON answers against the prompts beside this file, over gRPC with the SDK.

`make bench-tools` starts a server on embedded defaults; `--target` and `--model` measure any other.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema_rs

from antiphon_client import AntiphonError, AsyncClient, Completion, Tool
from bench.pairing.report import commit
from tests.support.real_server import real_server

if TYPE_CHECKING:
    from antiphon_client.parameters import CompletionParameters

_HERE = Path(__file__).parent
_REQUEST_TIMEOUT_S = 120.0
_TEXT_TOKENS = 48

Prompt = dict[str, Any]
Outcome = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """What is measured."""

    client: AsyncClient
    model: str
    seed: int

    async def complete(self, prompt: Prompt, parameters: CompletionParameters) -> tuple[Completion | None, str]:
        """Returns the answer, or the reason why there is none."""
        asked: CompletionParameters = {"temperature": 0, "seed": self.seed, "timeout_s": _REQUEST_TIMEOUT_S, **parameters}
        try:
            answer = await self.client.completions.create(model=self.model, messages=prompt["messages"], **asked)
        except AntiphonError as error:
            return None, f"{error.reason}: {error.message}"
        return answer, ""


def tools_of(toolset: list[Any]) -> list[Tool]:
    """Reads a set of tools as the prompts file has them."""
    functions = [tool["function"] for tool in toolset]
    return [Tool(name=one["name"], description=one["description"], input_schema=one["parameters"]) for one in functions]


async def run_tool_prompt(target: Target, prompt: Prompt, tools: list[Tool]) -> Outcome:
    """The model decides: the call must come, be of the right tool, and its arguments must be valid."""
    answer, problem = await target.complete(prompt, {"tools": tools})
    calls = answer.tool_calls if answer else []
    called = bool(calls)
    if not called:
        # The decision for text was wrong; whether a call would have been valid is measured all the same.
        forced, problem = await target.complete(prompt, {"tools": tools, "tool_choice": "required"})
        calls = forced.tool_calls if forced else []
    chosen = calls[0].name if calls else None
    arguments = calls[0].arguments if calls else ""
    schema = next((tool.input_schema for tool in tools if tool.name == chosen), False)
    return {
        "id": prompt["id"],
        "called": called,
        "expected": prompt["expected_tool"],
        "chosen": chosen,
        "right": called and chosen == prompt["expected_tool"],
        "right_when_required": chosen == prompt["expected_tool"],
        "valid": _is_valid(schema, arguments),
        "arguments": arguments,
        "error": problem,
    }


async def run_no_tool_prompt(target: Target, prompt: Prompt, tools: list[Tool]) -> Outcome:
    """The model decides: the answer must be text."""
    answer, problem = await target.complete(prompt, {"tools": tools, "max_output_tokens": _TEXT_TOKENS})
    calls = answer.tool_calls if answer else []
    text = answer.text if answer else ""
    return {
        "id": prompt["id"],
        "right": not calls and bool(text),
        "chosen": calls[0].name if calls else None,
        "text": text,
        "error": problem,
    }


async def run_schema_prompt(target: Target, prompt: Prompt) -> Outcome:
    """The answer must follow the schema."""
    answer, problem = await target.complete(prompt, {"response_format": prompt["schema"]})
    text = answer.text if answer else ""
    return {"id": prompt["id"], "valid": _is_valid(prompt["schema"], text), "text": text, "error": problem}


async def measure(target: Target, prompts: dict[str, Any]) -> dict[str, list[Outcome]]:
    """Runs every prompt, one after the other."""
    toolsets = {name: tools_of(toolset) for name, toolset in prompts["toolsets"].items()}
    results: dict[str, list[Outcome]] = {"tool": [], "no_tool": [], "schema": []}

    async def add(kind: str, result: Any) -> None:
        began_s = time.perf_counter()
        outcome: Outcome = {**await result, "seconds": round(time.perf_counter() - began_s, 2)}
        results[kind].append(outcome)
        shown = str(outcome.get("arguments", outcome.get("text", "")))
        good = outcome.get("right", True) and outcome.get("valid", True)
        print(f"{outcome['id']} {'ok ' if good else 'BAD'} {outcome.get('chosen') or '-':24} {shown[:90]!r}")

    for prompt in prompts["tool_prompts"]:
        await add("tool", run_tool_prompt(target, prompt, toolsets[prompt["toolset"]]))
    for prompt in prompts["no_tool_prompts"]:
        await add("no_tool", run_no_tool_prompt(target, prompt, toolsets[prompt["toolset"]]))
    for prompt in prompts["schema_prompts"]:
        await add("schema", run_schema_prompt(target, prompt))
    return results


def summarise(results: dict[str, list[Outcome]]) -> dict[str, str]:
    """Returns each figure as "good of all"."""

    def share(kind: str, field: str) -> str:
        return f"{sum(bool(result[field]) for result in results[kind])} of {len(results[kind])}"

    return {
        "tool arguments valid": share("tool", "valid"),
        "right tool (auto)": share("tool", "right"),
        "right tool (required)": share("tool", "right_when_required"),
        "text where no tool is meant": share("no_tool", "right"),
        "JSON Schema answers valid": share("schema", "valid"),
    }


def meets_bars(results: dict[str, list[Outcome]]) -> bool:
    """Says whether all arguments and all JSON answers are valid, and 7 of 10 tools right."""
    right = sum(result["right"] for result in results["tool"])
    return all(result["valid"] for result in results["tool"] + results["schema"]) and right * 10 >= len(results["tool"]) * 7


def _is_valid(schema: Any, text: str) -> bool:
    try:
        return jsonschema_rs.validator_for(schema, validate_formats=True).is_valid(json.loads(text))
    except json.JSONDecodeError:
        return False


async def run(target: str, options: argparse.Namespace) -> dict[str, list[Outcome]]:
    """Measures one server."""
    async with AsyncClient(target) as client:
        return await measure(Target(client, options.model, options.seed), options.prompts)


def main() -> int:
    """Measures and reports; the exit code tells whether the bars are met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", help="host:port of a running server; without it one is started on embedded defaults")
    parser.add_argument("--model", default="default")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--output", type=Path, default=_HERE / "results.json", help="where the results are written")
    options = parser.parse_args()
    options.prompts = json.loads((_HERE / "prompts.json").read_text(encoding="utf-8"))
    with ExitStack() as stack:
        target = options.target
        if target is None:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            target = stack.enter_context(real_server(folder)).target
        results = asyncio.run(run(target, options))
    summary = summarise(results)
    print()
    for name, figure in summary.items():
        print(f"{name:30} {figure}")
    report = {"commit": commit(), "seed": options.seed, "model": options.model, "summary": summary, "results": results}
    options.output.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return 0 if meets_bars(results) else 1


if __name__ == "__main__":
    sys.exit(main())
