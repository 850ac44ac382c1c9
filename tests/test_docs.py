"""Every command and code block of the README and of docs/ runs, except those marked `bench`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: Path) -> list[tuple[str, str, str]]:
    """(language, rest of the fence, code) of each fenced block."""
    return _BLOCK.findall(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_blocks_run(page: Path, tmp_path: Path):
    environment = {
        **os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT), "CURATE_CACHE": str(tmp_path / "cache"), "COLUMNS": "120",
    }  # fmt: skip
    for language, rest, code in blocks(page):
        if "bench" in rest:
            continue
        if language in ("bash", "sh"):
            # The make targets build an environment of their own: CI runs them whole, here they must exist.
            lines = [
                f"make -n -C {ROOT} {line[5:]}" if line.startswith("make ") else line for line in code.splitlines()
            ]
            command = ["bash", "-euo", "pipefail", "-c", "\n".join(lines)]
        elif language == "python":
            command = [sys.executable, "-c", code]
        elif language == "yaml":
            from curate.recipe.schema import make_recipe

            # A block may show a part of a recipe; the rest is filled in.
            rest_of_it = {"name": "shown", "source": {"kind": "synthetic"}, "steps": []}
            make_recipe({**rest_of_it, **yaml.safe_load(code)}, origin=page.name)
            continue
        else:
            assert language in ("text", "json"), f"{page.name}: a block in {language!r} is run by nothing"
            continue
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{page.name}:\n{code}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_only_the_agreed_folders_stand_at_the_top():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.split()
    allowed = {"pyproject.toml", "README.md", "Makefile", "constraints.txt", "LICENSE", ".gitignore", ".ci", "curate",
               "app", "recipes", "data_manifests", "tests", "benchmarks", "docs"}  # fmt: skip
    assert {name.split("/")[0] for name in listed} <= allowed
    big = [name for name in listed if (ROOT / name).exists() and (ROOT / name).stat().st_size > 500_000]
    assert big == []
