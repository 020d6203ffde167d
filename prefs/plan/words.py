"""What the plan says in words: summary, requirements and risks, with this site's own figures."""

from __future__ import annotations

from prefs.conf import Settings
from prefs.engine.states import SOUND
from prefs.mapping import BLOB_COLUMN, LEAVES, RESIDUE_COLUMN, leaves_of
from prefs.plan.evidence import Evidence
from prefs.plan.model import Requirement, Risk
from prefs.sql.names import site_tables
from prefs.sql.rights import TYPED_TABLES


def summary(evidence: Evidence) -> str:
    """What is being done, in a few sentences."""
    users, tables = site_tables()[0], " and ".join(f"`{table}`" for table in TYPED_TABLES)
    return (
        f"Every user's preferences move out of one JSON column, `{users}.{BLOB_COLUMN}`, into the"
        f" typed tables {tables}, while the site goes on reading and writing them"
        f"{_many(evidence)}. No preference is lost, every step is taken under gates that are"
        " checked in the database, and every step can be taken back."
    )


def _many(evidence: Evidence) -> str:
    return f": {evidence.found.users:,} users at the moment" if evidence.found else ""


def requirements(settings: Settings) -> tuple[Requirement, ...]:
    """What is there, what is wanted, what must hold meanwhile, and how fast."""
    columns = [f"`{table}`: {len(leaves_of(table))} typed columns" for table in TYPED_TABLES]
    return (
        Requirement(
            title="Current",
            items=(
                f"one `jsonb` column, `{site_tables()[0]}.{BLOB_COLUMN}`, for all preferences",
                f"{len(LEAVES)} settings are known in it by name; none has a type or a constraint",
                "code, admin, fixtures and raw SQL read and write it",
            ),
        ),
        Requirement(
            title="Target",
            items=(
                *columns,
                f"a constraint for what each can be; `{RESIDUE_COLUMN}` keeps what fits no column",
                "the same documents by the same Python interface; the column dropped",
            ),
        ),
        Requirement(
            title="Must maintain",
            items=(
                "a write that returned success is read back by every later read",
                "reads and writes work in every phase and during every transition",
                "no transition without evidence, which is stored with it",
                "what was stopped or killed goes on where it was, with exact counts",
                "nobody gains a right by it",
            ),
        ),
        Requirement(title="Performance", items=_performance(settings)),
    )


def _performance(settings: Settings) -> tuple[str, ...]:
    lock = settings.ddl_lock_timeout.total_seconds() * 1000
    lag, waiting = settings.throttle_replication_lag, settings.throttle_waiting_sessions
    waits = [f"replicas are {lag[0]:g} s behind"] if lag else []
    waits += [f"{waiting[0]:g} sessions wait for a batch"] if waiting else []
    paced = f"background work waits while {' or '.join(waits)}" if waits else ""
    return (
        "a batch that locks users takes about 25 ms, one that locks nobody 50 ms",
        f"no try at a table lock holds up others for longer than {lock:g} ms",
        "a read is one statement, a write two; both by primary key",
        *([paced] if paced else []),
    )


SOUND_MEANS = (
    "A gate is a condition that is checked in the database at the moment of a transition, and"
    " stored with it. Every step forward asks whether the installation is sound: "
    + ", ".join(f"`{gate}`" for gate in SOUND)
    + "."
)

RISKS = (
    Risk(
        what="The stores come to differ without anybody noticing",
        likelihood="low",
        impact="high",
        mitigation="A verification of all users is a gate of both steps that rest on it; shadow"
        " reads compare documents as they are read.",
    ),
    Risk(
        what="A process of the previous release writes the column after reads have moved",
        likelihood="medium",
        impact="high",
        mitigation="Triggers mirror its writes while they may; gates look for its sessions before"
        " the column stands still; later such writes are refused.",
    ),
    Risk(
        what="A backfill slows the site down",
        likelihood="medium",
        impact="medium",
        mitigation="Batches go by time, and wait while replicas lag or sessions queue;"
        " `backfill_prefs --pause` stops them at once.",
    ),
    Risk(
        what="A table lock queues up readers and writers",
        likelihood="medium",
        impact="high",
        mitigation="DDL is tried for in short tries that give way to others, and gives up in the"
        " end.",
    ),
    Risk(
        what="Values that no column can hold are lost",
        likelihood="high",
        impact="medium",
        mitigation="They stay in a residue beside the columns and are served as before; they are"
        " counted, and somebody accepts or corrects them.",
    ),
    Risk(
        what="An old view, function or report needs the column",
        likelihood="medium",
        impact="medium",
        mitigation="Gates name what depends on it before it stands still and before it is dropped;"
        " the bodies of functions are searched for its name.",
    ),
    Risk(
        what="A fault is found after the column is gone",
        likelihood="low",
        impact="high",
        mitigation="`rollback_prefs` adds it again and fills it from the tables; what it held is in"
        " the archive. The way back is rehearsed.",
    ),
)
