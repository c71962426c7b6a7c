"""Measures tool calls and JSON answers of an OpenAI-compatible endpoint against the prompts beside this file.

`python bench/tool_choice/run.py` starts the embedded model; `--base-url` and `--api-key` measure any other endpoint.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema_rs

from antiphon.embedded.model_config import EmbeddedModelConfig
from antiphon.embedded.model_supervisor import EmbeddedModelSupervisor

_HERE = Path(__file__).parent
_REQUEST_TIMEOUT_S = 120.0
_TEXT_TOKENS = 48


@dataclass(frozen=True, slots=True)
class Target:
    """What is measured."""

    session: aiohttp.ClientSession
    base_url: str
    model: str
    seed: int

    async def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """Send one request; an error answer comes back as `{"error": ...}`."""
        request = {"model": self.model, "temperature": 0, "seed": self.seed, **body}
        async with self.session.post(f"{self.base_url}/chat/completions", json=request) as response:
            answer: dict[str, Any] = await response.json(content_type=None)
            return answer


def _is_valid(schema: Any, text: str) -> bool:
    try:
        return jsonschema_rs.validator_for(schema, validate_formats=True).is_valid(json.loads(text))
    except json.JSONDecodeError:
        return False


def _parameters(tools: list[Any], name: str | None) -> Any:
    return next((tool["function"]["parameters"] for tool in tools if tool["function"]["name"] == name), False)


async def run_tool_prompt(target: Target, prompt: dict[str, Any], tools: list[Any]) -> dict[str, Any]:
    """`tool_choice: auto`: the call must come, be the right one, and its arguments must be valid."""
    answer = await target.complete({"messages": prompt["messages"], "tools": tools})
    chosen, arguments, is_call = _first_call(answer)
    forced = None
    if not is_call:
        # The decision for text was wrong; whether a call would have been valid is measured all the same.
        forced = await target.complete({"messages": prompt["messages"], "tools": tools, "tool_choice": "required"})
        chosen, arguments, _ = _first_call(forced)
    return {
        "id": prompt["id"],
        "called": is_call,
        "expected": prompt["expected_tool"],
        "chosen": chosen,
        "right": is_call and chosen == prompt["expected_tool"],
        "right_when_required": chosen == prompt["expected_tool"],
        "valid": _is_valid(_parameters(tools, chosen), arguments),
        "arguments": arguments,
        "error": answer.get("error") or (forced or {}).get("error"),
    }


def _first_call(answer: dict[str, Any]) -> tuple[str | None, str, bool]:
    if "error" in answer:
        return None, "", False
    calls: list[dict[str, dict[str, str]]] = answer["choices"][0]["message"].get("tool_calls") or []
    if not calls:
        return None, "", False
    return calls[0]["function"]["name"], calls[0]["function"]["arguments"], True


async def run_no_tool_prompt(target: Target, prompt: dict[str, Any], tools: list[Any]) -> dict[str, Any]:
    """`tool_choice: auto`: the answer must be text."""
    answer = await target.complete({"messages": prompt["messages"], "tools": tools, "max_tokens": _TEXT_TOKENS})
    chosen, _, is_call = _first_call(answer)
    text = "" if "error" in answer else answer["choices"][0]["message"].get("content") or ""
    return {"id": prompt["id"], "right": not is_call and bool(text), "chosen": chosen, "text": text}


async def run_schema_prompt(target: Target, prompt: dict[str, Any]) -> dict[str, Any]:
    """`response_format: json_schema`: the answer must be valid."""
    json_schema = {"name": prompt["schema_name"], "schema": prompt["schema"], "strict": True}
    body = {"messages": prompt["messages"], "response_format": {"type": "json_schema", "json_schema": json_schema}}
    answer = await target.complete(body)
    text = "" if "error" in answer else answer["choices"][0]["message"]["content"]
    return {
        "id": prompt["id"],
        "valid": _is_valid(prompt["schema"], text),
        "text": text,
        "error": answer.get("error"),
    }


async def measure(target: Target, prompts: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Run every prompt, one after the other."""
    results: dict[str, list[dict[str, Any]]] = {"tool": [], "no_tool": [], "schema": []}

    async def add(kind: str, result: Any) -> None:
        began_s = time.perf_counter()
        outcome: dict[str, Any] = {**await result, "seconds": round(time.perf_counter() - began_s, 2)}
        results[kind].append(outcome)
        shown = str(outcome.get("arguments", outcome.get("text", "")))
        good = outcome.get("right", True) and outcome.get("valid", True)
        print(f"{outcome['id']} {'ok ' if good else 'BAD'} {outcome.get('chosen') or '-':24} {shown[:90]!r}")

    for prompt in prompts["tool_prompts"]:
        await add("tool", run_tool_prompt(target, prompt, prompts["toolsets"][prompt["toolset"]]))
    for prompt in prompts["no_tool_prompts"]:
        await add("no_tool", run_no_tool_prompt(target, prompt, prompts["toolsets"][prompt["toolset"]]))
    for prompt in prompts["schema_prompts"]:
        await add("schema", run_schema_prompt(target, prompt))
    return results


