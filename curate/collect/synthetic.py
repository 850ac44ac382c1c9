"""Drawn faces with planted faults and the truth about them: a dataset that anybody may have and show."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field

from curate.collect.faults import FaultRates, Plan, make_plan, person_names, shares, sizes
from curate.collect.folder import FolderParams, read_folder
from curate.collect.several import below, prefixed
from curate.collect.source import Collected, Source, counted
from curate.collect.traits import AGE_GROUPS, ETHNICITIES, GENDERS, generator
from curate.core import columns as col
from curate.core.errors import CurateError, InputError
from curate.core.files import json_digest, read_json, write_json, write_table
from curate.core.manifest import Manifest
from curate.core.shapes import Executor, StrictParams

#: Raise it when the same parameters give other files.
VERSION = 1
#: The labels of the drawn faces.
LEVELS = {"gender": "identity", "ethnicity": "identity", "age_group": "image"}

_BATCH = 64  # images drawn by one task


class SyntheticParams(StrictParams):
    """Drawn faces, imbalanced and faulty by default, as collected ones are."""

    kind: Literal["synthetic"] = "synthetic"
    identities: Annotated[int, Field(ge=1, le=1_000_000)] = 120
    images: Annotated[float, Field(ge=1, le=1_000)] = 14.0  # mean photographs of an identity, copies not counted
    seed: Annotated[int, Field(ge=0)] = 0
    size: Annotated[int, Field(ge=32, le=1024)] = 112  # pixels of a side
    imbalance: Annotated[float, Field(ge=0, le=2)] = 1.0  # 0: even; 1: long-tailed identities, uneven groups
    benchmark: Annotated[int, Field(ge=0, le=100_000)] = 20  # identities of the benchmark set
    faults: FaultRates = FaultRates()
    dataset: str = "synthetic"
    with_benchmark: bool = False  # read the benchmark set too, as the dataset `benchmark`


class SyntheticTableParams(StrictParams):
    """A table of drawn labels without pixels, for table steps at scale."""

    kind: Literal["synthetic_table"] = "synthetic_table"
    rows: Annotated[int, Field(ge=1, le=100_000_000)] = 1_000_000
    identities: Annotated[int, Field(ge=1)] = 50_000
    seed: Annotated[int, Field(ge=0)] = 0


def write_synthetic(params: SyntheticParams, folder: Path | str, executor: Executor) -> Path:
    """Draw a dataset into `folder`, whole or not at all, and return the folder.

    Written are `images/IDENTITY/IDENTITY_0001.jpg`, `labels.csv` (image_id, identity, gender, ethnicity, age_group),
    `truth.parquet` (image_id, fault, related_id, true_identity), `synthetic.json` (the parameters) and the same
    `images/` and `labels.csv` below `benchmark/`.

    The truth has one row for each faulty image; `true_identity` is the name of the person that the image shows, and
    `related_id` another image_id of `images/` (for `shared_identity` of `benchmark/images/`). For a copy, the row is
    that of the copy and `related_id` its original, which carries no fault. `mixed_identity` stands at the images of the
    second person, `split_identity` at those under the second name (each time the smaller part), `shared_identity` at
    all images of the person.

    The bytes depend on the parameters alone, for any executor. A finished folder of the same parameters is left as it
    is; one process at a time draws a folder, and the others wait for it.
    Raises InputError where the folder holds something else; CurateError where it can't be written.
    """
    folder = Path(folder)
    stamp = _stamp(params)
    if _finished(folder, stamp):
        return folder
    try:
        with _lock(folder):
            if _finished(folder, stamp):  # another process was faster
                return folder
            part = folder.with_name(f".{folder.name}.part")
            shutil.rmtree(part, ignore_errors=True)  # left by a killed process: the lock is ours
            try:
                _generate(params, part, executor)
                write_json(part / "synthetic.json", stamp)
                os.replace(part, folder)
            finally:
                shutil.rmtree(part, ignore_errors=True)
    except OSError as error:
        raise CurateError(f"cannot write {folder}: {error.strerror or error}. Free some space or choose another "
                          "folder, then run the same command again") from error  # fmt: skip
    return folder


def _stamp(params: SyntheticParams) -> dict[str, Any]:
    """What the files depend on."""
    return {"params": params.model_dump(mode="json", exclude={"with_benchmark"}), "version": VERSION}


def _finished(folder: Path, stamp: dict[str, Any]) -> bool:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if (folder / "synthetic.json").is_file() and read_json(folder / "synthetic.json") == stamp:
        return True
    raise InputError("the folder holds something else", file=folder, remedy="Choose an empty or a new folder")


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """One process at a time generates a folder; the lock ends with its process."""
    import fcntl

    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(f".{folder.name}.lock"), "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _generate(params: SyntheticParams, folder: Path, executor: Executor) -> None:
    from curate.collect.render import RenderTask, render

    plan = make_plan(params.identities, params.images, params.benchmark, params.imbalance, params.faults, params.seed)
    paths = _file_names(plan, params.seed)
    for name in np.unique(_tops(paths, plan)).tolist():
        os.makedirs(folder / name)
    genders, ethnicities = list(GENDERS), list(ETHNICITIES)
    order = np.argsort(plan.person, kind="stable")  # the traits of a person are worked out once for each task

    def tasks() -> Iterator[RenderTask]:
        for start in range(0, len(order), _BATCH):
            rows = order[start : start + _BATCH].tolist()
            yield RenderTask(params.seed, params.size, tuple(
                (int(plan.person[row]), genders[plan.gender[plan.person[row]]],
                 ethnicities[plan.ethnicity[plan.person[row]]], int(plan.age[row]), int(plan.draw[row]),
                 str(plan.op[row]), row) for row in rows
            ))  # fmt: skip

    done = 0
    for files in executor.map(render, tasks()):
        for data in files:
            row = order[done]
            (folder / ("benchmark/images" if plan.benchmark[row] else "images") / paths[row]).write_bytes(data)
            done += 1
    _write_tables(plan, paths, folder)


def _tops(paths: np.ndarray, plan: Plan) -> np.ndarray:
    return np.array([f"{'benchmark/' if other else ''}images/{path.split('/')[0]}"
                     for path, other in zip(paths, plan.benchmark, strict=True)])  # fmt: skip


def _file_names(plan: Plan, seed: int) -> np.ndarray:
    """`NAME/NAME_0001.jpg`, numbered at random within a folder so that no name tells which image is a copy."""
    shuffle = generator(seed, "names").permutation(len(plan))
    group = plan.folder * 2 + plan.benchmark
    order = np.lexsort((shuffle, group))
    starts = np.flatnonzero(np.append(True, np.diff(group[order]) != 0))
    number = np.empty(len(plan), dtype=np.int64)
    number[order] = np.arange(len(plan)) - np.repeat(starts, np.diff(np.append(starts, len(plan)))) + 1
    names = [plan.names[code] for code in plan.folder.tolist()]
    return np.array(
        [f"{name}/{name}_{n:04d}.jpg" for name, n in zip(names, number.tolist(), strict=True)], dtype=object
    )


def _write_tables(plan: Plan, paths: np.ndarray, folder: Path) -> None:
    claimed = plan.claimed[plan.folder]
    labels = pd.DataFrame(
        {
            col.IMAGE_ID: paths,
            col.IDENTITY: np.array(plan.names, dtype=object)[plan.folder],
            "gender": np.array(list(GENDERS))[plan.gender[claimed]],
            "ethnicity": np.array(list(ETHNICITIES))[plan.ethnicity[claimed]],
            "age_group": np.array(list(AGE_GROUPS))[plan.age],
        }
    )
    for where, mask in ((folder, ~plan.benchmark), (folder / "benchmark", plan.benchmark)):
        where.mkdir(exist_ok=True)
        (where / "images").mkdir(exist_ok=True)
        labels[mask].sort_values(col.IMAGE_ID).to_csv(where / "labels.csv", index=False, lineterminator="\n")
    faulty = np.flatnonzero(plan.fault != "")
    related = np.where(plan.related[faulty] >= 0, paths[plan.related[faulty]], None)
    truth = pd.DataFrame(
        {
            col.IMAGE_ID: pd.array(paths[faulty], dtype="str"),
            "fault": pd.array(plan.fault[faulty], dtype="str"),
            "related_id": pd.array(related, dtype="str"),
            "true_identity": pd.array(np.array(plan.names, dtype=object)[plan.person[faulty]], dtype="str"),
        }
    )
    write_table(folder / "truth.parquet", truth.sort_values(col.IMAGE_ID, ignore_index=True))


def read_synthetic(
    params: SyntheticParams, levels: Mapping[str, str] | None, executor: Executor, cache: Path
) -> Collected:
    """Draw the dataset into the cache if it is not there yet, and read it as a folder with labels.

    The truth stands beside the manifest's root: `root.parent / "truth.parquet"`. With the benchmark set, whose ids and
    identities are `benchmark/...`, the root is the folder that holds both, and the truth.
    """
    digest = json_digest(_stamp(params))[:24]
    folder = write_synthetic(params, Path(cache) / "synthetic" / digest, executor)
    inner = FolderParams(root=folder / "images", labels=folder / "labels.csv", dataset=params.dataset)
    found = read_folder(inner, LEVELS if levels is None else levels, executor, cache)
    if params.with_benchmark:
        other = FolderParams(root=folder / "benchmark/images", labels=folder / "benchmark/labels.csv",
                             dataset="benchmark")  # fmt: skip
        bench = prefixed(read_folder(other, LEVELS if levels is None else levels, executor, cache).manifest)
        mine = found.manifest
        frame = pd.concat([below(part, folder, mine.levels) for part in (mine, bench)], ignore_index=True)
        found = Collected(Manifest.from_frame(frame, root=folder, levels=mine.levels), found.notes)
    faults = pd.read_parquet(folder / "truth.parquet", columns=["fault"])["fault"].value_counts().sort_index()
    planted = ", ".join(f"{name} {number:,}" for name, number in faults.items())
    note = f"drawn faces; images with a planted fault: {planted}" if planted else "drawn faces without faults"
    return Collected(found.manifest, (note, *found.notes))


def synthetic_table(rows: int, identities: int, seed: int = 0) -> pd.DataFrame:
    """A table `(rows)` of image_id, identity, gender, ethnicity and age_group, as imbalanced as the drawn faces.

    Text is Arrow-backed, the rest categorical. Raises InputError for more identities than rows.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    if not 1 <= identities <= rows:
        raise InputError("there must be at least one image for each identity", column="identities", value=identities,
                         allowed=f"1 to {rows:,} (the rows)")  # fmt: skip
    rng = generator(seed, "table")
    counts = sizes(identities, rows / identities, 1.0, rng)
    names = sorted(person_names(identities, rng))
    who = np.repeat(np.arange(identities, dtype=np.int32), counts)
    start = np.cumsum(counts) - counts
    number = (np.arange(rows, dtype=np.int64) - np.repeat(start, counts) + 1).astype(np.int32)
    name = pa.array(names, pa.large_string()).take(pa.array(who))
    digits = pc.utf8_lpad(pa.array(number).cast(pa.large_string()), 6, "0")
    ids = pc.binary_join_element_wise(name, digits, pa.scalar("/", pa.large_string()))

    def category(codes: np.ndarray, values: list[str]) -> pd.Categorical:
        return pd.Categorical.from_codes(codes, categories=pd.Index(values, dtype="str"))

    age = shares(AGE_GROUPS, 1.0, identities, rng)[who]
    age = np.clip(age + rng.integers(-1, 2, rows), 0, len(AGE_GROUPS) - 1)
    return pd.DataFrame(
        {
            col.IMAGE_ID: pd.array(ids, dtype="str"),
            col.IDENTITY: category(who, names),
            "gender": category(shares(GENDERS, 1.0, identities, rng)[who], list(GENDERS)),
            "ethnicity": category(shares(ETHNICITIES, 1.0, identities, rng)[who], list(ETHNICITIES)),
            "age_group": category(age, list(AGE_GROUPS)),
        }
    )


def read_synthetic_table(
    params: SyntheticTableParams, levels: Mapping[str, str] | None, executor: Executor, cache: Path
) -> Collected:
    """The manifest of `synthetic_table`; it has no pixels."""
    frame = synthetic_table(params.rows, params.identities, params.seed).assign(**{col.DATASET: "synthetic"})
    manifest = Manifest.from_frame(frame, levels=LEVELS if levels is None else levels, origin="synthetic_table")
    return Collected(manifest, (f"drawn labels without pixels: {counted(params.rows, 'row')}",))


SOURCE = Source("synthetic", SyntheticParams, read_synthetic)
TABLE_SOURCE = Source("synthetic_table", SyntheticTableParams, read_synthetic_table)
