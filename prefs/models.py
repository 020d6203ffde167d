"""The two typed tables, the archive, and the records of runs, transitions and the audit.

The columns stand here for Django and in the mapping for the statements; a system check
holds the two together. Their domains are CHECK constraints, so that no hand can store a
value that the document would not give back.
"""

from __future__ import annotations

from typing import assert_never

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Cast, Length
from django.db.models.lookups import LessThanOrEqual, Regex

from prefs.managers import NotificationPreferencesManager, UserPreferencesManager
from prefs.mapping import (
    NOTIFICATION_TABLE,
    TOPICS,
    USER_TABLE,
    Choice,
    ClockTime,
    Flag,
    Leaf,
    Shape,
    WholeNumber,
    leaves_of,
)
from prefs.rows import TypedRow


def _domain(leaf: Leaf) -> list[models.BaseConstraint]:
    """The CHECK constraint of a leaf; a NULL ("not set") passes each."""
    column, domain = leaf.column, leaf.domain
    match domain:
        case Flag():
            return []
        case Choice():
            condition: Q = Q(**{f"{column}__in": domain.values})
        case WholeNumber():
            condition = Q(**{f"{column}__range": (domain.minimum, domain.maximum)})
        case Shape():
            condition = Q(**{f"{column}__regex": domain.pattern}) & Q(
                LessThanOrEqual(Length(F(column)), domain.max_length)
            )
        case ClockTime():
            # Its seconds are zero, and it is not 24:00, which Python cannot read.
            pattern = domain.pattern.replace("$", ":00$")
            condition = Q(Regex(Cast(F(column), models.TextField()), pattern))
        case _:
            assert_never(domain)
    return [models.CheckConstraint(condition=condition, name=f"{leaf.table}_{column}_domain")]


def _domains(table: str) -> list[models.BaseConstraint]:
    return [constraint for leaf in leaves_of(table) for constraint in _domain(leaf)]


def _audience_index(leaf: Leaf) -> models.Index:
    """Serves "who wants this" in key order, without a look at those who do not."""
    wanted = {f"{leaf.column}__in": leaf.wanted} if leaf.wanted else {leaf.column: True}
    condition = Q(**wanted)
    return models.Index(fields=["user"], condition=condition, name=f"prefs_{leaf.column}")


def _owner(related_name: str) -> models.OneToOneField[models.Model, models.Model]:
    # The database cascades (the key is added by a migration): Django's collector deletes
    # children first, in the opposite order to a write, and deadlocks with it.
    return models.OneToOneField(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        primary_key=True,
        related_name=related_name,
    )


class UserPreferences(TypedRow):
    """One row a user: the typed settings, and the residue that no column can hold."""

    user = _owner("+")
    theme = models.TextField(null=True, blank=True)
    language = models.TextField(null=True, blank=True)
    timezone = models.TextField(null=True, blank=True)
    date_format = models.TextField(null=True, blank=True)
    items_per_page = models.IntegerField(null=True, blank=True)
    compact_mode = models.BooleanField(null=True, blank=True)
    residue = models.JSONField(null=True, blank=True, editable=False)

    objects = UserPreferencesManager()

    class Meta:
        db_table = USER_TABLE
        verbose_name = verbose_name_plural = "user preferences"
        constraints = _domains(USER_TABLE)

    def __str__(self) -> str:
        return f"preferences of user {self.pk}"


class NotificationPreferences(TypedRow):
    """One row a user: which message they want on which channel, and their quiet hours."""

    user = _owner("+")
    email_marketing = models.BooleanField(null=True, blank=True)
    email_product_updates = models.BooleanField(null=True, blank=True)
    email_security = models.BooleanField(null=True, blank=True)
    email_mentions = models.BooleanField(null=True, blank=True)
    email_digest = models.TextField(null=True, blank=True)
    push_mentions = models.BooleanField(null=True, blank=True)
    push_messages = models.BooleanField(null=True, blank=True)
    push_security = models.BooleanField(null=True, blank=True)
    sms_security = models.BooleanField(null=True, blank=True)
    quiet_hours_start = models.TimeField(null=True, blank=True)
    quiet_hours_end = models.TimeField(null=True, blank=True)

    objects = NotificationPreferencesManager()

    class Meta:
        db_table = NOTIFICATION_TABLE
        verbose_name = verbose_name_plural = "notification preferences"
        constraints = _domains(NOTIFICATION_TABLE)
        indexes = [_audience_index(leaf) for leaf in TOPICS.values()]

    def __str__(self) -> str:
        return f"notification preferences of user {self.pk}"


class Lease(models.Model):
    """A piece of background work in one hand: how far it is, what it did, and until when.

    The lock is a lease with a fencing token: every batch renews it under its token, in the
    transaction of the batch, so a process that lost the lease can write nothing more.
    """

    id = models.BigAutoField(primary_key=True)
    cursor = models.TextField(null=True)
    users = models.BigIntegerField(default=0)
    copied = models.BigIntegerField(default=0)
    differing = models.BigIntegerField(default=0)
    repaired = models.BigIntegerField(default=0)
    batches = models.BigIntegerField(default=0)
    retries = models.BigIntegerField(default=0)
    token = models.BigIntegerField(default=1)
    holder = models.TextField()
    lease_until = models.DateTimeField(null=True)

    class Meta:
        abstract = True


