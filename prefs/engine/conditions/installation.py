"""Gates on what expand installed, on what it stands, and who may do what with it."""

from __future__ import annotations

from prefs.engine.findings import Finding, Inquiry, none_of
from prefs.engine.flaws import Flaw, remedies
from prefs.engine.integrity import told, wrong_tables, wrong_triggers
from prefs.engine.rights import wrong_rights
from prefs.engine.sight import REMEDY as HIDDEN_REMEDY
from prefs.engine.sight import describe, hidden_from
from prefs.engine.states import Gate
from prefs.engine.supported import REMEDY, unsupported


def tables_intact(inquiry: Inquiry) -> Finding:
    """The typed tables, their constraints and indexes, and the functions on the way are ours."""
    return _intact(Gate.TABLES_INTACT, wrong_tables(inquiry.look), "tables, constraints, indexes")


def triggers_intact(inquiry: Inquiry) -> Finding:
    """Every trigger of ours is there, enabled and unaltered."""
    return _intact(Gate.TRIGGERS_INTACT, wrong_triggers(inquiry.look), "triggers")


def _intact(gate: Gate, wrong: list[Flaw], what: str) -> Finding:
    return none_of(gate, [*map(str, wrong)], f"{what} and functions are ours", remedies(wrong))


def supported_tables(inquiry: Inquiry) -> Finding:
    """The tables are ordinary ones of a primary."""
    otherwise = "users and preferences are in ordinary tables of a primary"
    return none_of(Gate.SUPPORTED_TABLES, unsupported(inquiry.alias), otherwise, REMEDY)


def rights(inquiry: Inquiry) -> Finding:
    """Roles have on the typed tables what they have on the column, and policies follow."""
    wrong = wrong_rights(inquiry.look, inquiry.settings)
    otherwise = "roles have what they have on the column, no more"
    return none_of(Gate.RIGHTS, [*map(told, wrong)], otherwise, remedies(wrong))


def sees_everybody(inquiry: Inquiry) -> Finding:
    """Row security hides no user from this role, nor from the owners of trigger functions."""
    hidden = hidden_from(inquiry.alias)
    wrong = [describe(hidden)] if hidden else []
    otherwise = "no row is hidden from this role"
    return none_of(Gate.SEES_EVERYBODY, wrong, otherwise, HIDDEN_REMEDY)
