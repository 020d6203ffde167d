"""A batch looks its users up by key, also where the planner believes there are none."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from django.db import connection

from prefs.sql import copying, planned

USERS = 2_000
_WHERE = ("dbname", "host", "port", "user", "password")


@pytest.fixture
def misled(db: None) -> Iterator[dict[str, Any]]:
    """Users that an ANALYZE from outside could not see; the range of the last few."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO accounts_user (password, is_superuser, username, first_name, last_name,"
            " email, is_staff, is_active, date_joined, preferences)"
            " SELECT '', false, 'plan-' || i, '', '', '', false, true, now(), '{}'"
            " FROM generate_series(1, %s) i RETURNING id",
            [USERS],
        )
        keys = [row[0] for row in cursor.fetchall()]
        everybody = {"after": keys[0] - 1, "upto": keys[-1]}
        cursor.execute(copying.copy_missing(), everybody)
        parameters = connection.get_connection_params()
        where: dict[str, Any] = {name: parameters.get(name) for name in _WHERE}
        with psycopg.connect(**where, autocommit=True) as outside:
            outside.execute("ANALYZE accounts_user, user_preferences, notification_preferences")
        cursor.execute(copying.batch_settings(), {"lock_timeout": "50ms"})
        yield {"ids": keys[-20:], "after": keys[-21], "upto": keys[-1], "tenth": keys[9]}


@pytest.mark.parametrize("name", ["difference_of", "overwrite_blob", "settle_tables"])
def test_no_batch_reads_more_than_its_users(misled: dict[str, Any], name: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN (ANALYZE, TIMING OFF) " + getattr(copying, name)(), misled)
        must_look_up(cursor)


@pytest.mark.parametrize("name", ["copying_missing", "differing"])
@pytest.mark.parametrize("first", [True, False])
def test_nor_by_a_plan_that_is_made_once(misled: dict[str, Any], name: str, first: bool) -> None:
    statement = planned.numbered(getattr(copying, name)(first=first), "after", "upto")
    bounds = [None, misled["tenth"]] if first else [misled["after"], misled["upto"]]
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        cursor.execute(f"PREPARE batch (bigint, bigint) AS {statement}")
        try:
            cursor.execute("EXPLAIN (ANALYZE, TIMING OFF) EXECUTE batch (%s, %s)", bounds)
            must_look_up(cursor)
        finally:
            cursor.execute("DEALLOCATE batch")


def must_look_up(cursor: Any) -> None:
    """The plan that the cursor has to offer reads by index, and about its users alone."""
    plan = "\n".join(row[0] for row in cursor.fetchall())
    assert f"rows={USERS}" not in plan, plan
    assert "Seq Scan on accounts_user" not in plan, plan
    removed = [int(line.split(":")[1]) for line in plan.splitlines() if "Rows Removed" in line]
    assert max(removed, default=0) <= 20 * 20, plan


@pytest.mark.parametrize(
    ("setting", "value"), [("jit", "off"), ("max_parallel_workers_per_gather", "0")]
)
def test_however_many_users_a_plan_for_any_range_expects(
    misled: dict[str, Any], setting: str, value: str
) -> None:
    """It is not compiled, and takes no parallel workers from others."""
    with connection.cursor() as cursor:
        cursor.execute(f"SHOW {setting}")
        assert cursor.fetchone() == (value,)
