"""schema.json and openapi.json: from the mapping, valid, and checked in.

`PREFS_RECORD_API=1 .venv/bin/python -m pytest -q tests/prefs/api/test_descriptions.py` writes the
files in docs/ anew.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from prefs.domains import WholeNumber
from prefs.mapping import LEAVES, Leaf
from tests.prefs.api.asking import Asking, checked, etag
from tests.support.scratch import ROOT

pytestmark = pytest.mark.django_db

SERVED = {
    "schema.json": ("/api/preferences/schema.json", "application/schema+json"),
    "openapi.json": ("/api/openapi.json", "application/json"),
}


def served(client: Client, name: str) -> Any:
    return checked(client.get(SERVED[name][0])).json()


@pytest.mark.parametrize("name", SERVED)
def test_what_is_checked_in_is_what_is_served(client: Client, name: str) -> None:
    address, content_type = SERVED[name]
    answer = checked(client.get(address))
    assert answer.status_code == 200
    assert answer["Content-Type"] == content_type
    checked_in = Path(ROOT) / "docs" / name
    if os.environ.get("PREFS_RECORD_API"):
        checked_in.write_text(answer.text, encoding="utf-8")
    assert answer.text == checked_in.read_text(encoding="utf-8"), "PREFS_RECORD_API=1 writes it"


@pytest.mark.parametrize("name", SERVED)
def test_a_description_is_read_as_a_document_is(client: Client, name: str) -> None:
    address, _ = SERVED[name]
    answer = checked(client.get(address))
    assert answer["ETag"] == etag(answer.text)
    again = client.get(address, headers={"If-None-Match": answer["ETag"]})
    assert again.status_code == 304
    head = client.head(address)
    assert (head.content, head["Content-Length"]) == (b"", str(len(answer.content)))
    for method in ("post", "put", "patch", "delete"):
        refused = checked(getattr(client, method)(address))
        assert (refused.status_code, refused["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_the_schema_is_valid_and_so_is_each_in_it(client: Client) -> None:
    schema = served(client, "schema.json")
    Draft202012Validator.check_schema(schema)
    for each in schema["$defs"].values():
        Draft202012Validator.check_schema(each)


def test_the_openapi_description_is_valid(client: Client) -> None:
    OpenAPIV31SpecValidator(served(client, "openapi.json")).validate()


def test_every_leaf_has_the_schema_of_its_domain_and_nothing_else_is_described(
    client: Client,
) -> None:
    schema = served(client, "schema.json")
    found = dict(described(schema["$defs"]["document"]))
    assert found == {leaf.dotted: leaf.domain.schema for leaf in LEAVES}


def described(schema: dict[str, Any], path: str = "") -> list[tuple[str, Any]]:
    """The leaves that a schema of an object describes."""
    if "properties" not in schema:
        return [(path, schema)]
    return [
        leaf
        for name, each in schema["properties"].items()
        for leaf in described(each, f"{path}.{name}" if path else name)
    ]


def document(leaf: Leaf, value: object) -> dict[str, Any]:
    for name in reversed(leaf.path):
        value = {name: value}
    assert isinstance(value, dict)
    return value


VALUES: tuple[object, ...] = (
    *(True, False, None, 0, 1, 10, 500, 501, -1, 0.5, "", "light", "Light", "off", "daily", "iso"),
    *(
        "en",
        "en-GB",
        "e",
        "x" * 9,
        "UTC",
        "Europe/Lisbon",
        "00:00",
        "23:59",
        "24:00",
        "9:30",
        [],
        {},
    ),
)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.dotted)
def test_the_schema_lets_in_what_the_api_does(client: Client, asking: Asking, leaf: Leaf) -> None:
    """But for a format, which a validator of schemas need not know."""
    schema = served(client, "schema.json")
    put, patch = Draft202012Validator(schema), validator(schema, "patch")
    samples = leaf.domain.schema.get("examples", [])
    for value in (*VALUES, *samples):
        body = document(leaf, value)
        if leaf.domain.schema.get("format") and isinstance(value, str):
            continue
        sent = json.dumps(body)
        assert (asking.put(sent).status_code == 200) is put.is_valid(body), sent
        asking.put("{}")
        assert (asking.patch(sent).status_code == 200) is patch.is_valid(body), sent
        asking.put("{}")


def test_what_is_stored_may_be_anything(client: Client) -> None:
    stored = validator(served(client, "schema.json"), "stored")
    assert all(map(stored.is_valid, (None, [], 5, "x", {"theme": 7})))


def validator(schema: dict[str, Any], name: str) -> Any:
    """A validator by one of the `$defs` of schema.json."""
    return Draft202012Validator({**schema, "$ref": f"#/$defs/{name}"})


def test_patterns_mean_the_same_to_every_reader() -> None:
    """No class, flag or look-around that PostgreSQL, Python and ECMA read differently."""
    for leaf in LEAVES:
        pattern = leaf.domain.schema.get("pattern", "^$")
        assert pattern[0] == "^"
        assert pattern[-1] == "$"
        assert not re.search(r"\\|\(\?", pattern)


def test_bounds_are_those_of_the_domain() -> None:
    for leaf in LEAVES:
        if isinstance(leaf.domain, WholeNumber):
            assert leaf.domain.schema["minimum"] == leaf.domain.minimum
            assert leaf.domain.schema["maximum"] == leaf.domain.maximum
