"""What the commands over all users share: workers, throttle, and orders to a run under way."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from prefs.engine.orders import order
from prefs.management.base import Outcome, natural, positive
from prefs.models import Run

ORDERS = ("pause", "resume", "stop", "set_rate", "set_target")


def add_running(parser: CommandParser) -> None:
    """The options of a run that many workers share, and the orders to one under way."""
    parser.add_argument(
        "--workers", type=positive, default=1, metavar="N", help="sessions that share the work"
    )
    parser.add_argument(
        "--batch-size", type=positive, metavar="N", help="at most N users in a batch"
    )
    parser.add_argument("--max-rate", type=positive, metavar="N", help="at most N users a second")
    orders = parser.add_argument_group(
        "orders", "to a run under way, from a second terminal; heard within a batch"
    ).add_mutually_exclusive_group()
    orders.add_argument("--pause", action="store_true", help="stand still, holding nothing")
    orders.add_argument("--resume", action="store_true", help="go on")
    orders.add_argument("--stop", action="store_true", help="end; it can be resumed later")
    orders.add_argument(
        "--set-rate", type=natural, metavar="N", help="at most N users a second; 0 for no limit"
    )
    orders.add_argument(
        "--set-target", type=positive, metavar="MS", help="milliseconds that a batch should take"
    )


def paced(options: dict[str, Any]) -> dict[str, Any]:
    """What the options say about the pace, for a `Control`."""
    return {"batch_size": options["batch_size"], "max_rate": options["max_rate"]}


def is_order(options: dict[str, Any]) -> bool:
    """Whether the command was called to give an order."""
    # A rate of 0 is one.
    return any(options[name] is not None and options[name] is not False for name in ORDERS)


def give_order(kind: Run.Kind, alias: str, options: dict[str, Any]) -> Outcome:
    """Give the order in `options` to the open run of `kind`; what the command prints."""
    paused = True if options["pause"] else False if options["resume"] else None
    run, working = order(
        kind,
        alias,
        paused=paused,
        stopping=options["stop"] or None,
        max_rate=options["set_rate"],
        target_ms=options["set_target"],
    )
    figures = {
        "run": run.pk,
        "workers": len(working),
        "paused": run.paused,
        "stopping": run.stopping,
        "max_rate": run.max_rate,
        "target_ms": run.target_ms,
    }
    return figures, [_told(run, len(working), options)], 0


def _told(run: Run, workers: int, options: dict[str, Any]) -> str:
    now = f"{workers} at work" if workers else "nobody is at work on it now"
    if options["stop"]:
        return f"{run} {'stops after the batches in hand' if workers else 'stands still'}: {now}."
    if options["pause"] or options["resume"]:
        return f"{run} {'pauses' if run.paused else 'goes on'}: {now}."
    if options["set_rate"] is not None:
        limit = f"at most {run.max_rate} users a second" if run.max_rate else "no limit of its rate"
        return f"{run} keeps to {limit}: {now}."
    return f"{run} aims at {run.target_ms} ms a batch: {now}."
