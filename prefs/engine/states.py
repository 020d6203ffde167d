"""The five states and the one table of transitions between them.

The state is never stored: it is what the switches and the column say, read from the
database in one snapshot. The transitions that were taken are stored beside it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from django.db import connections

from prefs.errors import PrefsError, Refused
from prefs.models import Transition
from prefs.routing import Route
from prefs.sql import catalog
from prefs.sql.asking import one


class State(enum.StrEnum):
    """Where a site is on its way from the blob to the tables."""

    EXPANDED = "expanded"
    DUAL_WRITE = "dual_write"
    READ_CUTOVER = "read_cutover"
    MIRROR_OFF = "mirror_off"
    DROPPED = "dropped"

    @property
    def route(self) -> Route:
        return _ROUTES[self]


def is_forward(source: State, target: State) -> bool:
    """Whether `target` is further on the way than `source`."""
    order = list(State)
    return order.index(target) > order.index(source)


def command(*, forward: bool) -> str:
    """The command that takes transitions in that direction."""
    return "advance_prefs" if forward else "rollback_prefs"


_ROUTES = {
    State.EXPANDED: Route.BLOB,
    State.DUAL_WRITE: Route.BLOB_MIRRORED,
    State.READ_CUTOVER: Route.TABLES_MIRRORED,
    State.MIRROR_OFF: Route.TABLES,
    State.DROPPED: Route.TABLES,
}


class Gate(enum.StrEnum):
    """A condition that a transition must meet, by the name it has in output and records."""

    TABLES_INTACT = "tables_intact"
    TRIGGERS_INTACT = "triggers_intact"
    SUPPORTED_TABLES = "supported_tables"
    RIGHTS = "rights"
    SEES_EVERYBODY = "sees_everybody"
    READ_COMMITTED = "read_committed"
    DURABLE_COMMITS = "durable_commits"
    NO_LOGICAL_APPLY = "no_logical_apply"
    SITE_TRIGGERS = "site_triggers"
    VERIFIED = "verified"
    VERIFIED_SINCE_MIRROR = "verified_since_mirror"
    CUTOVER_SOAK = "cutover_soak"
    CONTRACT_SOAK = "contract_soak"
    NO_PREVIOUS_RELEASE = "no_previous_release"
    NO_UNKNOWN_SESSION = "no_unknown_session"
    NOTHING_DEPENDS = "nothing_depends"
    NO_CODE_NAMES_COLUMN = "no_code_names_column"
    ARCHIVE_FITS = "archive_fits"
    COLUMN_EXISTS = "column_exists"
    NO_USERS = "no_users"


# What every step forward asks: the installation is as it was made, and the server can keep to it.
SOUND = (
    Gate.TABLES_INTACT,
    Gate.TRIGGERS_INTACT,
    Gate.SUPPORTED_TABLES,
    Gate.RIGHTS,
    Gate.SEES_EVERYBODY,
    Gate.READ_COMMITTED,
    Gate.DURABLE_COMMITS,
    Gate.NO_LOGICAL_APPLY,
)
# What raising the canary asks, in `dual_write`; none can be overridden.
RAISING_THE_CANARY = (Gate.VERIFIED, Gate.TABLES_INTACT, Gate.TRIGGERS_INTACT)
# What these ask is not a matter of judgement: without it the transition itself cannot work, or what
# the other gates found is of a part of the users.
_NEVER_OVERRIDDEN = frozenset({Gate.COLUMN_EXISTS, Gate.NO_USERS, Gate.SEES_EVERYBODY})


class Action(enum.StrEnum):
    """What a transition does to the database."""

    FLIP = "flip the switch, then drain"
    DROP = "drop the column"
    RESTORE = "restore the column and fill it from the tables"
    CONTRACT_EMPTY = "turn the read switch and drop the column"


@dataclass(frozen=True)
class Edge:
    """One transition that can be taken: when, under which gates, and what it does."""

    source: State
    target: State
    action: Action
    gates: tuple[Gate, ...] = ()

    @property
    def forward(self) -> bool:
        return is_forward(self.source, self.target)

    @property
    def overridable(self) -> tuple[Gate, ...]:
        """Those of its gates that an operator can answer for.

        What depends on the column forbids to drop it, and is served stale values before.
        """
        drops = {Gate.NOTHING_DEPENDS} if self.target is State.DROPPED else set()
        return tuple(gate for gate in self.gates if gate not in _NEVER_OVERRIDDEN | drops)

    def __str__(self) -> str:
        return f"{self.source} to {self.target}"


EDGES = (
    Edge(State.EXPANDED, State.DUAL_WRITE, Action.FLIP, SOUND),
    Edge(
        State.DUAL_WRITE,
        State.READ_CUTOVER,
        Action.FLIP,
        (*SOUND, Gate.VERIFIED, Gate.SITE_TRIGGERS),
    ),
    Edge(
        State.READ_CUTOVER,
        State.MIRROR_OFF,
        Action.FLIP,
        (
            *SOUND,
            Gate.VERIFIED,
            Gate.CUTOVER_SOAK,
            Gate.NO_PREVIOUS_RELEASE,
            Gate.NOTHING_DEPENDS,
            Gate.NO_CODE_NAMES_COLUMN,
        ),
    ),
    Edge(
        State.MIRROR_OFF,
        State.DROPPED,
        Action.DROP,
        (
            *SOUND,
            Gate.CONTRACT_SOAK,
            Gate.NO_UNKNOWN_SESSION,
            Gate.NOTHING_DEPENDS,
            Gate.ARCHIVE_FITS,
        ),
    ),
    Edge(State.DROPPED, State.MIRROR_OFF, Action.RESTORE),
    Edge(
        State.MIRROR_OFF,
        State.READ_CUTOVER,
        Action.FLIP,
        (Gate.COLUMN_EXISTS, Gate.TRIGGERS_INTACT),
    ),
    Edge(State.READ_CUTOVER, State.DUAL_WRITE, Action.FLIP, (Gate.VERIFIED_SINCE_MIRROR,)),
    Edge(State.DUAL_WRITE, State.EXPANDED, Action.FLIP),
    # A new installation has nobody to move.
    Edge(
        State.EXPANDED,
        State.DROPPED,
        Action.CONTRACT_EMPTY,
        (*SOUND, Gate.NO_USERS, Gate.NOTHING_DEPENDS),
    ),
)


class OutOfOrder(Refused):
    """A transition that is not in the table."""


def edge(source: State, target: State | None, *, forward: bool) -> Edge:
    """The transition from `source`, to `target` or to the next state in that direction.

    Raises OutOfOrder, which names those there are.
    """
    ways = [each for each in EDGES if each.source is source and each.forward is forward]
    for way in ways:
        if target in (None, way.target):
            return way
    word = "advance" if forward else "roll back"
    then = f"there is nothing to {word} to"
    if ways:
        then = f"it can go to {' or '.join(str(way.target) for way in ways)}"
    raise OutOfOrder(
        f"Cannot {word} from {source} to {target or 'a further state'}: transitions are taken one"
        f" at a time. From {source} {then} (manage.py {command(forward=forward)} --to STATE)."
    )


class UnknownState(PrefsError):
    """Switches and column in a combination that no transition leads to."""


def current_state(alias: str) -> State:
    """The state of a database, read in one snapshot. Locks nothing.

    Raises MissingSwitch, and UnknownState where switches and column contradict each other.
    """
    dual_write, read_tables, has_column = one(connections[alias], catalog.state())
    route = Route.of(dual_write, read_tables)
    if route is Route.TABLES:
        return State.MIRROR_OFF if has_column else State.DROPPED
    if not has_column:
        raise UnknownState(
            f"The switches say {route.name}, but the column they route to was dropped. Turn"
            " the switches back to what the last transition says; manage.py status_prefs"
            " prints the commands."
        )
    return next(state for state in State if state.route is route)


def contradicts_column(alias: str) -> bool:
    """Whether the switches route to a column that was dropped. Raises MissingSwitch."""
    try:
        current_state(alias)
    except UnknownState:
        return True
    return False


def last_transition(alias: str, **filters: object) -> Transition | None:
    """The latest transition on record, or the latest of those that the filters choose."""
    return Transition.objects.using(alias).filter(**filters).order_by("-id").first()


def open_transition(alias: str) -> Transition | None:
    """The latest transition on record, where it has not settled."""
    last = last_transition(alias)
    return last if last is not None and last.settled_at is None else None


def went_forward(taken: Transition) -> bool:
    """Whether a transition on record was one forward."""
    return is_forward(State(taken.from_state), State(taken.to_state))


def recorded_state(alias: str) -> State:
    """The state that the transitions on record led to."""
    last = last_transition(alias)
    return State(last.to_state) if last else State.EXPANDED
