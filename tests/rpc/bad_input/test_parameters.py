"""What a model cannot take is refused, or left out and named where the caller says so; content is never left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from antiphon.api.completion.v1 import completion_service_pb2 as pb
from antiphon.api.core.v1.completion_pb2 import CompletionSpec, UnsupportedParameterPolicy
from antiphon.api.core.v1.message_pb2 import Blob, Message, Part, Role, Uri
from antiphon.api.model.v1.model_service_pb2 import Capability
from tests.rpc.bad_input.specs import FIRST, INVALID, REQUESTS, spec
from tests.support.scripted import ALL_CAPABILITIES, ScriptedModel
from tests.support.serving import COMPLETION

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.rpc.bad_input.ports import OnePort

pytestmark = pytest.mark.asyncio(loop_scope="module")


PARAMETERS: dict[str, tuple[Capability, Callable[[CompletionSpec], object]]] = {
    "sampling.temperature": (Capability.CAPABILITY_TEMPERATURE, lambda one: setattr(one.sampling, "temperature", 0.0)),
    "sampling.top_p": (Capability.CAPABILITY_TOP_P, lambda one: setattr(one.sampling, "top_p", 1.0)),
    "sampling.top_k": (Capability.CAPABILITY_TOP_K, lambda one: setattr(one.sampling, "top_k", 1)),
    "sampling.stop": (Capability.CAPABILITY_STOP, lambda one: one.sampling.stop.append("x")),
    "sampling.seed": (Capability.CAPABILITY_SEED, lambda one: setattr(one.sampling, "seed", 0)),
    "sampling.frequency_penalty": (Capability.CAPABILITY_FREQUENCY_PENALTY, lambda one: setattr(one.sampling, "frequency_penalty", 0.0)),
    "sampling.presence_penalty": (Capability.CAPABILITY_PRESENCE_PENALTY, lambda one: setattr(one.sampling, "presence_penalty", 0.0)),
    "sampling.top_logprobs": (Capability.CAPABILITY_LOG_PROBABILITIES, lambda one: setattr(one.sampling, "top_logprobs", 0)),
    "tools": (Capability.CAPABILITY_TOOLS, lambda one: one.tools.add(name="weather")),
    "parallel_tool_calls": (Capability.CAPABILITY_PARALLEL_TOOL_CALLS, lambda one: setattr(one, "parallel_tool_calls", False)),
    "response_format": (Capability.CAPABILITY_JSON_OBJECT, lambda one: one.response_format.json_object.SetInParent()),
    "response_format (schema)": (
        Capability.CAPABILITY_JSON_SCHEMA,
        lambda one: setattr(one.response_format.json_schema, "schema", "{}"),
    ),
    "reasoning.effort": (Capability.CAPABILITY_REASONING_EFFORT, lambda one: setattr(one.reasoning, "effort", 1)),
}


@pytest.mark.parametrize("name", PARAMETERS)
async def test_an_unsupported_parameter_is_refused(server: OnePort, model: ScriptedModel, name: str) -> None:
    capability, put = PARAMETERS[name]
    model.capabilities = [one for one in ALL_CAPABILITIES if one != capability]
    request = spec(model=f"scripted/without-{name.replace(' ', '-')}")
    put(request)
    for method, wrapped in REQUESTS.items():
        failure = await server.refused(f"{COMPLETION}/{method}", wrapped(request))
        assert (INVALID, "UNSUPPORTED_PARAMETER") == (failure.code, failure.reason)
        assert [f"spec.{name.partition(' ')[0]}"] == failure.fields
    assert [] == model.asked


@pytest.mark.parametrize("name", PARAMETERS)
async def test_an_unsupported_parameter_is_left_out_where_the_caller_says_so(server: OnePort, model: ScriptedModel, name: str) -> None:
    capability, put = PARAMETERS[name]
    model.capabilities = [one for one in ALL_CAPABILITIES if one != capability]
    request = spec(model=f"scripted/without-{name.replace(' ', '-')}")
    request.unsupported_parameter_policy = UnsupportedParameterPolicy.UNSUPPORTED_PARAMETER_POLICY_IGNORE
    plain = CompletionSpec()
    plain.CopyFrom(request)
    put(request)
    completion = (await server.complete(pb.CompleteRequest(spec=request))).completion
    assert [name.partition(" ")[0]] == list(completion.ignored_parameters)
    [asked] = model.asked
    for leftover in ("sampling", "reasoning"):
        if asked.HasField(leftover) and not getattr(asked, leftover).ByteSize():
            asked.ClearField(leftover)
    assert plain == asked


@pytest.mark.parametrize(
    ("capability", "part"),
    [
        (Capability.CAPABILITY_IMAGE_INPUT, Part(blob=Blob(media_type="image/png", data=b"\x89PNG\r\n\x1a\n"))),
        (Capability.CAPABILITY_AUDIO_INPUT, Part(blob=Blob(media_type="audio/wav", data=b"RIFF\x00\x00\x00\x00WAVE"))),
        (Capability.CAPABILITY_DOCUMENT_INPUT, Part(blob=Blob(media_type="application/pdf", data=b"%PDF-1.7"))),
        (Capability.CAPABILITY_URI_INPUT, Part(uri=Uri(uri="https://example.com/a.png"))),
    ],
)
async def test_unsupported_content_is_refused_whatever_the_policy(
    server: OnePort, model: ScriptedModel, capability: Capability, part: Part
) -> None:
    model.capabilities = [one for one in ALL_CAPABILITIES if one != capability]
    request = spec(Message(role=Role.ROLE_USER, parts=[Part(text="look"), part]), model=f"scripted/without-{capability}")
    request.unsupported_parameter_policy = UnsupportedParameterPolicy.UNSUPPORTED_PARAMETER_POLICY_IGNORE
    failure = await server.refused(f"{COMPLETION}/Complete", pb.CompleteRequest(spec=request))
    assert (INVALID, "UNSUPPORTED_CONTENT", [f"{FIRST}.parts[1]"]) == (failure.code, failure.reason, failure.fields)
    assert [] == model.asked
