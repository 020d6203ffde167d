"""Every case of docs/cases.md has a test, and that test says which case it is."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
PAGE = ROOT / "docs" / "cases.md"
ROW = re.compile(r"^\| ([ABC]\d+) \|.*\| `(tests/[\w/]+\.py)(?:::(\w+))?` \|$", re.MULTILINE)
CASES = ROW.findall(PAGE.read_text(encoding="utf-8"))


def docstrings(path: str, name: str) -> list[str]:
    """Those of a file: of the test of that name, or of the module and all its tests."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    named = [ast.get_docstring(node) or "" for node in tests if name in ("", node.name)]
    return named if name else [ast.get_docstring(tree) or "", *named]


@pytest.mark.parametrize(("case", "path", "name"), CASES)
def test_the_test_of_a_case_names_it(case: str, path: str, name: str) -> None:
    number = re.compile(rf"\b{case}\b")
    assert any(number.search(text) for text in docstrings(path, name)), (case, path, name)


def test_every_row_of_the_page_is_read() -> None:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    assert len(CASES) == sum(bool(re.match(r"\| [ABC]\d", line)) for line in lines) >= 34
