"""The differences that are meant: what, where, and why. Anything else is a fault."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from tests.support.stores import Place

Differences = dict[str, tuple[str, str]]

_REST = '"notifications": {"email": {"digest": "daily"}}'
_LIGHT = f'{{"beta": 1, "theme": "light", {_REST}}}'
_DARK = f'{{"beta": 1, "theme": "dark", {_REST}}}'
_MORE = f'{{"beta": 1, "more": 1, "theme": "light", {_REST}}}'
_BOTH = f'{{"beta": 1, "more": 1, "theme": "dark", {_REST}}}'
_TABLES, _DROPPED = (Place.TABLES,), (Place.DROPPED,)


@dataclass(frozen=True, kw_only=True)
class Meant:
    """What differs of an operation in these places, exactly: (plain, ours).

    `line` is where docs/adopting.md says so: the beginning of a row of its table, or of a sentence.
    """

    because: str
    line: str
    what: Differences
    places: Collection[Place] = tuple(Place)


def _refused(error: str, why: str, *places: Place) -> Meant:
    what = {"error": ("none", error), "documents.1001": (_DARK, _LIGHT)}
    return Meant(because=why, line=_STRANGERS, what=what, places=places)


_DIFFERENCE = "rule 5: a save writes what it changed, so leaves that others wrote meanwhile stay"
_UNKNOWN = "A3: where tables are read, a manager that we do not know is refused to update documents"
_ISOLATION = "protocol: documents are written in READ COMMITTED alone, else nobody sees the route"

_OLDER = "| `save()` of an instance that is older than what others stored |"
_LEVELS = "| a write at REPEATABLE READ or SERIALIZABLE |"
_STRANGERS = "An unknown manager, raw SQL and the previous release write the column itself."

MEANT: dict[str, list[Meant]] = {
    "two_instances_save_in_turn": [
        Meant(
            because=_DIFFERENCE,
            line=_OLDER,
            what={
                "result.a": ("1", "2"),
                "signals[3].others see": ('{"a": 1, "b": 2}', '{"a": 2, "b": 2}'),
                "documents.1001": ('{"a": 1, "b": 2}', '{"a": 2, "b": 2}'),
            },
        )
    ],
    "a_stale_instance_saves_another_field": [
        Meant(
            because=_DIFFERENCE,
            line=_OLDER,
            what={
                "signals[1].others see": ('{"a": 1}', '{"a": 2}'),
                "documents.1001": ('{"a": 1}', '{"a": 2}'),
            },
        )
    ],
    "wait_for_a_writer_and_save": [
        Meant(
            because=_DIFFERENCE,
            line=_OLDER,
            what={
                "signals[1].others see": (_MORE, _BOTH),
                "documents.1001": (_MORE, _BOTH),
            },
        )
    ],
    "save_odd_documents_back": [
        Meant(
            because="rule 5: a JSON null is loaded as None, which is no change, so it stays what it"
            " is; a plain save makes SQL NULL of it",
            line="| `save()` of a document that is the JSON value `null`, as it was loaded |",
            what={
                "signals[17].others see": ("None", "null"),
                "documents.1009": ("None", "null"),
            },
        )
    ],
    "bulk_create_ignoring_conflicts_with_documents": [
        Meant(
            because="rule 10: which rows were inserted is not known, so UnknownInsertions",
            line="| `bulk_create` with `ignore_conflicts`, or with `update_conflicts` that",
            what={
                "error": ("none", "UnknownInsertions"),
                "documents.1003": (_DARK, "absent"),
                "rows.user.1003": ("there", "absent"),
            },
        )
    ],
    "children_with_their_own_key_are_bulk_updated": [
        Meant(
            because="A2: Django's bulk_update looks for the child's key among its parents, and sets"
            " what it does not find to NULL; ours is stored",
            line="| `bulk_update` of children of the user model that have a key of their own |",
            what={"documents.1003": ("None", '{"n": 2}')},
        )
    ],
    "a_form_with_what_jsonb_refuses": [
        Meant(
            because="A20: what cannot be stored is an error at the field",
            line="| a form with NaN,",
            what={
                "result[1]": ("True", "False"),
                "result[2]": ("True", "False"),
                "result[3]": ("True", "False"),
                "result[5]": ("raised", "False"),
                "result[6]": ("raised", "False"),
            },
        )
    ],
    "save_in_a_repeatable_read": [
        Meant(
            because=_ISOLATION,
            line=_LEVELS,
            what={
                "error": ("none", "UnsupportedIsolation"),
                "signals[1]": ("there", "absent"),
                "documents.1001": (_MORE, _LIGHT),
            },
        )
    ],
    "overtaken_in_a_repeatable_read": [
        Meant(
            because=_ISOLATION,
            line=_LEVELS,
            what={"error": ("OperationalError", "UnsupportedIsolation")},
            places=(*_TABLES, *_DROPPED),
        )
    ],
    "a_plain_queryset_creates_in_bulk": [
        Meant(
            because="A3: once the column is dropped, a manager that we do not know is refused",
            line=_STRANGERS,
            what={
                "error": ("none", "ProgrammingError"),
                "documents.1001": (_DARK, "absent"),
                "documents.1002": ("{}", "absent"),
                "rows.user.1001": ("there", "absent"),
                "rows.user.1002": ("there", "absent"),
            },
            places=_DROPPED,
        )
    ],
    "a_plain_queryset_updates": [
        _refused("OperationalError", _UNKNOWN, *_TABLES),
        _refused("ProgrammingError", _UNKNOWN, *_DROPPED),
    ],
    "a_plain_queryset_bulk_updates": [
        _refused("OperationalError", _UNKNOWN, *_TABLES),
        _refused("ProgrammingError", _UNKNOWN, *_DROPPED),
    ],
}


def meant(operation: str, place: Place | None) -> Differences:
    """What is to differ of an operation in a place."""
    return {
        path: both
        for each in MEANT.get(operation, [])
        if place in each.places
        for path, both in each.what.items()
    }
