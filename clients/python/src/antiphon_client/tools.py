"""Tools that a model may call: from a typed Python function, or from a schema."""

from __future__ import annotations

import inspect
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast, get_type_hints

from antiphon_client.contract import core
from antiphon_client.json_schema import Field, keyword_arguments, object_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may ask the caller to run.

    Attributes:
        name: The name by which the model calls it.
        description: What it does and when to use it, for the model to read.
        input_schema: JSON Schema (draft 2020-12) of the arguments, an object; None means no arguments.
        strict: Whether the provider must hold the arguments to the schema; None leaves it to the provider.
        function: What `run` and `arun` call; None where the caller runs the tool otherwise.
    """

    name: str
    description: str = ""
    input_schema: Mapping[str, Any] | None = None
    strict: bool | None = None
    function: Callable[..., Any] | None = None

    @classmethod
    def from_function(
        cls, function: Callable[..., Any], *, name: str | None = None, description: str | None = None, strict: bool | None = None
    ) -> Tool:
        """Makes a tool of a function: its name, its docstring, and the JSON Schema of its annotated parameters.

        `Annotated[str, "what it is"]` describes a parameter. A parameter with a default is optional.

        Raises:
            TypeError: A parameter has no annotation or one without a JSON Schema, or cannot be passed by name.
        """
        return cls(
            name=name or function.__name__,
            description=description if description is not None else inspect.getdoc(function) or "",
            input_schema=object_schema(_parameters(function)),
            strict=strict,
            function=function,
        )

    def run(self, call: core.ToolCall) -> Any:
        """Calls the function with the call's arguments, as the types that its parameters have.

        Raises:
            ValueError: The arguments, which a model wrote, do not follow the schema. Tell the model with `tool_result(call, str(error), is_error=True)`.
            TypeError: The tool has no function, or an `async` one: `arun` awaits that.
        """
        if inspect.iscoroutinefunction(self.function):
            raise TypeError(f"the function of tool {self.name!r} is async: use `await tool.arun(call)`")
        return self._called(call)

    async def arun(self, call: core.ToolCall) -> Any:
        """The same as `run`, for `async` functions as well, which it awaits. Others run here and now, on the event loop.

        Raises:
            ValueError: The arguments do not follow the schema.
            TypeError: The tool has no function.
        """
        outcome = self._called(call)
        return await outcome if inspect.isawaitable(outcome) else outcome

    def _called(self, call: core.ToolCall) -> Any:
        if self.function is None:
            raise TypeError(f"tool {self.name!r} was made without a function")
        try:
            arguments = json.loads(call.arguments or "{}")
        except ValueError as error:
            raise ValueError(f"the arguments of {self.name!r} are no JSON: {error}") from error
        if not isinstance(arguments, dict):
            raise ValueError(f"the arguments of {self.name!r} are no JSON object")  # noqa: TRY004  # a wrong value of the model's, not a wrong type of the caller's
        return self.function(**keyword_arguments(_parameters(self.function), cast("dict[str, Any]", arguments)))

    def to_proto(self) -> core.Tool:
        """The contract's message."""
        schema = "" if self.input_schema is None else json.dumps(dict(self.input_schema))
        return core.Tool(name=self.name, description=self.description, input_schema=schema, strict=self.strict)


def _parameters(function: Callable[..., Any]) -> dict[str, Field]:
    hints = get_type_hints(function, include_extras=True)
    fields: dict[str, Field] = {}
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TypeError(f"{function.__name__!r}: a model passes arguments by name, which {str(parameter)!r} cannot take")
        if name not in hints:
            raise TypeError(f"{function.__name__!r}: parameter {name!r} has no annotation")
        required = parameter.default is parameter.empty
        fields[name] = Field(hints[name], required, None if required else parameter.default)
    return fields
