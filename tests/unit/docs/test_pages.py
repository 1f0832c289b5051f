"""What the pages say of the repository is true: links lead to files and headings, and the tree in CONTRIBUTING.md is the tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
ENTRIES = 13
LINK = re.compile(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}"


def tree() -> Iterator[Path]:
    """The folders in the tree of CONTRIBUTING.md."""
    block = next(part for part in (ROOT / "CONTRIBUTING.md").read_text().split("```") if "proxyconfig_api/  " in part)
    parents: list[Path] = [ROOT]
    for line in block.strip().splitlines():
        depth = (len(line) - len(line.lstrip())) // 2
        del parents[depth + 1 :]
        names = re.split(r"\s{3,}", line.strip())[0].split()
        yield from (parents[depth] / name for name in names)
        parents.append(parents[depth] / names[-1])


def test_the_tree_of_the_packages_is_the_tree() -> None:
    packages = [path.parent for path in ROOT.glob("*/src/*/__init__.py")]
    folders = {child for package in packages for child in package.iterdir() if child.is_dir() and any(child.glob("*.py"))}
    modes = {path.parent for path in ROOT.glob("agent/src/*/dataplane/*/mode.py")}
    named = set(tree())
    assert not {*packages, *folders, *modes} - named
    assert not [folder for folder in named if not (folder / "__init__.py").exists()]


def test_every_module_but_the_entry_point_has_a_room() -> None:
    loose = {path.name for path in ROOT.glob("*/src/*/*.py")}
    assert loose == {"__init__.py", "__main__.py"}


def test_a_folder_of_a_package_has_about_a_dozen_entries_at_most() -> None:
    entries: dict[Path, set[str]] = {}
    for package in ROOT.glob("*/src/*_*"):
        for file in package.rglob("*"):
            inside = file.relative_to(package.parent)
            if file.is_file() and "__pycache__" not in inside.parts and file.name not in ("__init__.py", "py.typed"):
                for depth, name in enumerate(inside.parts[1:], 1):
                    entries.setdefault(Path(*inside.parts[:depth]), set()).add(name)
    assert {str(folder): len(names) for folder, names in entries.items() if len(names) > ENTRIES} == {}


def test_every_decision_has_a_number_of_its_own() -> None:
    numbers = [path.name[:4] for path in sorted(ROOT.glob("docs/adr/*.md"))]
    assert numbers == sorted(set(numbers))
    for path in ROOT.glob("docs/adr/*.md"):
        assert path.read_text().startswith(f"# {int(path.name[:4])}. "), path.name
