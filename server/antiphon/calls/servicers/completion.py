"""CompletionService."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from antiphon.api.completion.v1 import completion_service_pb2 as pb

if TYPE_CHECKING:
    from antiphon.calls.call import Send
    from antiphon.completion.service import CompletionService
    from antiphon.ports.call import CallContext


class CompletionServicer:
    """CompletionService on the wire."""

    def __init__(self, completions: CompletionService) -> None:
        self._completions = completions

    async def complete(self, request: pb.CompleteRequest, call: CallContext) -> pb.CompleteResponse:
        """Answers in one message."""
        return pb.CompleteResponse(completion=await self._completions.complete(request.spec, call))

    async def stream_complete(self, request: pb.StreamCompleteRequest, call: CallContext, send: Send) -> None:
        """Answers in events."""
        window_s = request.merge_window.ToTimedelta().total_seconds()
        async with aclosing(self._completions.stream(request.spec, call, window_s)) as batches:
            async for batch in batches:
                for event in batch:
                    await send(pb.StreamCompleteResponse(event=event))

    async def count_tokens(self, request: pb.CountTokensRequest, call: CallContext) -> pb.CountTokensResponse:
        """Counts the input's tokens."""
        count, model = await self._completions.count_tokens(request.spec, call)
        return pb.CountTokensResponse(input_tokens=count.input_tokens, estimated=count.estimated, tokenizer=count.tokenizer, model=model)
