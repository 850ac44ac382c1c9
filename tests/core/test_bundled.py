"""Folders that travel with the package are found in a checkout and in a wheel."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.core.bundled import bundled, bundled_module
from curate.core.errors import CurateError


def test_found_in_this_checkout_or_wheel() -> None:
    assert (bundled("app") / "main.py").is_file()


def test_the_wheel_comes_before_the_checkout(tmp_path: Path) -> None:
    package = tmp_path / "curate"
    (tmp_path / "recipes").mkdir()
    (tmp_path / "pyproject.toml").touch()
    package.mkdir()
    assert bundled("recipes", package=package) == tmp_path / "recipes"
    (package / "_bundled" / "recipes").mkdir(parents=True)
    assert bundled("recipes", package=package) == package / "_bundled" / "recipes"


def test_a_stranger_beside_an_installed_package_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    (tmp_path / "curate").mkdir()
    with pytest.raises(CurateError, match="lacks its folder 'app'"):
        bundled("app", package=tmp_path / "curate")


def test_unknown_names_are_refused() -> None:
    with pytest.raises(CurateError, match="Did you mean 'recipes'"):
        bundled("recipe")  # type: ignore[arg-type]
    with pytest.raises(CurateError, match=r"app/nothing\.py is missing"):
        bundled_module("app", "nothing")


def test_a_module_is_loaded_once() -> None:
    assert bundled_module("app", "bridge.push") is bundled_module("app", "bridge.push")
