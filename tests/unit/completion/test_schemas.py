"""A schema that was found good is not compiled again, a bad one is never remembered, and none makes the server fetch or stall."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from unittest.mock import patch

import pytest

from antiphon.completion import schemas
from antiphon.completion.schemas import SchemaChecker
from antiphon.errors import InvalidRequestError

GOOD = '{"type":"object","properties":{"a":{"type":"string"}}}'


async def compiled(checker: SchemaChecker, *texts: str, object_at_top: bool = True) -> int:
    """Counts how many of the texts were looked at."""
    with patch.object(schemas, "_problem", wraps=schemas._problem) as looked:
        for text in texts:
            try:
                await checker.check(text, "f", object_at_top=object_at_top)
            except InvalidRequestError:
                continue
        return looked.call_count


async def test_a_good_schema_is_looked_at_once() -> None:
    assert 1 == await compiled(SchemaChecker(), GOOD, GOOD, GOOD)


async def test_a_bad_schema_is_looked_at_each_time() -> None:
    assert 2 == await compiled(SchemaChecker(), "{", "{")


async def test_good_for_an_answer_is_not_good_for_a_tool() -> None:
    checker = SchemaChecker()
    text = '{"type":"string"}'
    await checker.check(text, "f", object_at_top=False)
    with pytest.raises(InvalidRequestError, match="describes no object"):
        await checker.check(text, "f", object_at_top=True)


async def test_what_is_remembered_is_bounded_and_the_oldest_goes_first() -> None:
    checker = SchemaChecker()
    with patch.object(schemas, "_REMEMBERED", 3):
        texts = [json.dumps({"title": str(number)}) for number in range(4)]
        assert 4 == await compiled(checker, *texts)
        assert 1 == await compiled(checker, *texts[1:], texts[0])
        assert 3 == len(checker._good)


async def test_a_schema_is_used_again_where_it_was_used_last() -> None:
    checker = SchemaChecker()
    with patch.object(schemas, "_REMEMBERED", 2):
        assert 3 == await compiled(checker, '{"title":"a"}', '{"title":"b"}', '{"title":"a"}', '{"title":"c"}')
        assert 0 == await compiled(checker, '{"title":"a"}')


@pytest.mark.parametrize(
    "address",
    ["https://example.com/x", "http://127.0.0.1:9/x", "file:///etc/hostname", "urn:x:y", "https://json-schema.org/other"],
)
async def test_nothing_is_fetched(address: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        await SchemaChecker().check(json.dumps({"$ref": address}), "f", object_at_top=False)
    assert "references to other documents are not followed" in caught.value.message


async def test_the_meta_schemas_are_known() -> None:
    await SchemaChecker().check('{"$ref":"https://json-schema.org/draft/2020-12/schema"}', "f", object_at_top=False)


async def test_many_long_schemas_let_the_loop_turn() -> None:
    checker = SchemaChecker()
    texts = [json.dumps({"properties": {f"p{number}_{index}": {"type": "string"} for index in range(150)}}) for number in range(40)]
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    for text in texts:
        await checker.check(text, "f", object_at_top=True)
    counting.cancel()
    assert len(texts) <= turns


@pytest.mark.parametrize(
    "schema",
    [
        {"pattern": "|".join([r"\w{50}"] * 146)},
        {"allOf": [{"pattern": "|".join([rf"\w{{{number}}}"] * 120)} for number in range(40, 45)]},
        {"pattern": r"\p{L}{1,1000}"},
        {"patternProperties": {rf"\w{{100}}{number}": True for number in range(300)}},
        {"enum": [[number] for number in range(30_000)]},
        {"$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {}}, "$ref": "#/$defs/d0"},
    ],
    ids=["alternatives", "many patterns", "Unicode", "properties", "enum", "fan of references"],
)
async def test_no_schema_takes_long(schema: object) -> None:
    begun_s = time.thread_time()
    with contextlib.suppress(InvalidRequestError):
        await SchemaChecker().check(json.dumps(schema), "f", object_at_top=False)
    assert time.thread_time() - begun_s < 1
