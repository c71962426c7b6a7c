"""Answers a chat request: as text, as JSON under a schema, or as a tool call. Streaming or not, it is one pipeline."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from antiphon.embedded.model_server.constraint import Constraint, compile_schema
from antiphon.embedded.model_server.conversation import ChatMessage, as_prompt, last_user_text
from antiphon.embedded.model_server.engine import Engine, Finished, Generation, PromptMessage, TextDelta
from antiphon.embedded.model_server.errors import EngineFaultError
from antiphon.embedded.model_server.tool_chooser import TextEmbedder, choose_tool

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from antiphon.embedded.model_server.chat_request import ChatRequest
    from antiphon.embedded.model_server.tools import Tool

# A constrained text fails its check only for what the constraint cannot express (see Constraint.is_exact).
_ATTEMPTS = 3
_RETRY_TEMPERATURE = 0.7
# What the makers of the packaged model recommend; the usual default of 1.0 makes so small a model ramble.
_DEFAULT_TEMPERATURE = 0.2
_DEFAULT_TOP_P = 0.9


@dataclass(frozen=True, slots=True)
class ToolCallStarted:
    """The answer is a call of this tool; its arguments follow as text."""

    call_id: str
    name: str


ChatEvent = ToolCallStarted | TextDelta | Finished


@dataclass(frozen=True, slots=True)
class _Plan:
    prompt: tuple[PromptMessage, ...]
    constraint: Constraint | None
    tool: Tool | None


class ChatService:
    """The use cases of the model server."""

    def __init__(self, engine: Engine, embedder: TextEmbedder) -> None:
        """Take the engine and what chooses tools."""
        self._engine = engine
        self._embedder = embedder

    async def count_tokens(self, request: ChatRequest) -> int:
        """The prompt tokens that `answer` would use for the same request."""
        plan = await self._plan(request)
        return await self._engine.count_prompt_tokens(plan.prompt)

    async def answer(self, request: ChatRequest) -> AsyncGenerator[ChatEvent, None]:
        """Generate the answer. The last event is Finished; closing the generator stops the computation.

        Raises:
            ApiError: The request cannot be served, or the engine failed.
        """
        plan = await self._plan(request)
        sampling = request.sampling
        if plan.tool is not None:
            # A stop sequence is about the answer's text and would cut the arguments.
            sampling = replace(sampling, stop=(), temperature=sampling.temperature or 0.0)
        elif sampling.temperature is None:
            sampling = replace(sampling, temperature=_DEFAULT_TEMPERATURE)
        if sampling.top_p is None:
            sampling = replace(sampling, top_p=_DEFAULT_TOP_P)
        generation = Generation(plan.prompt, sampling, plan.constraint.grammar if plan.constraint else None)
        if plan.constraint is None:
            events = self._engine.generate(generation)
        elif request.stream and plan.constraint.is_exact:
            events = self._stream_constrained(generation, plan.constraint)
        else:
            events = self._collect_constrained(generation, plan.constraint)
        started = plan.tool is None
        async with aclosing(events):
            async for event in events:
                if not started and plan.tool is not None:
                    # Not before the engine accepted the request: until then an error can still have a status.
                    started = True
                    yield ToolCallStarted(f"call_{secrets.token_hex(12)}", plan.tool.name)
                yield event

    async def _plan(self, request: ChatRequest) -> _Plan:
        tool = await self._choose(request)
        if tool is None:
            return _Plan(as_prompt(request.messages), request.constraint, None)
        # Off the loop: a large schema takes some milliseconds to compile.
        constraint = await asyncio.to_thread(compile_schema, tool.parameters, f"tools.{tool.name}.parameters")
        return _Plan(_arguments_prompt(tool, request.messages), constraint, tool)

    async def _choose(self, request: ChatRequest) -> Tool | None:
        choice = request.tool_choice
        if choice.mode == "none" or not choice.tools:
            return None
        if choice.mode == "auto" and request.messages[-1].role != "user":
            return None  # The results of earlier calls are there: the answer is text.
        if choice.mode == "required" and len(choice.tools) == 1:
            return choice.tools[0]
        found = await asyncio.to_thread(choose_tool, self._embedder, last_user_text(request.messages), choice.tools)
        return found.tool if choice.mode == "required" or found.is_meant else None

    async def _stream_constrained(self, generation: Generation, constraint: Constraint) -> AsyncGenerator[TextDelta | Finished, None]:
        texts: list[str] = []
        async with aclosing(self._engine.generate(generation)) as events:
            async for event in events:
                if isinstance(event, TextDelta):
                    texts.append(event.text)
                elif event.reason == "stop" and constraint.accept("".join(texts)) is None:
                    raise _not_kept()
                yield event

    async def _collect_constrained(self, generation: Generation, constraint: Constraint) -> AsyncGenerator[TextDelta | Finished, None]:
        for attempt in range(_ATTEMPTS):
            deltas: list[TextDelta] = []
            async with aclosing(self._engine.generate(_varied(generation, attempt))) as events:
                async for event in events:
                    if isinstance(event, TextDelta):
                        deltas.append(event)
                        continue
                    text = "".join(delta.text for delta in deltas)
                    accepted = text if event.reason == "length" else constraint.accept(text)
                    if accepted is not None:
                        logprobs = tuple(entry for delta in deltas for entry in delta.logprobs)
                        yield TextDelta(accepted, logprobs if accepted == text else ())
                        yield event
                        return
        raise _not_kept()


def _varied(generation: Generation, attempt: int) -> Generation:
    """The generation as asked for at first, then with other draws that are the same in every run."""
    if attempt == 0:
        return generation
    sampling = replace(generation.sampling, temperature=_RETRY_TEMPERATURE, seed=attempt)
    return replace(generation, sampling=sampling)


def _not_kept() -> EngineFaultError:
    return EngineFaultError("the embedded model gave no value that is valid under the schema", code="schema_not_kept")


def _arguments_prompt(tool: Tool, messages: tuple[ChatMessage, ...]) -> tuple[PromptMessage, ...]:
    lines = [f"You fill in the arguments of the function {tool.name}. {tool.description}".strip()]
    if tool.parameter_texts:
        lines.append("Arguments:")
        lines += [f"- {text}" for text in tool.parameter_texts]
    lines.append("Take the values from what the user says. Answer with JSON only.")
    said = [message for message in messages if message.role != "system"]
    return as_prompt((ChatMessage("system", "\n".join(lines)), *said))
