"""Rules: instances that are kept, and so are stale when they are saved; typed rows."""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, consumes, multiple, rule

from prefs.models import NotificationPreferences, UserPreferences
from tests.prefs.machine import drawing, writers
from tests.prefs.machine.base import USERS, Base
from tests.prefs.machine.documents import (
    edited,
    merged,
    parse,
    readable,
    rows_of,
    saved,
    seen,
    spelled,
    stored_as,
)
from tests.support.reference import ABSENT

# A field of a typed row, what it is set to, and the merge patch that this is.
_FIELDS: dict[str, tuple[Any, str]] = {
    "theme": (UserPreferences, "theme"),
    "items_per_page": (UserPreferences, "items_per_page"),
    "email_marketing": (NotificationPreferences, "notifications.email.marketing"),
    "email_digest": (NotificationPreferences, "notifications.email.digest"),
}
_ROW_EDITS = (
    ("theme", "dark"),
    ("theme", None),
    ("items_per_page", 10),
    ("email_marketing", True),
    ("email_marketing", None),
    ("email_digest", "daily"),
)
Edit = tuple[str, str | None]
_EDITS = st.sampled_from(drawing.EDITS)
_WAYS = st.sampled_from(("save", "update_fields", "bulk_update"))


@dataclass
class Kept:
    """An instance in memory: whose, what was loaded, and what it has by now."""

    user: int
    key: int
    instance: Any
    loaded: Any
    value: Any

    def edit(self, edit: Edit) -> None:
        """Edit the instance in place, and what it has to have by then."""
        self.instance.preferences = edited(self.instance.preferences, *edit)
        self.value = edited(self.value, *edit)

    def __repr__(self) -> str:
        return f"an instance of user {self.user}"


INSTANCES: Bundle[Kept] = Bundle("instances")
PREVIOUS: Bundle[Kept] = Bundle("previous_instances")


class InstanceRules(Base):
    """What code does that has a user in its hands."""

    @rule(target=INSTANCES, user=USERS)
    def load(self, user: int) -> MultipleResults[Kept]:
        if not readable(self.model.document(user)):
            return multiple()
        return multiple(self._kept(user))

    def _kept(self, user: int) -> Kept:
        instance = writers.USERS.get(pk=self.keys[user])
        found, expected = instance.preferences, seen(self.model.document(user))
        assert spelled(found) == spelled(expected)
        return Kept(user, self.keys[user], instance, expected, copy.deepcopy(expected))

    @rule(kept=INSTANCES, edit=_EDITS, by=_WAYS, taken_back=st.booleans())
    def edit_and_save(self, kept: Kept, edit: Edit, by: str, taken_back: bool) -> None:
        if self.keys.get(kept.user) == kept.key:
            self._edit_and_save(kept, edit, by, taken_back)

    @rule(user=USERS, edits=st.tuples(_EDITS, _EDITS), by=_WAYS, taken_back=st.booleans())
    def save_two_instances(
        self, user: int, edits: tuple[Edit, Edit], by: str, taken_back: bool
    ) -> None:
        """Both are loaded before either is saved."""
        if readable(self.model.document(user)):
            first, second = self._kept(user), self._kept(user)
            self._edit_and_save(first, edits[0], by, taken_back)
            self._edit_and_save(second, edits[1], by, taken_back)

    def _edit_and_save(self, kept: Kept, edit: Edit, by: str, taken_back: bool) -> None:
        """Save an edit; or save it, have that rolled back, and save again."""
        kept.edit(edit)
        if taken_back:
            loaded = kept.loaded
            with self.taken_back():
                self._save(kept, by)
            kept.loaded = loaded
        self._save(kept, by)

    def _save(self, kept: Kept, by: str) -> None:
        if by == "save":
            kept.instance.save()
        elif by == "update_fields":
            kept.instance.save(update_fields=writers.ALONE)
        else:
            writers.USERS.bulk_update([kept.instance], writers.ALONE)
        if spelled(kept.loaded) != spelled(kept.value):
            stored = self.model.document(kept.user)
            self.model.write(kept.user, saved(stored, kept.loaded, kept.value))
        kept.loaded = copy.deepcopy(kept.value)

    @rule(target=PREVIOUS, user=USERS)
    def load_in_previous_release(self, user: int) -> MultipleResults[Kept]:
        if not self.model.has_column or not readable(self.model.blob[user]):
            return multiple()
        instance = writers.PREVIOUS_USERS.get(pk=self.keys[user])
        expected = seen(self.model.blob[user])
        assert spelled(instance.preferences) == spelled(expected)
        return multiple(Kept(user, self.keys[user], instance, expected, expected))

    @rule(kept=consumes(PREVIOUS))
    def save_in_previous_release(self, kept: Kept) -> None:
        """A whole save() that changed something else writes the document as it was loaded."""
        if self.keys.get(kept.user) != kept.key:
            return
        new = ABSENT if kept.value is None else stored_as(kept.value)
        refuses = self.model.has_column and self.model.refuses(kept.user, new)
        if self.attempt(kept.instance.save, column=True, refuses=refuses):
            self.model.write_by_others(kept.user, new)

    @rule(user=USERS, edit=st.sampled_from(_ROW_EDITS), by=st.sampled_from(("save", "update")))
    def save_typed_row(self, user: int, edit: tuple[str, Any], by: str) -> None:
        field, new = edit
        model, leaf = _FIELDS[field]
        typed = rows_of(self.model.tables[user])[0] if user in self.model.tables else None
        loaded = typed[field] if typed else None
        if by == "save":
            row = self._row(model, user)
            assert getattr(row, field) == loaded
            setattr(row, field, new)
            row.save()
        else:
            model.objects.filter(pk=self.keys[user]).update(**{field: new})
        if spelled(new) != spelled(loaded) if by == "save" else typed is not None:
            self.model.write(user, merged(self.model.document(user), _patch(leaf, new)))

    def _row(self, model: Any, user: int) -> Any:
        key = self.keys[user]
        return model.objects.get(pk=key) if user in self.model.tables else model(pk=key)


def _patch(leaf: str, new: Any) -> Any:
    patch = json.dumps(new)
    for name in reversed(leaf.split(".")):
        patch = f'{{"{name}": {patch}}}'
    return parse(patch)
