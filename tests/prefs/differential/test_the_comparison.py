"""The comparison notices what code around an operation would: each broken on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import DataError, transaction

from tests.prefs.differential import statements
from tests.prefs.differential.conftest import Expected
from tests.prefs.differential.meant import MEANT
from tests.prefs.differential.operations import everything
from tests.prefs.differential.outcome import differences, run
from tests.prefs.differential.world import World
from tests.support import stores
from tests.support.scratch import ROOT
from tests.support.stores import Place

OPERATIONS = everything()
Save = Callable[..., None]


def _stores_nothing(save: Save, instance: Any) -> None:
    kept, instance.preferences = instance.preferences, {}
    save(instance)
    instance.preferences = kept


def _saves_in_a_transaction(save: Save, instance: Any) -> None:
    with transaction.atomic():
        save(instance)


def _saves_twice(save: Save, instance: Any) -> None:
    save(instance)
    save(instance)


def _changes_another_column(save: Save, instance: Any) -> None:
    instance.last_name = "changed"
    save(instance)


def _gives_another_document(save: Save, instance: Any) -> None:
    save(instance)
    instance.preferences = {**instance.preferences, "beta": 1.0}


def _refuses(save: Save, instance: Any) -> None:
    save(instance)
    raise DataError


@pytest.mark.parametrize(
    ("broken", "noticed"),
    [
        (_stores_nothing, "documents.1001"),
        (_saves_in_a_transaction, "signals[1].others see"),
        (_saves_twice, "signals[2]"),
        (_changes_another_column, "rows.user.1001.last_name"),
        (_gives_another_document, "result[1].preferences.beta"),
        (_refuses, "error"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_save_that_is_not_as_it_was_is_noticed(
    broken: Callable[[Save, Any], None],
    noticed: str,
    plain: World,
    expected: Expected,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = expected("assign_and_save")
    save = plain.user.save
    monkeypatch.setattr(plain.user, "save", lambda instance: broken(save, instance))
    assert noticed in differences(before, run(plain, OPERATIONS["assign_and_save"]))


def test_an_error_that_is_raised_elsewhere_is_noticed(
    plain: World, expected: Expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = expected("get_or_create_with_a_nul")
    assert before.error is not None
    monkeypatch.setattr(before, "line", before.line and before.line - 1)
    assert "line" in differences(before, run(plain, OPERATIONS["get_or_create_with_a_nul"]))


def test_stores_that_part_are_noticed(ours: World, expected: Expected) -> None:
    outcome = run(ours, OPERATIONS["create_with_a_document"])
    assert not outcome.parted
    if ours.place in {Place.BLOB_MIRRORED, Place.TABLES_MIRRORED}:
        stores.fill_tables([1001], ['{"theme": "dark"}'])
        assert ours.parted() == [1001]


def test_the_list_of_differences_names_operations_and_reasons() -> None:
    assert set(MEANT) <= set(OPERATIONS)
    assert all(each.because for several in MEANT.values() for each in several)


def test_the_documentation_has_a_line_for_each_difference_that_is_meant() -> None:
    said = (ROOT / "docs" / "adopting.md").read_text(encoding="utf-8").split("\n")
    assert [
        (operation, each.line)
        for operation, several in MEANT.items()
        for each in several
        if not any(line.startswith(each.line) for line in said)
    ] == []


def test_each_kind_of_statement_is_sent_by_some_operation() -> None:
    lines = statements.lines()
    assert {line.partition(" | ")[0] for line in lines} <= set(OPERATIONS)
    assert [
        kind for kind in statements.KINDS if not any(f" {kind} " in line for line in lines)
    ] == []


def test_there_are_operations_enough() -> None:
    assert len(OPERATIONS) >= 150
