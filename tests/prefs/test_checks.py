"""The system checks: mapping and models name the same columns; sessions name themselves."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.conf import settings
from django.core import checks

from prefs.checks import is_ours, mapping_matches_models, sessions_are_named
from prefs.domains import Flag, WholeNumber
from prefs.mapping import LEAVES, USER_TABLE, Leaf
from prefs.models import NotificationPreferences, UserPreferences

EXTRA = Leaf("font_size", USER_TABLE, "font_size", WholeNumber(minimum=6, maximum=60))


def map_leaves(monkeypatch: pytest.MonkeyPatch, leaves: tuple[Leaf, ...]) -> None:
    monkeypatch.setattr(
        "prefs.checks.leaves_of", lambda table: tuple(x for x in leaves if x.table == table)
    )


def complaint() -> checks.CheckMessage:
    [found] = mapping_matches_models()
    assert found.id == "prefs.E001"
    assert found.level == checks.ERROR
    assert found.hint
    assert "makemigrations" in found.hint
    return found


def test_the_mapping_and_the_models_agree() -> None:
    assert mapping_matches_models() == []


def test_a_leaf_without_a_column_in_the_model_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    map_leaves(monkeypatch, (*LEAVES, EXTRA))
    found = complaint()
    assert found.msg.endswith("about the column user_preferences.font_size.")
    assert found.obj is UserPreferences


@pytest.mark.parametrize("gone", LEAVES, ids=lambda leaf: leaf.column)
def test_a_column_without_a_leaf_in_the_mapping_is_an_error(
    monkeypatch: pytest.MonkeyPatch, gone: Leaf
) -> None:
    map_leaves(monkeypatch, tuple(leaf for leaf in LEAVES if leaf is not gone))
    found = complaint()
    assert found.msg.endswith(f"about the column {gone.table}.{gone.column}.")
    assert found.obj in (UserPreferences, NotificationPreferences)


@pytest.mark.parametrize("leaf", LEAVES, ids=lambda leaf: leaf.column)
def test_a_column_of_another_type_is_an_error(monkeypatch: pytest.MonkeyPatch, leaf: Leaf) -> None:
    other = WholeNumber(minimum=1, maximum=2) if isinstance(leaf.domain, Flag) else Flag()
    map_leaves(monkeypatch, tuple(replace(x, domain=other) if x is leaf else x for x in LEAVES))
    assert f"{leaf.table}.{leaf.column}" in complaint().msg


def test_a_leaf_that_moved_to_the_other_table_is_an_error_for_both(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moved = replace(LEAVES[-1], table=USER_TABLE)
    map_leaves(monkeypatch, (*LEAVES[:-1], moved))
    tables = [message.obj for message in mapping_matches_models()]
    assert tables == [UserPreferences, NotificationPreferences]


def test_a_column_that_cannot_be_null_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UserPreferences._meta.get_field("theme"), "null", False)
    assert "user_preferences.theme" in complaint().msg


def test_the_check_runs_with_manage_py_check(monkeypatch: pytest.MonkeyPatch) -> None:
    map_leaves(monkeypatch, (*LEAVES, EXTRA))
    found = {message.id for message in checks.run_checks(tags=[checks.Tags.models])}
    assert "prefs.E001" in found


def test_sessions_of_this_site_are_named() -> None:
    assert sessions_are_named() == []


@pytest.mark.parametrize("name", ["prefs", "prefs web", "prefs worker 7"])
def test_a_name_of_ours_may_have_more_after_a_space(name: str) -> None:
    assert is_ours(name)


@pytest.mark.parametrize("name", ["", "prefsweb", "web prefs", "psql", " prefs", "Prefs"])
def test_another_name_warns_with_the_one_to_set(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    options = settings.DATABASES["default"]["OPTIONS"]
    monkeypatch.setitem(options, "application_name", name)
    [found] = sessions_are_named()
    assert (found.id, found.level) == ("prefs.W001", checks.WARNING)
    assert "'default'" in found.msg
    assert found.hint
    assert 'OPTIONS["application_name"] to "prefs"' in found.hint
    assert found in checks.run_checks(tags=[checks.Tags.security])


def test_a_database_without_options_warns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(settings.DATABASES["default"], "OPTIONS")
    assert [message.id for message in sessions_are_named()] == ["prefs.W001"]
