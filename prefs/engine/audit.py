"""The audit: who did what to the migration, or was refused, and the figures it went by.

Entries are only ever added; the database refuses anything else.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper

from prefs.models import AuditEntry
from prefs.sql import records
from prefs.sql.asking import execute

Event = AuditEntry.Event


def _operator() -> str:
    """Who runs this process; in a container that may be a number without a name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"


def _program() -> str:
    """This program and what it was told to do, without the options."""
    words = [word for word in sys.argv[1:2] if not word.startswith("-")]
    return " ".join([Path(sys.argv[0]).name, *words])


@dataclass(frozen=True, kw_only=True)
class Signature:
    """Who does something, from where, and why; `overrides` are gates they answer for."""

    actor: str = field(default_factory=_operator)
    host: str = field(default_factory=socket.gethostname)
    program: str = field(default_factory=_program)
    reason: str = ""
    overrides: frozenset[str] = frozenset()


_acting: ContextVar[Signature | None] = ContextVar("prefs_acting", default=None)


@contextmanager
def acting_as(signature: Signature) -> Iterator[None]:
    """Sign by `signature` what is done inside."""
    token = _acting.set(signature)
    try:
        yield
    finally:
        _acting.reset(token)


def signature_here() -> Signature:
    """The signature that `acting_as` set; else this process's."""
    return _acting.get() or Signature()


def is_signed() -> bool:
    """Whether `acting_as` has set a signature."""
    return _acting.get() is not None


def record(alias: str, event: AuditEntry.Event, subject: str, **figures: Any) -> None:
    """Add an entry, signed, in the caller's transaction where there is one."""
    _add(connections[alias], event, subject, figures)


def record_apart(alias: str, event: AuditEntry.Event, subject: str, **figures: Any) -> None:
    """Add an entry that stays when the caller's transaction is rolled back."""
    if not connections[alias].in_atomic_block:
        record(alias, event, subject, **figures)
        return
    own = connections[alias].copy()
    # The caller holds a connection: the pool may have no second one to give.
    own.settings_dict.get("OPTIONS", {}).pop("pool", None)
    try:
        _add(own, event, subject, figures)
    finally:
        own.close()


def _add(
    connection: BaseDatabaseWrapper, event: AuditEntry.Event, subject: str, figures: dict[str, Any]
) -> None:
    signed = signature_here()
    entry = {
        "event": str(event),
        "subject": subject,
        "reason": signed.reason,
        "actor": signed.actor,
        "host": signed.host,
        "program": signed.program,
        "figures": json.dumps(figures, cls=DjangoJSONEncoder),
    }
    execute(connection, records.add_entry(), entry)
