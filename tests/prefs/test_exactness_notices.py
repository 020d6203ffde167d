"""The exactness check can fail: it notices each of these faults, put into the code on purpose."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from django.db import connection
from hypothesis import given

from prefs.sql import copying, documents, expressions, planned, writes
from tests.prefs.exactness import culprit, failures
from tests.support.strategies import BYTES, DOCUMENTS, Batch, Text, batches, in_bulk

pytestmark = pytest.mark.django_db

_MODULES = (expressions, documents, writes, copying)


@dataclass(frozen=True)
class Fault:
    """Rendered SQL that is changed wherever `function` renders it, and what shows it."""

    name: str
    function: str
    correct: str
    wrong: str
    before: Text
    after: Text = "{}"

    def __str__(self) -> str:
        return self.name


FAULTS = (
    Fault(
        "flags by their text",
        "typed_value",
        "WHEN 'true'::jsonb",
        """WHEN '"true"'::jsonb
      THEN true WHEN 'true'::jsonb""",
        '{"compact_mode": "true"}',
    ),
    Fault(
        "numbers whatever their JSON type",
        "typed_value",
        "= 'number'",
        "IN ('number', 'string')",
        '{"items_per_page": "10"}',
    ),
    Fault(
        "10.0 for 10",
        "typed_value",
        "^-?[0-9]{1,9}$",
        "^-?[0-9]{1,9}([.]0)?$",
        '{"items_per_page": 10.0}',
    ),
    Fault(
        "numbers out of their domain",
        "typed_value",
        "BETWEEN 1 AND 500",
        "BETWEEN 0 AND 500",
        '{"items_per_page": 0}',
    ),
    Fault(
        "24:00",
        "typed_value",
        "|2[0-3])",
        "|2[0-4])",
        '{"notifications": {"quiet_hours": {"end": "24:00"}}}',
    ),
    Fault(
        "times with an offset",
        "typed_value",
        ":[0-5][0-9]$",
        ":[0-5][0-9]([+]02)?$",
        '{"notifications": {"quiet_hours": {"end": "22:00+02"}}}',
    ),
    Fault(
        "strings of any shape",
        "typed_value",
        " AND char_length",
        " OR char_length",
        '{"language": "e"}',
    ),
    Fault(
        "choices folded",
        "typed_value",
        """WHEN '"dark"'::jsonb""",
        """WHEN '"Dark"'::jsonb THEN 'dark' WHEN '"dark"'::jsonb""",
        '{"theme": "Dark"}',
    ),
    Fault(
        "empty objects dropped",
        "_residue",
        "<> '{}' THEN",
        "IS NOT NULL THEN",
        '{"notifications": {"email": {}}}',
    ),
    Fault(
        "array items deleted by name",
        "_residue",
        """CASE WHEN jsonb_typeof(t."at") = 'object' AND t."at" <> '{}' THEN""",
        """CASE WHEN jsonb_typeof(t."at") IN ('object', 'array') THEN""",
        "[]",
    ),
    Fault(
        "refused values dropped",
        "_residue",
        """t."theme" IS NOT NULL""",
        "true",
        '{"theme": "purple", "x": 1}',
    ),
    Fault(
        "siblings of typed leaves dropped",
        "document",
        """COALESCE(p."residue", '{}') ||""",
        "'{}' ||",
        '{"theme": "dark", "x": 1}',
    ),
    Fault(
        "inner objects of the residue replaced by their typed leaves",
        "document",
        """= 'object' AND NOT p."residue" ?|""",
        """= 'object' OR p."residue" ?|""",
        '{"notifications": {"x": 1, "email": {"marketing": true}}}',
    ),
    Fault(
        "nulls stripped from the residue",
        "document",
        """ELSE p."residue" END""",
        """ELSE jsonb_strip_nulls(p."residue") END""",
        '{"x": {"y": null}}',
    ),
    Fault(
        "SQL NULL read as {}",
        "document",
        """ELSE p."residue" END""",
        """ELSE COALESCE(p."residue", '{}') END""",
        None,
    ),
    Fault(
        "a residue left out of the text",
        "put_together_text",
        """WHEN NULLIF(k."residue", '{}') IS NULL THEN""",
        "WHEN true THEN",
        '{"theme": "dark", "x": 1}',
    ),
    Fault(
        "a text that is not what PostgreSQL prints",
        "_object_text",
        """'"compact_mode": '""",
        """'"compact_mode":'""",
        '{"compact_mode": true}',
    ),
    Fault(
        "SQL NULL printed as what cannot be",
        "printed",
        "IS NOT NULL THEN ''",
        "IS NULL THEN ''",
        None,
    ),
    Fault(
        "jsonb equality for identity",
        "same",
        "record_image_eq",
        "record_eq",
        '{"x": 1.0}',
        '{"x": 1}',
    ),
)


def break_code(monkeypatch: pytest.MonkeyPatch, fault: Fault) -> None:
    """Have every module render the wrong SQL, and make sure that it did."""
    correct: Callable[..., str] = getattr(expressions, fault.function)
    assert fault.correct in _everything(), "the code no longer renders what this fault changes"

    def wrong(*arguments: Any) -> str:
        return correct(*arguments).replace(fault.correct, fault.wrong)

    for module in _MODULES:
        if hasattr(module, fault.function):
            monkeypatch.setattr(module, fault.function, wrong)
    _forget_statements()
    assert fault.wrong in _everything()


def _everything() -> str:
    return (
        "".join(each.create for each in planned.functions().values()) + copying.overwrite_tables()
    )


def _forget_statements() -> None:
    for module in (documents, writes, copying):
        for item in vars(module).values():
            if hasattr(item, "cache_clear"):
                item.cache_clear()


@pytest.fixture
def cursor() -> Iterator[Any]:
    with connection.cursor() as opened:
        yield opened


@pytest.fixture
def broken(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, cursor: Any
) -> Iterator[Fault]:
    fault: Fault = request.param
    with monkeypatch.context() as patch:
        break_code(patch, fault)
        for function in planned.functions().values():
            cursor.execute(function.create)
        yield fault
    _forget_statements()


faults = pytest.mark.parametrize("broken", FAULTS, indirect=True, ids=str)


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_what_shows_a_fault_is_no_failure_of_the_code_as_it_is(cursor: Any, fault: Fault) -> None:
    assert failures(cursor, Batch((fault.before,), (fault.after,))) == []


@faults
def test_the_check_notices_the_fault(cursor: Any, broken: Fault) -> None:
    assert failures(cursor, Batch((broken.before,), (broken.after,))) != []


@faults
def test_generated_documents_find_the_fault(cursor: Any, broken: Fault) -> None:
    @in_bulk(100)
    @given(batches(deepest=40))
    def check(batch: Batch) -> None:
        assert failures(cursor, batch) == []

    with pytest.raises(AssertionError):
        check()


# The last one shows in a pair of documents, of which the one hinders the other's shrinking.
@pytest.mark.parametrize("broken", FAULTS[:-1], indirect=True, ids=str)
def test_what_fails_in_a_batch_is_boiled_down_to_a_small_document(
    cursor: Any, broken: Fault
) -> None:
    rng = random.Random(0)
    drawn = ([rng.randbytes(BYTES) for _ in range(DOCUMENTS)] for _ in range(20))
    found = next(batch for batch in map(Batch.of, drawn) if failures(cursor, batch))
    before, after = culprit(cursor, found)
    assert failures(cursor, Batch([before], [after]))
    assert len(str(before)) <= 60
