"""Case B1: row security hides users; nothing of ours takes a part of them for all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import ProgrammingError, transaction

from prefs import shadow
from prefs.engine.backfill import backfill_inline
from prefs.engine.quarantine import counts
from prefs.engine.sight import UsersHidden
from prefs.engine.states import Gate, State
from prefs.engine.verification import verify_sample
from prefs.models import NotificationPreferences, UserPreferences
from prefs.sql import planned, row_security
from tests.support import scratch
from tests.support.refusals import assert_refused
from tests.support.roles import give_everything_to, logged_in_as
from tests.support.running import run
from tests.support.steps import (
    ALIAS,
    add_users,
    copy_all,
    go,
    part_blob,
    rows,
    state,
    take,
    value,
    verify_all,
)

WANTS = {"notifications": {"email": {"marketing": True}}}


@pytest.fixture
def tenants(owner: str, app: str, site: str) -> list[int]:
    """A site of two tenants, whose tables belong to an ordinary role, under FORCE: their users."""
    users = add_users(*({**WANTS, "n": n} for n in range(10)))
    rows("ALTER TABLE accounts_user ADD COLUMN tenant integer NOT NULL DEFAULT 0")
    rows("UPDATE accounts_user SET tenant = id % 2")
    rows(f"GRANT SELECT, INSERT, UPDATE, DELETE ON accounts_user TO {app}")
    give_everything_to(owner)
    rows("ALTER TABLE accounts_user ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY")
    rows(
        "CREATE POLICY tenant ON accounts_user"
        " USING (tenant = current_setting('site.tenant', true)::integer)"
    )
    return users


@contextmanager
def as_tenant(role: str, tenant: int = 1) -> Iterator[None]:
    with logged_in_as(role, **{"site.tenant": str(tenant)}):
        yield


def theirs(users: list[int], tenant: int) -> list[int]:
    return [user for user in users if user % 2 == tenant]


RUNS: dict[str, Callable[[], Any]] = {
    "a backfill": copy_all,
    "a verification": verify_all,
    "a repair": lambda: verify_all(repair=True),
    "a sample": lambda: verify_sample(ALIAS, 5),
    "a quarantine": lambda: counts(ALIAS),
}


@pytest.mark.parametrize("what", RUNS)
def test_a_run_over_everybody_is_an_error_where_a_policy_hides_somebody(
    owner: str, tenants: list[int], what: str
) -> None:
    """Case B1: 500 of 1,000 users were copied, "0 differ", and all gates passed."""
    with as_tenant(owner), pytest.raises(UsersHidden, match=f"hides rows of .*user from {owner}"):
        RUNS[what]()
    assert value("SELECT count(*) FROM user_preferences") == 0


@pytest.mark.parametrize(
    "command",
    ["backfill_prefs", "verify_prefs", "status_prefs", "quarantine_prefs", "advance_prefs"],
)
def test_each_command_says_whose_rows_are_hidden_and_what_to_do(
    owner: str, tenants: list[int], command: str
) -> None:
    """Case B1: an error or an unmet gate, with a sentence."""
    with as_tenant(owner):
        found = run(command)
    assert found.status == (4 if command == "advance_prefs" else 1)
    said = found.out + found.err
    assert f"row security hides rows of accounts_user from {owner}" in said
    assert "BYPASSRLS" in said


def test_migrate_copies_nothing_of_a_part_and_says_why(owner: str, tenants: list[int]) -> None:
    """Case B1: a small site is copied by migrate itself."""
    said: list[str] = []
    with as_tenant(owner):
        backfill_inline(ALIAS, say=said.append)
    assert "Nothing was copied here: row security hides rows of accounts_user" in said[0]
    assert value("SELECT count(*) FROM user_preferences") == 0


def test_a_site_whose_users_are_all_hidden_is_not_taken_for_one_without_users(
    owner: str, tenants: list[int]
) -> None:
    """Case B1: expanded to dropped dropped the column, and made no archive."""
    with as_tenant(owner, tenant=7):
        assert value("SELECT count(*) FROM accounts_user") == 0
        found = run("advance_prefs", "--to", "dropped", "--noinput", "--override", "rights",
                    "--reason", "a test")  # fmt: skip
        assert found.status == 4
        assert "no_users: row security hides rows of accounts_user" in found.err
        forced = run("advance_prefs", "--to", "dropped", "--noinput", "--override",
                     "sees_everybody", "--reason", "a test")  # fmt: skip
        assert forced.status == 2
        assert "Cannot override sees_everybody" in forced.err
    assert state() is State.EXPANDED
    assert value("SELECT count(preferences) FROM accounts_user") == 10


@pytest.mark.slow
def test_no_step_forward_is_taken_by_a_role_that_does_not_see_everybody(
    owner: str, tenants: list[int]
) -> None:
    """Case B1: the gate sees_everybody, at every step forward."""
    assert run("install_prefs").status == 0
    for target in list(State)[1:]:
        with as_tenant(owner):
            assert_refused(Gate.SEES_EVERYBODY, target, f"hides rows of accounts_user from {owner}")
        rows(f"ALTER ROLE {owner} BYPASSRLS")
        try:
            with as_tenant(owner):
                go(target)
        finally:
            rows(f"ALTER ROLE {owner} NOBYPASSRLS")


def test_a_function_whose_owner_does_not_see_everybody_keeps_the_gate_shut(
    owner: str, tenants: list[int]
) -> None:
    """Case B1: capture runs as its owner; a superuser at the keyboard does not help."""
    run("install_prefs")
    assert_refused(Gate.SEES_EVERYBODY, State.DUAL_WRITE, f"from {owner}")
    rows(f"ALTER ROLE {owner} BYPASSRLS")
    try:
        assert take(State.DUAL_WRITE) is not None
    finally:
        rows(f"ALTER ROLE {owner} NOBYPASSRLS")
    # From now on every write that would be mirrored in part is an error.
    with as_tenant(owner), pytest.raises(Exception, match="row-level security"):
        rows("UPDATE accounts_user SET preferences = '{}'")


def test_without_row_security_off_half_of_the_users_are_taken_for_all(
    owner: str, tenants: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Case B1, broken on purpose: what the copy did before, and what the error keeps from it."""
    run("install_prefs")
    copy = planned.functions()["prefs_copy"].create.replace(" SET row_security = off", "")
    assert copy != planned.functions()["prefs_copy"].create
    rows(copy)
    rows(f"ALTER FUNCTION prefs_copy(bigint, bigint) OWNER TO {owner}")
    for asks in ("hidden_from", "_hidden"):
        monkeypatch.setattr(f"prefs.engine.sight.{asks}", lambda alias: [])
    monkeypatch.setattr("prefs.sql.copying.batch_settings", _without_row_security)
    see = row_security.see().replace("'row_security', 'off'", "'row_security', 'on'")
    assert see != row_security.see()
    monkeypatch.setattr("prefs.sql.row_security.see", lambda: see)
    rows("ALTER TABLE user_preferences NO FORCE ROW LEVEL SECURITY")
    rows("ALTER TABLE notification_preferences NO FORCE ROW LEVEL SECURITY")
    with as_tenant(owner):
        assert copy_all().copied == 5
    assert value("SELECT count(*) FROM user_preferences") == 5
    monkeypatch.undo()
    assert run("check", "--database", "default").status == 1


