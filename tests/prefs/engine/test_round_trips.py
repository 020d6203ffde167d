"""What a look at everything costs: how many statements, on a site whose round trips take time."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.db import connection, transaction

from prefs.engine.findings import Inquiry
from prefs.engine.gates import evaluate
from prefs.engine.integrity import problems
from prefs.engine.look import look
from prefs.engine.next_step import next_step
from prefs.engine.sight import hidden_from, seeing_everybody
from prefs.engine.states import SOUND, State, edge
from prefs.engine.status import status
from tests.prefs.fields.people import statements
from tests.support.steps import ALIAS, SOON, add_users, rows, value

FORWARD = edge(State.EXPANDED, State.DUAL_WRITE, forward=True)


def asked() -> Inquiry:
    """Somebody who asks now."""
    return Inquiry(alias=ALIAS, settings=SOON)


SENT: dict[str, tuple[Callable[[], object], int]] = {
    "the gates of a step forward": (lambda: evaluate(FORWARD, asked()), 15),
    "a look": (lambda: look(ALIAS), 7),
    "everything that is wrong": (lambda: problems(ALIAS), 18),
    "whether somebody is hidden": (lambda: hidden_from(ALIAS), 1),
    "a status": (lambda: next_step(status(ALIAS, SOON)), 55),
}


@pytest.mark.parametrize("what", SENT)
def test_it_takes_as_many_statements_as_it_did(site: str, what: str) -> None:
    add_users({"theme": "dark"})
    work, count = SENT[what]
    work()
    sent = statements(work)
    assert len(sent) == count, "\n".join(sent)


def test_two_transitions_asked_at_one_moment_ask_the_same_gate_once(site: str) -> None:
    both = asked()
    evaluate(FORWARD, both)
    contract = edge(State.EXPANDED, State.DROPPED, forward=True)
    assert set(SOUND) <= set(contract.gates)
    again = statements(lambda: evaluate(contract, both))
    assert len(again) == 1 + 3, "\n".join(again)
    assert [f.gate for f in evaluate(contract, both)] == list(contract.gates)


def test_a_gate_that_is_asked_again_later_sees_what_was_done_meanwhile(site: str) -> None:
    assert all(finding.met for finding in evaluate(FORWARD, asked()))
    rows("ALTER TABLE accounts_user DISABLE TRIGGER prefs_capture_update")
    assert [f.gate for f in evaluate(FORWARD, asked()) if not f.met] == ["triggers_intact"]


@pytest.mark.parametrize("inside", [False, True])
def test_a_look_leaves_the_settings_of_the_session_as_they_were(site: str, inside: bool) -> None:
    """By itself, and in a transaction that goes on: what was written there stays."""
    rows("SET search_path = public, pg_catalog")
    rows("SET quote_all_identifiers = on")
    rows("SET row_security = on")
    names = ("search_path", "quote_all_identifiers", "row_security")

    def settings() -> list[str]:
        return [value("SELECT current_setting(%s)", name) for name in names]

    before = settings()
    try:
        if inside:
            with transaction.atomic():
                rows("SET LOCAL search_path = public")
                add_users({"theme": "dark"})
                here = settings()
                look(ALIAS)
                with seeing_everybody(ALIAS):
                    assert settings() == [*here[:2], "off"]
                assert settings() == here
            assert value("SELECT count(*) FROM accounts_user") == 1
        else:
            look(ALIAS)
            with seeing_everybody(ALIAS):
                assert settings() == [*before[:2], "off"]
        assert settings() == before
    finally:
        connection.close()
