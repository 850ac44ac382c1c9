from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from curate.clean.exact_duplicates import ExactDuplicatesParams, exact_duplicates
from curate.clean.near_duplicates import NearDuplicatesParams, near_duplicates
from curate.core.files import file_digest
from curate.core.manifest import Manifest
from curate.core.shapes import Features
from curate.images.facts import FEATURES, SHARD, ShardTask, facts_of_shard

RNG = np.random.default_rng(0)


def load(root: Path, names: tuple[str, ...], identity=lambda path: path.split("/")[0]):
    paths = sorted(path.relative_to(root).as_posix() for path in root.rglob("*.jpg"))
    names = tuple(name for name in names if name in FEATURES)
    tasks = [ShardTask(str(root), tuple(paths[at : at + SHARD]), names) for at in range(0, len(paths), SHARD)]
    parts = [facts_of_shard(task) for task in tasks]
    ids = pd.array(paths, "str")
    frame = pd.DataFrame(
        {"image_id": ids, "path": ids, "identity": pd.array([identity(path) for path in paths], "str")}
    )
    manifest = Manifest.from_frame(frame, root=root)
    assert manifest.frame["image_id"].tolist() == paths
    return manifest, Features({name: np.concatenate([part[name] for part in parts]) for name in names})


def test_lfw_copies_are_confirmed_and_look_alikes_are_not(real_data):
    manifest, features = load(real_data / "lfw-faces-112" / "images", near_duplicates.needs_of())
    # By default 33 pairs, seen on a contact sheet, all true: 31 within 6 bits, 2 more crops within 10. The best of the
    # others, perhaps one photograph too, has 0.92.
    found = near_duplicates(manifest, features, NearDuplicatesParams(max_distance=6), RNG)
    dropped, flagged = found.having("drop"), found.having("flag")
    pairs = {frozenset(pair) for pair in zip(flagged["image_id"], flagged["related_id"], strict=True)}
    assert len(dropped) == 16
    assert len(pairs) == 15
    assert frozenset(("Bart_Hendricks/Bart_Hendricks_0001.jpg", "Ricky_Ray/Ricky_Ray_0001.jpg")) in pairs
    assert found.frame["score"].min() > 0.95


def test_utkface_groups_of_equal_bytes(real_data):
    root = real_data / "utkface-subset" / "images"
    manifest, features = load(root, exact_duplicates.needs_of(), identity=lambda path: "one")
    digests = pd.Series([file_digest(root / path) for path in manifest.frame["path"]])
    dropped = exact_duplicates(manifest, features, ExactDuplicatesParams(), RNG).having("drop")
    assert len(dropped) >= len(digests) - digests.nunique() > 0
    assert (dropped["reason"] == "exact_bytes").sum() == len(digests) - digests.nunique()
