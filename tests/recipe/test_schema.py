"""Recipes: what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from curate.core.errors import InputError
from curate.recipe.schema import load_recipe, make_recipe


def test_a_misspelt_step_names_the_nearest(small):
    small["steps"][2] = "near_duplicate"
    with pytest.raises(InputError, match="no step 'near_duplicate'.*Did you mean 'near_duplicates'"):
        make_recipe(small)


def test_a_misspelt_parameter_names_the_nearest(small):
    small["steps"][3] = {"small_identities": {"min_image": 3}}
    with pytest.raises(InputError, match=r"steps.small_identities.min_image.*Did you mean 'min_images'"):
        make_recipe(small)


def test_a_value_out_of_bounds_says_what_was_found(small):
    small["steps"][3] = {"small_identities": {"min_images": 0}}
    with pytest.raises(InputError, match=r"steps.small_identities.min_images.*greater than or equal to 1.*found 0"):
        make_recipe(small)


def test_a_misspelt_source_key_and_kind(small):
    small["source"] = {"kind": "synthetic", "identites": 3}
    with pytest.raises(InputError, match="source.*Did you mean 'identities'"):
        make_recipe(small)
    small["source"] = {"kind": "foldr"}
    with pytest.raises(InputError, match="Did you mean 'folder'"):
        make_recipe(small)


def test_a_misspelt_embedder_key(small):
    small["embedder"] = {"kind": "baseline", "dimension": 8}
    with pytest.raises(InputError, match="Did you mean 'dimensions'"):
        make_recipe(small)


def test_a_missing_key_names_the_set_option(small):
    small["source"] = {"kind": "folder"}
    with pytest.raises(InputError, match=r"'source.root' is missing.*--set source.root=VALUE"):
        make_recipe(small)


def test_an_unknown_top_level_key(small):
    small["lables"] = {}
    with pytest.raises(InputError, match="Did you mean 'labels'"):
        make_recipe(small)


def test_a_report_may_not_stand_twice(small):
    small["steps"] += [{"imbalance": {"labels": ["gender"]}}]
    with pytest.raises(InputError, match="'imbalance' stands twice"):
        make_recipe(small)


def test_label_conflicts_come_first_without_being_asked(small):
    recipe = make_recipe(small)
    first = recipe.steps[0]
    assert (first.order, first.step.name) == (1, "label_conflicts")
    assert first.params.conflict == {"gender": "majority", "ethnicity": "null"}


@pytest.mark.parametrize("labels", [["gender", "age"], {"gender": None, "age": "image"}, {"gender": {}, "age": {}}])
def test_short_forms_of_labels(small, labels):
    small["labels"] = labels
    assert make_recipe(small).levels == {"gender": "identity", "age": "image"}


def test_overrides(tmp_path: Path):
    recipe = load_recipe("demo", ["seed=9", "steps.near_duplicates.max_distance=4", "source.identities=12"])
    near = next(item for item in recipe.steps if item.step.name == "near_duplicates")
    assert (recipe.seed, near.params.max_distance, recipe.source.identities) == (9, 4, 12)
    with pytest.raises(InputError, match="no step 'near_dupes'"):
        load_recipe("demo", ["steps.near_dupes.max_distance=4"])
    with pytest.raises(InputError, match="--set takes key=value"):
        load_recipe("demo", ["seed"])


def test_unknown_recipe_names_the_bundled_ones():
    with pytest.raises(InputError, match="Did you mean 'demo'"):
        load_recipe("dmo")


def test_yaml_tags_run_nothing(tmp_path: Path):
    path = tmp_path / "evil.yaml"
    path.write_text(f"name: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n")
    with pytest.raises(InputError, match="not valid YAML"):
        load_recipe(str(path))
    assert not (tmp_path / "made").exists()


def test_the_name_can_not_leave_the_runs_folder(small):
    small["name"] = "../elsewhere"
    with pytest.raises(InputError, match="name"):
        make_recipe(small)


def test_a_step_that_comes_too_late_is_refused(small):
    near = small["steps"].pop(2)
    small["steps"].append(near)
    with pytest.raises(InputError, match="'near_duplicates' stands after 'holdout'.*Put it before"):
        make_recipe(small)


def test_a_number_where_text_is_meant_says_how_to_quote_it(tmp_path: Path):
    with pytest.raises(InputError, match="source.root.*found 2024.*write quotes"):
        load_recipe("lfw_balanced", ["source.root=2024"])
    (tmp_path / "2024").mkdir()
    assert str(load_recipe("lfw_balanced", ["source.root='2024'"]).source.root) == "2024"
