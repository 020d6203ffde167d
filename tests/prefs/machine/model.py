"""The dictionary: what both stores must hold, and which transitions must be refused."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from prefs.engine.states import State
from tests.prefs.machine.documents import rows_of

EXPANDED, DUAL_WRITE, READ_CUTOVER, MIRROR_OFF, DROPPED = ORDER = list(State)
_BLOB_IS_READ = (EXPANDED, DUAL_WRITE)
_MIRRORED = (DUAL_WRITE, READ_CUTOVER)


@dataclass
class Model:
    """Both stores of every user (by a small number), and where the site stands.

    A user who is not in `tables` has no typed rows. `blob` is what the column holds, while
    there is one.
    """

    state: State = EXPANDED
    blob: dict[int, Any] = field(default_factory=dict)
    tables: dict[int, Any] = field(default_factory=dict)
    users: set[int] = field(default_factory=set)
    # A restore that was not filled to the end.
    is_open: bool = False
    # Whether the last verification found nothing and began after the last transition, and after
    # the mirror was switched on.
    verified: bool = False
    verified_since_mirror: bool = False

    def copy(self) -> Model:
        """The model as it is now; trees are never changed."""
        return replace(self, blob=dict(self.blob), tables=dict(self.tables), users=set(self.users))

    @property
    def has_column(self) -> bool:
        return self.state is not DROPPED

    @property
    def reads_tables(self) -> bool:
        return self.state not in _BLOB_IS_READ

    @property
    def mirrored(self) -> bool:
        return self.state in _MIRRORED

    def document(self, user: int) -> Any:
        """What everybody reads."""
        return self.tables.get(user, {}) if self.reads_tables else self.blob[user]

    def differing(self) -> set[int]:
        """The users whose stores differ."""
        return {
            user
            for user in self.users
            if user not in self.tables or self.tables[user] != self.blob[user]
        }

    # --- writes --------------------------------------------------------------------------

    def write(self, user: int, document: Any) -> None:
        """A write of ours."""
        if not self.reads_tables:
            self._write_blob(user, document)
            return
        self.tables[user] = document
        if self.mirrored:
            self.blob[user] = document

    def refuses(self, user: int, document: Any) -> bool:
        """Whether others may not write this to the column."""
        if not self.reads_tables or self.blob[user] == document:
            return False
        return not self.mirrored or self.blob[user] != self.document(user)

    def write_by_others(self, user: int, document: Any) -> None:
        """A write to the column that is not refused."""
        if self.blob[user] != document:
            self._write_blob(user, document)

    def _write_blob(self, user: int, document: Any) -> None:
        if self.mirrored and self.blob[user] != document:
            self.tables[user] = document
        self.blob[user] = document

    def insert(self, user: int, document: Any) -> None:
        """A new row, with this in the column while there is one."""
        self.users.add(user)
        if self.has_column:
            self.blob[user] = document
            if self.state is not EXPANDED:
                self.tables[user] = document

    def key_changed(self, user: int) -> None:
        """The user has another key: what the blob holds is mirrored while it is the primary."""
        if self.state is DUAL_WRITE:
            self.tables[user] = self.blob[user]

    def delete(self, user: int) -> None:
        """The user goes, and everything of theirs."""
        self.users.discard(user)
        self.blob.pop(user, None)
        self.tables.pop(user, None)

    # --- the migration -------------------------------------------------------------------

    def copied(self, users: set[int]) -> None:
        """The copy has passed these users."""
        for user in users:
            self.tables.setdefault(user, self.blob[user])

    def caught_up(self, users: set[int]) -> None:
        """The mirror of these users was overwritten from the primary."""
        for user in users:
            if self.reads_tables:
                self.blob[user] = self.tables[user] = self.document(user)
            else:
                self.tables[user] = self.blob[user]

    def compared(self, differing: int) -> None:
        """A verification of everybody came to its end."""
        self.verified = self.verified_since_mirror = differing == 0

    def gate(self, target: State) -> str | None:
        """The gate that refuses the transition to a neighbouring state now."""
        if (self.state, target) in {(DUAL_WRITE, READ_CUTOVER), (READ_CUTOVER, MIRROR_OFF)}:
            return None if self.verified else "verified"
        if (self.state, target) == (READ_CUTOVER, DUAL_WRITE):
            return None if self.verified_since_mirror else "verified_since_mirror"
        return None

    def moved(self, target: State) -> None:
        """A transition was taken; a restored blob is an empty object until it is filled."""
        switched_on = (self.state, target) in {(EXPANDED, DUAL_WRITE), (MIRROR_OFF, READ_CUTOVER)}
        self.verified = False
        self.verified_since_mirror = self.verified_since_mirror and not switched_on
        if target is DROPPED:
            self.blob = {}
        elif self.state is DROPPED:
            self.blob = {user: {} for user in self.users}
        self.state = target

    # --- what both stores hold -----------------------------------------------------------

    def rows(self, user: int) -> tuple[Any, ...]:
        """(the blob, the typed columns and the residue), None where there is no such thing."""
        typed = rows_of(self.tables[user]) if user in self.tables else None
        return self.blob[user] if self.has_column else None, typed

    def wants(self, user: int, column: str) -> bool:
        """Whether a user is in the audience of the topic with this column."""
        value = rows_of(self.document(user))[0][column]
        return value is True or value in {"daily", "weekly"}