def _without_row_security() -> str:
    return """SELECT set_config('lock_timeout', %(lock_timeout)s, true)"""


@pytest.fixture
def served(owner: str, tenants: list[int]) -> list[int]:
    """The same, taken care of: policies follow, and the functions' owner sees everybody."""
    rows(f"ALTER ROLE {owner} BYPASSRLS")
    assert run("install_prefs").status == 0
    return tenants


@pytest.fixture(autouse=True)
def _sober(owner: str) -> Iterator[None]:
    yield
    with scratch.connect("postgres") as session:
        session.execute(f"ALTER ROLE {owner} NOBYPASSRLS".encode())


@pytest.mark.parametrize("here", State)
def test_a_tenant_reads_and_writes_their_own_users_in_every_state_and_nobody_elses(
    app: str, served: list[int], here: State
) -> None:
    """Case B1 and spec of rights: the managers stand under the site's own policy."""
    go(here)
    if here is State.DUAL_WRITE:
        copy_all()
    mine, others = theirs(served, 1), theirs(served, 0)
    with as_tenant(app):
        assert list(UserPreferences.objects.documents(served)) == mine
        assert list(NotificationPreferences.objects.audience("email", "marketing")) == mine
        assert UserPreferences.objects.merge(mine[0], {"theme": "dark"})["theme"] == "dark"
        for call in (UserPreferences.objects.merge, UserPreferences.objects.replace):
            with pytest.raises(get_user_model().DoesNotExist):
                call(others[0], {"theme": "dark"})
        if here is not State.EXPANDED:
            assert rows("SELECT user_id FROM user_preferences ORDER BY 1") == [(m,) for m in mine]
    assert "theme" not in UserPreferences.objects.document(others[0])


