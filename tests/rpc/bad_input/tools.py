"""Bad tools: their schemas and those of answers, their names, and the choice among them."""

from __future__ import annotations

import json

from antiphon.api.core.v1.tool_pb2 import Tool, ToolChoiceMode
from tests.rpc.bad_input.specs import Bad, answer_schema, choice, schema, spec

TOOLS: list[Bad] = [
    # JSON Schemas, of tools and of answers.
    *(
        Bad(f"a tool's schema that {what}", schema(source), "INVALID_JSON_SCHEMA", ["spec.tools[0].input_schema"])
        for what, source in {
            "is no JSON": "{",
            "is a text": '"object"',
            "is an array": "[]",
            "is false": "false",
            "is of a text at its top": '{"type":"string"}',
            "is of several types at its top": '{"type":["object","null"]}',
            "has a keyword of the wrong type": '{"type":"object","properties":[]}',
            "has a number where a schema stands": '{"properties":{"a":1}}',
            "has an unknown type": '{"properties":{"a":{"type":"strin"}}}',
            "has a negative length": '{"properties":{"a":{"minLength":-1}}}',
            "requires no array": '{"required":"a"}',
            "has an empty enum of types": '{"properties":{"a":{"type":[]}}}',
            "refers to the web": '{"properties":{"a":{"$ref":"https://example.com/schema.json"}}}',
            "refers to a file": '{"properties":{"a":{"$ref":"file:///etc/hostname"}}}',
            "refers relatively": '{"properties":{"a":{"$ref":"other.json"}}}',
            "refers to nothing": '{"properties":{"a":{"$ref":"#/$defs/missing"}}}',
            "has a bad pattern": '{"properties":{"a":{"pattern":"["}}}',
            "has a bad pattern of properties": '{"patternProperties":{"(":{}}}',
            "has an exploding pattern": '{"properties":{"a":{"pattern":"((a{1,100}){1,100}){1,100}"}}}',
            "has a pattern that is too long": json.dumps({"properties": {"a": {"pattern": "a" * 1025}}}),
            "has too many patterns": json.dumps({"properties": {f"p{number}": {"pattern": "a" * 1000} for number in range(5)}}),
            "is nested too deep": '{"not":' * 2000 + "{}" + "}" * 2000,
            "holds NaN": '{"minimum":NaN}',
            "holds half a surrogate": '{"const":"\\ud800"}',
        }.items()
    ),
    Bad("a tool's schema that is too long", schema(" " * 262_145), "INVALID_FIELD", ["spec.tools[0].input_schema"]),
    *(
        Bad(f"an answer's schema that {what}", answer_schema(source), "INVALID_JSON_SCHEMA", ["spec.response_format.json_schema.schema"])
        for what, source in {
            "is no JSON": "{",
            "is a number": "1",
            "is true": "true",
            "refers to the web": '{"$ref":"https://example.com/x"}',
        }.items()
    ),
    Bad("an answer's schema that is empty", answer_schema(""), "INVALID_FIELD", ["spec.response_format.json_schema.schema"]),
    # Tools and the choice among them.
    Bad(
        "tools of the same name",
        spec(tools=[Tool(name="a"), Tool(name="b"), Tool(name="a")]),
        "INVALID_TOOL_CHOICE",
        ["spec.tools[2].name"],
    ),
    Bad("a tool without a name", spec(tools=[Tool()]), "INVALID_FIELD", ["spec.tools[0].name"]),
    Bad("a tool's name with blanks", spec(tools=[Tool(name="my tool")]), "INVALID_FIELD", ["spec.tools[0].name"]),
    Bad("a tool's name that ends a line", spec(tools=[Tool(name="tool\n")]), "INVALID_FIELD", ["spec.tools[0].name"]),
    Bad("too many tools", spec(tools=[Tool(name=f"t{number}") for number in range(513)]), "INVALID_FIELD", ["spec.tools"]),
    Bad(
        "a tool required where there is none",
        choice(ToolChoiceMode.TOOL_CHOICE_MODE_REQUIRED, tools=()),
        "INVALID_TOOL_CHOICE",
        ["spec.tool_choice.mode"],
    ),
    Bad(
        "an unknown tool allowed",
        choice(ToolChoiceMode.TOOL_CHOICE_MODE_AUTO, "weather", "time"),
        "INVALID_TOOL_CHOICE",
        ["spec.tool_choice.allowed_tool_names[1]"],
    ),
    Bad(
        "an unknown tool required",
        choice(ToolChoiceMode.TOOL_CHOICE_MODE_REQUIRED, "time"),
        "INVALID_TOOL_CHOICE",
        ["spec.tool_choice.allowed_tool_names[0]"],
    ),
    Bad(
        "a tool allowed where none may be called",
        choice(ToolChoiceMode.TOOL_CHOICE_MODE_NONE, "weather"),
        "INVALID_TOOL_CHOICE",
        ["spec.tool_choice.allowed_tool_names"],
    ),
    Bad(
        "a tool allowed twice",
        choice(ToolChoiceMode.TOOL_CHOICE_MODE_AUTO, "weather", "weather"),
        "INVALID_FIELD",
        ["spec.tool_choice.allowed_tool_names"],
    ),
]
