"""The verbs protocol, verify, convert and power: a run folder, its proof, and the pair that was tampered with."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from curate.cli.shared import app
from curate.core.errors import InputError
from curate.core.files import read_json, read_table, write_json, write_table
from curate.protocol.table import coded
from curate.recipe.execute import LocalExecutor
from curate.recipe.run import run_recipe
from curate.recipe.schema import make_recipe
from curate.recipe.verbs import run_protocol
from curate.recipe.verbs.protocol import power_table, verify
from tests.protocol.conftest import make_faces

PARAMS = {"group_by": ("gender",), "pairs_per_group": 400, "folds": 4}


def run(source: Path, out: Path, workers: int = 1, seed: int = 3, **params):
    with LocalExecutor(workers) as executor:
        return run_protocol(str(source), out, executor=executor, seed=seed, params={**PARAMS, **params})


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("source") / "faces.parquet"
    make_faces([5, 7, 9, 6] * 12, split=None).write(path)
    return path


@pytest.fixture(scope="module")
def made(source: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "protocol"
    run(source, out)
    return out


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy that may be tampered with."""
    return Path(shutil.copytree(made, tmp_path / "protocol"))


def failing(path: Path) -> dict[str, tuple[str, ...]]:
    return {finding.check: finding.says for finding in verify(path) if not finding.holds}


def test_the_verb_writes_a_run_that_resumes(source: Path, made: Path, tmp_path: Path):
    assert read_json(made / "plan.json")["name"] == "protocol"
    certificate = read_json(made / "certificate.json")
    assert certificate["valid"]
    assert certificate["pairs"] == 800
    assert [done.cached for done in run(source, made).steps] == [True, True]
    shuffled = tmp_path / "shuffled.parquet"
    write_table(shuffled, pd.read_parquet(source).sample(frac=1, random_state=1))
    names = ("pairs.parquet", "certificate.json", "feasibility.parquet")
    run(shuffled, tmp_path / "again", workers=2)
    for name in names:
        assert (tmp_path / "again" / name).read_bytes() == (made / name).read_bytes()
    run(source, tmp_path / "other", seed=4)
    assert (tmp_path / "other" / names[0]).read_bytes() != (made / names[0]).read_bytes()


def test_a_protocol_of_one_seed_is_proven(made: Path):
    found = verify(made)
    assert all(finding.holds for finding in found)
    assert {finding.check for finding in found} >= {"drawn_again_alike", "fingerprint_as_certified", "images_known"}


def test_one_changed_pair_is_named(folder: Path):
    table = read_table(folder / "pairs.parquet")
    row = 523
    was = table["image_id_b"][row]
    same = table[(table["fold"] == table["fold"][row]) & (table["group"] == table["group"][row])]
    other = next(
        image for image in same["image_id_b"]
        if image[:5] == was[:5] and image != was and not ((same["image_id_b"] == image)
                                                        & (same["image_id_a"] == table["image_id_a"][row])).any()
    )  # fmt: skip
    changed = table["image_id_b"].astype("str").copy()
    changed[row] = other  # an honest pair of the same identities and fold: nothing else could tell
    write_table(folder / "pairs.parquet", table.assign(image_id_b=changed))
    found = failing(folder)
    assert set(found) >= {"fingerprint_as_certified", "drawn_again_alike"}
    assert set(found) <= {"fingerprint_as_certified", "drawn_again_alike", "figures_as_certified"}
    name = f"row {row + 1}: {table['image_id_a'][row]}"
    assert found["fingerprint_as_certified"][0].startswith(f"changed: {name}")
    assert any(text.startswith(f"not drawn: {name}") and other in text for text in found["drawn_again_alike"])
    assert any(text.startswith("missing: ") and was in text for text in found["drawn_again_alike"])
    # Without the run around it the certificate alone names it.
    bare = folder.parent / "bare"
    bare.mkdir()
    for part in ("pairs.parquet", "certificate.json"):
        shutil.copy(folder / part, bare)
    assert failing(bare)["fingerprint_as_certified"][0].startswith(f"changed: {name}")


@pytest.mark.parametrize(
    ("change", "checks"),
    [
        (lambda t: t.assign(genuine=np.where(t.index == 17, ~t["genuine"], t["genuine"])), {"genuine_as_identities"}),
        (lambda t: t.drop(index=17).reset_index(drop=True), {"pairs_as_certified"}),
        (lambda t: pd.concat([t, t.iloc[[17]]], ignore_index=True), {"pairs_as_certified", "no_duplicate_pairs"}),
        (lambda t: t.assign(fold=np.where(t.index == 17, 3, t["fold"])), {"no_identity_in_two_folds"}),
        (lambda t: t.iloc[::-1].reset_index(drop=True), {"drawn_again_alike"}),
    ],
)
def test_other_changes_are_found(folder: Path, change, checks):
    write_table(folder / "pairs.parquet", change(read_table(folder / "pairs.parquet")))
    assert set(failing(folder)) >= {"fingerprint_as_certified", "drawn_again_alike", *checks}


