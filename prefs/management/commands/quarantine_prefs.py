"""manage.py quarantine_prefs: what is in quarantine, and its correction by an operator."""

import argparse
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import CommandParser

from prefs import conf
from prefs.engine import quarantine
from prefs.engine.corrections import Correction, correct, must_fit
from prefs.engine.quarantine import DOCUMENT, EXPECTED, Entry, LeafInQuarantine, Selection, shown
from prefs.errors import Mistake
from prefs.management.base import Outcome, PrefsCommand, positive
from prefs.mapping import LEAVES
from prefs.models import Run
from prefs.sql.quarantine import Reason

_PREVIEWED = 20


class Command(PrefsCommand):
    help = (
        "Counts the values that fit no column, lists them (--leaf, --because, --value, --user),"
        " corrects them (--correct with --set or --unset), or accepts them (--accept)."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        leaf: dict[str, Any] = {
            "choices": [leaf or DOCUMENT for leaf in EXPECTED],
            "metavar": "LEAF",
        }
        parser.add_argument(
            "--leaf",
            **leaf,
            help=f"at this leaf, or parent of leaves, such as {LEAVES[0].dotted};"
            f" {DOCUMENT} is the root",
        )
        parser.add_argument(
            "--because", choices=list(map(str, Reason)), help="in quarantine for this reason"
        )
        parser.add_argument("--value", metavar="JSON", help="""with exactly this value: '"true"'""")
        parser.add_argument("--user", type=_key, metavar="ID", help="of this user")
        parser.add_argument(
            "--limit", type=positive, default=20, metavar="N", help="list about N (default: 20)"
        )
        parser.add_argument("--after", type=_key, metavar="ID", help="list users after this one")
        _add_correction(parser)
        acceptance = parser.add_mutually_exclusive_group()
        acceptance.add_argument(
            "--accept",
            **leaf,
            help="let what is in quarantine at this leaf stand, until it grows; needs --reason",
        )
        acceptance.add_argument("--withdraw", **leaf, help="accept this leaf no longer")

    def run(self, options: dict[str, Any]) -> Outcome:
        if options["accept"] or options["withdraw"]:
            return self._accept(options)
        chosen = {
            "leaf": "" if options["leaf"] == DOCUMENT else options["leaf"],
            "reason": options["because"] and Reason(options["because"]),
            "value": options["value"],
            "user": options["user"],
        }
        if options["correct"]:
            _require_a_rule(options)
            return self._correct(Correction(**chosen, new=options["set"]), options)
        if options["unset"] or options["set"] is not None or options["dry_run"]:
            raise Mistake("--set, --unset and --dry-run go with --correct.")
        if set(chosen.values()) == {None} and options["after"] is None:
            return self._count()
        return self._list(Selection(**chosen), options)

    def _count(self) -> Outcome:
        found = quarantine.counts(self.alias)
        total = sum(count.users for count in found)
        lines = [f"{total} values in quarantine{': users, leaf, reason, one value' * bool(found)}"]
        lines += [f"  {c.users:>8}  {_name(c.leaf)}  {c.reason}  {c.sample}" for c in found]
        figures = [{**asdict(count), "leaf": _name(count.leaf)} for count in found]
        leaves = quarantine.leaves_in_quarantine(self.alias, found)
        lines += [str(each) for each in leaves if each.accepted]
        accepted = accepted_figures(leaves)
        return {"total": total, "quarantined": figures, "accepted": accepted}, lines, 0

    def _accept(self, options: dict[str, Any]) -> Outcome:
        _refuse_other_options(options)
        name = options["accept"] or options["withdraw"]
        leaf = "" if name == DOCUMENT else name
        if options["accept"]:
            if not (options["reason"] or "").strip():
                raise Mistake("--accept needs --reason TEXT, which goes on record with it.")
            made = quarantine.accept(self.alias, leaf)
            line = f"Accepted: {name}, {made.users} users. When there are more it counts again."
        else:
            made = quarantine.withdraw(self.alias, leaf)
            line = f"Withdrawn: {name} is accepted no longer; {made.users} users had been."
        figures = {"leaf": name, "users": made.users, "accepted": bool(options["accept"])}
        return figures, [line], 0

    def _list(self, selection: Selection, options: dict[str, Any]) -> Outcome:
        limit, after = options["limit"], options["after"]
        found = quarantine.listed(self.alias, selection, limit=limit, after=after)
        lines = [
            f"user {e.user}  {_name(e.leaf)}  {e.value}  {e.reason}: expected {e.expected}"
            for e in found
        ]
        if len(found) >= limit:
            lines.append(f"There may be more: --after {found[-1].user}")
        return {"listed": _figures(found)}, lines or ["Nothing in quarantine is like that."], 0

    def _correct(self, correction: Correction, options: dict[str, Any]) -> Outcome:
        if options["dry_run"]:
            return self._preview(correction)
        with self.working() as control:
            done = correct(self.alias, correction, conf.current(), control)
        lines = [f"Corrected {done.users} users."]
        if done.skipped:
            lines.append(f"Skipped {done.skipped}: they had another value by then.")
        status = self.stop.status(done.run) if done.run else 0
        if done.run and done.run.status == Run.Status.INTERRUPTED:
            lines.append("It was interrupted; run the same command again and it goes on.")
        return {"corrected": done.users, "skipped": done.skipped}, lines, status

    def _preview(self, correction: Correction) -> Outcome:
        if correction.new is not None:
            must_fit(self.alias, correction.leaf, correction.new)
        users = sum(count.users for count in quarantine.counts(self.alias, correction))
        first = quarantine.listed(self.alias, correction, limit=_PREVIEWED)
        new = "taken out" if correction.result is None else shown(correction.result)
        lines = [f"{users} users would be corrected; nothing was changed."]
        lines += [f"  user {entry.user}  {entry.value} -> {new}" for entry in first]
        if users > len(first):
            lines.append(f"  and {users - len(first)} more")
        figures = {"dry_run": True, "users": users, "new": new, "listed": _figures(first)}
        return figures, lines, 0


def _add_correction(parser: CommandParser) -> None:
    parser.add_argument(
        "--correct", action="store_true", help="correct what --leaf and --value or --user choose"
    )
    new = parser.add_mutually_exclusive_group()
    new.add_argument("--set", metavar="JSON", help="to this value, which must fit the leaf")
    new.add_argument("--unset", action="store_true", help="by taking it out of the document")
    parser.add_argument("--dry-run", action="store_true", help="say what would be corrected")
    parser.add_argument("--reason", metavar="TEXT", help="why, for the record")


def _refuse_other_options(options: dict[str, Any]) -> None:
    """To accept or to withdraw goes by leaf alone. Mistake for what would narrow it."""
    narrowing = ("leaf", "because", "value", "user", "after", "set")
    given = [name for name in narrowing if options[name] is not None]
    given += [name for name in ("correct", "unset", "dry_run") if options[name]]
    if given:
        names = ", ".join(f"--{name.replace('_', '-')}" for name in given)
        raise Mistake(f"{names} cannot go with --accept or --withdraw, which take a whole leaf.")


def accepted_figures(leaves: Iterable[LeafInQuarantine]) -> dict[str, Any]:
    """What was accepted, by leaf, as JSON."""
    return {
        _name(each.leaf): {
            "users": each.accepted.users,
            "reason": each.accepted.reason,
            "actor": each.accepted.actor,
            "accepted_at": each.accepted.accepted_at.isoformat(),
        }
        for each in leaves
        if each.accepted
    }


def _require_a_rule(options: dict[str, Any]) -> None:
    if options["leaf"] is None or (options["value"] is None and options["user"] is None):
        raise Mistake("--correct asks for --leaf, and for --value (a rule) or --user (one user).")
    if options["set"] is None and not options["unset"]:
        raise Mistake("--correct asks for --set or --unset.")


def _key(text: str) -> Any:
    field = get_user_model()._meta.pk
    assert field is not None
    try:
        return field.clean(text, None)
    except ValidationError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no user's key") from error


def _name(leaf: str) -> str:
    return leaf or DOCUMENT


def _figures(entries: list[Entry]) -> list[dict[str, Any]]:
    return [{**asdict(entry), "leaf": _name(entry.leaf)} for entry in entries]
