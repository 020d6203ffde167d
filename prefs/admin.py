"""Switches and samples in Django's admin: they pass the gates, or the page says what is unmet."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.contrib import admin, messages
from django.db import router, transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from waffle import get_waffle_sample_model, get_waffle_switch_model

# Imported for its registrations, so that they stand before ours whatever the order of apps.
from waffle.admin import BaseAdmin, SampleAdmin, SwitchAdmin

from prefs.engine.audit import Signature, acting_as
from prefs.engine.permission import asking_for
from prefs.engine.states import UnknownState, current_state
from prefs.engine.switches import SwitchRefused
from prefs.models import AuditEntry
from prefs.routing import SAMPLES, SWITCHES, MissingSwitch

Switch, Sample = get_waffle_switch_model(), get_waffle_sample_model()


class _GuardedAdmin(BaseAdmin):
    """waffle's own page. What is refused becomes a message, and changes nothing."""

    ours: tuple[str, ...]

    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The form of one."""
        view = partial(super().changeform_view, request, *args, **kwargs)
        return self._guarded(request, view)

    def changelist_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        """The list and its actions, each of which is done whole or not at all."""
        view = partial(super().changelist_view, request, *args, **kwargs)
        return self._guarded(request, view)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody deletes one of ours."""
        ours = obj is not None and obj.name in self.ours
        return not ours and super().has_delete_permission(request, obj)

    def _guarded(self, request: HttpRequest, view: Callable[[], HttpResponse]) -> HttpResponse:
        signature = Signature(actor=request.user.get_username(), program="admin")
        before = self._state()
        try:
            with acting_as(signature), asking_for(lambda: request.user), transaction.atomic():
                answer = view()
        except SwitchRefused as error:
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(request.get_full_path())
        if (after := self._state()) != before:
            self.message_user(request, f"The state of the migration is {after} now.")
        return answer

    @staticmethod
    def _state() -> str:
        """The state, or nothing where a switch is missing or contradicts the column."""
        try:
            return str(current_state(router.db_for_write(Switch)))
        except (MissingSwitch, UnknownState):
            return ""


class GuardedSwitchAdmin(_GuardedAdmin, SwitchAdmin):
    """The switches."""

    ours = SWITCHES


class GuardedSampleAdmin(_GuardedAdmin, SampleAdmin):
    """The samples."""

    ours = SAMPLES


@admin.register(AuditEntry)
class AuditEntryAdmin(admin.ModelAdmin):  # type: ignore[type-arg]  # generic for mypy alone
    """The audit, to read: the database lets nobody change it."""

    list_display = ("recorded_at", "event", "subject", "reason", "actor", "host", "program")
    list_filter = ("event",)
    ordering = ("-id",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Entries are added by what they tell of; none is changed or removed."""
        return False

    has_change_permission = has_delete_permission = has_add_permission


if admin.site.is_registered(Switch):
    admin.site.unregister(Switch)
    admin.site.register(Switch, GuardedSwitchAdmin)
if admin.site.is_registered(Sample):
    admin.site.unregister(Sample)
    admin.site.register(Sample, GuardedSampleAdmin)
