"""Imports run only downwards: what each part of the package may import of it."""

import ast
import pathlib

import pytest

import jaxgan

ROOT = pathlib.Path(jaxgan.__file__).parent
MAY_IMPORT = {
    "core": set(),
    "ops": {"core"},
    "losses": {"core"},
    "networks": {"core", "ops"},
    "pretrained": {"core", "ops"},
    "systems": {"core", "ops", "losses", "networks", "pretrained"},
    "data": {"core", "ops"},
    "inference": {"core", "ops", "data"},
    "training": {"core", "ops", "data", "pretrained", "systems"},
    "evaluation": {"core", "ops", "data", "pretrained"},
    "planning": {"core", "training"},
}
DOOR = "systems/__main__.py"  # `python -m jaxgan.systems`, a command


def imported(path: pathlib.Path) -> set[str]:
    """Parts of the package that a file imports, also within functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("jaxgan.")}
    return found


def test_every_folder_has_its_floor():
    assert {p.name for p in ROOT.iterdir() if (p / "__init__.py").is_file()} == {
        *MAY_IMPORT
    }


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_imports_run_only_downwards(part):
    for path in (ROOT / part).rglob("*.py"):
        if path.relative_to(ROOT).as_posix() != DOOR:
            assert imported(path) - {part} <= MAY_IMPORT[part], path


def test_no_part_imports_one_that_imports_it():
    for part, below in MAY_IMPORT.items():
        assert not any(part in MAY_IMPORT[other] for other in below), part
