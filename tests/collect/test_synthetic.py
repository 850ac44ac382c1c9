"""The drawn dataset: what is written, that the truth is true, and that it is neither too easy nor too hard."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import cv2
import imagehash
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.decomposition import PCA

from curate.collect import SOURCES
from curate.collect.faults import ALTERATIONS, FaultRates, make_plan, person_names, shares, sizes
from curate.collect.synthetic import (
    LEVELS,
    SyntheticParams,
    SyntheticTableParams,
    read_synthetic,
    synthetic_table,
    write_synthetic,
)
from curate.core.errors import CurateError, InputError
from curate.core.files import file_digest
from curate.core.manifest import Manifest
from curate.core.shapes import SerialExecutor

FAULTS = (
    "exact_copy", "resized", "recompressed", "cropped", "flipped", "brightness", "exact_copy_other_identity",
    "near_copy_other_identity", "mislabelled", "mixed_identity", "split_identity", "corrupt", "tiny", "shared_identity",
)  # fmt: skip
COPIES = ("exact_copy", *ALTERATIONS, "exact_copy_other_identity", "near_copy_other_identity")
SMALL = SyntheticParams(identities=14, images=6, size=48, benchmark=4, seed=5)


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder and its digest."""
    return {str(path.relative_to(folder)): file_digest(path) for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def tables(drawn: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The labels, indexed by image, and the truth."""
    return pd.read_csv(drawn / "labels.csv").set_index("image_id"), pd.read_parquet(drawn / "truth.parquet")


def test_layout_and_labels(drawn: Path, tables: tuple) -> None:
    labels, truth = tables
    on_disk = {path.relative_to(drawn / "images").as_posix() for path in (drawn / "images").rglob("*.jpg")}
    assert on_disk == set(labels.index)
    assert (labels.index == labels["identity"] + "/" + labels.index.str.split("/").str[1]).all()
    assert labels.index.str.fullmatch(r"([A-Z][a-z]+_[A-Z][a-z]+)/\1_\d{4}\.jpg").all()
    assert list(labels.columns) == ["identity", "gender", "ethnicity", "age_group"]
    assert labels.groupby("identity")[["gender", "ethnicity"]].nunique().max().max() == 1
    assert list(truth.columns) == ["image_id", "fault", "related_id", "true_identity"]
    assert truth["image_id"].is_unique
    assert truth["image_id"].is_monotonic_increasing
    assert set(truth["image_id"]) <= on_disk
    assert set(truth["fault"]) == set(FAULTS)
    benchmark = pd.read_csv(drawn / "benchmark" / "labels.csv")
    found = {path.relative_to(drawn / "benchmark/images").as_posix() for path in (drawn / "benchmark").rglob("*.jpg")}
    assert found == set(benchmark["image_id"])
    assert benchmark["identity"].nunique() == 8


def test_truth_is_true(drawn: Path, tables: tuple) -> None:
    labels, truth = tables
    truth = truth.assign(named=labels["identity"].reindex(truth["image_id"]).to_numpy())
    images = drawn / "images"
    of = dict(list(truth.groupby("fault")))
    elsewhere = of["shared_identity"]["related_id"]
    inside = truth[(truth["fault"] != "shared_identity") & truth["related_id"].notna()]
    assert set(inside["related_id"]) <= set(labels.index)
    assert all((drawn / "benchmark" / "images" / name).is_file() for name in elsewhere)
    for name in COPIES:
        assert not set(of[name]["related_id"]) & set(truth["image_id"]), "the original of a copy carries no fault"
        other = labels["identity"].reindex(of[name]["related_id"]).to_numpy()
        assert (of[name]["true_identity"].to_numpy() == other).all()
        assert ((of[name]["named"].to_numpy() != other) == name.endswith("other_identity")).all()
        for row in of[name].itertuples():
            same = (images / row.image_id).read_bytes() == (images / row.related_id).read_bytes()
            assert same == name.startswith("exact")
    for name in ("mislabelled", "mixed_identity", "split_identity"):
        assert (of[name]["named"] != of[name]["true_identity"]).all()
    for name in ("corrupt", "tiny"):
        assert (of[name]["named"] == of[name]["true_identity"]).all()
    for name in of["tiny"]["image_id"]:
        assert max(cv2.imread(str(images / name)).shape[:2]) <= 12
    for name in of["corrupt"]["image_id"]:
        data = (images / name).read_bytes()
        assert not data.endswith(b"\xff\xd9")
        with pytest.raises((OSError, SyntaxError)):
            Image.open(images / name).load()
    good = labels.index.difference(of["corrupt"]["image_id"])
    assert all((images / name).read_bytes().endswith(b"\xff\xd9") for name in good)
    mixed = of["mixed_identity"]
    assert not set(mixed["true_identity"]) & set(labels["identity"]), "the second person has no other name"
    assert mixed.groupby("named")["true_identity"].nunique().max() == 1
    counts = labels["identity"].value_counts()
    intruders = mixed["named"].value_counts()
    assert (intruders < counts.reindex(intruders.index) / 2).all()
    split = of["split_identity"].groupby("named")["true_identity"].agg(["nunique", "first", "size"])
    assert (split["nunique"] == 1).all()
    assert (counts.reindex(split["first"]).to_numpy() > split["size"].to_numpy()).all()


def features(folder: Path, names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """A weak face model's unit vectors (HOG, whitened PCA) and pHash bits of readable images: a plain reference."""
    hog = cv2.HOGDescriptor((64, 64), (16, 16), (8, 8), (8, 8), 9)
    vectors, bits = [], []
    for name in names:
        image = cv2.imread(str(folder / name), cv2.IMREAD_GRAYSCALE)
        vectors.append(hog.compute(cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)).ravel())
        bits.append(imagehash.phash(Image.open(folder / name)).hash.ravel())
    matrix = PCA(64, whiten=True, random_state=0).fit_transform(np.array(vectors))
    return matrix / np.linalg.norm(matrix, axis=1, keepdims=True), np.array(bits)


def test_hard_enough_to_tell_methods_apart(drawn: Path, tables: tuple) -> None:
    labels, truth = tables
    truth = truth.set_index("image_id")
    names = labels.index.difference(truth.index[truth["fault"] == "corrupt"]).tolist()
    vectors, bits = features(drawn / "images", names)
    place = {name: row for row, name in enumerate(names)}

    missed = {}
    for fault in COPIES:
        rows = truth[truth["fault"] == fault]
        pairs = [(place[name], place[other]) for name, other in rows["related_id"].items()]
        missed[fault] = np.mean([(bits[a] != bits[b]).sum() > 6 for a, b in pairs])
    assert missed["cropped"] >= 0.2
    assert missed["flipped"] >= 0.2
    assert missed["exact_copy"] == missed["exact_copy_other_identity"] == 0
    assert missed["recompressed"] <= 0.2

    # Nearest template, margin 0: an image is wrong if another identity's mean is nearer than its own.
    named = labels["identity"].reindex(names)
    codes, _ = pd.factorize(named)
    templates = np.zeros((codes.max() + 1, vectors.shape[1]))
    np.add.at(templates, codes, vectors)
    scores = vectors @ (templates / np.linalg.norm(templates, axis=1, keepdims=True)).T
    wrong = pd.Series(scores.argmax(axis=1) != codes, index=names)
    fault = truth["fault"].reindex(names).fillna("none")
    found = wrong.groupby(fault).mean()
    assert found["split_identity"] <= 0.8
    assert found["mislabelled"] >= 0.5, "not so hard that nothing helps"
    assert found["none"] >= 0.01, "margin 0 also blames good images"

    # A moderate model: genuine and impostor scores overlap in part.
    who = truth["true_identity"].reindex(names).fillna(named)
    keep = ~fault.isin([*COPIES, "tiny"]).to_numpy()
    similarity, (_, who_codes) = vectors[keep] @ vectors[keep].T, (None, pd.factorize(who[keep])[0])
    upper = np.triu_indices(keep.sum(), 1)
    genuine = (who_codes[:, None] == who_codes[None])[upper]
    score = similarity[upper]
    order = np.argsort(score)
    fnmr = np.cumsum(genuine[order]) / genuine.sum()
    fmr = 1 - np.cumsum(~genuine[order]) / (~genuine).sum()
    equal = fnmr[np.argmin(np.abs(fnmr - fmr))]
    assert 0.05 <= equal <= 0.2


class Processes:
    """Two worker processes."""

    workers = 2

    def map(self, function, items):
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            yield from pool.map(function, items)


def test_same_bytes_for_any_worker_count_and_another_seed_differs(tmp_path: Path) -> None:
    one = tree(write_synthetic(SMALL, tmp_path / "one", SerialExecutor()))
    assert one == tree(write_synthetic(SMALL, tmp_path / "two", Processes()))
    other = tree(write_synthetic(SMALL.model_copy(update={"seed": 6}), tmp_path / "other", SerialExecutor()))
    assert other["labels.csv"] != one["labels.csv"]
    assert not {d for name, d in one.items() if name.endswith(".jpg")} & {
        d for name, d in other.items() if name.endswith(".jpg") and (tmp_path / "other" / name).stat().st_size > 200
    }


class Forbidden:
    """An executor that must not be used."""

    workers = 1

    def map(self, function, items):
        raise AssertionError("drawn again")


def test_reads_itself_and_is_drawn_once(tmp_path: Path) -> None:
    source = SOURCES["synthetic"]
    first = source.read(SMALL, None, SerialExecutor(), tmp_path)
    again = source.read(SMALL, None, Forbidden(), tmp_path)
    assert first.manifest.frame.equals(again.manifest.frame)
    assert first.manifest.levels == LEVELS
    assert first.manifest.frame["dataset"].unique().tolist() == ["synthetic"]
    assert not first.manifest.frame.isna().any().any()
    truth = pd.read_parquet(first.manifest.root.parent / "truth.parquet")
    assert (first.manifest.rows_of(truth["image_id"]) >= 0).all()
    assert first.notes[0].startswith("drawn faces; images with a planted fault: ")
    assert len(first.notes) == 1
    only = read_synthetic(SMALL, {"gender": "identity"}, Forbidden(), tmp_path)
    assert only.manifest.levels == {"gender": "identity"}
    assert [path.name for path in (tmp_path / "synthetic").glob(".*.part")] == []


def test_a_kill_in_the_middle_leaves_nothing_half(tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from curate.collect.synthetic import SyntheticParams, write_synthetic

        class Killed:
            workers = 1
            def map(self, function, items):
                for number, item in enumerate(items):
                    if number == 1:
                        os.kill(os.getpid(), signal.SIGKILL)
                    yield function(item)

        write_synthetic(SyntheticParams.model_validate_json(sys.argv[1]), Path(sys.argv[2]), Killed())
    """
    target = tmp_path / "set"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), SMALL.model_dump_json(), str(target)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=False,
    )  # fmt: skip
    assert done.returncode == -signal.SIGKILL
    assert not target.exists()
    assert list(tmp_path.glob(".*.part"))
    write_synthetic(SMALL, target, SerialExecutor())
    assert not list(tmp_path.glob(".*.part"))
    assert tree(target) == tree(write_synthetic(SMALL, tmp_path / "fresh", SerialExecutor()))


def test_a_failure_leaves_nothing_and_is_told(tmp_path: Path) -> None:
    class Full:
        workers = 1

        def map(self, function, items):
            yield function(next(iter(items)))
            raise OSError(28, "No space left on device")

    with pytest.raises(CurateError, match=r"cannot write .*No space left on device.*run the same command again"):
        write_synthetic(SMALL, tmp_path / "set", Full())
    assert [path.name for path in tmp_path.iterdir()] == [".set.lock"]


def test_refuses_a_folder_in_use(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(InputError, match="holds something else"):
        write_synthetic(SMALL, tmp_path, SerialExecutor())
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize("identities", [1, 2, 3, 7])
def test_tiny_plans_hold_together(identities: int) -> None:
    for seed in range(12):
        plan = make_plan(identities, 3, 2, 1.0, FaultRates(), seed)
        assert (
            len({len(getattr(plan, name)) for name in ("person", "folder", "age", "draw", "op", "fault", "related")})
            == 1
        )
        main = ~plan.benchmark
        assert set(plan.fault[plan.benchmark]) <= {""}
        assert main[plan.related[main & (plan.related >= 0) & (plan.fault != "shared_identity")]].all()
        assert (plan.related < len(plan)).all()
        assert (plan.draw >= 0).all()


def test_no_faults_when_none_are_asked_for() -> None:
    plan = make_plan(40, 5, 0, 1.0, FaultRates(**dict.fromkeys(FaultRates.model_fields, 0.0)), 0)
    assert len(plan) == 200
    assert set(plan.fault) == {""}
    assert (plan.folder == plan.person).all()


def test_imbalance() -> None:
    rng = np.random.default_rng(0)
    counts = sizes(500, 14, 1.0, rng)
    assert counts.sum() == 7000
    assert counts.min() >= 1
    assert np.quantile(counts, 0.9) / np.quantile(counts, 0.1) > 5
    even = sizes(500, 14, 0.0, rng)
    assert even.min() == even.max() == 14
    assert np.bincount(shares({"a": 0.7, "b": 0.3}, 1.0, 200, rng)).tolist() == [140, 60]
    assert np.bincount(shares({"a": 0.7, "b": 0.3}, 0.0, 200, rng)).tolist() == [100, 100]
    assert len(set(person_names(5000, rng))) == 5000
    with pytest.raises(InputError, match="too many identities"):
        person_names(10_000_000, rng)


def test_synthetic_table(tmp_path: Path) -> None:
    table = synthetic_table(20_000, 800, seed=4)
    assert table.equals(synthetic_table(20_000, 800, seed=4))
    assert not table.equals(synthetic_table(20_000, 800, seed=5))
    assert len(table) == 20_000
    assert table["image_id"].is_unique
    assert table["identity"].nunique() == 800
    assert (table["image_id"].str.split("/").str[0] == table["identity"].astype("str")).all()
    assert table.groupby("identity", observed=True)["gender"].nunique().max() == 1
    assert table["ethnicity"].value_counts(normalize=True).max() > 0.4
    found = SOURCES["synthetic_table"].read(
        SyntheticTableParams(rows=20_000, identities=800, seed=4), None, SerialExecutor(), tmp_path
    )
    assert found.manifest.levels == LEVELS
    expected = Manifest.from_frame(table.assign(dataset="synthetic"), levels=LEVELS)
    assert found.manifest.frame.equals(expected.frame)
    with pytest.raises(InputError, match="at least one image for each identity"):
        synthetic_table(5, 6)
