"""A sample that is turned by other hands: in the admin, by `waffle_sample`, by `Sample.save()`.

Saving one of ours sets it by `canary.turn`: the same gates, the same record. What does not come
this way the database's own guard refuses, unless it lowers one.
"""

from __future__ import annotations

from collections.abc import Collection
from decimal import Decimal
from typing import Any

from django.db import models

from prefs import conf
from prefs.engine import audit, canary, permission
from prefs.engine.gates import GateRefused
from prefs.engine.states import UnknownState
from prefs.engine.switches import NotPermitted, SwitchRefused
from prefs.models.permissions import OPERATE
from prefs.routing import SAMPLES, MissingSwitch

_REFUSALS = (
    canary.NotAPercentage,
    canary.NotRaised,
    canary.NoSample,
    GateRefused,
    MissingSwitch,
    UnknownState,
)


def turn_by_protocol(
    sender: type[models.Model],
    instance: models.Model,
    using: str,
    update_fields: Collection[str] | None = None,
    **kwargs: Any,
) -> None:
    """Receiver of pre_save: set by the protocol, so that the save itself changes nothing.

    Raises SwitchRefused. Takes the locks that `canary.turn` does.
    """
    sample: Any = instance
    before: Any = sender._default_manager.using(using).filter(pk=sample.pk).first()
    names = {sample.name, before.name if before is not None else sample.name}
    if names.isdisjoint(SAMPLES):
        return
    with permission.signed_by_user():
        if len(names) > 1:
            why = f"The sample {before.name} cannot become {sample.name}: reads go by its name."
            raise _refused(using, f"rename {before.name}", why)
        percent = sample.percent if update_fields is None or "percent" in update_fields else None
        if before is None or (percent is not None and Decimal(str(percent)) != before.percent):
            _turn(sample, using, created=before is None)


def _turn(sample: Any, alias: str, *, created: bool) -> None:
    way = f"set {sample.name} to {sample.percent} %"
    if why := permission.why_not(OPERATE):
        _record(alias, way, why)
        raise NotPermitted(why)
    try:
        sample.percent = canary.percentage(sample.percent)
        if created:
            if sample.percent:
                raise canary.NoSample(sample.name)
            return
        canary.turn(alias, sample.name, sample.percent, conf.current())
    except _REFUSALS as error:
        raise _refused(alias, way, str(error)) from error


def refuse_deletion(
    sender: type[models.Model], instance: models.Model, using: str, **kwargs: Any
) -> None:
    """Receiver of pre_delete. Raises SwitchRefused."""
    sample: Any = instance
    if sample.name in SAMPLES:
        why = f"The sample {sample.name} cannot be deleted; set it to 0, which is as good."
        raise _refused(using, f"delete {sample.name}", why)


def _refused(alias: str, subject: str, why: str) -> SwitchRefused:
    """The error to raise, once it is in the audit."""
    _record(alias, subject, why)
    return SwitchRefused(why)


def _record(alias: str, subject: str, why: str) -> None:
    audit.record_apart(alias, audit.Event.REFUSAL, subject, why=why)
