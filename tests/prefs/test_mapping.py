"""The mapping: its tree, its topics, its time zones, and that nothing else names a leaf."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import prefs
from prefs import mapping
from prefs.domains import Choice, Flag, Shape
from prefs.mapping import LEAVES, TREE, Leaf, UnknownTopic

SOURCES = Path(prefs.__file__).parent


def test_the_tree_holds_every_leaf_once_under_its_parents() -> None:
    nodes = mapping.inner_nodes()
    assert [node.dotted for node in nodes] == [
        "",
        "notifications",
        "notifications.email",
        "notifications.push",
        "notifications.sms",
        "notifications.quiet_hours",
    ]
    held = [leaf for node in nodes for leaf in node.leaves]
    assert sorted(held, key=LEAVES.index) == list(LEAVES)
    assert all((*node.path, leaf.name) == leaf.path for node in nodes for leaf in node.leaves)
    assert TREE is nodes[0]


def test_leaves_and_columns_are_named_once() -> None:
    assert len({leaf.dotted for leaf in LEAVES}) == len({leaf.column for leaf in LEAVES}) == 17
    by_table = [mapping.leaves_of(t) for t in (mapping.USER_TABLE, mapping.NOTIFICATION_TABLE)]
    assert [len(leaves) for leaves in by_table] == [6, 11]
    assert (*by_table[0], *by_table[1]) == LEAVES


def test_no_leaf_stands_inside_another() -> None:
    paths = {leaf.path for leaf in LEAVES}
    assert not [path for path in paths for n in range(len(path)) if path[:n] in paths]


def test_names_need_no_quoting_inside_an_sql_path() -> None:
    assert all(re.fullmatch("[a-z][a-z_]*", name) for leaf in LEAVES for name in leaf.path)


def test_topics_are_the_flags_and_the_digest_of_a_channel() -> None:
    assert sorted("/".join(key) for key in mapping.TOPICS) == [
        *("email/digest", "email/marketing", "email/mentions", "email/product_updates"),
        *("email/security", "push/mentions", "push/messages", "push/security", "sms/security"),
    ]
    assert mapping.topic("email", "digest").column == "email_digest"
    assert mapping.topic("sms", "security").column == "sms_security"


def test_a_digest_that_is_off_wants_no_messages() -> None:
    digest = mapping.topic("email", "digest").domain
    assert isinstance(digest, Choice)
    assert set(digest.values) - set(digest.wanted) == {"off"}


@pytest.mark.parametrize(
    "topic", [("email", "fax"), ("fax", "marketing"), ("quiet_hours", "start"), ("", "")]
)
def test_an_unknown_topic_is_an_error_that_lists_those_there_are(topic: tuple[str, str]) -> None:
    with pytest.raises(UnknownTopic) as raised:
        mapping.topic(*topic)
    assert str(raised.value) == (
        f"{'/'.join(topic)} is not a message topic; expected one of email/digest,"
        " email/marketing, email/mentions, email/product_updates, email/security,"
        " push/mentions, push/messages, push/security, sms/security."
    )


@pytest.mark.parametrize("zone", ["UTC", "Europe/Lisbon", "America/Argentina/Buenos_Aires"])
def test_a_zone_of_tzdata_is_known(zone: str) -> None:
    assert mapping.zone_is_known(zone)


@pytest.mark.parametrize(
    "zone",
    ["Factory", "localtime", "posixrules", "FOO5", "EST5EDT4", "Mars/Base", "", "../etc", "utc "],
)
def test_a_zone_that_names_no_place_is_not_known(zone: str) -> None:
    assert not mapping.zone_is_known(zone)


def test_every_example_of_a_shape_has_that_shape_and_is_known() -> None:
    for shape in (leaf.domain for leaf in LEAVES if isinstance(leaf.domain, Shape)):
        for example in shape.examples:
            assert re.fullmatch(shape.pattern, example)
            assert len(example) <= shape.max_length
            assert shape.known is None or shape.known(example)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.dotted)
def test_no_name_and_no_value_of_a_leaf_needs_an_escape_in_json(leaf: Leaf) -> None:
    hostile = ['"', "\\", "\n", "\x00", "\x1f", "\ud800"]
    assert json.dumps(leaf.name) == f'"{leaf.name}"'
    match leaf.domain:
        case Choice(values=values):
            assert all(json.dumps(value) == f'"{value}"' for value in values)
        case Shape(pattern=pattern, examples=examples):
            for example in examples:
                for place in range(len(example) + 1):
                    for bad in hostile:
                        text = example[:place] + bad + example[place:]
                        assert not re.fullmatch(pattern, text), text


def test_expectations_say_what_is_accepted() -> None:
    said = {leaf.dotted: leaf.domain.expected for leaf in LEAVES}
    assert {said[leaf.dotted] for leaf in LEAVES if isinstance(leaf.domain, Flag)} == {
        "true or false"
    }
    assert said["theme"] == 'one of "light", "dark", "system"'
    assert said["items_per_page"] == "an integer from 1 to 500"
    assert said["language"] == 'a BCP 47 language tag such as "pt-BR", at most 35 characters'
    assert said["timezone"] == 'an IANA time zone such as "Europe/Lisbon", at most 64 characters'
    assert said["notifications.quiet_hours.end"] == 'a time "HH:MM" from "00:00" to "23:59"'


def statements_and_windows() -> Iterator[Path]:
    for path in sorted(SOURCES.rglob("*.py")):
        inside = path.relative_to(SOURCES)
        named_here = inside in (Path("mapping.py"), Path("models/preferences.py"))
        if inside.parts[0] != "migrations" and not named_here:
            yield path


# Words that mean something else too; their dotted names and columns are looked for instead.
_COMMON = {"notifications", "email", "push", "sms", "security", "mentions", "messages"}
_COMMON |= {"start", "end", "timezone", "language", "marketing", "digest"}
NAMES = {
    name
    for leaf in LEAVES
    for name in (leaf.dotted, leaf.column, *leaf.path)
    if name not in _COMMON
}


def named_in(tree: ast.Module) -> set[str]:
    """The names of leaves in the identifiers and strings of a module, its docstrings left out."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if id(node) not in docstrings:
                # A string that is one of the common names, and no more, is a leaf as well.
                words = set(re.findall(r"[\w.]+", node.value))
                found |= words & NAMES or {node.value} & {leaf.dotted for leaf in LEAVES}
        elif isinstance(node, ast.Name | ast.Attribute | ast.keyword | ast.arg):
            name = node.id if isinstance(node, ast.Name) else getattr(node, "attr", None)
            found |= {str(name or getattr(node, "arg", ""))} & NAMES
    return found


@pytest.mark.parametrize(
    "path", list(statements_and_windows()), ids=lambda path: str(path.relative_to(SOURCES))
)
def test_no_module_but_the_mapping_and_the_models_names_a_leaf(path: Path) -> None:
    assert named_in(ast.parse(path.read_text(encoding="utf-8"))) == set()


@pytest.mark.parametrize(
    "source",
    [
        "row.theme",
        "f(date_format=1)",
        "x = 'SELECT email_digest FROM t'",
        "leaf('language')",
        "f'{x} compact_mode'",
        "d['notifications.sms.security']",
        "def f(items_per_page): ...",
    ],
)
def test_a_module_that_names_a_leaf_would_be_noticed(source: str) -> None:
    assert named_in(ast.parse(source))
