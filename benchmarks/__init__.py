"""Measures the migration beside what a site would do by hand: `make bench`.

Each section measures its contenders side by side on copies of the same data and hands back
series of samples; `report` makes of them the ratios and docs/benchmarks.md.
"""