class Run(Lease):
    """One piece of background work over all users.

    Where many workers share it, its lease is not used: each worker holds a range, `cursor`
    is how far ranges were handed out, and the counters are those of the ranges that are done.
    What an operator orders from a second terminal stands here, and every batch reads it.
    """

    class Kind(models.TextChoices):
        BACKFILL = "backfill", "backfill"
        REVERSE = "reverse", "reverse backfill"
        VERIFICATION = "verification", "verification"
        ARCHIVE = "archive", "archive"
        CORRECTION = "correction", "correction"

    class Status(models.TextChoices):
        RUNNING = "running", "running"
        INTERRUPTED = "interrupted", "interrupted"
        FAILED = "failed", "failed"
        DONE = "done", "done"
        ABANDONED = "abandoned", "abandoned"

    class Phase(models.TextChoices):
        COPY = "copy", "copy"
        KEYS = "keys", "foreign keys"
        CATCH_UP = "catch_up", "catch-up"
        COMPARE = "compare", "compare"
        ARCHIVE = "archive", "archive"
        CORRECT = "correct", "correct"

    kind = models.TextField(choices=Kind)
    status = models.TextField(choices=Status, default=Status.RUNNING)
    phase = models.TextField(choices=Phase)
    error = models.TextField(default="")
    paused = models.BooleanField(default=False)
    stopping = models.BooleanField(default=False)
    max_rate = models.IntegerField(null=True)
    target_ms = models.IntegerField(null=True)
    figures = models.JSONField(default=dict)
    started_at = models.DateTimeField()
    phase_began_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "prefs_run"
        constraints = [
            models.UniqueConstraint(
                fields=["kind"],
                condition=~Q(status__in=("done", "abandoned")),
                name="prefs_run_one_open_of_a_kind",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} run {self.pk}"

    def so_far(self, counter: str) -> int:
        """A counter of this run, with those of the ranges that workers are on."""
        ranges = self.ranges.values_list(counter, flat=True)
        return int(getattr(self, counter) + sum(ranges))


class Range(Lease):
    """The users after `cursor` up to `upto` in one worker's hand, or waiting for one.

    It is there while it is not done; then its counters join those of its run.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="ranges")
    upto = models.TextField()

    class Meta:
        db_table = "prefs_range"

    def __str__(self) -> str:
        return f"range {self.pk} of {self.run}"


class Transition(models.Model):
    """One transition that was taken: who, when, why, and the figures of each gate.

    `settled_at` is when its effect had reached every process: the drain of a flip, the fill
    of a restored column. Until then the transition is open, and whoever needs it settled
    finishes it first.
    """

    id = models.BigAutoField(primary_key=True)
    from_state = models.TextField()
    to_state = models.TextField()
    actor = models.TextField()
    reason = models.TextField(default="")
    gates = models.JSONField(default=list)
    figures = models.JSONField(default=dict)
    taken_at = models.DateTimeField()
    settled_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "prefs_transition"

    def __str__(self) -> str:
        return f"{self.from_state} to {self.to_state}"


class AuditEntry(models.Model):
    """What was done to the migration or was refused: who, when, from where, with which figures.

    The database refuses to change or to remove an entry.
    """

    class Event(models.TextChoices):
        TRANSITION = "transition", "transition taken"
        SETTLED = "settled", "transition settled"
        REFUSAL = "refusal", "transition refused"
        OVERRIDE = "override", "gate overridden"
        REPAIR = "repair", "mirror repaired"
        CORRECTION = "correction", "quarantined leaves corrected"
        ARCHIVE = "archive", "archive made or removed"

    id = models.BigAutoField(primary_key=True)
    event = models.TextField(choices=Event)
    subject = models.TextField()
    reason = models.TextField(default="")
    actor = models.TextField()
    host = models.TextField()
    program = models.TextField()
    session = models.TextField()
    figures = models.JSONField(default=dict)
    recorded_at = models.DateTimeField()

    class Meta:
        db_table = "prefs_audit"
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.get_event_display()}: {self.subject}"


class ArchivedPreferences(models.Model):
    """A blob as it was when its column was dropped: evidence, not a store.

    It goes with its user. `digest` is that of the document, made when it was archived.
    """

    user = _owner("+")
    document = models.JSONField(null=True)
    digest = models.BigIntegerField()

    class Meta:
        db_table = "prefs_archive"
        verbose_name = verbose_name_plural = "archived preferences"

    def __str__(self) -> str:
        return f"archived preferences of user {self.pk}"


class ArchiveDeparture(models.Model):
    """The digest of an archived blob that went with its user, so that the sums still come out."""

    id = models.BigAutoField(primary_key=True)
    digest = models.BigIntegerField()

    class Meta:
        db_table = "prefs_archive_departure"

    def __str__(self) -> str:
        return f"departure {self.pk}"
