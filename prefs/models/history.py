"""What was done, as evidence: transitions, the audit, the archive of the blobs."""

from __future__ import annotations

from django.db import models

from prefs.models.preferences import owner


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
        INSTALL = "install", "installation put right"
        QUARANTINE = "quarantine", "quarantine accepted or not"
        SAMPLE = "sample", "canary or shadow reads turned"
        INTERRUPTED = "interrupted", "run interrupted"
        RESUMED = "resumed", "run resumed"
        REHEARSAL = "rehearsal", "rehearsal recorded"

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


class RecordedRehearsal(models.Model):
    """A rehearsal of this site's migration, as `rehearse_prefs --record` reported it.

    It counts as evidence for the release and the mapping that it was made with alone: `version`
    and `fingerprint` say which.
    """

    id = models.BigAutoField(primary_key=True)
    version = models.TextField()
    fingerprint = models.TextField()
    is_clean = models.BooleanField()
    figures = models.JSONField()
    actor = models.TextField()
    recorded_at = models.DateTimeField()

    class Meta:
        db_table = "prefs_rehearsal"

    def __str__(self) -> str:
        return f"{'clean' if self.is_clean else 'failed'} rehearsal {self.pk}"


class AcceptedQuarantine(models.Model):
    """A leaf whose quarantine an operator lets stand: how many users then, who, when and why.

    `leaf` is empty for the root of a document.
    """

    leaf = models.TextField(primary_key=True)
    users = models.BigIntegerField()
    reason = models.TextField()
    actor = models.TextField()
    accepted_at = models.DateTimeField()

    class Meta:
        db_table = "prefs_accepted"
        verbose_name = verbose_name_plural = "accepted quarantine"

    def __str__(self) -> str:
        return f"{self.users} by {self.actor} on {self.accepted_at:%Y-%m-%d}, {self.reason!r}"


class ArchivedPreferences(models.Model):
    """A blob as it was when its column was dropped: evidence, not a store.

    It goes with its user. `digest` is that of the document, made when it was archived.
    """

    user = owner("+")
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