def summarise(results: dict[str, list[dict[str, Any]]]) -> dict[str, str]:
    """Each figure as "good of all"."""

    def share(kind: str, field: str) -> str:
        return f"{sum(bool(result[field]) for result in results[kind])} of {len(results[kind])}"

    return {
        "tool arguments valid": share("tool", "valid"),
        "right tool (auto)": share("tool", "right"),
        "right tool (required)": share("tool", "right_when_required"),
        "text where no tool is meant": share("no_tool", "right"),
        "JSON Schema answers valid": share("schema", "valid"),
    }


def meets_bars(results: dict[str, list[dict[str, Any]]]) -> bool:
    """All arguments and all JSON answers valid, and 7 of 10 tools right."""
    right = sum(result["right"] for result in results["tool"])
    return all(result["valid"] for result in results["tool"] + results["schema"]) and right * 10 >= len(results["tool"]) * 7


async def main(arguments: argparse.Namespace) -> int:
    """Measure and report; the exit code tells whether the bars are met."""
    prompts: dict[str, Any] = json.loads(arguments.prompts.read_text())
    async with AsyncExitStack() as stack:
        base_url, api_key, model = arguments.base_url, arguments.api_key, arguments.model
        if base_url is None:
            config = EmbeddedModelConfig()
            supervisor = EmbeddedModelSupervisor(config)
            stack.push_async_callback(supervisor.close)
            endpoint = await supervisor.ensure_running()
            base_url, api_key, model = endpoint.base_url, endpoint.api_key, config.model_name
        session = await stack.enter_async_context(
            aiohttp.ClientSession(
                headers={"Authorization": f"Bearer {api_key}"},
                timeout=aiohttp.ClientTimeout(total=_REQUEST_TIMEOUT_S),
            )
        )
        results = await measure(Target(session, base_url, model, arguments.seed), prompts)
    summary = summarise(results)
    print()
    for name, figure in summary.items():
        print(f"{name:30} {figure}")
    if arguments.output is not None:
        report = {
            "commit": arguments.commit,
            "seed": arguments.seed,
            "model": model,
            "prompts": arguments.prompts.name,
            "summary": summary,
            "results": results,
        }
        arguments.output.write_text(json.dumps(report, indent=1, ensure_ascii=False) + "\n")
    return 0 if meets_bars(results) else 1


def parse_arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--base-url", help="ends with /v1; without it the embedded model is started")
    parser.add_argument("--api-key", default="")
    parser.add_argument("--model", default=EmbeddedModelConfig().model_name)
    parser.add_argument("--prompts", type=Path, default=_HERE / "prompts.json")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--output", type=Path, help="where the JSON results are written")
    parser.add_argument("--commit", default="", help="noted in the results")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(asyncio.run(main(parse_arguments())))
