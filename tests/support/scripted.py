"""A provider whose models do what the test says."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from antiphon.api.core.v1.completion_pb2 import CompletionSpec, FinishReason
from antiphon.api.core.v1.event_pb2 import Completed, Event, PartDelta, PartEnded, PartKind, PartStarted
from antiphon.api.core.v1.usage_pb2 import Usage
from antiphon.api.model.v1.model_service_pb2 import Capability, Model
from antiphon.plugins import ProviderSettings, ProviderTools, ProviderType
from antiphon.ports.chat_model import ChatModel, Delivery, TokenCount

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from antiphon.ports.call import CallContext

ALL_CAPABILITIES = tuple(number for number in Capability.values() if number)
# The sections of a configuration whose one provider, and default model, is a scripted one.
SCRIPTED: dict[str, Any] = {"providers": {"scripted": {"type": "scripted"}}, "aliases": {"default": "scripted/alpha"}}


def text_events(*pieces: str) -> list[list[Event]]:
    """Returns the batches of an answer in text, a batch a piece."""
    batches = [[Event(part_started=PartStarted(index=0, kind=PartKind.PART_KIND_TEXT))]]
    batches += [[Event(part_delta=PartDelta(index=0, text=piece))] for piece in pieces]
    usage = Usage(input_tokens=3, output_tokens=len(pieces))
    done = Completed(finish_reason=FinishReason.FINISH_REASON_STOP, provider_finish_reason="stop", usage=usage)
    batches.append([Event(part_ended=PartEnded(index=0)), Event(completed=done)])
    return batches


@dataclass
class ScriptedModel:
    """Answers with the scripted batches; a callable among them is awaited, an exception raised.

    Attributes:
        script: What to yield, in order.
        capabilities: What it says it can take.
        asked: The specs it was asked with.
        open_streams: How many streams are open now.
    """

    provider: str = "scripted"
    script: Sequence[list[Event] | Exception | Callable[[], Awaitable[None]]] = field(default_factory=lambda: text_events("Hel", "lo"))
    capabilities: Sequence[int] = ALL_CAPABILITIES
    max_output_tokens: int = 1000
    asked: list[CompletionSpec] = field(default_factory=list[CompletionSpec])
    open_streams: int = 0
    failing_ping: Exception | None = None

    def describe(self, model_id: str) -> Model | None:
        if model_id == "missing":
            return None
        return Model(
            name=f"{self.provider}/{model_id}",
            provider=self.provider,
            capabilities=[Capability.Name(number) for number in self.capabilities],
            max_output_tokens=self.max_output_tokens,
            context_window_tokens=self.max_output_tokens * 2,
        )

    async def list_models(self) -> Sequence[Model]:
        found = [self.describe(name) for name in ("alpha", "beta", "gamma")]
        return [model for model in found if model is not None]

    async def stream(self, spec: CompletionSpec, model_id: str, call: CallContext, delivery: Delivery) -> AsyncGenerator[list[Event], None]:
        del model_id, call, delivery
        self.asked.append(spec)
        self.open_streams += 1
        try:
            for step in self.script:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, list):
                    copies: list[Event] = []
                    for event in cast("list[Event]", step):
                        copy = Event()
                        copy.CopyFrom(event)
                        copies.append(copy)
                    yield copies
                else:
                    await step()
        finally:
            self.open_streams -= 1

    async def count_tokens(self, spec: CompletionSpec, model_id: str, call: CallContext) -> TokenCount:
        del model_id, call
        await asyncio.sleep(0)
        return TokenCount(input_tokens=len(spec.messages), estimated=True, tokenizer="messages")

    async def ping(self) -> None:
        if self.failing_ping is not None:
            raise self.failing_ping

    async def close(self) -> None:
        return


def scripted_kinds(model: ScriptedModel) -> dict[str, ProviderType]:
    """Returns the kinds of provider of a server that has the scripted model alone."""

    def build(name: str, settings: ProviderSettings, tools: ProviderTools) -> ChatModel:
        del settings, tools
        model.provider = name
        return model

    return {"scripted": ProviderType(name="scripted", settings=ProviderSettings, build=build)}
