"""Who is compared: the images of a manifest, those of the set that it is held against, and how two of them stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from curate.core import columns as col
from curate.core.manifest import Manifest
from curate.core.shapes import Features

#: How the two images of a pair stand to each other; only SAME lets one of them be dropped.
RELATIONS = ("same", "other_identity", "unknown_identity", "other_split", "other_dataset")
SAME, OTHER, UNKNOWN, SPLIT, DATASET = range(len(RELATIONS))


@dataclass(frozen=True)
class Population:
    """The images that are compared: those of the manifest, then those of the set that they are held against.

    ids: `(N + M,)`. identity, dataset, split: codes `(N + M,)` int64, -1 where missing, the same for both sets. old:
    mask of the M images, which are compared with the N but not with each other, and never dropped or flagged.
    Against another set dataset and split are not compared: the new images are to join what it holds. labels: of the
    manifest, null for old images.
    """

    ids: pa.Array
    identity: np.ndarray
    names: pd.Index
    dataset: np.ndarray
    split: np.ndarray
    originals: np.ndarray
    old: np.ndarray
    labels: Mapping[str, pd.Categorical]

    @property
    def cell(self) -> np.ndarray:
        """A number `(N + M,)` for each identity within a dataset and split; -1 without an identity."""
        combined = np.stack([self.identity, self.dataset, self.split])
        cell = np.unique(combined, axis=1, return_inverse=True)[1].reshape(-1) if combined.shape[1] else self.identity
        return np.where(self.identity < 0, -1, cell)


def population(manifest: Manifest, features: Features) -> Population:
    """The images of a manifest, and behind them those of `features.reference`, if there is one."""
    n = len(manifest)

    def codes(name: str) -> np.ndarray:
        return manifest.codes(name).astype(np.int64) if name in manifest.frame else np.full(n, -1)

    identity, names = codes(col.IDENTITY), manifest.frame[col.IDENTITY].cat.categories
    if features.reference is None:
        nothing = np.zeros(n, dtype=bool)
        return Population(manifest.ids, identity, names, codes(col.DATASET), codes(col.SPLIT), manifest.originals(),
                          nothing, _labels(manifest, 0))  # fmt: skip
    other = features.reference[0]
    theirs = other.frame[col.IDENTITY].cat.categories
    names = manifest.frame[col.IDENTITY].cat.categories.union(theirs)
    mine = np.append(names.get_indexer(manifest.frame[col.IDENTITY].cat.categories), -1)[identity]
    yours = np.append(names.get_indexer(theirs), -1)[other.codes(col.IDENTITY)]
    m = len(other)
    one = np.zeros(n + m, dtype=np.int64)
    return Population(
        pa.concat_arrays([manifest.ids, other.ids]), np.concatenate([mine, yours]), names, one, one,
        np.concatenate([manifest.originals(), other.originals()]), np.repeat([False, True], [n, m]),
        _labels(manifest, m),
    )  # fmt: skip


def _labels(manifest: Manifest, more: int) -> dict[str, pd.Categorical]:
    """Every label but the identity, with nulls behind it for so many rows more."""
    names = (name for name in manifest.labels if name != col.IDENTITY)
    return {
        name: pd.Categorical.from_codes(
            np.append(manifest.codes(name), np.full(more, -1)), categories=manifest.frame[name].cat.categories
        )
        for name in names
    }


def stacked(features: Features, name: str) -> np.ndarray:
    """A feature of the manifest's images, and behind them that of the set that they are held against."""
    if features.reference is None:
        return features[name]
    return np.concatenate([features[name], features.reference[1][name]])


def own_vectors(people: Population, features: Features) -> np.ndarray:
    """The vectors that the user brought `(N + M, D)`, zeros for old images; D is 0 where there are none."""
    vectors = features["vectors"] if "vectors" in features else np.zeros((int((~people.old).sum()), 0))
    return np.concatenate([vectors, np.zeros((int(people.old.sum()), vectors.shape[1]), vectors.dtype)])


def relations(people: Population, i: np.ndarray, j: np.ndarray) -> np.ndarray:
    """The relation of each pair `(P,)`, an index into RELATIONS: the last of them that holds."""
    identity = people.identity
    relation = np.where(identity[i] == identity[j], SAME, OTHER)
    relation[(identity[i] < 0) | (identity[j] < 0)] = UNKNOWN
    relation[people.split[i] != people.split[j]] = SPLIT
    relation[people.dataset[i] != people.dataset[j]] = DATASET
    return relation
