"""Gates on what expand installed: it is there, and as it was made."""

from __future__ import annotations

from prefs.engine.findings import Finding, Inquiry
from prefs.engine.integrity import Flaw, remedies, wrong_tables, wrong_triggers
from prefs.engine.states import Gate
from prefs.sql import catalog


def tables_intact(inquiry: Inquiry) -> Finding:
    """The typed tables, their constraints and indexes, and the functions on the way are ours."""
    return _intact(Gate.TABLES_INTACT, wrong_tables(inquiry.alias), "tables, constraints, indexes")


def triggers_intact(inquiry: Inquiry) -> Finding:
    """Every trigger of ours is there, enabled and unaltered."""
    [(_, _, has_column)] = inquiry.rows(catalog.state())
    wrong = wrong_triggers(inquiry.alias, has_column=has_column)
    return _intact(Gate.TRIGGERS_INTACT, wrong, "triggers")


def _intact(gate: Gate, wrong: list[Flaw], what: str) -> Finding:
    return Finding(
        gate=gate,
        met=not wrong,
        found="; ".join(map(str, wrong)) or f"{what} and functions are ours",
        remedy=f"Put back what was altered: {remedies(wrong)}.",
    )
