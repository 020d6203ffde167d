"""quarantine_prefs counts, lists and corrects on request, and can be stopped anywhere."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db.models import QuerySet

from prefs.engine.states import State
from prefs.models import AcceptedQuarantine, AuditEntry, Run
from tests.support import scratch
from tests.support.forked import Process
from tests.support.running import run
from tests.support.steps import (
    add_users,
    copy_all,
    differences,
    document_texts,
    go,
    rows,
    set_blob,
    until,
    value,
)

BY_RULE = ("--leaf", "compact_mode", "--value", '"true"', "--set", "true")
CORRECT = ("quarantine_prefs", "--correct", *BY_RULE)
VERSIONS = """SELECT xmin::text, ctid::text FROM accounts_user UNION ALL
  SELECT xmin::text, ctid::text FROM user_preferences UNION ALL
  SELECT xmin::text, ctid::text FROM notification_preferences"""


def quarantined(*documents: object) -> list[int]:
    users = add_users(*documents)
    copy_all()
    return users


def test_without_options_it_counts_by_leaf_and_reason(site: str) -> None:
    quarantined({"theme": 1}, {"theme": 1, "language": None}, {"theme": "x"}, [], {"a": 1})
    outcome = run("quarantine_prefs")
    assert (outcome.status, outcome.err) == (0, "")
    assert [line.split() for line in outcome.out.splitlines()[1:]] == [
        ["2", "theme", "type", "1"],
        ["1", "theme", "domain", '"x"'],
        ["1", "document", "parent", "[]"],
        ["1", "language", "null", "null"],
    ]
    found = run("quarantine_prefs", "--json").json
    assert found["total"] == 5
    assert found["quarantined"][0] == {
        "leaf": "theme",
        "reason": "type",
        "users": 2,
        "sample": "1",
    }


def test_where_there_is_none_it_says_so(site: str) -> None:
    quarantined({"theme": "dark"})
    assert run("quarantine_prefs").out == "0 values in quarantine\n"
    outcome = run("quarantine_prefs", "--leaf", "theme")
    assert (outcome.status, outcome.out) == (0, "Nothing in quarantine is like that.\n")


def test_users_are_listed_by_what_is_asked_for(site: str) -> None:
    first, second, third = quarantined({"theme": 1, "language": 1}, {"theme": None}, "null")
    lines = [
        f'user {first}  theme  1  type: expected one of "light", "dark", "system"',
        f'user {second}  theme  null  null: expected one of "light", "dark", "system"',
        f"user {third}  document  null  parent: expected an object",
    ]
    for options, expected in (
        ("--leaf theme", lines[:2]),
        ("--leaf theme --because null", lines[1:2]),
        ("--leaf theme --value 1", lines[:1]),
        (f"--leaf theme --user {second}", lines[1:2]),
        ("--leaf document", lines[2:]),
        (f"--after {first}", lines[1:]),
    ):
        assert run("quarantine_prefs", *options.split()).out.splitlines() == expected
    found = run("quarantine_prefs", "--because", "type", "--json").json["listed"]
    assert [(entry["user"], entry["leaf"]) for entry in found] == [
        (first, "language"),
        (first, "theme"),
    ]


def test_a_long_list_is_read_page_by_page(site: str) -> None:
    users = quarantined(*({"theme": n, "language": n} for n in range(5)))
    seen: list[int] = []
    after = "0"
    while page := run("quarantine_prefs", "--limit", "3", "--after", after, "--json").json[
        "listed"
    ]:
        seen += [entry["user"] for entry in page]
        after = str(seen[-1])
    assert seen == sorted(users * 2)
    shown = run("quarantine_prefs", "--leaf", "theme", "--limit", "2").out.splitlines()
    assert shown[-1] == f"There may be more: --after {users[1]}"


@pytest.mark.parametrize("state", [State.EXPANDED, State.READ_CUTOVER])
def test_a_dry_run_shows_old_and_new_and_writes_no_row(site: str, state: State) -> None:
    users = quarantined(*({"compact_mode": "true"} for _ in range(25)))
    go(state)
    before, records = sorted(rows(VERSIONS)), (Run.objects.count(), AuditEntry.objects.count())
    outcome = run(*CORRECT, "--dry-run")
    assert outcome.status == 0
    lines = outcome.out.splitlines()
    assert lines[0] == "25 users would be corrected; nothing was changed."
    assert lines[1] == f'  user {users[0]}  "true" -> true'
    assert (len(lines), lines[-1]) == (22, "  and 5 more")
    found = run(*CORRECT, "--dry-run", "--json").json
    assert (found["users"], len(found["listed"]), found["new"]) == (25, 20, "true")
    assert sorted(rows(VERSIONS)) == before
    assert (Run.objects.count(), AuditEntry.objects.count()) == records


def test_a_rule_corrects_everybody_and_the_record_says_why(site: str) -> None:
    quarantined({"compact_mode": "true"}, {"compact_mode": "yes"}, {"compact_mode": "true"})
    outcome = run(*CORRECT, "--reason", "an old client")
    assert (outcome.status, outcome.out) == (0, "Corrected 2 users.\n")
    assert document_texts() == [
        '{"compact_mode": true}',
        '{"compact_mode": "yes"}',
        '{"compact_mode": true}',
    ]
    assert {entry.reason for entry in AuditEntry.objects.filter(event="correction")} == {
        "an old client"
    }
    assert run(*CORRECT, "--json").json == {"corrected": 0, "skipped": 0}


def test_who_wrote_meanwhile_is_counted_as_skipped(site: str) -> None:
    first, _ = quarantined({"compact_mode": "true"}, {"compact_mode": "true"})
    set_blob(first, {"compact_mode": False})
    outcome = run(*CORRECT)
    assert outcome.out.splitlines() == [
        "Corrected 1 users.",
        "Skipped 1: they had another value by then.",
    ]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--leaf themes", "invalid choice: 'themes'"),
        ("--because wrong", "invalid choice: 'wrong'"),
        ("--user nobody", "'nobody' is no user's key"),
        ("--leaf theme --value dark", "dark is not JSON that can be stored"),
        ("--leaf theme --unset", "go with --correct"),
        ("--correct --leaf theme --unset", "asks for --leaf, and for --value"),
        ('--correct --value "x" --unset', "asks for --leaf, and for --value"),
        ("--correct --leaf theme --value 1", "asks for --set or --unset"),
        ("--correct --leaf theme --value 1 --set 1 --unset", "not allowed with argument"),
        ("--correct --leaf theme --value 1 --set 2", 'theme: 2 is not one of "light"'),
        ("--correct --leaf theme --value 1 --set 2 --dry-run", 'theme: 2 is not one of "light"'),
        ("--correct --leaf theme --value {1 --unset", "{1 is not JSON"),
    ],
)
def test_a_mistake_is_a_usage_error_and_changes_nothing(site: str, options: str, said: str) -> None:
    quarantined({"theme": 1})
    before = sorted(rows(VERSIONS))
    outcome = scratch.manage(scratch.environment(site), "quarantine_prefs", *options.split())
    assert (outcome.returncode, said in outcome.stderr) == (2, True), outcome.stderr
    assert "Traceback" not in outcome.stderr
    assert sorted(rows(VERSIONS)) == before
    assert not AuditEntry.objects.filter(event="correction").exists()


def test_one_user_whose_row_stays_locked_is_a_sentence_and_status_1(site: str) -> None:
    [user] = quarantined({"theme": 1})
    with scratch.connect(site) as session:
        session.execute("BEGIN")
        session.execute("SELECT FROM accounts_user WHERE id = %s FOR UPDATE", [user])
        outcome = run(
            "quarantine_prefs", "--correct", "--leaf", "theme", "--user", str(user), "--unset"
        )
    assert outcome.status == 1
    assert "A row stayed locked by another session" in outcome.err
    assert document_texts() == ['{"theme": 1}']


@contextmanager
def half_way(site: str) -> Iterator[Process]:
    """A correction that has committed some of its users, and waits for one that is locked."""
    users = quarantined(*({"compact_mode": "true"} for _ in range(40)))
    go(State.DUAL_WRITE)
    environ = scratch.environment(site, lease=0.5)
    with scratch.connect(site) as session:
        session.execute("BEGIN")
        session.execute("SELECT FROM accounts_user WHERE id = %s FOR UPDATE", [users[23]])
        with scratch.start(environ, *CORRECT, "--json") as process:
            try:
                until(lambda: process.poll() is not None or some_are_corrected(), 20)
                assert process.poll() is None
                yield process
            finally:
                process.kill()


def corrections() -> QuerySet[Run]:
    return Run.objects.filter(kind="correction").order_by("id")


def some_are_corrected() -> bool:
    return corrections().filter(ranges__repaired__gt=0).exists()


def half_corrected() -> int:
    """How many are corrected; each user is either as before or as after, in both stores."""
    texts = document_texts()
    assert set(texts) == {'{"compact_mode": true}', '{"compact_mode": "true"}'}
    assert differences() == []
    return texts.count('{"compact_mode": true}')


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_finishes_the_batch_and_it_goes_on(
    site: str, number: signal.Signals, status: int
) -> None:
    with half_way(site) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=10)
    done = half_corrected()
    assert (process.returncode, out) == (status, f'{{"corrected": {done}, "skipped": 0}}\n')
    assert "Stopping after this batch." in err
    assert run(*CORRECT, "--json").json == {"corrected": 40 - done, "skipped": 0}
    assert document_texts() == ['{"compact_mode": true}'] * 40


def test_killed_it_leaves_each_user_whole_and_a_second_start_finishes(site: str) -> None:
    with half_way(site) as process:
        process.kill()
        process.communicate(timeout=10)
    done = half_corrected()
    first = corrections().get()
    assert (first.status, first.so_far("repaired")) == ("running", done)
    until(lambda: value("SELECT max(lease_until) < clock_timestamp() FROM prefs_range"))
    assert run(*CORRECT, "--json").json == {"corrected": 40 - done, "skipped": 0}
    assert document_texts() == ['{"compact_mode": true}'] * 40
    assert differences() == []
    assert [run_.status for run_ in corrections()] == ["abandoned", "done"]


# --- accepted --------------------------------------------------------------------------------


def test_what_was_accepted_with_a_reason_asks_for_no_attention(site: str) -> None:
    """Case C13: status_prefs --check was red for ever."""
    quarantined({"theme": 1}, {"theme": "x"}, {"language": None})
    assert run("status_prefs", "--check").status == 3
    for _ in range(2):
        outcome = run("quarantine_prefs", "--accept", "theme", "--reason", "known since 2019")
        assert outcome.status == 0
        assert outcome.out == "Accepted: theme, 2 users. When there are more it counts again.\n"
    assert run("status_prefs", "--check").status == 3
    assert run("quarantine_prefs", "--accept", "language", "--reason", "harmless").status == 0
    found = run("status_prefs", "--check")
    assert found.status == 0
    [record] = AcceptedQuarantine.objects.filter(leaf="theme")
    shown = f"theme: 2, accepted: 2 by {record.actor} on {record.accepted_at:%Y-%m-%d},"
    assert f"  {shown} 'known since 2019'\n" in found.out
    assert f"{shown} 'known since 2019'\n" in run("quarantine_prefs").out
    assert run("status_prefs", "--json").json["accepted"]["theme"] == {
        "users": 2,
        "reason": "known since 2019",
        "actor": record.actor,
        "accepted_at": record.accepted_at.isoformat(),
    }
    assert list(
        AuditEntry.objects.filter(event="quarantine")
        .order_by("pk")
        .values_list("subject", "reason", "figures")
    ) == [
        ("theme accepted", "known since 2019", {"users": 2}),
        ("theme accepted", "known since 2019", {"users": 2}),
        ("language accepted", "harmless", {"users": 1}),
    ]


def test_it_counts_again_when_it_grows_and_not_when_it_shrinks(site: str) -> None:
    """Case C13: what was accepted is a number of users."""
    first, _ = quarantined({"theme": 1}, {"theme": "x"})
    run("quarantine_prefs", "--accept", "theme", "--reason", "known")
    set_blob(first, {})
    rows("DELETE FROM user_preferences WHERE user_id = %s", first)
    copy_all()
    assert run("status_prefs", "--check").status == 0
    quarantined({"theme": 1}, {"theme": 2})
    outcome = run("status_prefs", "--check")
    assert outcome.status == 3
    assert "  theme: 3, 1 more than accepted: 2 by " in outcome.out
    run("quarantine_prefs", "--accept", "theme", "--reason", "three now")
    assert run("status_prefs", "--check").status == 0


def test_an_acceptance_can_be_withdrawn(site: str) -> None:
    """Case C13: and then it counts whole."""
    quarantined([])
    assert run("quarantine_prefs", "--accept", "document", "--reason", "a list").status == 0
    assert run("status_prefs", "--check").status == 0
    outcome = run("quarantine_prefs", "--withdraw", "document", "--json")
    assert outcome.json == {"leaf": "document", "users": 1, "accepted": False}
    assert run("status_prefs", "--check").status == 3
    again = run("quarantine_prefs", "--withdraw", "document")
    assert again.status == 1
    assert "The quarantine at document is not accepted" in again.err
    assert list(AuditEntry.objects.order_by("pk").values_list("subject", flat=True)) == [
        "document accepted",
        "document accepted no longer",
    ]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (("--accept", "theme"), 2, "--accept needs --reason TEXT"),
        (("--accept", "theme", "--reason", "  "), 2, "--accept needs --reason TEXT"),
        (("--accept", "font", "--reason", "x"), 2, "invalid choice: 'font'"),
        (("--accept", "language", "--reason", "x"), 1, "Nothing is in quarantine at language, so"),
        (("--accept", "theme", "--reason", "x", "--user", "1"), 2, "--user cannot go with --acc"),
        (("--withdraw", "theme", "--correct"), 2, "--correct cannot go with --accept or"),
        (("--accept", "theme", "--withdraw", "theme"), 2, "not allowed with argument --accept"),
    ],
)
def test_what_cannot_be_accepted_is_refused_with_a_sentence(
    site: str, arguments: tuple[str, ...], status: int, says: str
) -> None:
    """Case C13: bad input changes nothing."""
    quarantined({"theme": 1})
    outcome = run("quarantine_prefs", *arguments)
    assert (outcome.status, says in outcome.err) == (status, True), outcome
    assert not AcceptedQuarantine.objects.exists()
    assert not AuditEntry.objects.exists()
