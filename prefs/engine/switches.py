"""A switch that is turned by other hands: in the admin, by `waffle_switch`, by `Switch.save()`.

Saving one of our two rows becomes the flip of the transition that it asks for: the same gates,
the same record, the same drain. What does not come this way (`QuerySet.update`, raw SQL,
TRUNCATE) the database's own guard refuses.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from django.core.exceptions import PermissionDenied
from django.core.management.base import CommandError
from django.db import connections, models, transaction

from prefs import conf
from prefs.engine import audit, flips, permission, transitions
from prefs.engine.batches import Control
from prefs.engine.states import (
    Edge,
    OutOfOrder,
    State,
    UnknownState,
    command,
    contradicts_column,
    current_state,
    edge,
    is_forward,
    recorded_state,
)
from prefs.models.permissions import ADVANCE
from prefs.routing import SWITCHES, MissingSwitch, Route
from prefs.sql import catalog
from prefs.sql.asking import one

# A page or a save does not wait longer than this for a drain: whoever needs it finishes it.
_DRAIN_TIMEOUT = 10.0


class SwitchRefused(CommandError):
    """A switch that was not turned. Nothing was changed; the sentence says what to do."""

    def __init__(self, why: object) -> None:
        super().__init__(str(why), returncode=4)


class NotPermitted(SwitchRefused, PermissionDenied):
    """Somebody turns a switch in a request without our permission: 403, where no page says it."""


def _refused(alias: str, subject: str, why: str) -> SwitchRefused:
    """The error to raise, once it is in the audit."""
    audit.record_apart(alias, audit.Event.REFUSAL, subject, why=why)
    return SwitchRefused(why)


def turn_by_protocol(
    sender: type[models.Model],
    instance: models.Model,
    using: str,
    update_fields: Collection[str] | None = None,
    **kwargs: Any,
) -> None:
    """Receiver of pre_save: flip by the protocol, so that the save itself changes nothing.

    Raises SwitchRefused. Takes the advisory lock of transitions until the transaction ends.
    """
    switch: Any = instance
    before: Any = sender._default_manager.using(using).filter(pk=switch.pk).first()
    if switch.name in SWITCHES or (before is not None and before.name in SWITCHES):
        with permission.signed_by_user():
            _turn_by_protocol(switch, before, using, update_fields)


def _turn_by_protocol(
    switch: Any, before: Any, alias: str, update_fields: Collection[str] | None
) -> None:
    if before is not None and before.name != switch.name:
        raise _refused(
            alias,
            f"rename {before.name}",
            f"The switch {before.name} cannot become {switch.name}: the route of preferences is"
            " read by the names of its two switches.",
        )
    if before is None:
        if not type(switch)._default_manager.using(alias).filter(name=switch.name).exists():
            _put_row_back(switch, alias)
    elif before.active != switch.active and (update_fields is None or "active" in update_fields):
        _turn(switch.name, switch.active, alias)


def refuse_deletion(
    sender: type[models.Model], instance: models.Model, using: str, **kwargs: Any
) -> None:
    """Receiver of pre_delete: without its row no route is known. Raises SwitchRefused."""
    switch: Any = instance
    if switch.name in SWITCHES:
        raise _refused(
            using,
            f"delete {switch.name}",
            f"The switch {switch.name} cannot be deleted while the preferences migration is"
            " installed: without it no preference could be read or written.",
        )


def _recorded(name: str, alias: str) -> bool:
    return dict(zip(SWITCHES, recorded_state(alias).route.value, strict=True))[name]


def _put_row_back(switch: Any, alias: str) -> None:
    """A row that was missing comes back with the value it had."""
    _require_permission(f"create {switch.name}", alias)
    recorded = _recorded(switch.name, alias)
    if switch.active and not recorded:
        raise _refused(
            alias,
            f"create {switch.name} on",
            f"The switch {switch.name} was off when its row was lost, so it comes back off. Create"
            " it off, then run `manage.py advance_prefs`.",
        )
    switch.active = recorded


def _turn(name: str, active: bool, alias: str) -> None:
    """Take the transition that turning a switch stands for, or put a switch right."""
    way = f"turn {name} {'on' if active else 'off'}"
    control = Control(drain_timeout=_DRAIN_TIMEOUT)
    signature = audit.signature_here()
    _require_permission(way, alias)
    _refuse_transaction(alias, way)
    try:
        with transitions.refusals_recorded(alias, way):
            if contradicts_column(alias) and active == _recorded(name, alias):
                flips.put_back(alias, name, active)
                return
            transitions.settle_open_flip(alias, control)
            chosen = _edge_of(name, active, alias)
            flips.flip(chosen, alias, conf.current(), durable=False)
    except (*transitions.REFUSALS, MissingSwitch, UnknownState) as error:
        raise SwitchRefused(error) from error

    def finish() -> None:
        with audit.acting_as(signature):
            transitions.settle_open_flip(alias, control)

    # Where no transaction is open this runs at once.
    transaction.on_commit(finish, using=alias, robust=True)


def _require_permission(way: str, alias: str) -> None:
    """Raise NotPermitted where it is turned in a request by somebody without our permission."""
    if why := permission.why_not(ADVANCE):
        audit.record_apart(alias, audit.Event.REFUSAL, way, why=why)
        raise NotPermitted(why)


def _refuse_transaction(alias: str, way: str) -> None:
    """Raise SwitchRefused where the transaction that is open cannot turn a switch."""
    level, has_turned = one(connections[alias], catalog.turner())
    if level != "read committed":
        raise _refused(
            alias,
            way,
            f"A switch is turned at READ COMMITTED only, so that its gates see what is so now;"
            f" this transaction is at {level.upper()}.",
        )
    # Its commit would part the routes of two writers by two switches, and lose a write.
    if has_turned:
        raise _refused(
            alias,
            way,
            "This transaction has turned a switch already, and nobody can be waited for before"
            " it commits. Turn one switch at a time.",
        )


def _edge_of(name: str, active: bool, alias: str) -> Edge:
    """The transition that turning one switch stands for. Raises OutOfOrder: what comes first."""
    state = current_state(alias)
    values = {**dict(zip(SWITCHES, state.route.value, strict=True)), name: active}
    route = Route(tuple(values[each] for each in SWITCHES))
    target = next(each for each in State if each.route is route)
    forward = is_forward(state, target)
    try:
        return edge(state, target, forward=forward)
    except OutOfOrder as error:
        said, step = str(error).split(":")[0], edge(state, None, forward=forward)
        pairs = zip(SWITCHES, state.route.value, step.target.route.value, strict=True)
        turned = [f"turn {name} {'on' if on else 'off'}" for name, was, on in pairs if was != on]
        by_command = f"run `manage.py {command(forward=forward)} --to {step.target}`"
        first = turned[0] if turned else by_command
        raise OutOfOrder(
            f"{said}: transitions are taken one at a time. From {state} the next step is"
            f" {step.target}: {first} first. Nothing was changed."
        ) from error
