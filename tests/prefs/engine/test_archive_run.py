"""Before the column goes every blob is archived as it is, whatever comes in between."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from django.db import connection

from prefs.ddl import LockNotObtained
from prefs.engine import archive as archive_
from prefs.engine import archiving, ranges
from prefs.engine.archive import Archive, NoArchive, check, recorded
from prefs.engine.archiving import ArchiveInterrupted, ArchiveStale
from prefs.engine.batches import Control, Progress
from prefs.engine.flips import StateMoved
from prefs.engine.gates import GateRefused
from prefs.engine.leases import LeaseLost
from prefs.engine.states import State
from prefs.models import AuditEntry, Range, Run, Transition, UserPreferences
from prefs.sql import archive
from prefs.sql.asking import execute
from tests.support import scratch
from tests.support.columns import VARIED
from tests.support.steps import (
    ALIAS,
    SOON,
    FakeClock,
    add_users,
    document_texts,
    go,
    in_thread,
    many_users,
    patient,
    rows,
    state,
    stops_after,
    take,
    until,
    value,
    verify_all,
)


def runs() -> list[tuple[str, int]]:
    """Every archive run: how it stands, and how many it archived."""
    archives = Run.objects.filter(kind=Run.Kind.ARCHIVE).order_by("id")
    return list(archives.values_list("status", "copied"))


def archived() -> list[str | None]:
    return [text for (text,) in rows("SELECT document::text FROM prefs_archive ORDER BY user_id")]


def is_right() -> bool:
    found = check(ALIAS, Control())
    return found.right and found.complete


def stopping_after(looks: int) -> Control:
    numbers = count()
    return Control(batch_size=1, stopped=lambda: next(numbers) >= looks)


def once(phase: Run.Phase, work: Callable[[], object]) -> Control:
    """A control by which `work` is done after the first batch of a phase."""
    waiting = [work]

    def progress(done: Progress) -> None:
        if done.phase == phase and waiting:
            waiting.pop()()

    return Control(progress=progress)


def test_every_blob_is_archived_byte_for_byte_and_the_drop_vouches_for_it(site: str) -> None:
    add_users(*VARIED)
    go(State.MIRROR_OFF)
    rows("CREATE TABLE kept AS SELECT id, preferences AS doc FROM accounts_user")
    taken = take(State.DROPPED, SOON, Control(batch_size=4))
    assert taken is not None
    wrong = "SELECT FROM kept k FULL JOIN prefs_archive a ON a.user_id = k.id"
    wrong += " WHERE NOT record_image_eq(ROW(k.id, k.doc), ROW(a.user_id::bigint, a.document))"
    assert rows(wrong) == []
    checksum = value("SELECT sum(coalesce(hashtextextended(doc::text, 0), 0))::text FROM kept")
    size = value("SELECT pg_total_relation_size('prefs_archive')")
    figures = taken.figures["archive"]
    assert figures["made_at"] < taken.taken_at.isoformat()
    [run] = Run.objects.filter(kind=Run.Kind.ARCHIVE)
    expected = {"run": run.pk, "users": len(VARIED), "checksum": checksum, "bytes": size}
    assert figures == {**expected, "made_at": figures["made_at"]}
    assert (run.status, run.copied, Range.objects.count()) == ("done", len(VARIED), 0)
    assert AuditEntry.objects.get(event="archive").figures == figures
    assert is_right()


@pytest.mark.slow
def test_a_document_whose_text_cannot_be_built_has_a_digest_all_the_same(site: str) -> None:
    numbers = (
        "SELECT jsonb_agg(('1e' || 131071 - n %% 2)::numeric) AS d FROM generate_series(1, %s) n"
    )
    statement = f"SELECT {archive.digest('d')} FROM ({numbers}) one"
    digests = [value(statement, count) for count in (9_000, 9_000, 9_002)]
    assert digests[0] == digests[1] != digests[2]


def test_an_interrupted_archive_drops_nothing_and_resumes_where_it_was(site: str) -> None:
    add_users(*VARIED)
    go(State.MIRROR_OFF)
    with pytest.raises(ArchiveInterrupted, match=r"interrupted after 3 users; nothing was dropped"):
        take(State.DROPPED, SOON, stops_after(3))
    assert (state(), runs()) == (State.MIRROR_OFF, [("interrupted", 3)])
    kept = rows("SELECT xmin::text FROM prefs_archive ORDER BY user_id")
    take(State.DROPPED)
    assert (state(), runs()) == (State.DROPPED, [("done", len(VARIED))])
    assert rows("SELECT xmin::text FROM prefs_archive ORDER BY user_id")[:3] == kept
    assert is_right()


@pytest.mark.slow
def test_it_can_be_stopped_before_any_batch_and_still_ends_right(site: str) -> None:
    add_users(*VARIED)
    go(State.MIRROR_OFF)
    for looks in range(2 * len(VARIED) + 3):
        with pytest.raises(ArchiveInterrupted):
            take(State.DROPPED, SOON, stopping_after(min(looks, len(VARIED) - 1)))
        assert state() is State.MIRROR_OFF
    take(State.DROPPED)
    assert runs() == [("done", len(VARIED))]
    assert is_right()


def test_a_drop_that_gets_no_lock_leaves_an_archive_that_the_next_try_completes(site: str) -> None:
    add_users({"theme": "dark"}, {"theme": "light"})
    go(State.MIRROR_OFF)
    with scratch.connect(site) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM accounts_user")
        with pytest.raises(LockNotObtained):
            take(State.DROPPED, patient(0.2))
    assert (state(), runs()) == (State.MIRROR_OFF, [("failed", 2)])
    with pytest.raises(NoArchive, match="is failed, and no drop has followed it"):
        recorded(ALIAS)
    [late] = add_users({"n": 1.0})
    rows("UPDATE accounts_user SET id = -1 WHERE id = %s", late)
    take(State.DROPPED)
    assert runs() == [("done", 3)]
    assert archived() == ['{"n": 1.0}', '{"theme": "dark"}', '{"theme": "light"}']
    assert is_right()


@pytest.mark.slow
def test_after_a_rollback_in_between_it_begins_anew(site: str) -> None:
    user, _ = add_users({"theme": "dark"}, {"theme": "light"})
    go(State.MIRROR_OFF)
    with pytest.raises(ArchiveInterrupted):
        take(State.DROPPED, SOON, stops_after(1))
    go(State.READ_CUTOVER)
    UserPreferences.objects.merge(user, {"compact_mode": True})
    go(State.MIRROR_OFF)
    take(State.DROPPED)
    assert runs() == [("abandoned", 1), ("done", 2)]
    assert archived() == ['{"theme": "dark", "compact_mode": true}', '{"theme": "light"}']
    assert is_right()


def there_and_back() -> None:
    go(State.READ_CUTOVER)
    go(State.MIRROR_OFF)


BEHIND_THE_COPY = {"a flip": there_and_back, "a repair": lambda: verify_all(repair=True)}


@pytest.mark.parametrize("phase", [Run.Phase.ARCHIVE, Run.Phase.CATCH_UP])
@pytest.mark.parametrize("what", BEHIND_THE_COPY)
def test_nothing_is_dropped_where_blobs_were_written_behind_the_copy(
    site: str, what: str, phase: Run.Phase
) -> None:
    [user] = add_users({"theme": "dark"})
    go(State.MIRROR_OFF)
    UserPreferences.objects.replace(user, {"theme": "light"})
    with pytest.raises(ArchiveStale, match="it archives anew"):
        take(State.DROPPED, SOON, once(phase, BEHIND_THE_COPY[what]))
    assert state() is State.MIRROR_OFF
    assert archived() == ['{"theme": "dark"}']
    take(State.DROPPED)
    assert runs() == [("abandoned", 1), ("done", 1)]
    assert archived() == ['{"theme": "light"}']


def test_a_process_that_lost_its_lease_drops_nothing(site: str) -> None:
    add_users({"theme": "dark"})
    go(State.MIRROR_OFF)

    def taken_over() -> None:
        Range.objects.all().delete()
        Run.objects.filter(kind=Run.Kind.ARCHIVE).update(status=Run.Status.ABANDONED)

    with pytest.raises(LeaseLost):
        take(State.DROPPED, SOON, once(Run.Phase.CATCH_UP, taken_over))
    assert state() is State.MIRROR_OFF
    assert not AuditEntry.objects.filter(event="archive").exists()


def test_a_process_that_lost_its_lease_empties_no_archive(site: str) -> None:
    add_users({"theme": "dark"})
    go(State.MIRROR_OFF)
    with scratch.connect(site) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT FROM prefs_archive")

        class TakenOver(FakeClock):
            """While it waits to empty the archive, another process begins anew and copies."""

            def sleep(self, seconds: float) -> None:
                super().sleep(seconds)
                Run.objects.filter(kind=Run.Kind.ARCHIVE).update(status=Run.Status.ABANDONED)
                rows("INSERT INTO prefs_archive SELECT id, preferences, 0 FROM accounts_user")
                reader.execute("COMMIT")

        with pytest.raises(LeaseLost):
            take(State.DROPPED, SOON, Control(clock=TakenOver()))
    assert archived() == ['{"theme": "dark"}']
    assert state() is State.MIRROR_OFF


def test_what_another_process_has_copied_by_then_is_not_emptied(site: str) -> None:
    add_users({"theme": "dark"}, {"theme": "light"})
    go(State.MIRROR_OFF)
    with scratch.connect(site) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT FROM prefs_archive")

        class Overtaken(FakeClock):
            """While it waits to empty the archive, another process has, and copies one user."""

            def sleep(self, seconds: float) -> None:
                super().sleep(seconds)
                run = Run.objects.get(kind=Run.Kind.ARCHIVE)
                if run.phase == Run.Phase.EMPTY:
                    ranges.enter_phase(run, Run.Phase.ARCHIVE, ALIAS)
                    upto = value("SELECT min(id) FROM accounts_user")
                    execute(connection, archive.add_missing(), {"after": None, "upto": upto})
                    kept.extend(rows("SELECT user_id, xmin::text FROM prefs_archive"))
                    reader.execute("COMMIT")

        kept: list[tuple[Any, ...]] = []
        take(State.DROPPED, SOON, Control(clock=Overtaken()))
    assert len(kept) == 1
    assert rows("SELECT user_id, xmin::text FROM prefs_archive ORDER BY user_id")[:1] == kept
    assert (state(), archived()) == (State.DROPPED, ['{"theme": "dark"}', '{"theme": "light"}'])
    assert is_right()


@pytest.mark.slow
def test_two_processes_share_an_archive_and_one_of_them_drops(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranges, "USERS", 3)
    add_users(*VARIED)
    go(State.MIRROR_OFF)
    others: list[Future[Any]] = []

    def start_another() -> None:
        others.append(in_thread(lambda: take(State.DROPPED, SOON, Control(batch_size=1))))
        until(lambda: Range.objects.count() == 2)

    control = replace(once(Run.Phase.ARCHIVE, start_another), batch_size=1)
    errors = [caught(lambda: take(State.DROPPED, SOON, control)), others[0].exception(20)]
    assert all(error is None or isinstance(error, StateMoved) for error in errors)
    assert (state(), runs()) == (State.DROPPED, [("done", len(VARIED))])
    assert AuditEntry.objects.filter(event="archive").count() == 1
    assert is_right()


def test_who_comes_after_the_drop_does_not_empty_the_archive_that_it_made(
    site: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_users({"theme": "dark"})
    go(State.MIRROR_OFF)
    ours = archiving._join

    def join_late(alias: str) -> Run:
        monkeypatch.setattr(archiving, "_join", ours)
        in_thread(lambda: take(State.DROPPED)).result(20)
        return ours(alias)

    monkeypatch.setattr(archiving, "_join", join_late)
    with pytest.raises(StateMoved):
        take(State.DROPPED)
    assert (state(), archived()) == (State.DROPPED, ['{"theme": "dark"}'])
    assert is_right()


def caught(work: Callable[[], object]) -> Exception | None:
    try:
        work()
    except StateMoved as error:
        return error
    return None


@pytest.mark.parametrize("moved", ["begun again", "ended"])
def test_what_was_measured_is_dropped_only_while_nobody_adds_to_it(
    site: str, monkeypatch: pytest.MonkeyPatch, moved: str
) -> None:
    add_users({"theme": "dark"})
    go(State.MIRROR_OFF)
    ours = archive_.measure

    def measure(alias: str, run: Run) -> Archive:
        made = ours(alias, run)
        if moved == "begun again":
            ranges.enter_phase(run, Run.Phase.CATCH_UP, alias)
        else:
            Run.objects.filter(pk=run.pk).update(status=Run.Status.ABANDONED)
        return made

    monkeypatch.setattr(archiving, "measure", measure)
    with pytest.raises(LeaseLost):
        take(State.DROPPED)
    assert state() is State.MIRROR_OFF
    assert not AuditEntry.objects.filter(event="archive").exists()


def test_users_who_come_and_go_meanwhile_leave_the_sums_right(site: str) -> None:
    gone, *_ = add_users({"theme": "dark"}, {"theme": "light"}, {"n": 1})
    go(State.MIRROR_OFF)

    def meanwhile() -> None:
        add_users({"n": 2}, {"n": 3})
        rows("DELETE FROM accounts_user WHERE id = %s", gone)

    control = replace(once(Run.Phase.ARCHIVE, meanwhile), batch_size=2)
    take(State.DROPPED, SOON, control)
    assert archived() == ['{"theme": "light"}', '{"n": 1}', '{"n": 2}', '{"n": 3}']
    found = check(ALIAS, Control())
    assert (found.right, found.archived, found.departed, found.made.users) == (True, 4, 1, 5)


def test_the_archive_of_a_second_drop_takes_the_place_of_the_first(site: str) -> None:
    users = many_users(5)
    go(State.DROPPED)
    rows("DELETE FROM accounts_user WHERE id = %s", users[0])
    UserPreferences.objects.replace(users[1], {"new": True})
    documents = document_texts()
    go(State.MIRROR_OFF)
    assert is_right()
    take(State.DROPPED)
    assert archived() == documents
    found = check(ALIAS, Control())
    assert (found.right, found.archived, found.departed) == (True, 4, 0)
    assert runs() == [("done", 5), ("done", 4)]


def test_a_gate_that_is_unmet_lets_no_archive_be_begun(site: str) -> None:
    add_users({"theme": "dark"})
    go(State.MIRROR_OFF)
    with pytest.raises(GateRefused, match="contract_soak"):
        take(State.DROPPED, replace(SOON, contract_soak=timedelta(hours=1)))
    assert runs() == []


def test_a_site_without_users_is_contracted_without_an_archive(site: str) -> None:
    taken = take(State.DROPPED)
    assert taken is not None
    assert "archive" not in taken.figures
    with pytest.raises(NoArchive, match="no drop is on record that made one"):
        recorded(ALIAS)


def test_a_run_that_is_emptied_says_so_and_the_drop_stays_on_record(site: str) -> None:
    add_users({"theme": "dark"})
    go(State.DROPPED)
    first: Any = Transition.objects.get(to_state="dropped").figures["archive"]["run"]
    go(State.MIRROR_OFF)
    with pytest.raises(ArchiveInterrupted):
        take(State.DROPPED, SOON, stopping_after(0))
    assert is_right()
    with pytest.raises(ArchiveInterrupted):
        take(State.DROPPED, SOON, stops_after(1))
    with pytest.raises(NoArchive, match=f"is interrupted, .* it emptied that of run {first}"):
        recorded(ALIAS)
