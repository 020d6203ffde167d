"""The gates before the blob stops being written and before it goes: sessions, dependents."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import connection

from prefs.engine.audit import acting_as
from prefs.engine.batches import Control
from prefs.engine.gates import NoSuchOverride
from prefs.engine.states import Gate, State
from prefs.engine.transitions import take_transition
from tests.support import scratch
from tests.support.refusals import assert_refused, finding, undone
from tests.support.steps import (
    ALIAS,
    SOON,
    TESTER,
    add_users,
    go,
    rows,
    state,
    take,
    until,
    value,
    verify_all,
)

DEPENDENTS = {
    "a view": ("CREATE VIEW v AS SELECT preferences FROM accounts_user", "view v"),
    "a materialized view": (
        "CREATE MATERIALIZED VIEW m AS SELECT preferences -> 'theme' FROM accounts_user",
        "materialized view m",
    ),
    "a generated column": (
        "ALTER TABLE accounts_user ADD COLUMN theme text"
        " GENERATED ALWAYS AS (preferences ->> 'theme') STORED",
        "column theme of table accounts_user",
    ),
    "a check": (
        "ALTER TABLE accounts_user ADD CONSTRAINT is_object"
        " CHECK (jsonb_typeof(preferences) = 'object')",
        "constraint is_object on table accounts_user",
    ),
    "a unique constraint": (
        "ALTER TABLE accounts_user ADD CONSTRAINT one_each UNIQUE (preferences)",
        "constraint one_each on table accounts_user",
    ),
    "a unique index": (
        "CREATE UNIQUE INDEX one_each ON accounts_user ((preferences -> 'theme'))",
        "index one_each",
    ),
    "a trigger of the column": (
        "CREATE TRIGGER t BEFORE UPDATE OF preferences ON accounts_user"
        " FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "trigger t on table accounts_user",
    ),
    "statistics": (
        "CREATE STATISTICS s ON preferences, username FROM accounts_user",
        "statistics object s",
    ),
    "a rule": (
        "CREATE RULE r AS ON UPDATE TO accounts_user WHERE NEW.preferences IS NULL DO ALSO NOTHING",
        "rule r on table accounts_user",
    ),
    "a function whose body is SQL": (
        "CREATE FUNCTION f() RETURNS jsonb LANGUAGE sql"
        " BEGIN ATOMIC SELECT preferences FROM accounts_user; END",
        "function f()",
    ),
    "a policy": (
        "CREATE POLICY p ON accounts_user USING (preferences IS NOT NULL)",
        "policy p on table accounts_user",
    ),
    "a publication of the column": (
        "CREATE PUBLICATION pub FOR TABLE accounts_user (id, preferences)",
        "publication of table accounts_user in publication pub",
    ),
}
SESSION_GATES = [
    (State.READ_CUTOVER, State.MIRROR_OFF, Gate.NO_PREVIOUS_RELEASE),
    (State.MIRROR_OFF, State.DROPPED, Gate.NO_UNKNOWN_SESSION),
]


@pytest.mark.parametrize(("reached", "target", "gate"), SESSION_GATES)
@pytest.mark.parametrize("name", ["", "gunicorn", "prefsomething", "Prefs"])
def test_a_session_that_is_not_of_this_release_is_refused(
    site: str, reached: State, target: State, gate: Gate, name: str
) -> None:
    go(reached)
    if reached is State.READ_CUTOVER:
        verify_all()
    with scratch.connect(site, name) as session:
        pid = session.info.backend_pid
        assert_refused(gate, target, f"pid {pid} ({name or 'unnamed'}, user ", ", on default)")
        known = replace(SOON, known_applications=("other", name))
        assert finding(gate, target, known).met
    until(lambda: finding(gate, target).met)
    take(target)
    assert state() is target


def test_an_ordinary_role_sees_strangers_too(site: str) -> None:
    go(State.READ_CUTOVER)
    with scratch.connect(site, "gunicorn") as session:
        rows("CREATE ROLE ordinary_of_the_gates NOLOGIN")
        rows("GRANT SELECT ON ALL TABLES IN SCHEMA public TO ordinary_of_the_gates")
        try:
            rows("SET ROLE ordinary_of_the_gates")
            found = finding(Gate.NO_PREVIOUS_RELEASE, State.MIRROR_OFF)
        finally:
            rows("RESET ROLE")
            rows("DROP OWNED BY ordinary_of_the_gates")
            rows("DROP ROLE ordinary_of_the_gates")
        assert not found.met
        assert f"pid {session.info.backend_pid} (gunicorn" in found.found


@pytest.mark.parametrize("name", ["prefs", "prefs worker 1"])
def test_a_session_of_this_release_is_no_stranger(site: str, name: str) -> None:
    go(State.READ_CUTOVER)
    with scratch.connect(site, name):
        found = finding(Gate.NO_PREVIOUS_RELEASE, State.MIRROR_OFF)
    assert (found.met, found.figures) == (True, {"sessions": 0})


def test_a_session_of_another_database_is_nobody_s_business(site: str) -> None:
    go(State.READ_CUTOVER)
    with scratch.connect("postgres", "stranger"):
        assert finding(Gate.NO_PREVIOUS_RELEASE, State.MIRROR_OFF).met


def test_the_replicas_are_looked_at_before_the_column_goes(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(State.MIRROR_OFF)
    with scratch.database() as replica, scratch.aliased(replica) as alias:
        settings = replace(SOON, replicas=(alias,))
        assert finding(Gate.NO_UNKNOWN_SESSION, State.DROPPED, settings).met
        with scratch.connect(replica, "stranger"):
            assert_refused(
                Gate.NO_UNKNOWN_SESSION,
                State.DROPPED,
                f"stranger, user {connection.settings_dict['USER']}",
                f"on {alias}",
                settings=settings,
            )


@pytest.mark.parametrize("reached", [State.READ_CUTOVER, State.MIRROR_OFF])
def test_whatever_depends_on_the_column_is_named(site: str, reached: State) -> None:
    """Case B8: before the column stands still, and before it goes."""
    go(reached)
    further = State.MIRROR_OFF if reached is State.READ_CUTOVER else State.DROPPED
    for statement, named in DEPENDENTS.values():
        with undone():
            rows(statement)
            found = finding(Gate.NOTHING_DEPENDS, further)
        assert not found.met
        assert named in found.found
    assert finding(Gate.NOTHING_DEPENDS, further).met


def test_a_view_is_let_pass_before_the_column_stands_still_if_somebody_answers_for_it(
    site: str,
) -> None:
    """Case B8."""
    go(State.READ_CUTOVER)
    verify_all()
    rows(DEPENDENTS["a view"][0])
    assert_refused(Gate.NOTHING_DEPENDS, State.MIRROR_OFF, "view v")
    answered_for = replace(TESTER, overrides=frozenset({Gate.NOTHING_DEPENDS}))

    def advance(target: State) -> None:
        with acting_as(answered_for):
            take_transition(ALIAS, target, SOON, Control(), forward=True)

    advance(State.MIRROR_OFF)
    assert state() is State.MIRROR_OFF
    with pytest.raises(NoSuchOverride, match="nothing_depends from mirror_off to dropped"):
        advance(State.DROPPED)


def test_what_something_depends_on_is_not_dropped(site: str) -> None:
    add_users({"theme": "dark"})
    go(State.MIRROR_OFF)
    rows(DEPENDENTS["a view"][0])
    assert_refused(Gate.NOTHING_DEPENDS, State.DROPPED, "view v")
    assert value("SELECT preferences ->> 'theme' FROM v") == "dark"


def test_its_default_and_its_indexes_are_no_dependents(site: str) -> None:
    rows("CREATE INDEX ON accounts_user ((preferences ->> 'theme')) WHERE is_active")
    rows("UPDATE accounts_user SET preferences = '{}'")
    rows("ALTER TABLE accounts_user ALTER COLUMN preferences SET NOT NULL")
    go(State.MIRROR_OFF)
    found = finding(Gate.NOTHING_DEPENDS, State.DROPPED)
    assert (found.met, found.found) == (True, "nothing but its default and indexes")


def test_the_column_must_exist_for_the_mirror_to_be_switched_on_again(site: str) -> None:
    go(State.MIRROR_OFF)
    assert finding(Gate.COLUMN_EXISTS, State.READ_CUTOVER).met
    take(State.READ_CUTOVER, forward=False)
    assert state() is State.READ_CUTOVER


def test_a_site_with_one_user_is_not_contracted_at_once(site: str) -> None:
    add_users(None)
    assert_refused(Gate.NO_USERS, State.DROPPED, "there are users")
    rows("DELETE FROM accounts_user")
    assert finding(Gate.NO_USERS, State.DROPPED).met
