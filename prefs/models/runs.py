"""The records of background work: runs, and the ranges that workers hold of them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q


class Lease(models.Model):
    """A piece of background work: how far it is, what it did, who is on it and until when."""

    id = models.BigAutoField(primary_key=True)
    cursor = models.TextField(null=True)
    users = models.BigIntegerField(default=0)
    copied = models.BigIntegerField(default=0)
    differing = models.BigIntegerField(default=0)
    repaired = models.BigIntegerField(default=0)
    batches = models.BigIntegerField(default=0)
    retries = models.BigIntegerField(default=0)
    holder = models.TextField()
    lease_until = models.DateTimeField(null=True)

    class Meta:
        abstract = True


class Run(Lease):
    """One piece of background work over all users.

    Each worker holds a range: `cursor` is how far ranges were handed out, the counters are those
    of the ranges that are done or were left, `lease_until` is when the last of them was.
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
        EMPTY = "empty", "emptying the archive"
        ARCHIVE = "archive", "archive"
        DROP = "drop", "drop of the column"
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

    The lock is a lease with a fencing token: every batch renews it under its token, in the
    transaction of the batch, so a process that lost the lease can write nothing more. It is there
    while it is not done; then its counters join those of its run.
    """

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="ranges")
    upto = models.TextField()
    token = models.BigIntegerField(default=1)

    class Meta:
        db_table = "prefs_range"

    def __str__(self) -> str:
        return f"range {self.pk} of {self.run}"
