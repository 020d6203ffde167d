"""The machine and the server that figures were taken on."""

from __future__ import annotations

import os
import platform
from pathlib import Path

import django

from benchmarks.databases import Databases

_SETTINGS = (
    "shared_buffers",
    "work_mem",
    "max_wal_size",
    "synchronous_commit",
    "fsync",
    "full_page_writes",
    "wal_level",
    "autovacuum",
    "jit",
    "data_checksums",
)


def machine(databases: Databases) -> dict[str, str]:
    """What to know about it, by name."""
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    shown = [f"{name} {databases.one('postgres', f'SHOW {name}')}" for name in _SETTINGS]
    return {
        "CPU": _cpu(),
        "cores": str(os.cpu_count()),
        "memory": f"{pages * size / 1024**3:.0f} GiB",
        "PostgreSQL": str(databases.one("postgres", "SHOW server_version")),
        "settings": ", ".join(shown),
        "Python": f"{platform.python_version()}, Django {django.get_version()}",
        "system": f"{platform.system()} {platform.release()}",
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()
