"""A gate that an operator answers for: let pass by name, with a reason, on record."""

from __future__ import annotations

from datetime import timedelta

import pytest
from pytest_django import Settings as DjangoSettings

from prefs.engine.states import SOUND, Gate, State
from prefs.models import AuditEntry, Transition
from tests.support.refusals import records
from tests.support.running import run
from tests.support.steps import add_users, copy_all, go, rows, state, verify_all

WHY = ("--reason", "the pager is quiet")


@pytest.fixture
def unmet(site: str) -> str:
    """A site in dual_write that nobody has verified, with a user who was never copied."""
    add_users({"theme": "dark"})
    go(State.DUAL_WRITE)
    return site


def test_it_passes_an_unmet_gate_and_is_on_record(unmet: str) -> None:
    outcome = run("advance_prefs", "--override", "verified", *WHY, "--json")
    assert (outcome.status, outcome.json["state"]) == (0, "read_cutover")
    taken = Transition.objects.latest("id")
    gates = {gate["gate"]: gate for gate in taken.gates}
    verified, triggers = gates["verified"], gates["triggers_intact"]
    assert (verified["met"], verified["overridden"]) == (False, True)
    assert (triggers["met"], triggers["overridden"]) == (True, False)
    assert taken.reason == WHY[1]
    [entry] = AuditEntry.objects.filter(event="override")
    assert (entry.subject, entry.reason) == ("dual_write to read_cutover: verified", WHY[1])
    assert entry.figures == {"found": "no verification of all users is on record"}


def test_a_gate_that_is_met_is_not_marked(unmet: str) -> None:
    copy_all()
    verify_all()
    outcome = run("advance_prefs", "--override", "verified", *WHY, "--json")
    assert outcome.status == 0
    assert not any(gate["overridden"] for gate in outcome.json["gates"])
    assert not AuditEntry.objects.filter(event="override").exists()


def test_only_what_it_names_passes(unmet: str) -> None:
    rows("ALTER TABLE accounts_user DISABLE TRIGGER prefs_capture_insert")
    before = records()
    outcome = run("advance_prefs", "--override", "verified", *WHY)
    assert outcome.status == 4
    assert "triggers_intact: " in outcome.err
    assert "  verified: " not in outcome.err
    assert records() == before
    both = ("--override", "verified", "--override", "triggers_intact")
    assert run("advance_prefs", *both, *WHY).status == 0
    assert AuditEntry.objects.filter(event="override").count() == 2


@pytest.mark.parametrize("reason", [(), ("--reason", "")])
def test_it_needs_a_reason(unmet: str, reason: tuple[str, ...]) -> None:
    before = records()
    outcome = run("advance_prefs", "--override", "verified", *reason)
    assert outcome.status == 2
    assert "--override needs --reason TEXT: it goes on record." in outcome.err
    assert records() == before


@pytest.mark.parametrize("name", ["nonsense", "contract_soak", "column_exists"])
@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_gate_that_the_transition_has_not_is_a_mistake(
    unmet: str, name: str, dry: tuple[str, ...]
) -> None:
    before = records()
    outcome = run("advance_prefs", "--override", name, *WHY, *dry)
    assert outcome.status == 2
    assert f"Cannot override {name} from dual_write to read_cutover; expected" in outcome.err
    assert "verified or site_triggers." in outcome.err
    assert records() == before


@pytest.mark.parametrize(
    ("here", "target", "name", "allowed"),
    [
        (State.EXPANDED, "dropped", "no_users", ()),
        (State.EXPANDED, "dropped", "nothing_depends", ()),
        (
            State.MIRROR_OFF,
            "dropped",
            "nothing_depends",
            (Gate.CONTRACT_SOAK, Gate.NO_UNKNOWN_SESSION, Gate.ARCHIVE_FITS),
        ),
    ],
)
def test_what_the_transition_itself_needs_is_never_overridden(
    site: str, here: State, target: str, name: str, allowed: tuple[Gate, ...]
) -> None:
    add_users({"theme": "dark"})
    go(here)
    before = records()
    outcome = run("advance_prefs", "--to", target, "--override", name, *WHY, "--noinput")
    assert outcome.status == 2
    judged = [gate for gate in (*SOUND, *allowed) if gate is not Gate.SEES_EVERYBODY]
    assert f"expected {' or '.join(judged)}." in outcome.err
    assert records() == before


def test_the_way_back_has_none(unmet: str) -> None:
    outcome = run("rollback_prefs", "--override", "verified", *WHY)
    assert outcome.status == 2
    assert state() is State.DUAL_WRITE


def test_a_dry_run_shows_it_and_takes_nothing(unmet: str) -> None:
    before = records(), AuditEntry.objects.count()
    shown = run("advance_prefs", "--override", "verified", *WHY, "--dry-run")
    assert shown.status == 0
    assert "  OVERRIDDEN verified: no verification of all users is on record." in shown.out
    assert run("advance_prefs", "--dry-run").status == 4
    assert (records(), AuditEntry.objects.count()) == before


def test_a_soak_is_cut_short_under_its_own_name(site: str, settings: DjangoSettings) -> None:
    settings.PREFS_CUTOVER_SOAK = timedelta(days=1)
    add_users({"theme": "dark"})
    go(State.READ_CUTOVER)
    verify_all()
    assert run("advance_prefs").status == 4
    assert run("advance_prefs", "--override", "cutover_soak", *WHY).status == 0
    assert state() is State.MIRROR_OFF
