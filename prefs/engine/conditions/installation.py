"""Gates on what expand installed, on what it stands, and who may do what with it."""

from __future__ import annotations

from prefs.engine.findings import Finding, Inquiry
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
    return Finding(
        gate=gate,
        met=not wrong,
        found="; ".join(map(str, wrong)) or f"{what} and functions are ours",
        remedy=remedies(wrong),
    )


def supported_tables(inquiry: Inquiry) -> Finding:
    """The tables are ordinary ones of a primary."""
    wrong = unsupported(inquiry.alias)
    return Finding(
        gate=Gate.SUPPORTED_TABLES,
        met=not wrong,
        found="; ".join(wrong) or "users and preferences are in ordinary tables of a primary",
        remedy=REMEDY,
    )


def rights(inquiry: Inquiry) -> Finding:
    """Roles have on the typed tables what they have on the column, and policies follow."""
    wrong = wrong_rights(inquiry.look, inquiry.settings)
    return Finding(
        gate=Gate.RIGHTS,
        met=not wrong,
        found="; ".join(map(told, wrong)) or "roles have what they have on the column, no more",
        remedy=remedies(wrong),
    )


def sees_everybody(inquiry: Inquiry) -> Finding:
    """Row security hides no user from this role, nor from the owners of trigger functions."""
    hidden = hidden_from(inquiry.alias)
    return Finding(
        gate=Gate.SEES_EVERYBODY,
        met=not hidden,
        found=describe(hidden) or "no row is hidden from this role",
        remedy=HIDDEN_REMEDY,
    )
