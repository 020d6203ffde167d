"""What shadow reads have found: users whose stores differ, and how many were compared."""

from __future__ import annotations

from django.db import models

from prefs.models.preferences import owner


class Mismatch(models.Model):
    """A user whose two stores a shadow read found to differ, while they had to be equal.

    Leaves by name, `residue` for what is in no column; digests of both documents, and no value.
    """

    user = owner("+")
    leaves = models.JSONField()
    blob_digest = models.TextField(null=True)
    tables_digest = models.TextField(null=True)
    times = models.BigIntegerField()
    first_found_at = models.DateTimeField()
    found_at = models.DateTimeField()

    class Meta:
        db_table = "prefs_mismatch"
        verbose_name_plural = "mismatches"

    def __str__(self) -> str:
        return f"user {self.pk}: {', '.join(self.leaves)}"


class ShadowReads(models.Model):
    """How many documents all processes have compared, in one row."""

    id = models.BigIntegerField(primary_key=True)
    compared = models.BigIntegerField()
    differing = models.BigIntegerField()
    failed = models.BigIntegerField()
    counted_at = models.DateTimeField()

    class Meta:
        db_table = "prefs_shadow"
        verbose_name = verbose_name_plural = "shadow reads"

    def __str__(self) -> str:
        return f"{self.compared} shadow reads"
