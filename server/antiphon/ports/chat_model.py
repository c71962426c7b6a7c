"""The port to a provider's chat models."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from antiphon.api.core.v1.completion_pb2 import CompletionSpec
    from antiphon.api.core.v1.event_pb2 import Event
    from antiphon.api.model.v1.model_service_pb2 import Model
    from antiphon.ports.call import CallContext


@dataclass(frozen=True, slots=True)
class TokenCount:
    """How many tokens an input takes.

    Attributes:
        input_tokens: The count.
        estimated: Whether the tokenizer may not be the model's own.
        tokenizer: The tokenizer that counted.
    """

    input_tokens: int
    estimated: bool
    tokenizer: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a caller wants a stream's events.

    Attributes:
        incremental: Whether they come while the model writes. False allows one whole reply.
        merge_window_s: How long an adapter may leave what arrives unread so that it comes in one list, in seconds. The first list never waits.
    """

    incremental: bool
    merge_window_s: float = 0


WHOLE = Delivery(incremental=False)


class ChatModel(Protocol):
    """The chat models of one configured provider.

    Model ids here are the provider's own, without the provider's name before them. Everything raises `AntiphonError` and nothing else.
    """

    @property
    def provider(self) -> str:
        """The provider's configured name."""
        ...

    def describe(self, model_id: str) -> Model | None:
        """Describes a model without asking the provider; None where the provider is known not to have it.

        The name of the result is `provider/model_id`.
        """
        ...

    async def list_models(self) -> Sequence[Model]:
        """Returns the models that can be named, asking the provider where it must."""
        ...

    def stream(self, spec: CompletionSpec, model_id: str, call: CallContext, delivery: Delivery) -> AsyncGenerator[list[Event], None]:
        """Asks a model and yields what it answers, as lists of the events that arrived together.

        Parameters that the model cannot take have been removed or refused before. Each event holds just its `event`: the pipeline gives
        stream ids and sequences. The order is: parts (PartStarted, PartDelta ..., PartEnded) and tool calls (ToolCallStarted,
        ToolCallArgumentsDelta ..., ToolCallEnded), possibly interleaved, UsageReported where the provider tells, and Completed exactly once and
        last. An answer that stops without its end is an error, never a short success.

        Closing the generator, or cancelling the task that runs it, closes the provider's connection at once.

        Args:
            spec: What to complete; its `model` is not read.
            model_id: The provider's own name of the model.
            call: The call, for logs and traces. Its deadline is the pipeline's to hold.
            delivery: How the caller wants the events.
        """
        ...

    async def count_tokens(self, spec: CompletionSpec, model_id: str, call: CallContext) -> TokenCount:
        """Counts the tokens that the input would take."""
        ...

    async def ping(self) -> None:
        """Returns when the provider answers; raises what is wrong otherwise. Costs nothing and starts nothing."""
        ...

    async def close(self) -> None:
        """Releases what it holds. Calls in progress fail."""
        ...