def test_a_changed_certificate_and_manifest_are_found(folder: Path):
    document = read_json(folder / "certificate.json")
    document["groups"][0]["identities"] += 1
    write_json(folder / "certificate.json", document)
    assert set(failing(folder)) == {"figures_as_certified"}
    del document["sections"]
    write_json(folder / "certificate.json", document)
    with pytest.raises(InputError, match="the certificate has no 'sections'"):
        verify(folder)
    shutil.copy(folder / "feasibility.parquet", folder / "manifest.parquet")
    with pytest.raises(InputError, match="'image_id' is missing"):
        verify(folder)


def test_another_table_of_copies_is_noticed(source: Path, tmp_path: Path):
    path = tmp_path / "copies.parquet"
    write_table(path, pd.DataFrame({"image_id_a": ["p0000/000.jpg"], "image_id_b": ["p0000/001.jpg"]}, dtype="str"))
    run(source, tmp_path / "run", duplicates=path)
    assert failing(tmp_path / "run") == {}
    document = read_json(tmp_path / "run" / "certificate.json")
    assert document["duplicates"]["images_with_copies"] == 2
    assert document["duplicates"]["pairs_left_out"] == {"genuine": 1, "impostor": 0}
    write_table(path, pd.DataFrame({"image_id_a": ["p0000/000.jpg"], "image_id_b": ["p0000/002.jpg"]}, dtype="str"))
    assert set(failing(tmp_path / "run")) == {"duplicates_as_certified"}
    assert [done.cached for done in run(source, tmp_path / "run", duplicates=path).steps] == [True, False]


def test_a_recipe_keeps_its_protocol_in_a_folder_of_its_own(source: Path, tmp_path: Path):
    raw = {
        "name": "small", "source": {"kind": "table", "path": str(source)}, "labels": ["gender"],
        "steps": [{"holdout": {"fraction": 0.5}}, {"verification_protocol": {"folds": 2, "pairs_per_group": 40}}],
    }  # fmt: skip
    with LocalExecutor(1) as executor:
        run_recipe(make_recipe(raw), tmp_path / "run", executor=executor)
    assert not (tmp_path / "run" / "pairs.parquet").exists()
    assert failing(tmp_path / "run") == {}
    assert "drawn_again_alike" in {finding.check for finding in verify(tmp_path / "run")}
    path = tmp_path / "run" / "protocol" / "pairs.parquet"
    table = read_table(path)
    write_table(path, table.assign(genuine=~table["genuine"]))
    assert "genuine_as_identities" in failing(tmp_path / "run")


def test_power_says_what_the_protocol_shows(made: Path):
    table = power_table(made, 1e-4, None, 0.01)
    assert table["group"].tolist() == ["f", "m"]
    certificate = read_json(made / "certificate.json")
    assert [float(text) for text in table["smallest FMR"]] == pytest.approx(
        [row["smallest_fmr"] for row in certificate["groups"]], rel=0.05
    )
    assert table["FMR of 0.0001"].str.endswith("(upper bound)").all()
    needs = power_table(None, 1e-3, 1000, 0.01)
    assert needs["effective pairs"].tolist() == ["3,000", "30,000"]
    with pytest.raises(InputError, match="nothing to tell"):
        power_table(None, None, None, 0.01)
    with pytest.raises(InputError, match="no certificate.json"):
        power_table(made / "steps", None, None, 0.01)


def test_the_command_line(made: Path, folder: Path, tmp_path: Path):
    invoke = CliRunner().invoke
    done = invoke(app, ["verify", str(made)])
    assert done.exit_code == 0, done.output
    assert "FAILED" not in done.output
    out = tmp_path / "pairs.csv"
    assert invoke(app, ["convert", str(made), str(out)]).exit_code == 0
    assert len(pd.read_csv(out)) == 800
    assert np.array_equal(coded(pd.read_csv(out)).image_a, coded(read_table(made / "pairs.parquet")).image_a)
    assert invoke(app, ["verify", str(out), "--manifest", str(made / "manifest.parquet")]).exit_code == 0
    listed = invoke(app, ["convert", str(made), str(tmp_path / "pairs.txt")])
    assert listed.exit_code == 0, listed.output
    assert "note: this format does not hold, or not as they were: group" in listed.output
    assert invoke(app, ["verify", str(tmp_path / "pairs.txt")]).exit_code == 0
    refused = invoke(app, ["convert", str(made), str(folder), "--to", "bob"])
    assert isinstance(refused.exception, InputError)
    table = read_table(folder / "pairs.parquet")
    write_table(folder / "pairs.parquet", table.drop(index=5))
    done = invoke(app, ["verify", str(folder), "--json"])
    assert done.exit_code == 1
    assert "missing: " in done.output
    done = invoke(app, ["power", str(made), "--rate", "0.001"])
    assert done.exit_code == 0
    assert "smallest FMR" in done.output
