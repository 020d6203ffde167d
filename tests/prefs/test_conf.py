"""PREFS_ settings: a value that would do harm, or nothing at all, is refused by its name."""

from __future__ import annotations

from dataclasses import fields
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from prefs import ddl
from prefs.checks import settings_are_right
from prefs.conf import Settings, current

NAN, INFINITE = float("nan"), float("inf")
DURATIONS = [f.name for f in fields(Settings) if isinstance(f.default, timedelta)]
NUMBERS = [f.name for f in fields(Settings) if type(f.default) is int]
FLAGS = [f.name for f in fields(Settings) if type(f.default) is bool]
PAIRS = [f.name for f in fields(Settings) if isinstance(f.default, tuple) and "thr" in f.name]


def refusal(name: str, value: Any) -> str:
    """What is said where `value` is given."""
    with (
        override_settings(**{f"PREFS_{name.upper()}": value}),
        pytest.raises(ImproperlyConfigured) as raised,
    ):
        current()
    said = str(raised.value)
    assert said.startswith(f"PREFS_{name.upper()} is {value!r}; expected ")
    return said


@pytest.mark.parametrize("milliseconds", [0, 0.4, 0.999, -1])
@pytest.mark.parametrize("name", ["ddl_lock_timeout", "lease"])
def test_a_duration_that_rounds_to_no_time_is_refused(name: str, milliseconds: float) -> None:
    """Case B11: a lock_timeout of 0 waits without end."""
    said = refusal(name, timedelta(milliseconds=milliseconds))
    assert "from 0:00:00.001000 to" in said


def test_a_verification_that_never_counts_is_refused() -> None:
    """Case B11: the same for evidence."""
    refusal("verification_ttl", timedelta(0))


@pytest.mark.parametrize("name", DURATIONS)
def test_a_duration_beyond_any_date_is_refused(name: str) -> None:
    """Case B11: no overflow where it is added to a date or sent to PostgreSQL."""
    refusal(name, timedelta.max)
    refusal(name, timedelta(seconds=-1))


def test_a_try_at_a_table_lock_holds_nobody_up_for_longer_than_a_minute() -> None:
    """Case B11: nor does lock_timeout overflow, whose milliseconds are 32 bits."""
    refusal("ddl_lock_timeout", timedelta(days=25))
    with override_settings(PREFS_DDL_LOCK_TIMEOUT=timedelta(minutes=1)):
        assert ddl.timeout_statement(current().ddl_lock_timeout) == (
            "SET LOCAL lock_timeout = '60000ms'"
        )


def test_no_time_out_of_ours_is_ever_without_end() -> None:
    """Case B11: whatever it was made from."""
    assert ddl.timeout_statement(timedelta(microseconds=1)) == "SET LOCAL lock_timeout = '1ms'"


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("number", [-1, 2**63, True, 1.5, NAN])
def test_a_number_that_no_column_holds_is_refused(name: str, number: Any) -> None:
    """Case B11: the same for numbers."""
    refusal(name, number)


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("value", [0, 1, "yes", None])
def test_what_is_neither_true_nor_false_is_refused(name: str, value: Any) -> None:
    assert refusal(name, value).endswith("expected a bool, such as False.")


def test_a_length_that_no_document_has_is_refused() -> None:
    """Case B11: every write would be refused."""
    refusal("max_document_bytes", 1)
    refusal("max_document_bytes", 2**30)


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize(
    "limits",
    [
        (5,),
        (5, 5),
        (5, 9),
        (5, -1),
        (1, 2, 3),
        ("5", "4"),
        (True, False),
        (NAN, 1),
        (2, NAN),
        (INFINITE, 1),
        (INFINITE, INFINITE),
    ],
)
def test_figures_at_which_nothing_would_wait_or_go_on_are_refused(name: str, limits: Any) -> None:
    """Case B11: NaN compares with nothing, infinity is never reached."""
    assert "two finite numbers, where to wait and the lower one where to go on" in refusal(
        name, limits
    )


@pytest.mark.parametrize("name", ["known_applications", "replicas"])
@pytest.mark.parametrize("given", [("",), ("monitor", None), (1,)])
def test_a_name_that_is_none_is_refused(name: str, given: Any) -> None:
    """Case B11: the empty name is that of every session without one."""
    refusal(name, given)


@override_settings(
    PREFS_CUTOVER_SOAK=timedelta(0),
    PREFS_CONTRACT_SOAK=timedelta(0),
    PREFS_ARCHIVE_LIFETIME=timedelta(0),
    PREFS_LOCK_PATIENCE=timedelta(0),
    PREFS_INLINE_BACKFILL_MAX_USERS=0,
    PREFS_ARCHIVE_MAX_BYTES=0,
    PREFS_THROTTLE_OLDEST_TRANSACTION=[],
    PREFS_THROTTLE_ACTIVE_SESSIONS=[2.5, 0],
)
def test_zero_stays_where_it_means_something() -> None:
    found = current()
    assert found.cutover_soak == found.lock_patience == timedelta(0)
    assert (found.inline_backfill_max_users, found.archive_max_bytes) == (0, 0)
    assert found.throttle_oldest_transaction == ()
    assert found.throttle_active_sessions == (2.5, 0)


def test_the_system_check_names_a_setting_that_is_wrong() -> None:
    """Case B11: before any command acts on it."""
    assert settings_are_right(databases=["default"]) == []
    with override_settings(PREFS_DDL_LOCK_TIMEOUT=timedelta(0)):
        [found] = settings_are_right(databases=["default"])
    assert (found.id, found.msg.split(";")[0]) == (
        "prefs.E009",
        "PREFS_DDL_LOCK_TIMEOUT is datetime.timedelta(0)",
    )
