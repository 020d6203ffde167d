"""Whether roles have on our tables what they have on the column, no less and no more.

What is wrong comes with the statements that put it right, for `install_prefs`, or for whoever may
run them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from prefs.conf import Settings
from prefs.engine import catalogs
from prefs.engine.flaws import Flaw, Part
from prefs.engine.states import State, last_transition
from prefs.mapping import BLOB_COLUMN
from prefs.sql import catalog, registry, row_security
from prefs.sql import rights as sql
from prefs.sql.names import qualified
from prefs.sql.rights import PUBLIC
from prefs.sql.row_security import Policy

_BY_ANOTHER_COLUMN = (
    "A write locks the user's row, which takes UPDATE on some column of it: grant the role one that"
    " it may change, such as last_login"
)
_BY_SETTING = "Name the application's roles in PREFS_APPLICATION_ROLES, so that they get theirs"


@dataclass(frozen=True, kw_only=True)
class _Role:
    """A role, and what it may do to the column."""

    name: str
    reads: bool
    writes: bool


def wrong_rights(alias: str, settings: Settings) -> list[Flaw]:
    """What is wrong with rights, functions' owners and policies. Locks nothing."""
    return _Rights(alias, settings).flaws()


class _Rights:
    """The rights of one database, as its catalogs have them now."""

    def __init__(self, alias: str, settings: Settings) -> None:
        self.alias, self.settings = alias, settings
        self.recorded = self._recorded()

    def flaws(self) -> list[Flaw]:
        """All of it, each with statements as they can be run."""
        found = [*self._lacking(), *self._too_much(), *self._definers(), *self._policies()]
        return [
            replace(flaw, statements=tuple(map(self._placed, flaw.statements))) for flaw in found
        ]

    def _recorded(self) -> dict[str, list[str]]:
        """What was granted on the column alone when it was dropped, as long as it is gone."""
        [(_, _, has_column)] = self._rows(catalog.state())
        dropped = None if has_column else last_transition(self.alias, to_state=State.DROPPED)
        pairs = dropped.figures["column"].get("privileges", []) if dropped else []
        return {"grantees": [pair[0] for pair in pairs], "privileges": [pair[1] for pair in pairs]}

    def _lacking(self) -> Iterable[Flaw]:
        chosen, flaws = self._chosen()
        yield from flaws
        functions = [self._placed(function.signature) for function in registry.called()]
        for role in self._effective(chosen):
            given = {"role": role.name, "reads": role.reads, "writes": role.writes}
            if role.reads or role.writes:
                found = self._rows(sql.lacking(), **given, functions=functions)
                if statements := tuple(row[0] for row in found):
                    yield _flaw(f"the role {role.name} lacks what it has on the column", statements)
            if role.writes and not self._rows(sql.locks_users(), role=role.name)[0][0]:
                what = f"the role {role.name} could lock no user once the column is dropped"
                yield Flaw(part=Part.RIGHT, what=what, by_hand=_BY_ANOTHER_COLUMN)

    def _chosen(self) -> tuple[list[str], list[Flaw]]:
        """The application's roles, and what keeps them from being known."""
        if named := list(self.settings.application_roles):
            there = {role.name for role in self._effective(named)}
            return named, [
                Flaw(
                    part=Part.RIGHT,
                    what=f"the role {name!r} that PREFS_APPLICATION_ROLES names does not exist",
                    by_hand="Create the role, or correct the setting",
                )
                for name in named
                if name not in there
            ]
        holders = self._rows(sql.holders(), **self.recorded)
        writers = [name for name, superuser, _, writes in holders if writes and not superuser]
        if PUBLIC not in writers:
            return writers, []
        what = f"everybody (PUBLIC) may update the column {BLOB_COLUMN}"
        flaw = Flaw(part=Part.RIGHT, what=what, by_hand=_BY_SETTING)
        return [name for name in writers if name != PUBLIC], [flaw]

    def _effective(self, names: Iterable[str]) -> list[_Role]:
        rows = self._rows(sql.effective(), roles=list(names), **self.recorded)
        return [_Role(name=name, reads=reads, writes=writes) for name, reads, writes in rows]

    def _too_much(self) -> Iterable[Flaw]:
        granted = self._rows(sql.granted())
        roles = {role.name: role for role in self._effective({row[1] for row in granted})}
        for table, name, privilege in granted:
            if privilege not in _allowed(table, roles.get(name)):
                what = f"{name} may {privilege} on {table}, and may not on the column"
                yield _flaw(what, (sql.revoke(table, name, privilege),))

    def _definers(self) -> Iterable[Flaw]:
        signatures = [self._placed(function.signature) for function in registry.fired()]
        lacks: dict[str, list[str]] = {}
        for role, statement in self._rows(sql.definers(), signatures=signatures):
            lacks.setdefault(role, []).append(statement)
        for role, statements in lacks.items():
            what = f"{role}, as whom trigger functions run, may not do what they do"
            yield _flaw(what, tuple(statements))

    def _policies(self) -> Iterable[Flaw]:
        secured = {
            name: (on, forced) for name, on, forced in self._rows(row_security.row_security())
        }
        wanted = secured.pop("")
        for table, has in secured.items():
            yield from self._policies_of(table, wanted, has)

    def _policies_of(
        self, table: str, wanted: tuple[bool, bool], has: tuple[bool, bool]
    ) -> Iterable[Flaw]:
        """What parts the policies of a table from those that follow the users table."""
        follows = {policy.name: policy for policy in row_security.policies_of(table)}
        found = {row[0]: row[1:] for row in self._printed(table)}
        ours = follows.keys() & found.keys()
        if not wanted[0]:
            if ours:
                off = row_security.switch_row_security(table, on=False, forced=False)
                drops = [follows[name].drop for name in sorted(ours)]
                what = f"{table} follows a row security that users no longer have"
                yield _flaw(what, (off, *drops))
            return
        wrong = [p for p in follows.values() if not self._same(p, found.get(p.name))]
        if wrong or has != wanted:
            makes = [statement for policy in wrong for statement in (policy.drop, policy.create)]
            on = row_security.switch_row_security(table, on=True, forced=wanted[1])
            yield _flaw(f"{table} does not follow the row security of users", (*makes, on))
        for name in found.keys() - follows.keys():
            if found[name][0]:
                what = f"the policy {name} of {table} lets through more than users do"
                yield Flaw(part=Part.RIGHT, what=what, by_hand="Drop it, or make it RESTRICTIVE")

    def _printed(self, table: str) -> list[tuple[Any, ...]]:
        """The policies of a table, as the catalogs print them with names qualified."""
        relation = self._placed(qualified(table))
        with catalogs.plainly(self.alias) as cursor:
            cursor.execute(row_security.policies(), {"table": relation})
            return list(cursor.fetchall())

    def _same(self, policy: Policy, found: tuple[Any, ...] | None) -> bool:
        command, using, check = policy.printed()
        expected = (True, command, True, *map(self._bare, (using, check)))
        return found is not None and (*found[:3], *map(_unquoted, found[3:])) == expected

    def _bare(self, text: str | None) -> str | None:
        return None if text is None else _unquoted(self._placed(text))

    def _placed(self, statement: str) -> str:
        return catalogs.placed_in(self.alias, statement)

    def _rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return catalogs.rows(self.alias, statement, **parameters)


def _flaw(what: str, statements: tuple[str, ...]) -> Flaw:
    return Flaw(part=Part.RIGHT, what=what, statements=statements)


def _allowed(table: str, role: _Role | None) -> set[str]:
    """What a role may have on a table of ours: on the typed ones what it has on the column."""
    if role is None:
        return set()
    reads = {"SELECT"} if role.reads and table in sql.DOCUMENT_TABLES else set()
    writes = {"INSERT", "UPDATE"} if role.writes and table in sql.TYPED_TABLES else set()
    return reads | writes


def _unquoted(text: str | None) -> str | None:
    return None if text is None else text.replace('"', "")
