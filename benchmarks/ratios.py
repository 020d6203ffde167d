"""The rows of the table that the benchmarks are held to: what over what, and the limit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from benchmarks.series import Series

Sections = Mapping[str, Iterable[Series]]


@dataclass(frozen=True, kw_only=True)
class Ratio:
    """One row: medians of a section, the worst of `over` by the best of `under`.

    Without `under` the value is that of `over` itself, at its worst.
    """

    name: str
    limit: float
    section: str
    over: tuple[str, ...]
    under: tuple[str, ...] = ()
    unit: str = "s"

    def value(self, sections: Sections) -> float | None:
        """The measured value, or None where something that it needs was not measured."""
        found = {s.name: s for s in sections.get(self.section, ()) if s.unit == self.unit}
        if not found.keys() >= {*self.over, *self.under}:
            return None
        if not self.under:
            return max(max(found[name].values) for name in self.over)
        under = _medians(min, found, self.under)
        return _medians(max, found, self.over) / under if under else None


def _medians(
    choose: Callable[[Iterable[float]], float], found: Mapping[str, Series], names: tuple[str, ...]
) -> float:
    return choose(found[name].median for name in names)


RATIOS: tuple[Ratio, ...] = (
    Ratio(
        name="backfill, 1 worker / one-shot statement",
        limit=1.15,
        section="backfill",
        over=("backfill, 1 worker",),
        under=("one-shot statement",),
    ),
    Ratio(
        name="backfill, 2 workers / one-shot statement",
        limit=0.75,
        section="backfill",
        over=("backfill, 2 workers",),
        under=("one-shot statement",),
    ),
    Ratio(
        name="backfill / chunked `bulk_create`",
        limit=0.25,
        section="backfill",
        over=("backfill, 1 worker",),
        under=("chunked `bulk_create`",),
    ),
    Ratio(
        name="backfill / trigger-and-self-update batches",
        limit=0.35,
        section="backfill",
        over=("backfill, 1 worker",),
        under=("trigger-and-self-update batches",),
    ),
    Ratio(
        name="full verification (2 workers) / one-shot statement",
        limit=0.4,
        section="verification",
        over=("verification, 2 workers",),
        under=("one-shot statement",),
    ),
    Ratio(
        name="p99 of live traffic during a backfill that runs at half its full rate or more"
        " / without",
        limit=1.5,
        section="live",
        over=("live traffic beside a backfill",),
        under=("live traffic alone",),
        unit="p99 ms",
    ),
    Ratio(
        name="longest lock wait a live statement saw because of us",
        limit=50,
        section="live",
        over=("live traffic beside a backfill",),
        unit="longest lock wait ms",
    ),
    Ratio(
        name="`document` after cutover / `values_list` of the blob by the ORM",
        limit=0.9,
        section="calls",
        over=("`document`, TABLES_MIRRORED", "`document`, TABLES"),
        under=("`values_list` of the blob",),
        unit="ms",
    ),
    Ratio(
        name="`merge` in `TABLES` / the same merge in `BLOB`",
        limit=1.0,
        section="calls",
        over=("`merge`, TABLES",),
        under=("`merge`, BLOB",),
        unit="ms",
    ),
    Ratio(
        name="`merge` in a mirrored route / in `BLOB`",
        limit=1.6,
        section="calls",
        over=("`merge`, BLOB_MIRRORED", "`merge`, TABLES_MIRRORED"),
        under=("`merge`, BLOB",),
        unit="ms",
    ),
    Ratio(
        name="`document`, canary at 0 % / without canary and shadow reads",
        limit=1.1,
        section="canary",
        over=("`document`, canary at 0 %",),
        under=("`document`, without either",),
        unit="µs",
    ),
    Ratio(
        name="`document`, shadow reads at 1 % / at 0 %",
        limit=1.02,
        section="canary",
        over=("`document`, shadow reads at 1 %",),
        under=("`document`, canary at 0 %",),
        unit="µs",
    ),
    Ratio(
        name="`get()` of users / with a plain JSONField",
        limit=1.4,
        section="field",
        over=(
            "get(), our field, BLOB",
            "get(), our field, BLOB_MIRRORED",
            "get(), our field, TABLES_MIRRORED",
            "get(), our field, TABLES",
        ),
        under=("get(), plain field",),
        unit="ms",
    ),
    Ratio(
        name="a page of 100 users / with a plain JSONField",
        limit=2.4,
        section="field",
        over=(
            "page of 100, our field, BLOB",
            "page of 100, our field, BLOB_MIRRORED",
            "page of 100, our field, TABLES_MIRRORED",
            "page of 100, our field, TABLES",
        ),
        under=("page of 100, plain field",),
        unit="ms",
    ),
    Ratio(
        name="`save()` of another field / with a plain JSONField",
        limit=1.0,
        section="field",
        over=(
            "save() of another field, our field, BLOB",
            "save() of another field, our field, BLOB_MIRRORED",
            "save() of another field, our field, TABLES_MIRRORED",
            "save() of another field, our field, TABLES",
        ),
        under=("save() of another field, plain field",),
        unit="ms",
    ),
    Ratio(
        name="a GET by the API / the same view over a plain JSONField",
        limit=1.1,
        section="api",
        over=("GET, BLOB", "GET, BLOB_MIRRORED", "GET, TABLES_MIRRORED", "GET, TABLES"),
        under=("GET, the plain view",),
        unit="ms",
    ),
    Ratio(
        name="a PATCH by the API / by `select_for_update` and `save()`",
        limit=1.0,
        section="api",
        over=("PATCH, BLOB", "PATCH, BLOB_MIRRORED", "PATCH, TABLES_MIRRORED", "PATCH, TABLES"),
        under=("PATCH, the plain view",),
        unit="ms",
    ),
    Ratio(
        name="WAL per write in `TABLES` / in `BLOB`, full-page images off",
        limit=1.0,
        section="wal",
        over=("`merge`, TABLES",),
        under=("`merge`, BLOB",),
        unit="WAL bytes",
    ),
    Ratio(
        name="`audience`, 1 % of 1M users on, after cutover / on the blob",
        limit=0.05,
        section="audience",
        over=("1 % on: `audience`, TABLES_MIRRORED",),
        under=("1 % on: ORM, key lookup", "1 % on: ORM, contains"),
    ),
    Ratio(
        name="`audience`, 30 % on / on the blob",
        limit=0.3,
        section="audience",
        over=("30 % on: `audience`, TABLES_MIRRORED",),
        under=("30 % on: ORM, key lookup", "30 % on: ORM, contains"),
    ),
    Ratio(
        name="a count by a leaf after cutover / by the plain column",
        limit=2.0,
        section="lookups",
        over=("count by a leaf: our field, TABLES_MIRRORED",),
        under=("count by a leaf: plain column, TABLES_MIRRORED",),
    ),
    Ratio(
        name="a count by a leaf before / by the plain column",
        limit=5.0,
        section="lookups",
        over=("count by a leaf: our field, BLOB_MIRRORED",),
        under=("count by a leaf: plain column, BLOB_MIRRORED",),
    ),
    Ratio(
        name="a first page of 100 by a leaf after cutover / by the plain column",
        limit=1.5,
        section="lookups",
        over=("first page of 100: our field, TABLES_MIRRORED",),
        under=("first page of 100: plain column, TABLES_MIRRORED",),
    ),
    Ratio(
        name="a first page of 100 by a leaf before / by the plain column",
        limit=1.5,
        section="lookups",
        over=("first page of 100: our field, BLOB_MIRRORED",),
        under=("first page of 100: plain column, BLOB_MIRRORED",),
    ),
    Ratio(
        name="a filter by a topic that 1 % have after cutover / by the plain column",
        limit=0.5,
        section="lookups",
        over=("topic that 1 % have: our field, TABLES_MIRRORED",),
        under=("topic that 1 % have: plain column, TABLES_MIRRORED",),
    ),
    Ratio(
        name="the worst of the other lookups after cutover / by the plain column",
        limit=10,
        section="lookups",
        over=("the worst of the others, TABLES_MIRRORED",),
        unit="times the plain column's",
    ),
    Ratio(
        name="the worst of the other lookups before / by the plain column",
        limit=10,
        section="lookups",
        over=("the worst of the others, BLOB_MIRRORED",),
        unit="times the plain column's",
    ),
    Ratio(
        name="time per user at 10M / at 1M",
        limit=1.1,
        section="growth",
        over=("large",),
        under=("middle",),
        unit="µs a user",
    ),
    Ratio(
        name="memory of a worker process at 10M / at 100k",
        limit=1.05,
        section="growth",
        over=("large",),
        under=("small",),
        unit="peak MB",
    ),
)
