"""What a model can take: parameters against capabilities, under the caller's policy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from antiphon.api.core.v1.completion_pb2 import (
    REASONING_EFFORT_UNSPECIFIED,
    UNSUPPORTED_PARAMETER_POLICY_IGNORE,
    CompletionSpec,
)
from antiphon.api.core.v1.tool_pb2 import TOOL_CHOICE_MODE_NONE, TOOL_CHOICE_MODE_REQUIRED
from antiphon.api.model.v1 import model_service_pb2 as pb
from antiphon.errors import FieldViolation, InvalidRequestError, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from antiphon.api.core.v1.message_pb2 import Part

_SAMPLING: dict[str, pb.Capability] = {
    "temperature": pb.CAPABILITY_TEMPERATURE,
    "top_p": pb.CAPABILITY_TOP_P,
    "top_k": pb.CAPABILITY_TOP_K,
    "stop": pb.CAPABILITY_STOP,
    "seed": pb.CAPABILITY_SEED,
    "frequency_penalty": pb.CAPABILITY_FREQUENCY_PENALTY,
    "presence_penalty": pb.CAPABILITY_PRESENCE_PENALTY,
    "top_logprobs": pb.CAPABILITY_LOG_PROBABILITIES,
}
_FORMATS: dict[str, pb.Capability] = {
    "json_object": pb.CAPABILITY_JSON_OBJECT,
    "json_schema": pb.CAPABILITY_JSON_SCHEMA,
}


def fit_parameters(spec: CompletionSpec, model: pb.Model) -> tuple[CompletionSpec, list[str]]:
    """Holds a request against what its model can take.

    Returns:
        The request, without what was ignored (the same object where nothing was), and the field paths of what was ignored.

    Raises:
        InvalidRequestError: A parameter is unsupported under the policy ERROR, a limit is beyond the model, the content is of a kind that it
            cannot take, or the tools contradict the choice among them.
    """
    if spec.tools or spec.HasField("tool_choice"):
        _check_tools(spec)
    if spec.HasField("sampling"):
        _check_limit(spec, model)
    capabilities = frozenset(model.capabilities)
    _check_content(spec, model, capabilities)
    unsupported = list(_unsupported(spec, capabilities))
    if not unsupported:
        return spec, []
    if spec.unsupported_parameter_policy != UNSUPPORTED_PARAMETER_POLICY_IGNORE:
        violations = [FieldViolation(f"spec.{path}", f"the model {model.name!r} cannot take it", "unsupported") for path in unsupported]
        raise InvalidRequestError(
            Reason.ERROR_REASON_UNSUPPORTED_PARAMETER,
            f"the model {model.name!r} cannot take {', '.join(unsupported)}; leave it out or set unsupported_parameter_policy to IGNORE",
            metadata={"model": model.name},
            violations=violations,
        )
    fitted = CompletionSpec()
    fitted.CopyFrom(spec)
    for path in unsupported:
        _clear(fitted, path)
    return fitted, unsupported


def _unsupported(spec: CompletionSpec, capabilities: frozenset[pb.Capability]) -> Iterator[str]:
    if spec.HasField("sampling"):
        for name, capability in _SAMPLING.items():
            present = bool(spec.sampling.stop) if name == "stop" else spec.sampling.HasField(name)  # pyright: ignore[reportArgumentType]  # the table's names are the message's
            if present and capability not in capabilities:
                yield f"sampling.{name}"
    if spec.tools and pb.CAPABILITY_TOOLS not in capabilities:
        yield "tools"
        if spec.HasField("tool_choice"):
            yield "tool_choice"
    if spec.HasField("parallel_tool_calls") and pb.CAPABILITY_PARALLEL_TOOL_CALLS not in capabilities:
        yield "parallel_tool_calls"
    form = spec.response_format.WhichOneof("format") if spec.HasField("response_format") else None
    if form in _FORMATS and _FORMATS[form] not in capabilities:
        yield "response_format"
    if (
        spec.HasField("reasoning")
        and spec.reasoning.effort != REASONING_EFFORT_UNSPECIFIED
        and pb.CAPABILITY_REASONING_EFFORT not in capabilities
    ):
        yield "reasoning.effort"


def _clear(spec: CompletionSpec, path: str) -> None:
    parent, _, name = path.rpartition(".")
    (getattr(spec, parent) if parent else spec).ClearField(name)


def _check_tools(spec: CompletionSpec) -> None:
    names = [tool.name for tool in spec.tools]
    if len(set(names)) != len(names):
        index = next(number for number, name in enumerate(names) if name in names[:number])
        raise _choice_refused(f"spec.tools[{index}].name", f"{names[index]!r} names an earlier tool")
    if not spec.HasField("tool_choice"):
        return
    choice = spec.tool_choice
    if choice.mode == TOOL_CHOICE_MODE_NONE:
        if choice.allowed_tool_names:
            raise _choice_refused("spec.tool_choice.allowed_tool_names", "no tool can be allowed where none may be called")
        return
    if not names and choice.mode == TOOL_CHOICE_MODE_REQUIRED:
        raise _choice_refused("spec.tool_choice.mode", "a tool cannot be required where there is none")
    for index, name in enumerate(choice.allowed_tool_names):
        if name not in names:
            raise _choice_refused(f"spec.tool_choice.allowed_tool_names[{index}]", f"the request has no tool named {name!r}")


def _check_limit(spec: CompletionSpec, model: pb.Model) -> None:
    limit = model.max_output_tokens or model.context_window_tokens
    if limit and spec.sampling.max_output_tokens > limit:
        raise InvalidRequestError.at(
            Reason.ERROR_REASON_LIMIT_EXCEEDED,
            "spec.sampling.max_output_tokens",
            f"the model {model.name!r} writes at most {limit} tokens",
            metadata={"model": model.name, "limit": str(limit)},
        )


def _check_content(spec: CompletionSpec, model: pb.Model, capabilities: frozenset[pb.Capability]) -> None:
    for index, message in enumerate(spec.messages):
        for number, part in enumerate(message.parts):
            if part.HasField("text"):  # the most common kind, which every model takes
                continue
            for place, one in _flattened(part, f"spec.messages[{index}].parts[{number}]"):
                needed = _needed(one)
                if needed is not None and needed not in capabilities:
                    raise InvalidRequestError.at(
                        Reason.ERROR_REASON_UNSUPPORTED_CONTENT,
                        place,
                        f"the model {model.name!r} cannot take this kind of content",
                        metadata={"model": model.name},
                    )


def _flattened(part: Part, place: str) -> Iterator[tuple[str, Part]]:
    yield place, part
    if part.HasField("tool_result"):
        for number, inner in enumerate(part.tool_result.parts):
            yield f"{place}.tool_result.parts[{number}]", inner


def _needed(part: Part) -> pb.Capability | None:
    if part.HasField("uri"):
        return pb.CAPABILITY_URI_INPUT
    if not part.HasField("blob"):
        return None
    family = part.blob.media_type.partition("/")[0]
    if family == "image":
        return pb.CAPABILITY_IMAGE_INPUT
    return pb.CAPABILITY_AUDIO_INPUT if family == "audio" else pb.CAPABILITY_DOCUMENT_INPUT


def _choice_refused(field: str, description: str) -> InvalidRequestError:
    return InvalidRequestError.at(Reason.ERROR_REASON_INVALID_TOOL_CHOICE, field, description)
