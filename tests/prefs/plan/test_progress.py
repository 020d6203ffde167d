"""One database on its whole way, there and back: what is met in each state, and how tasks stand."""

from __future__ import annotations

from prefs.engine.backfill import backfill
from prefs.engine.repair import Direction
from prefs.engine.states import State
from prefs.plan.model import Plan
from tests.prefs.plan.asking import criterion, plan, record_a_rehearsal, statuses, task, unmet
from tests.support.steps import (
    ALIAS,
    SOON,
    add_users,
    copy_all,
    go,
    run_once,
    stops_after,
    take,
    verify_all,
)

# Nothing serves it yet.
NEVER = {"monitored"}
CONTRACT = {"mirror_off", "contract_soak", "archived", "dropped"}
READS = {"cutover_taken", "reads_tables", "verified_after", "cutover_soak", "column_unused"}
DUAL = {"dual_write_taken", "writes_tables", "verified"}


def go_back(target: State) -> Plan:
    take(target, forward=False)
    return plan()


def test_every_criterion_is_met_when_its_time_has_come(site: str) -> None:
    add_users(*({"items_per_page": 1 + n} for n in range(4)))
    later = {"rehearsed", "resumable", *DUAL, *READS, *CONTRACT, *NEVER}
    assert unmet() == {"copied", "caught_up", *later}
    assert statuses() == ["done", "not started", "blocked", "blocked", "blocked"]
    assert [each.name for each in task("dual_write").waits_for] == ["Implement backfill job"]

    backfill(ALIAS, Direction.FORWARD, SOON, stops_after(1, 1))
    assert "resumable" in unmet()
    copy_all()
    assert "left interrupted at 1 users, went on" in criterion("resumable").figure
    later.remove("resumable")
    assert unmet() == {"caught_up", *later}
    assert statuses() == ["done", "in progress", "blocked", "blocked", "blocked"]

    take(State.DUAL_WRITE)
    later -= {"dual_write_taken", "writes_tables"}
    assert unmet() == {"caught_up", *later}
    assert statuses()[1:4] == ["in progress", "in progress", "blocked"]
    copy_all()
    assert unmet() == later
    verify_all()
    later.remove("verified")
    assert unmet() == later
    assert statuses() == ["done", "done", "done", "not started", "blocked"]

    take(State.READ_CUTOVER)
    later -= {"cutover_taken", "reads_tables", "cutover_soak", "column_unused"}
    assert unmet() == later
    assert statuses()[3] == "in progress"
    verify_all()
    later.remove("verified_after")
    assert unmet() == later
    assert statuses() == ["done", "done", "done", "done", "not started"]

    take(State.MIRROR_OFF)
    later -= {"mirror_off", "contract_soak"}
    assert unmet() == later
    take(State.DROPPED)
    record_a_rehearsal()
    there = plan()
    assert unmet(there) == NEVER
    assert statuses(there) == ["done", "done", "done", "done", "in progress"]
    assert [each.met for each in there.success] == [True] * 4
    assert (there.is_done, there.percent) == (False, 96)


def test_on_the_way_back_the_past_stays_and_the_present_does_not(site: str) -> None:
    add_users(*({"items_per_page": 1 + n} for n in range(4)))
    record_a_rehearsal()
    go(State.DROPPED)
    assert unmet() == NEVER

    back = go_back(State.MIRROR_OFF)
    assert unmet(back) == {"dropped", *NEVER}
    assert criterion("archived", back).met
    back = go_back(State.READ_CUTOVER)
    assert unmet(back) == {"dropped", "mirror_off", "way_back", *NEVER}
    assert "verified_since_mirror" in criterion("way_back", back).figure
    run_once(Direction.REVERSE)
    verify_all()
    assert criterion("way_back").met
    back = go_back(State.DUAL_WRITE)
    assert unmet(back) == {"dropped", "mirror_off", "reads_tables", *NEVER}
    assert statuses(back) == ["done", "done", "done", "in progress", "in progress"]
    assert "it was left again" in criterion("reads_tables", back).figure
    back = go_back(State.EXPANDED)
    now = {"dropped", "mirror_off", "reads_tables", "writes_tables", "caught_up"}
    assert unmet(back) == now | NEVER
    assert statuses(back) == ["done", *["in progress"] * 4]
    past = ("copied", "dual_write_taken", "verified", "cutover_taken", "cutover_soak", "archived")
    assert all(criterion(key, back).met for key in past)
    said = [each.what for each in task("reads", back).decisions]
    assert said == [
        "rolled back from `mirror_off` to `read_cutover`",
        "rolled back from `read_cutover` to `dual_write`",
    ]
    assert [each.state for each in back.timeline] == [
        *map(str, State),
        "mirror_off",
        "read_cutover",
        "dual_write",
        "expanded",
    ]
    assert [each.at for each in back.log] == sorted(each.at for each in back.log)


def test_a_site_without_users_has_nothing_to_move(site: str) -> None:
    take(State.DROPPED)
    record_a_rehearsal()
    made = plan()
    assert unmet(made) == NEVER
    assert criterion("copied", made).figure == "there was no user to move"
    assert [each.met for each in made.success] == [True] * 4
