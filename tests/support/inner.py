"""A run of pytest within a test: one made-up module, with a plugin of ours."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.scratch import ROOT


def run_pytest(
    folder: Path, module: str, plugin: str, *options: str, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the tests of `module` in `folder`, with the programs that `path` has or with all."""
    (folder / "test_a.py").write_text(module)
    plugins = ("-p", plugin, "-p", "no:django", "-p", "no:cacheprovider")
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", "/dev/null", *plugins, *options, "test_a.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **({"PATH": str(path)} if path else {})},
        capture_output=True,
        text=True,
        check=False,
    )
