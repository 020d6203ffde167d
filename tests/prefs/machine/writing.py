"""Rules: whole documents and patches, by everybody, alone and in transactions."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction
from hypothesis import strategies as st
from hypothesis.stateful import MultipleResults, consumes, initialize, multiple, precondition, rule

from prefs.codec import InvalidDocument
from prefs.models import UserPreferences
from project.accounts.models import User
from tests.prefs.machine import drawing, writers
from tests.prefs.machine.base import MOST_USERS, SELDOM, USERS, Base
from tests.prefs.machine.documents import (
    changed,
    merged,
    parse,
    readable,
    refused,
    respelled,
    saved,
    seen,
    spelled,
    stored_as,
    text_of,
)
from tests.support.reference import ABSENT
from tests.support.steps import rows, value

_WRITERS = [*writers.OURS, *writers.PREVIOUS, *writers.SQL]
_CREATORS = [*writers.CREATORS, *writers.CREATORS_WITHOUT, *writers.CREATORS_BY_COLUMN]
_ALL = {**writers.OURS, **writers.PREVIOUS, **writers.SQL}
_SEVERAL = st.lists(
    st.tuples(st.sampled_from(_WRITERS), USERS, drawing.documents()), min_size=1, max_size=2
)


class WritingRules(Base):
    """Users come, are written, and go."""

    @initialize(target=USERS, texts=st.lists(drawing.documents(), min_size=1, max_size=4))
    def begin(self, texts: list[str | None]) -> MultipleResults[int]:
        by = "sql_insert" if self.model.has_column else "create"
        created = [self.create_one(by, text) for text in texts]
        return multiple(*(user for user in created if user is not None))

    @precondition(lambda self: len(self.model.users) < MOST_USERS)
    @rule(target=USERS, by=st.sampled_from(_CREATORS), text=drawing.documents())
    def create(self, by: str, text: str | None) -> MultipleResults[int]:
        created = self.create_one(by, text)
        return multiple() if created is None else multiple(created)

    @rule(user=USERS, by=st.sampled_from(_WRITERS), text=drawing.documents())
    def write(self, user: int, by: str, text: str | None) -> None:
        self.write_one(by, user, text)

    @rule(user=USERS, by=st.sampled_from(_WRITERS))
    def respell(self, user: int, by: str) -> None:
        """The same document, but that its numbers have one more zero behind the point."""
        self.write_one(by, user, text_of(respelled(self.model.document(user))))

    @rule(user=USERS, by=st.sampled_from(("merge", "change")), text=drawing.patches())
    def patch(self, user: int, by: str, text: str) -> None:
        if not readable(parse(text)):
            return
        patch, stored = seen(parse(text)), self.model.document(user)
        if by == "change":
            change = [] if patch is None else _as_change(patch)
            UserPreferences.objects.change({self.keys[user]: change})
            self.model.write(user, changed(stored, change))
        else:
            work = partial(UserPreferences.objects.merge, self.keys[user], patch)
            self._validated(user, merged(stored, stored_as(patch)), work)

    @rule(writes=_SEVERAL)
    def write_in_one_transaction(self, writes: list[Any]) -> None:
        with transaction.atomic():
            self._write_all(writes)

    @rule(writes=_SEVERAL)
    def write_and_take_back(self, writes: list[Any]) -> None:
        with self.taken_back():
            self._write_all(writes)

    @rule(writes=_SEVERAL, more=_SEVERAL)
    def write_around_a_savepoint(self, writes: list[Any], more: list[Any]) -> None:
        with transaction.atomic():
            self._write_all(writes)
            with self.taken_back():
                self._write_all(more)
            self._write_all(more[:1])

    @precondition(lambda self: self.steps % SELDOM == 0)
    @rule(user=consumes(USERS), by=st.sampled_from(("instance", "queryset", "sql")))
    def delete(self, user: int, by: str) -> None:
        key = self.keys[user]
        if by == "instance":
            User.objects.get(pk=key).delete()
        elif by == "queryset":
            User.objects.filter(pk=key).delete()
        else:
            rows("DELETE FROM accounts_user WHERE id = %s", key)
        self.model.delete(user)
        del self.keys[user]

    @precondition(lambda self: self.steps % SELDOM == 0)
    @rule(user=USERS)
    def change_key(self, user: int) -> None:
        new = value("SELECT nextval('accounts_user_id_seq')")
        rows("UPDATE accounts_user SET id = %s WHERE id = %s", new, self.keys[user])
        self.keys[user] = new
        self.model.key_changed(user)

    def _write_all(self, writes: list[Any]) -> None:
        for by, user, text in writes:
            self.write_one(by, user, text)

    # --- one write -----------------------------------------------------------------------

    def create_one(self, by: str, text: str | None) -> int | None:
        """A new user by one of the creators; None where it was refused, or Python cannot."""
        number = self.next_number = self.next_number + 1
        if not by.startswith("sql_") and not readable(parse(text)):
            return None
        given, name = writers.given_to(by, text), f"u{number}"
        default = parse("{}")
        if by in writers.CREATORS_BY_COLUMN:
            create = partial(writers.CREATORS_BY_COLUMN[by], name, given)
            if not self.attempt(create, column=True):
                return None
            self.model.insert(number, _tree(by, given))
        elif by in writers.CREATORS_WITHOUT:
            writers.CREATORS_WITHOUT[by](name, given)
            self.model.insert(number, default)
        else:
            writers.CREATORS[by](name, given)
            self.model.insert(number, default)
            if _tree(by, given) != default:
                self.model.write(number, _tree(by, given))
        self.keys[number] = value("SELECT id FROM accounts_user WHERE username = %s", name)
        return number

    def write_one(self, by: str, user: int, text: str | None) -> None:
        """A whole document by one of the writers, where they can be given it."""
        if user not in self.model.users or not (by in writers.SQL or readable(parse(text))):
            return
        given = writers.given_to(by, text)
        new, work = _tree(by, given), partial(_ALL[by], self.keys[user], given)
        if by == "replace":
            if given is None and self.model.document(user) is ABSENT:
                new = ABSENT
            self._validated(user, new, work)
        elif by in writers.BY_INSTANCES and readable(stored := self.model.document(user)):
            work()
            if spelled(loaded := seen(stored)) != spelled(given):
                whole = given is None
                self.model.write(user, ABSENT if whole else saved(stored, loaded, given))
        elif by in writers.OURS:
            work()
            self.model.write(user, new)
        else:
            refuses = self.model.has_column and self.model.refuses(user, new)
            if self.attempt(work, column=True, refuses=refuses):
                self.model.write_by_others(user, new)

    def _validated(self, user: int, new: Any, work: Any) -> None:
        """A write whose values are tested: refused whole, or stored."""
        expected = refused(self.model.document(user), new)
        refusal = None
        try:
            work()
        except InvalidDocument as error:
            refusal = error
        assert (refusal is not None) == expected, f"refused with {refusal}; expected: {expected}"
        if not expected:
            self.model.write(user, new)


def _tree(by: str, given: Any) -> Any:
    """What is stored for what a writer was given; None is SQL NULL but where it is a document."""
    if by.startswith("sql_"):
        return parse(given)
    if given is None and by not in ("replace", "change"):
        return ABSENT
    return stored_as(given)


def _as_change(patch: Any) -> Any:
    """A merge patch as a change (see prefs.sql.changes)."""
    if isinstance(patch, dict):
        return {name: _as_change(below) for name, below in patch.items()}
    return None if patch is None else [patch]
