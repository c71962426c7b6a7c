"""Turns a caller's JSON Schema into a narrower one whose every value ends.

A small model, asked for a string without a limit, writes until its tokens run out. So every string, array, number and
free-form object gets a bound, optional recursion is cut, and references are written out. Whatever is valid under the
narrower schema is valid under the caller's: that is checked again on the finished text.
"""

from __future__ import annotations

from antiphon.embedded.model_server.errors import BadRequestError
from antiphon.embedded.model_server.json_types import JsonArray, JsonObject, JsonValue, is_array, is_number, is_object
from antiphon.embedded.model_server.schema_leaves import (
    free_object,
    free_value,
    number_schema,
    string_schema,
    whole,
)
from antiphon.embedded.model_server.schema_shapes import (
    ANNOTATIONS,
    KEYWORDS_OF_TYPE,
    UNSUPPORTED,
    lay_over,
    reject,
    types_of,
)

_DEFAULT_MAX_ITEMS = 8
_LONGEST_ARRAY = 64
_DEFAULT_MAX_PROPERTIES = 6
_MOST_REPEATS_OF_A_REFERENCE = 3
_MOST_NODES = 3000

# A schema under which nothing is valid.
_NOTHING = False


class BoundedSchema:
    """Builds the narrower schema of one caller's schema."""

    def __init__(self, root: JsonObject) -> None:
        """Build it.

        Args:
            root: The caller's schema, already valid as a schema.

        Raises:
            BadRequestError: A keyword cannot be guaranteed; the message names it.
        """
        self._root = root
        self._nodes = 0
        self.is_exact = True
        """Whether every value of the narrower schema is certain to be valid; if not, the result must be checked."""
        narrowed = self._narrow(root, "schema", {})
        if not is_object(narrowed):
            raise BadRequestError("the JSON Schema allows no finite value", code="unsupported_json_schema")
        self.schema: JsonObject = narrowed
        """The narrower schema."""

    def _narrow(self, schema: JsonValue, path: str, seen: dict[str, int]) -> JsonObject | bool:
        self._nodes += 1
        if self._nodes > _MOST_NODES:
            raise reject("$ref", path, "makes the schema too large, which is not supported")
        if schema is True or schema == {}:
            return free_value()
        if not is_object(schema):
            return _NOTHING
        self._check_keywords(schema, path)
        reference = schema.get("$ref")
        if isinstance(reference, str):
            return self._narrow_reference(schema, reference, path, seen)
        for keyword in ("allOf", "anyOf", "oneOf"):
            branches = schema.get(keyword)
            if is_array(branches):
                return self._narrow_branches(schema, branches, keyword, path, seen)
        if "enum" in schema or "const" in schema:
            return self._narrow_listed(schema)
        return self._narrow_typed(schema, path, seen)

    def _narrow_reference(self, schema: JsonObject, reference: str, path: str, seen: dict[str, int]) -> JsonObject | bool:
        count = seen.get(reference, 0)
        if count >= _MOST_REPEATS_OF_A_REFERENCE:
            return _NOTHING
        target = self._resolve(reference, path)
        rest: JsonObject = {key: value for key, value in schema.items() if key != "$ref"}
        if target is True:
            return self._narrow(rest, path, seen)
        if not is_object(target):
            return _NOTHING
        return self._narrow(lay_over(target, rest, path), path, {**seen, reference: count + 1})

    def _narrow_branches(self, schema: JsonObject, branches: JsonArray, keyword: str, path: str, seen: dict[str, int]) -> JsonObject | bool:
        rest: JsonObject = {key: value for key, value in schema.items() if key != keyword}
        if keyword != "allOf":
            return self._narrow_union(rest, branches, keyword, path, seen)
        seen = dict(seen)
        return self._narrow(self._merge_all(rest, branches, path, seen), path, seen)

    def _check_keywords(self, schema: JsonObject, path: str) -> None:
        for keyword in schema:
            if keyword in UNSUPPORTED or (keyword == "$id" and schema is not self._root):
                raise reject(keyword, path)

    def _resolve(self, reference: str, path: str) -> JsonValue:
        if not reference.startswith("#"):
            raise reject("$ref", path, f"to {reference!r}, outside the schema, is not supported")
        target: JsonValue = self._root
        for part in reference[1:].lstrip("/").split("/") if len(reference) > 1 else ():
            key = part.replace("~1", "/").replace("~0", "~").replace("%25", "%")
            if is_object(target) and key in target:
                target = target[key]
            elif is_array(target) and key.isdecimal() and int(key) < len(target):
                target = target[int(key)]
            else:
                raise reject("$ref", path, f"to {reference!r}, which does not exist, is not supported")
        return target

    def _merge_all(self, rest: JsonObject, branches: JsonArray, path: str, seen: dict[str, int]) -> JsonObject:
        merged = rest
        for branch in branches:
            if branch is True:
                continue
            if not is_object(branch):
                raise reject("allOf", path, "with a branch that is false is not supported")
            reference = branch.get("$ref")
            if isinstance(reference, str):
                target = self._resolve(reference, path)
                if not is_object(target) or seen.get(reference, 0) >= _MOST_REPEATS_OF_A_REFERENCE:
                    raise reject("allOf", path, "with a recursive reference is not supported")
                seen[reference] = seen.get(reference, 0) + 1
                merged = lay_over(merged, target, path)
            merged = lay_over(merged, {key: value for key, value in branch.items() if key != "$ref"}, path)
        return merged

    def _narrow_union(self, rest: JsonObject, branches: JsonArray, keyword: str, path: str, seen: dict[str, int]) -> JsonObject | bool:
        if keyword == "oneOf" and len(branches) > 1:
            self.is_exact = False
        kept: JsonArray = []
        for number, branch in enumerate(branches):
            whole_branch = lay_over(rest, branch, path) if is_object(branch) else (rest if branch is True else False)
            narrowed = self._narrow(whole_branch, f"{path}.{keyword}[{number}]", seen)
            if narrowed is not _NOTHING:
                kept.append(narrowed)
        if not kept:
            return _NOTHING
        first = kept[0]
        return first if len(kept) == 1 and is_object(first) else {"anyOf": kept}

    def _narrow_listed(self, schema: JsonObject) -> JsonObject | bool:
        listed = schema.get("enum", [schema.get("const")])
        values = listed if is_array(listed) else []
        if "const" in schema:
            values = [value for value in values if value == schema["const"]]
        if "type" in schema:
            names = types_of(schema["type"])
            values = [value for value in values if any(_has_type(value, name) for name in names)]
        if any(keyword not in ANNOTATIONS | {"enum", "const", "type"} for keyword in schema):
            self.is_exact = False
        return {"enum": values} if values else _NOTHING

    def _narrow_typed(self, schema: JsonObject, path: str, seen: dict[str, int]) -> JsonObject | bool:
        if "type" in schema:
            names = [str(name) for name in types_of(schema["type"])]
        else:
            # Without a type the keywords of one type decide: its values are among the valid ones.
            names = [name for name, keywords in KEYWORDS_OF_TYPE.items() if keywords & schema.keys()][:1]
            if not names:
                return free_value()
        kept: JsonArray = []
        for name in dict.fromkeys(names):
            narrowed = self._narrow_one_type(name, schema, path, seen)
            if narrowed is not _NOTHING:
                kept.append(narrowed)
        if not kept:
            return _NOTHING
        first = kept[0]
        return first if len(kept) == 1 and is_object(first) else {"anyOf": kept}

    def _narrow_one_type(self, name: str, schema: JsonObject, path: str, seen: dict[str, int]) -> JsonObject | bool:
        if name == "object":
            return self._narrow_object(schema, path, seen)
        if name == "array":
            return self._narrow_array(schema, path, seen)
        if name == "string":
            return string_schema(schema)
        if name in ("number", "integer"):
            if "multipleOf" in schema and ("exclusiveMinimum" in schema or "exclusiveMaximum" in schema):
                self.is_exact = False  # See number_schema: only bounds on a step of its own are closed.
            return number_schema(name, schema)
        return {"type": name}

    def _narrow_object(self, schema: JsonObject, path: str, seen: dict[str, int]) -> JsonObject | bool:
        stated = schema.get("properties")
        required_value = schema.get("required")
        required = [str(name) for name in required_value] if is_array(required_value) else []
        others = schema.get("additionalProperties", True)
        patterns = schema.get("patternProperties")
        properties: JsonObject = dict(stated) if is_object(stated) else {}
        for name in required:
            properties.setdefault(name, others)
        if not properties:
            return self._narrow_free_object(others, patterns, schema, path, seen)
        if is_object(patterns):
            self.is_exact = False  # A pattern may also restrict a property that has a name of its own.
        most = whole(schema.get("maxProperties"), len(properties))
        least = whole(schema.get("minProperties"), 0)
        narrowed: JsonObject = {}
        for name, value in properties.items():
            inner = self._narrow(value, f"{path}.{name}", dict(seen))
            if inner is not _NOTHING:
                narrowed[name] = inner
            elif name in required:
                return _NOTHING
        optional = [name for name in narrowed if name not in required]
        # The constraint cannot count optional properties: the first ones are made required, the last ones left out.
        promoted = optional[: max(0, least - len(required))]
        for name in optional[max(0, most - len(required)) :]:
            del narrowed[name]
        must: JsonArray = [*required, *promoted]
        if len(required) > most or len(narrowed) < least:
            return _NOTHING
        return {"type": "object", "properties": narrowed, "required": must, "additionalProperties": False}

    def _narrow_free_object(
        self, others: JsonValue, patterns: JsonValue, schema: JsonObject, path: str, seen: dict[str, int]
    ) -> JsonObject | bool:
        least = whole(schema.get("minProperties"), 0)
        most = min(whole(schema.get("maxProperties"), _DEFAULT_MAX_PROPERTIES), max(least, _DEFAULT_MAX_PROPERTIES))
        if is_object(patterns) and patterns:
            values: JsonObject = {}
            for pattern, value in patterns.items():
                inner = self._narrow(value, f"{path}.{pattern}", dict(seen))
                if inner is not _NOTHING:
                    values[pattern] = inner
            if len(patterns) > 1:
                self.is_exact = False
            return {
                "type": "object",
                "patternProperties": values,
                "additionalProperties": False,
                "minProperties": least,
                "maxProperties": most,
            }
        inner = self._narrow(others, f"{path}.*", dict(seen))
        if inner is _NOTHING or most == 0:
            return _NOTHING if least > 0 else {"type": "object", "properties": {}, "additionalProperties": False}
        return free_object(inner, least, most)

    def _narrow_array(self, schema: JsonObject, path: str, seen: dict[str, int]) -> JsonObject | bool:
        items = schema.get("items", True)
        heads = schema.get("prefixItems", [])
        if is_array(items):  # Before draft 2020-12 the heads stood here.
            heads, items = items, schema.get("additionalItems", True)
        first: JsonArray = []
        for number, head in enumerate(heads if is_array(heads) else []):
            narrowed = self._narrow(head, f"{path}[{number}]", dict(seen))
            if narrowed is _NOTHING:
                items = False
                break
            first.append(narrowed)
        least = whole(schema.get("minItems"), 0)
        most = min(whole(schema.get("maxItems"), max(least, len(first), _DEFAULT_MAX_ITEMS)), max(least, _LONGEST_ARRAY))
        rest = self._narrow(items, f"{path}[]", dict(seen)) if most > len(first) else _NOTHING
        if rest is _NOTHING:
            most = min(most, len(first))
        if most < least:
            return _NOTHING
        if schema.get("uniqueItems") is True and most > 1:
            self.is_exact = False
        bounded: JsonObject = {"type": "array", "items": rest, "minItems": least, "maxItems": most}
        if first:
            bounded["prefixItems"] = first
        return bounded


def _has_type(value: JsonValue, name: JsonValue) -> bool:
    if name == "integer":
        return is_number(value) and float(value).is_integer()
    if name == "number":
        return is_number(value)
    python_types = {"object": dict, "array": list, "string": str, "boolean": bool, "null": type(None)}
    return isinstance(value, python_types[str(name)])
