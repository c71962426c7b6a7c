"""The smallest value that a JSON Schema of the supported subset allows, for answers nobody scripted."""

from __future__ import annotations

from typing import Any, cast


def sample(schema: dict[str, Any]) -> Any:
    """Returns a value of the schema: its first choice, every property, one item, the lowest number."""
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    if schema.get("anyOf"):
        return sample(schema["anyOf"][0])
    kind: Any = schema.get("type", "object")
    if isinstance(kind, list):
        kind = cast("list[str]", kind)[0]
    if kind == "object":
        return {name: sample(inner) for name, inner in schema.get("properties", {}).items()}
    if kind == "array":
        return [sample(schema["items"])] if "items" in schema else []
    values: dict[str, Any] = {"string": "text", "integer": schema.get("minimum", 1), "number": schema.get("minimum", 0.5), "boolean": True}
    return values.get(kind)
