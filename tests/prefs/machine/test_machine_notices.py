"""The code broken on purpose: the machine notices, within fewer runs than it has."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from hypothesis import Phase, Verbosity, settings

from prefs import instances
from prefs.difference import replacement
from prefs.engine import backfill, conditions, transitions, verification
from prefs.engine.findings import Finding, Inquiry
from prefs.engine.states import Gate, State
from prefs.routing import Route
from prefs.sql import writes
from prefs.sql.changes import change
from prefs.sql.trigger_functions import CAPTURE
from prefs.sql.writes import write
from tests.prefs.machine.machine import THOROUGH, run
from tests.support.steps import rows

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("no_soak")]
Patch = pytest.MonkeyPatch
QUICK = settings(
    THOROUGH,
    derandomize=True,
    database=None,
    phases=(Phase.generate,),
    verbosity=Verbosity.quiet,
    print_blob=False,
)


def _unmirrored(route: Route) -> Route:
    return Route.TABLES if route is Route.TABLES_MIRRORED else route


def no_capture(patch: Patch) -> None:
    """The trigger is disabled, and the gate does not see it."""
    patch.setattr(conditions.installation, "wrong_triggers", lambda *_, **__: [])
    rows("ALTER TABLE accounts_user DISABLE TRIGGER prefs_capture_update")


def capture_that_compares_by_jsonb_equality(patch: Patch) -> None:
    patch.setattr(conditions.installation, "wrong_triggers", lambda *_, **__: [])
    rows("DROP TRIGGER prefs_capture_update ON accounts_user")
    rows(
        "CREATE TRIGGER prefs_capture_update AFTER UPDATE ON accounts_user FOR EACH ROW"
        " WHEN (old.preferences IS DISTINCT FROM new.preferences)"
        f" EXECUTE FUNCTION {CAPTURE}()"
    )


def manager_that_writes_one_store(patch: Patch) -> None:
    patch.setattr(writes, "write", lambda route, kind: write(_unmirrored(route), kind))
    patch.setattr("prefs.managers.change", lambda route: change(_unmirrored(route)))


def catch_up_that_inserts_only(patch: Patch) -> None:
    patch.setattr(backfill, "make_equal", lambda *_: (0, 0))


def restore_that_is_not_filled(patch: Patch) -> None:
    patch.setattr(transitions, "make_equal", lambda *_: (0, 0))


def verification_that_finds_nothing(patch: Patch) -> None:
    patch.setattr(verification, "differing", lambda *_: [])


def cutover_without_evidence(patch: Patch) -> None:
    def met(inquiry: Inquiry) -> Finding:
        return Finding(gate=Gate.VERIFIED, met=True, found="")

    patch.setitem(conditions.CONDITIONS, Gate.VERIFIED, met)


def save_that_replaces_the_document(patch: Patch) -> None:
    patch.setattr(instances, "difference", lambda _, after: replacement(after))


def instance_that_forgets_a_rollback(patch: Patch) -> None:
    patch.setattr("prefs.instances._Transaction.is_open", lambda *_: True)


def update_that_keeps_the_document(patch: Patch) -> None:
    patch.setattr(instances, "apply", lambda *_: None)


def correction_of_a_copy(patch: Patch) -> None:
    """It trusts the list, and does not look under the lock."""
    every = "SELECT unnest(%(ids)s::bigint[])"
    patch.setattr("prefs.engine.corrections.sql.still_holders", lambda _: every)


BROKEN: dict[Callable[[Patch], None], tuple[State, str]] = {
    no_capture: (State.DUAL_WRITE, "the rows are|lacks typed rows"),
    capture_that_compares_by_jsonb_equality: (State.DUAL_WRITE, "the rows are"),
    manager_that_writes_one_store: (State.READ_CUTOVER, "the blob is"),
    catch_up_that_inserts_only: (State.MIRROR_OFF, "the blob is|verification found"),
    restore_that_is_not_filled: (
        State.DROPPED,
        r"the blob is \{\}|verification found|lacks typed rows",
    ),
    verification_that_finds_nothing: (State.EXPANDED, "verification found"),
    cutover_without_evidence: (State.DUAL_WRITE, "DID NOT RAISE"),
    save_that_replaces_the_document: (State.EXPANDED, "the blob is"),
    instance_that_forgets_a_rollback: (State.MIRROR_OFF, "the rows are"),
    update_that_keeps_the_document: (State.DROPPED, "the rows are|lacks typed rows"),
    correction_of_a_copy: (State.EXPANDED, "the blob is|corrected and skipped are"),
}


@pytest.mark.parametrize("broken", BROKEN, ids=lambda broken: broken.__name__)
def test_the_machine_notices(
    site: str, monkeypatch: Patch, broken: Callable[[Patch], None]
) -> None:
    start, said = BROKEN[broken]
    with pytest.raises((AssertionError, pytest.fail.Exception)) as noticed:
        run(site, start, QUICK, broken=lambda: broken(monkeypatch))
    assert re.search(said, str(noticed.value))
