"""Saves that meet other writers, on connections of their own."""

from __future__ import annotations

import json
from concurrent.futures import Future
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.db import transaction

from prefs.mapping import LEAVES
from prefs.pages import stored
from prefs.routing import Route
from tests.prefs.pages.reading import ADDRESS, Person, json_text, read
from tests.support import stores
from tests.support.databases import copies, site
from tests.support.steps import held_open, in_thread, set_blob, until, waiting_for_locks
from tests.support.stores import Place

__all__ = ["copies", "site"]
LIST = ["all", "of", "it"]


@pytest.fixture
def person(site: str) -> Any:
    yield Person.with_document(Place.BLOB, json.dumps({"beta": True}))
    Session.objects.all().delete()


def saving_while_it_becomes_a_list(person: Person) -> Any:
    """The answer to a save that was sent while another session had not yet committed a list."""
    page = person.opens()
    with held_open(lambda: set_blob(person.user.pk, LIST)):
        sent = in_thread(lambda: person.sends(page, {"theme": json_text("dark")}))
        until(lambda: waiting_for_locks() > 0)
    return sent.result(30)


def test_a_save_decides_on_what_another_writer_has_just_committed(person: Person) -> None:
    answer = saving_while_it_becomes_a_list(person)
    assert answer.status_code == 422
    assert "tick this box to replace what is stored here" in read(answer).text
    assert person.document == LIST


def test_without_the_lock_the_other_writers_document_would_be_lost(
    person: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored, "lock_users", lambda *_: (Route.BLOB, [person.user.pk]))
    assert saving_while_it_becomes_a_list(person).status_code == 302
    assert person.document == {"theme": "dark"}


def test_saves_at_the_same_time_keep_what_each_of_them_changed(person: Person) -> None:
    page = person.opens()
    names = [leaf.dotted for leaf in LEAVES if leaf.dotted in page.choices]

    def save(name: str) -> Future[Any]:
        return in_thread(lambda: person.sends(page, {name: page.choices[name][0]}))

    answers = [sent.result(60) for sent in map(save, names)]
    assert {answer.status_code for answer in answers} == {302}
    after = person.opens().answers
    assert {name: after[name] for name in names} == {name: page.choices[name][0] for name in names}
    assert person.document["beta"] is True


def test_another_isolation_level_is_a_sentence_and_writes_nothing(person: Person) -> None:
    page, before = person.opens(), person.text
    level = "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL"
    stores.query(f"{level} REPEATABLE READ")
    try:
        answer = person.sends(page, {"theme": json_text("dark")})
    finally:
        stores.query(f"{level} READ COMMITTED")
    assert answer.status_code == 503
    assert "Nothing was changed." in read(answer).text
    assert person.text == before


def test_a_refused_save_leaves_the_transaction_of_its_request_usable(person: Person) -> None:
    """A site may have ATOMIC_REQUESTS."""
    page = person.opens()
    with transaction.atomic():
        person.is_refused(page, {"language": "?"})
        person.client.post(ADDRESS, page.answers | {"theme": json_text("dark")})
    assert person.document == {"beta": True, "theme": "dark"}
