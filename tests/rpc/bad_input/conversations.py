"""Bad conversations: their shape, what each role may hold, and tool calls against their results."""

from __future__ import annotations

import grpc

from antiphon.api.core.v1.completion_pb2 import CompletionSpec
from antiphon.api.core.v1.message_pb2 import Blob, Message, Part, Reasoning, Role, ToolResult
from tests.rpc.bad_input.specs import FIRST, Bad, answers, asks, call, spec, text

CONVERSATIONS: list[Bad] = [
    # The model's name.
    Bad("no model", spec(model=""), "INVALID_FIELD", ["spec.model"]),
    Bad("a model's name that is too long", spec(model="m" * 257), "INVALID_FIELD", ["spec.model"]),
    Bad("an unknown model", spec(model="scripted/missing"), "MODEL_NOT_FOUND", code=grpc.StatusCode.NOT_FOUND),
    Bad("an unknown provider", spec(model="nobody/alpha"), "MODEL_NOT_FOUND", code=grpc.StatusCode.NOT_FOUND),
    Bad("an unknown alias", spec(model="alpha"), "MODEL_NOT_FOUND", code=grpc.StatusCode.NOT_FOUND),
    Bad("a provider without a model", spec(model="scripted/"), "MODEL_NOT_FOUND", code=grpc.StatusCode.NOT_FOUND),
    # The conversation's shape.
    Bad("no message", CompletionSpec(model="scripted/alpha"), "EMPTY_CONVERSATION", ["spec.messages"]),
    Bad("too many messages", spec(*[text()] * 4097), "INVALID_FIELD", ["spec.messages"]),
    Bad("a message without parts", spec(Message(role=Role.ROLE_USER)), "INVALID_FIELD", [f"{FIRST}.parts"]),
    Bad("too many parts", spec(Message(role=Role.ROLE_USER, parts=[Part(text="")] * 1025)), "INVALID_FIELD", [f"{FIRST}.parts"]),
    Bad("a part without content", spec(Message(role=Role.ROLE_USER, parts=[Part()])), "INVALID_FIELD", [f"{FIRST}.parts[0].content"]),
    Bad("no role", spec(Message(parts=[Part(text="Hi")])), "INVALID_FIELD", [f"{FIRST}.role"]),
    Bad("system behind a user", spec(text(), text("x", Role.ROLE_SYSTEM), text()), "INVALID_ROLE_ORDER", ["spec.messages[1].role"]),
    Bad("ends with the assistant", spec(text(), text("x", Role.ROLE_ASSISTANT)), "INVALID_ROLE_ORDER", ["spec.messages[1].role"]),
    Bad("system alone", spec(text("x", Role.ROLE_SYSTEM)), "INVALID_ROLE_ORDER", [f"{FIRST}.role"]),
    # What a role may hold.
    Bad("a user's tool call", spec(Message(role=Role.ROLE_USER, parts=[call()])), "INVALID_ROLE_ORDER", [f"{FIRST}.parts[0].tool_call"]),
    Bad(
        "a user's tool result",
        spec(Message(role=Role.ROLE_USER, parts=answers("c1").parts)),
        "INVALID_ROLE_ORDER",
        [f"{FIRST}.parts[0].tool_result"],
    ),
    Bad(
        "a user's reasoning",
        spec(Message(role=Role.ROLE_USER, parts=[Part(reasoning=Reasoning(text="x"))])),
        "INVALID_ROLE_ORDER",
        [f"{FIRST}.parts[0].reasoning"],
    ),
    Bad(
        "the system's image",
        spec(Message(role=Role.ROLE_SYSTEM, parts=[Part(blob=Blob(media_type="image/png", data=b"x"))]), text()),
        "INVALID_ROLE_ORDER",
        [f"{FIRST}.parts[0].blob"],
    ),
    Bad("a tool's text", spec(text("x", Role.ROLE_TOOL)), "INVALID_ROLE_ORDER", [f"{FIRST}.parts[0].text"]),
    Bad(
        "an assistant's tool result",
        spec(asks(call()), Message(role=Role.ROLE_ASSISTANT, parts=answers("c1").parts)),
        "TOOL_CALL_WITHOUT_RESULT",
        [f"{FIRST}.parts[0].tool_call.call_id"],
    ),
    Bad(
        "a call inside a result",
        spec(asks(call()), Message(role=Role.ROLE_TOOL, parts=[Part(tool_result=ToolResult(call_id="c1", parts=[call("c2")]))])),
        "INVALID_FIELD",
        ["spec.messages[1].parts[0].tool_result.parts"],
    ),
    # Tool calls and their results.
    Bad(
        "a result without its call",
        spec(text(), answers("c1")),
        "TOOL_RESULT_WITHOUT_CALL",
        ["spec.messages[1].parts[0].tool_result.call_id"],
    ),
    Bad(
        "a call answered twice",
        spec(asks(call()), answers("c1", "c1")),
        "TOOL_RESULT_WITHOUT_CALL",
        ["spec.messages[1].parts[1].tool_result.call_id"],
    ),
    Bad("a call without its result", spec(asks(call()), text()), "TOOL_CALL_WITHOUT_RESULT", [f"{FIRST}.parts[0].tool_call.call_id"]),
    Bad(
        "one of two calls answered",
        spec(asks(call("c1"), call("c2")), answers("c1"), text()),
        "TOOL_CALL_WITHOUT_RESULT",
        [f"{FIRST}.parts[1].tool_call.call_id"],
    ),
    Bad("a call at the end", spec(text(), asks(call())), "TOOL_CALL_WITHOUT_RESULT", ["spec.messages[1].parts[0].tool_call.call_id"]),
    Bad("the same call twice", spec(asks(call(), call()), answers("c1")), "INVALID_FIELD", [f"{FIRST}.parts[1].tool_call.call_id"]),
    Bad(
        "an earlier call's name",
        spec(asks(call()), answers("c1"), asks(call()), answers("c1")),
        "INVALID_FIELD",
        ["spec.messages[2].parts[0].tool_call.call_id"],
    ),
    Bad("a call without a name", spec(asks(call(name="")), answers("c1")), "INVALID_FIELD", [f"{FIRST}.parts[0].tool_call.name"]),
    Bad(
        "a call with an endless name",
        spec(asks(call(name="a" * 257)), answers("c1")),
        "INVALID_FIELD",
        [f"{FIRST}.parts[0].tool_call.name"],
    ),
    *(
        Bad(
            f"arguments that are {what}",
            spec(asks(call(arguments=arguments)), answers("c1")),
            "INVALID_TOOL_ARGUMENTS",
            [f"{FIRST}.parts[0].tool_call.arguments"],
        )
        for what, arguments in {
            "cut off": '{"a":',
            "an array": "[]",
            "null": "null",
            "a text": '"{}"',
            "a number": "1",
            "two objects": "{}{}",
            "not a number": '{"a":NaN}',
            "infinite": '{"a":Infinity}',
            "half a surrogate": '{"a":"\\ud800"}',
            "Python": "{'a': 1}",
            "nested too deep": '{"a":' * 2000 + "1" + "}" * 2000,
            "blanks": " ",
        }.items()
    ),
    Bad(
        "arguments that are empty",
        spec(asks(call(arguments="")), answers("c1")),
        "INVALID_FIELD",
        [f"{FIRST}.parts[0].tool_call.arguments"],
    ),
]