def test_a_tenant_s_shadow_read_is_told_and_no_other_tenant_sees_of_whom(
    app: str, served: list[int]
) -> None:
    """Spec 4.6 as a test: mismatches have a policy that follows that of the users."""
    go(State.DUAL_WRITE)
    copy_all()
    verify_all()
    assert run("canary_prefs", "100", "--shadow", "100").status == 0
    # By default it has no right on the table, and so sees nobody's.
    rows(f"GRANT SELECT, INSERT ON prefs_mismatch TO {app}")
    mine, others = theirs(served, 1)[0], theirs(served, 0)[0]
    for user in (mine, others):
        part_blob(user, {"theme": "dark"})
    for tenant, user in ((1, mine), (0, others)):
        with as_tenant(app, tenant):
            UserPreferences.objects.document(user)
            shadow.settle()
            assert rows("SELECT user_id FROM prefs_mismatch") == [(user,)]
            with pytest.raises(ProgrammingError, match="row-level security"):
                rows(
                    "INSERT INTO prefs_mismatch (user_id, leaves, times, first_found_at, found_at)"
                    " VALUES (%s, '[]', 1, now(), now())",
                    others if user == mine else mine,
                )
    assert value("SELECT count(*) FROM prefs_mismatch") == 2
    assert value("SELECT percent FROM waffle_sample WHERE name = 'prefs_canary_reads'") == 0


def test_who_may_see_a_user_but_not_update_them_may_not_update_their_typed_row(
    app: str, served: list[int]
) -> None:
    """Spec 4.6 as a test: the policies of the typed tables ask for what users allow."""
    rows("DROP POLICY tenant ON accounts_user")
    rows("CREATE POLICY sees ON accounts_user FOR SELECT USING (true)")
    rows(
        "CREATE POLICY writes ON accounts_user FOR UPDATE"
        " USING (tenant = current_setting('site.tenant', true)::integer)"
    )
    go(State.MIRROR_OFF)
    with as_tenant(app), transaction.atomic():
        assert value("SELECT count(*) FROM user_preferences") == 10
        rows("UPDATE user_preferences SET theme = 'dark'")
    changed = rows("SELECT user_id FROM user_preferences WHERE theme = 'dark' ORDER BY 1")
    assert [row[0] for row in changed] == theirs(served, 1)


@pytest.mark.slow
def test_policies_that_do_not_follow_are_named_and_put_right_by_one_command(
    tenants: list[int],
) -> None:
    """Case B1: row security that was turned on after the tables were made."""
    found = run("install_prefs", "--dry-run")
    for table in ("user_preferences", "notification_preferences", "prefs_archive"):
        assert f"{table} does not follow the row security of users: " in found.out
    assert found.status == 0
    assert_refused(Gate.RIGHTS, State.DUAL_WRITE, "does not follow", "CREATE POLICY prefs_sees")
    assert run("install_prefs").status == 0
    for damage in (
        "DROP POLICY prefs_sees ON user_preferences",
        "ALTER POLICY prefs_changes ON notification_preferences USING (true)",
        "ALTER TABLE prefs_archive DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE user_preferences NO FORCE ROW LEVEL SECURITY",
    ):
        rows(damage)
        assert "does not follow" in run("check", "--database", "default").err, damage
        assert run("install_prefs").status == 0
        assert "does not follow" not in run("check", "--database", "default").err
        assert "Everything is as it should be" in run("install_prefs").out
    rows("CREATE POLICY wide ON user_preferences USING (true)")
    found = run("install_prefs")
    assert found.status == 3
    assert "the policy wide of user_preferences lets through more than users do" in found.out
    rows("DROP POLICY wide ON user_preferences")
    rows("ALTER TABLE accounts_user NO FORCE ROW LEVEL SECURITY, DISABLE ROW LEVEL SECURITY")
    assert "follows a row security that users no longer have" in run("install_prefs", "-v0").out
    assert value("SELECT count(*) FROM pg_policy WHERE polname LIKE 'prefs%'") == 0


def test_a_user_who_is_hidden_is_not_taken_for_one_who_is_gone(
    owner: str, served: list[int]
) -> None:
    """Case B1: keys that are put back delete the rows of users who are gone, and of no other."""
    copy_all()
    rows("ALTER TABLE user_preferences DROP CONSTRAINT user_preferences_user_id_fkey")
    rows("INSERT INTO user_preferences (user_id) VALUES (0)")
    rows(f"ALTER ROLE {owner} NOBYPASSRLS")
    with as_tenant(owner, tenant=7):
        assert run("install_prefs").status == 1
    # PostgreSQL would have proven the key of the rows that this role sees: of none.
    assert value("SELECT count(*) FROM user_preferences") == 11
    assert (
        "no constraint user_preferences_user_id_fkey" in run("check", "--database", "default").err
    )
    rows(f"ALTER ROLE {owner} BYPASSRLS")
    assert run("install_prefs").status == 0
    assert value("SELECT count(*) FROM user_preferences") == 10
