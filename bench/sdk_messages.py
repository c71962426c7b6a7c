"""What the Python SDK's messages cost beside protobuf's own runtime: the same bytes, decoded and encoded by both, in one process.

`python -m bench.sdk_messages` prints the table of the SDK's page. Each figure is the least of several
rounds of CPU time, which is what the code costs when nothing else disturbs it; the two runtimes take turns, so that a busy machine disturbs both.
"""

from __future__ import annotations

import gc
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from antiphon.api.completion.v1 import completion_service_pb2 as protobuf
from antiphon.api.core.v1 import completion_pb2, event_pb2, message_pb2, tool_pb2, usage_pb2
from antiphon_client.contract import completion

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 15
ROUND_S = 0.05


@dataclass(frozen=True)
class Case:
    """One message, as both runtimes have it."""

    name: str
    protobuf_message: Any
    client_type: Any


def cases() -> list[Case]:
    """A request of six turns with a tool, its answer, and one streamed piece of text."""
    turns = [
        message_pb2.Message(
            role=message_pb2.Role.ROLE_USER if number % 2 == 0 else message_pb2.Role.ROLE_ASSISTANT,
            parts=[message_pb2.Part(text="Some forty words of text, as people and models write them. " * 4)],
        )
        for number in range(6)
    ]
    schema = json.dumps({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
    spec = completion_pb2.CompletionSpec(
        model="acme/large",
        messages=turns,
        tools=[tool_pb2.Tool(name="weather", description="Tells the weather of a city.", input_schema=schema)],
        sampling=completion_pb2.SamplingParameters(temperature=0.5, max_output_tokens=500),
    )
    answer = completion_pb2.Completion(
        completion_id="cmpl-0123456789abcdef0123456789abcdef",
        model="acme/large",
        message=turns[1],
        finish_reason=completion_pb2.FinishReason.FINISH_REASON_STOP,
        provider_finish_reason="stop",
        usage=usage_pb2.Usage(input_tokens=400, output_tokens=60),
    )
    answer.create_time.GetCurrentTime()
    delta = event_pb2.Event(stream_id=answer.completion_id, sequence=17, part_delta=event_pb2.PartDelta(text=" tokens"))
    return [
        Case("request (CompleteRequest)", protobuf.CompleteRequest(spec=spec), completion.CompleteRequest),
        Case("response (CompleteResponse)", protobuf.CompleteResponse(completion=answer), completion.CompleteResponse),
        Case("stream event (StreamCompleteResponse)", protobuf.StreamCompleteResponse(event=delta), completion.StreamCompleteResponse),
    ]


def cpu_us(work: Callable[[], object]) -> float:
    """CPU time of one round, in microseconds a call."""
    calls, begun = 0, time.process_time()
    while (spent := time.process_time() - begun) < ROUND_S:
        for _ in range(20):
            work()
        calls += 20
    return spent / calls * 1e6


def main() -> None:
    """Prints the table."""
    gc.disable()
    print("| message | bytes | encode: betterproto2 | protobuf | decode: betterproto2 | protobuf |")
    print("|---|---|---|---|---|---|")
    for case in cases():
        encoded = case.protobuf_message.SerializeToString()
        ours = case.client_type.parse(encoded)
        assert bytes(ours) == encoded, case.name
        protobuf_type = cast("Any", type(case.protobuf_message))
        works: list[Callable[[], object]] = [
            ours.SerializeToString,
            case.protobuf_message.SerializeToString,
            lambda case=case, encoded=encoded: case.client_type.parse(encoded),
            lambda protobuf_type=protobuf_type, encoded=encoded: protobuf_type.FromString(encoded),
        ]
        figures = [min(times) for times in zip(*([cpu_us(work) for work in works] for _ in range(ROUNDS)), strict=True)]
        print(f"| {case.name} | {len(encoded)} | " + " | ".join(f"{figure:,.1f} us" for figure in figures) + " |")


if __name__ == "__main__":
    main()
