"""A run folder of drawn tables, as large as asked for, that looks as if a recipe had made it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

_PICTURES = 256
_DIMENSIONS = 256


def build_run(folder: Path, rows: int, seed: int = 0) -> Path:
    """Write a run folder of `rows` images below `folder`, and return its path."""
    from curate.core.apply import apply_decisions, replica_id
    from curate.core.decisions import Decisions
    from curate.core.files import write_json, write_table
    from curate.core.manifest import Manifest

    rng = np.random.default_rng(seed)
    root, run, cache = folder / "images", folder / "run", folder / "cache"
    paths = _pictures(root, rng)
    manifest = _source(rows, root, paths, rng)
    manifest.write(run / "steps" / "00-source" / "manifest.parquet")
    write_json(run / "steps" / "00-source" / "summary.json", {"name": "source", "kind": "source", "notes": []})
    vectors = _vectors(folder, manifest, rng)
    ids = manifest.frame["image_id"]
    shuffled = rng.permutation(rows)
    some = [np.sort(part) for part in np.split(shuffled[: rows // 4], [rows // 8, rows // 6, rows // 5])]
    names = manifest.frame["identity"].astype("str")

    def evidence(part: np.ndarray) -> dict[str, Any]:
        return {"score": rng.uniform(0.95, 1, len(part)), "threshold": 0.95,
                "related_id": ids.take((part + 1) % rows).reset_index(drop=True)}  # fmt: skip

    def pick(part: np.ndarray) -> pd.Series:
        return ids.take(part).reset_index(drop=True)

    steps: list[tuple[str, Callable[[Manifest], Decisions]]] = [
        ("exact_duplicates", lambda _: Decisions.of(pick(some[0]), "drop", "exact_bytes", **evidence(some[0]))),
        ("near_duplicates", lambda _: Decisions.concat([
            Decisions.of(pick(some[1]), "drop", "near_duplicate", **evidence(some[1])),
            Decisions.of(pick(some[2]), "flag", "near_duplicate_other_identity", **evidence(some[2])),
        ])),
        ("mislabelled", lambda _: Decisions.of(pick(some[3]), "move", "nearer_to_another", **evidence(some[3]),
                                               new_value=names.take((some[3] + 50) % rows).reset_index(drop=True))),
        ("holdout", lambda m: Decisions.of(m.frame["image_id"], "assign", "drawn", new_value=pd.Series(np.where(
            m.codes("identity") % 4 == 0, "split=holdout", "split=train")))),
        ("oversample", lambda m: _replicas(m, rng, rows // 5, replica_id)),
    ]  # fmt: skip
    plan_steps, rejected, order = [], [], 0
    for order, (name, decide) in enumerate(steps, start=1):
        decisions = decide(manifest).stamped(name, order)
        after, gone = apply_decisions(manifest, decisions)
        where = f"steps/{order:02d}-{name}"
        write_table(run / where / "decisions.parquet", decisions.frame)
        keys = decisions.frame["action"].astype("str") + "/" + decisions.frame["reason"].astype("str")
        actions = {key: int(n) for key, n in keys.value_counts().items()} | {"dropped": len(gone)}
        write_json(run / where / "summary.json", _summary(name, "step", order, manifest, after) | {"actions": actions})
        plan_steps.append({"order": order, "name": name, "kind": "step", "folder": where, "sentence": "", "params": {}})
        rejected.append(gone)
        manifest = after
    manifest.write(run / "manifest.parquet")
    gone = pd.concat([part.astype({"step": "str", "reason": "str"}) for part in rejected], ignore_index=True)
    write_table(run / "rejected.parquet", gone)
    plan_steps.append(_audit(run, manifest, order + 1))
    plan_steps.append(_overlap(run, manifest, order + 2, rng))
    write_json(run / "plan.json", {
        "name": "million", "seed": 7, "cache": str(cache), "levels": dict(manifest.levels), "versions": {},
        "source": {"root": str(root), "kind": "folder"}, "steps": plan_steps,
        "recipe": {"name": "million", "source": {"kind": "folder", "root": str(root)}, "steps": [],
                   "embedder": {"kind": "vectors", "path": str(vectors)}},
    })  # fmt: skip
    return run


def _pictures(root: Path, rng: np.random.Generator) -> np.ndarray:
    from PIL import Image

    root.mkdir(parents=True)
    names = [f"{number:03d}.jpg" for number in range(_PICTURES)]
    for name in names:
        Image.fromarray(rng.integers(0, 256, (112, 112, 3), dtype=np.uint8)).save(root / name, quality=85)
    return np.array(names)


def _source(rows: int, root: Path, paths: np.ndarray, rng: np.random.Generator) -> Any:
    from curate.core.manifest import Manifest

    people = max(rows // 50, 2)
    person = np.sort((people * rng.beta(0.8, 1.2, rows)).astype(np.int64))
    gender = np.array(["f", "m"])[(rng.random(people) < 0.6).astype(int)]
    ethnicity = np.array(["Asian", "Black", "Indian", "White"])[rng.choice(4, people, p=[0.12, 0.08, 0.1, 0.7])]
    width = len(str(people))
    known = pd.Index([f"person_{number:0{width}d}" for number in range(people)])
    ids = known[person] + "/" + pd.Series(np.arange(rows)).astype("str").str.zfill(7)
    frame = pd.DataFrame({
        "image_id": ids, "path": paths[rng.integers(0, len(paths), rows)], "dataset": "drawn",
        "identity": pd.Categorical.from_codes(person, known), "gender": pd.Categorical(gender[person]),
        "ethnicity": pd.Categorical(ethnicity[person]),
    })  # fmt: skip
    return Manifest.from_frame(frame, root=root, levels={"gender": "identity", "ethnicity": "identity"})


def _vectors(folder: Path, manifest: Any, rng: np.random.Generator) -> Path:
    from curate.core.vectors import Vectors, unit

    people = manifest.codes("identity")
    centres = rng.standard_normal((int(people.max()) + 1, _DIMENSIONS), dtype=np.float32)
    matrix = np.empty((len(manifest), _DIMENSIONS), dtype=np.float16)
    for start in range(0, len(matrix), 65_536):
        mine = people[start : start + 65_536]
        matrix[start : start + len(mine)] = unit(
            centres[mine] + 0.8 * rng.standard_normal((len(mine), _DIMENSIONS), dtype=np.float32)
        )
    Vectors(manifest.ids, matrix, "drawn", "drawn").write(folder / "vectors")
    return folder / "vectors"


def _replicas(manifest: Any, rng: np.random.Generator, count: int, replica_id: Callable) -> Any:
    from curate.core.decisions import Decisions

    train = np.flatnonzero(manifest.in_split("train"))
    parents = manifest.frame["image_id"].take(np.sort(rng.choice(train, min(count, len(train)), replace=False)))
    parents = parents.reset_index(drop=True)
    made = pd.Series([replica_id(name, 1) for name in parents], dtype="str")
    return Decisions.of(made, "add", "rare_identity", related_id=parents,
                        new_value=pd.Series(np.arange(len(parents))).astype("str"))  # fmt: skip


def _summary(name: str, kind: str, order: int, before: Any, after: Any) -> dict[str, Any]:
    return {
        "name": name, "kind": kind, "order": order, "sentence": "", "actions": {}, "summary": {}, "notes": [],
        "figures": [], "tables": [], "documents": [], "images_in": len(before), "images_out": len(after),
        "identities_in": before.frame["identity"].nunique(), "identities_out": after.frame["identity"].nunique(),
    }  # fmt: skip


def _audit(run: Path, manifest: Any, order: int) -> dict[str, Any]:
    from curate.core.files import write_json, write_table

    thresholds = np.linspace(-1, 1, 300)
    curves = pd.concat([
        pd.DataFrame({"group": group, "threshold": thresholds, "fmr": 1 / (1 + np.exp(12 * (thresholds - shift))),
                      "fnmr": 1 / (1 + np.exp(-12 * (thresholds - 0.5)))})
        for group, shift in (("all", 0.0), ("f", 0.05), ("m", -0.05))
    ], ignore_index=True)  # fmt: skip
    write_table(run / "audit" / "curves.parquet", curves)
    write_table(run / "audit" / "histogram.parquet", _histogram(manifest))
    where = f"steps/{order:02d}-audit"
    figures = [{"kind": "det", "table": "audit/curves", "title": "DET curve per group", "options": {}}]
    write_json(run / where / "summary.json", _summary("audit", "report", order, manifest, manifest)
               | {"figures": figures, "tables": ["audit/curves"]})  # fmt: skip
    return {"order": order, "name": "audit", "kind": "report", "folder": where, "sentence": "Measure.", "params": {}}


def _histogram(manifest: Any) -> pd.DataFrame:
    """As an audit by both labels keeps it: all, 8 groups, and each two of them."""
    from curate.core.groups import cells

    edges = np.round(np.arange(-0.3, 0.9, 0.005), 3)
    groups = list(map(str, cells(manifest, ("gender", "ethnicity")).categories))
    spread = [np.diff(1 / (1 + np.exp(-12 * (np.append(edges, 2) - middle))), prepend=0) for middle in (0.0, 0.5)]
    return pd.concat([
        pd.DataFrame({"group_a": a, "group_b": b, "threshold": np.insert(edges, 0, -np.inf),
                      "impostors": (1e9 * spread[0]).astype(np.int64),
                      "genuines": (1e6 * spread[1] * (a == b)).astype(np.int64), "exact": True,
                      "fmr_n_eff": 1e5, "fmr_degrees": 60.0, "fnmr_n_eff": 1e4, "fnmr_degrees": 60.0})
        for a, b in [("all", "all"), *((a, b) for a in groups for b in groups if a <= b)]
    ], ignore_index=True)  # fmt: skip


def _overlap(run: Path, manifest: Any, order: int, rng: np.random.Generator) -> dict[str, Any]:
    """Some ten thousand pairs of identities of the one drawn set, as `overlap_pairs` writes them."""
    from curate.core.files import write_json, write_table

    names = manifest.frame["identity"].cat.categories.to_numpy()
    count = min(10_000, len(names))
    score = rng.random(count)
    pairs = pd.DataFrame({
        "dataset_a": "drawn", "identity_a": rng.choice(names, count), "dataset_b": "drawn",
        "identity_b": rng.choice(names, count), "by": rng.choice(["name", "name,identity", "identity"], count),
        "score": score, "verdict": np.select([score > 0.9, score > 0.5], ["same", "likely"], "look"),
        "evidence": "faces: log ratio 9.5, mutual nearest",
    })  # fmt: skip
    matrix = pd.DataFrame({"dataset_a": ["drawn"], "dataset_b": ["drawn"], "shared": [count]})
    write_table(run / "pairs.parquet", pairs)
    write_table(run / "overlap" / "matrix.parquet", matrix)
    where = f"steps/{order:02d}-overlap_pairs"
    options = {"x": "dataset_b", "y": "dataset_a", "value": "shared"}
    figures = [{"kind": "heatmap", "table": "overlap/matrix", "title": "Shared identities", "options": options}]
    write_json(run / where / "summary.json", _summary("overlap_pairs", "report", order, manifest, manifest)
               | {"figures": figures, "tables": ["pairs", "overlap/matrix"]})  # fmt: skip
    return {"order": order, "name": "overlap_pairs", "kind": "report", "folder": where, "sentence": "", "params": {}}
