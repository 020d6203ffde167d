"""Whether roles have on our tables what they have on the column, no less and no more.

What is wrong comes with the statements that put it right, for `install_prefs`, or for whoever may
run them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from prefs.conf import Settings
from prefs.engine import catalogs
from prefs.engine.flaws import Flaw, Part, flaw
from prefs.engine.look import Look, Secured
from prefs.engine.states import State, last_transition
from prefs.mapping import BLOB_COLUMN
from prefs.sql import registry, row_security
from prefs.sql import rights as sql
from prefs.sql.rights import PUBLIC
from prefs.sql.row_security import Policy

_flaw = partial(flaw, Part.RIGHT)
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


def wrong_rights(found: Look, settings: Settings) -> list[Flaw]:
    """What is wrong with rights, functions' owners and policies. Locks nothing."""
    return _Rights(found, settings).flaws()


class _Rights:
    """The rights of one database, as its catalogs have them now."""

    def __init__(self, found: Look, settings: Settings) -> None:
        self.found = found
        self.named = list(dict.fromkeys(settings.application_roles))
        self.granted = self._rows(sql.granted())
        self.roles, self.holders = self._effective()

    def flaws(self) -> list[Flaw]:
        """All of it, each with statements as they can be run."""
        kinds = (self._unknown, self._lacking, self._too_much, self._definers, self._policies)
        found = [flaw for kind in kinds for flaw in kind()]
        return [
            replace(flaw, statements=tuple(map(self.found.placed, flaw.statements)))
            for flaw in found
        ]

    def _effective(self) -> tuple[dict[str, _Role], list[str]]:
        """What roles may do to the column; and who may update it by grants to them, or PUBLIC."""
        roles = {*self.named, *(name for _, name, _ in self.granted)}
        found = self._rows(sql.effective(), roles=sorted(roles), **self._recorded())
        effective = {
            name: _Role(name=name, reads=reads, writes=writes)
            for name, _, reads, writes in found
            if name != PUBLIC
        }
        return effective, [name for name, itself, _, _ in found if itself]

    def _recorded(self) -> dict[str, list[str]]:
        """What was granted on the column alone when it was dropped, as long as it is gone."""
        gone = not self.found.has_column
        dropped = last_transition(self.found.alias, to_state=State.DROPPED) if gone else None
        pairs = dropped.figures["column"].get("privileges", []) if dropped else []
        return {"grantees": [pair[0] for pair in pairs], "privileges": [pair[1] for pair in pairs]}

    def _unknown(self) -> Iterable[Flaw]:
        """What keeps the application's roles from being known."""
        for name in self.named:
            if name not in self.roles:
                what = f"the role {name!r} that PREFS_APPLICATION_ROLES names does not exist"
                yield _flaw(what, by_hand="Create the role, or correct the setting")
        if not self.named and PUBLIC in self.holders:
            what = f"everybody (PUBLIC) may update the column {BLOB_COLUMN}"
            yield _flaw(what, by_hand=_BY_SETTING)

    def _lacking(self) -> Iterable[Flaw]:
        """What the application's roles lack, those that are known."""
        roles = [self.roles[name] for name in self.named or self.holders if name in self.roles]
        for name, lacking in self._lacks([role for role in roles if role.reads or role.writes]):
            if statements := [each for each in lacking if each is not None]:
                yield _flaw(f"the role {name} lacks what it has on the column", *statements)
            if None in lacking:
                what = f"the role {name} could lock no user once the column is dropped"
                yield _flaw(what, by_hand=_BY_ANOTHER_COLUMN)

    def _lacks(self, roles: list[_Role]) -> Iterable[tuple[str, list[str | None]]]:
        """By role, the statements that it needs; None where it could lock no user."""
        given = {
            "roles": [role.name for role in roles],
            "reads": [role.reads for role in roles],
            "writes": [role.writes for role in roles],
            "functions": [self.found.placed(each.signature) for each in registry.called()],
        }
        lacks: dict[str, list[str | None]] = {role.name: [] for role in roles}
        for name, statement in self._rows(sql.lacking(), **given) if roles else ():
            lacks[name].append(statement)
        return lacks.items()

    def _too_much(self) -> Iterable[Flaw]:
        for table, name, privilege in self.granted:
            if privilege not in _allowed(table, self.roles.get(name)):
                what = f"{name} may {privilege} on {table}, and may not on the column"
                yield _flaw(what, sql.revoke(table, name, privilege))

    def _definers(self) -> Iterable[Flaw]:
        signatures = [self.found.placed(function.signature) for function in registry.fired()]
        lacks: dict[str, list[str]] = {}
        for role, statement in self._rows(sql.definers(), signatures=signatures):
            lacks.setdefault(role, []).append(statement)
        for role, statements in lacks.items():
            what = f"{role}, as whom trigger functions run, may not do what they do"
            yield _flaw(what, *statements)

    def _policies(self) -> Iterable[Flaw]:
        wanted = self.found.secured[""]
        for table, has in self.found.secured.items():
            if table:
                yield from self._policies_of(table, wanted, has)

    def _policies_of(self, table: str, wanted: Secured, has: Secured) -> Iterable[Flaw]:
        """What parts the policies of a table from those that follow the users table."""
        follows = {policy.name: policy for policy in row_security.policies_of(table)}
        found = has.policies
        ours = follows.keys() & found.keys()
        if not wanted.on:
            if ours:
                off = row_security.switch_row_security(table, on=False, forced=False)
                drops = [follows[name].drop for name in sorted(ours)]
                what = f"{table} follows a row security that users no longer have"
                yield _flaw(what, off, *drops)
            return
        wrong = [p for p in follows.values() if not self._same(p, found.get(p.name))]
        if wrong or (has.on, has.forced) != (wanted.on, wanted.forced):
            makes = [statement for policy in wrong for statement in (policy.drop, policy.create)]
            on = row_security.switch_row_security(table, on=True, forced=wanted.forced)
            yield _flaw(f"{table} does not follow the row security of users", *makes, on)
        for name in found.keys() - follows.keys():
            if found[name][0]:
                what = f"the policy {name} of {table} lets through more than users do"
                yield _flaw(what, by_hand="Drop it, or make it RESTRICTIVE")

    def _same(self, policy: Policy, found: tuple[Any, ...] | None) -> bool:
        command, using, check = policy.printed()
        expected = (True, command, True, *map(self._bare, (using, check)))
        return found is not None and (*found[:3], *map(_unquoted, found[3:])) == expected

    def _bare(self, text: str | None) -> str | None:
        return None if text is None else _unquoted(self.found.placed(text))

    def _rows(self, statement: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return catalogs.rows(self.found.alias, statement, **parameters)


def _allowed(table: str, role: _Role | None) -> set[str]:
    """What a role may have on a table of ours: on the typed ones what it has on the column."""
    if role is None:
        return set()
    noted = role.reads and table in sql.NOTED_TABLES
    reads = {"SELECT"} if noted or (role.reads and table in sql.DOCUMENT_TABLES) else set()
    writes = noted or (role.writes and table in sql.TYPED_TABLES)
    return reads | ({"INSERT", "UPDATE"} if writes else set())


def _unquoted(text: str | None) -> str | None:
    return None if text is None else text.replace('"', "")
