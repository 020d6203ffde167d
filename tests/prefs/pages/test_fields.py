"""The form field of each domain takes what the domain takes, and nothing of the page names one."""

from __future__ import annotations

import ast
import json
import random
from pathlib import Path
from typing import get_args

import pytest
from django.core.exceptions import ValidationError

import prefs.answers
from prefs import pages
from prefs.answers import words
from prefs.domains import Domain
from prefs.engine.seeding import sample
from prefs.mapping import LEAVES, Leaf
from prefs.sql.expressions import typed_value
from tests.support.stores import query

SOURCES = [Path(prefs.answers.__file__), *Path(pages.__file__).parent.glob("*.py")]
TYPED = ["", " ", "0", "1", "-1", "500", "501", "1.0", "true", "null", "light", "Light", "off"]
TYPED += [
    "de",
    "pt-BR",
    "d",
    "UTC",
    "Europe/Lisbon",
    "Nowhere",
    "00:00",
    "23:59",
    "24:00",
    "é",
    "us",
    "\uff11",
]


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.dotted)
def test_the_answer_that_stands_for_a_value_means_that_value(leaf: Leaf) -> None:
    field, rng = leaf.domain.form_field(), random.Random(leaf.dotted)
    for _ in range(20):
        value = sample(leaf, rng)
        assert field.clean(field.answer(value)) == value
    assert field.clean("") is None


@pytest.mark.django_db
@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.dotted)
def test_what_a_field_takes_the_column_takes(leaf: Leaf) -> None:
    field, taken = leaf.domain.form_field(), []
    for text in (*TYPED, *map(json.dumps, TYPED)):
        try:
            taken.append(field.clean(text))
        except ValidationError as error:
            assert error.messages == [f"Enter {leaf.domain.expected}."]  # noqa: PT017
    values = [json.dumps(value) for value in taken if value is not None]
    fits = f"({typed_value(leaf.domain, 'v.value')}) IS NOT NULL"
    found = query(f"SELECT {fits} FROM unnest(%s::text[]::jsonb[]) v(value)", [values])
    assert values
    assert {fit for (fit,) in found} == {True}


def test_nothing_of_the_page_asks_which_domain_a_leaf_has() -> None:
    domains = {domain.__name__ for domain in get_args(Domain)}
    for source in SOURCES:
        tree = ast.parse(source.read_text(encoding="utf-8"))
        names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert names.isdisjoint(domains), source


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("items_per_page", "Items per page"),
        ("theme", "Theme"),
        ("sms", "SMS"),
        ("iso", "ISO"),
        ("off", "Off"),
        ("", ""),
        ("_", "_"),
    ],
)
def test_a_name_in_plain_words(name: str, label: str) -> None:
    assert words(name) == label
