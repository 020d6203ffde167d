"""The two typed tables.

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

from prefs.domains import Choice, ClockTime, Flag, Shape, WholeNumber
from prefs.managers import NotificationPreferencesManager, UserPreferencesManager
from prefs.mapping import (
    NOTIFICATION_TABLE,
    RESIDUE_COLUMN,
    TOP_NAMES,
    TOPICS,
    USER_TABLE,
    Leaf,
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


def _quarantine_index() -> models.Index:
    """Serves a search for the values of a leaf that its column does not hold."""
    condition = Q(**{f"{RESIDUE_COLUMN}__has_any_keys": list(TOP_NAMES)})
    return models.Index(fields=["user"], condition=condition, name="prefs_quarantined")


def owner(related_name: str) -> models.OneToOneField[models.Model, models.Model]:
    """The user whose row it is, by the same key."""
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

    user = owner("+")
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
        indexes = [_quarantine_index()]

    def __str__(self) -> str:
        return f"preferences of user {self.pk}"


class NotificationPreferences(TypedRow):
    """One row a user: which message they want on which channel, and their quiet hours."""

    user = owner("+")
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
