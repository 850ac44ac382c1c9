"""Graphs within an identity against the likelihood of two persons: `python -m benchmarks.noise_graph --json`.

Needs CURATE_REAL_DATA, and `pip install igraph leidenalg`, which nothing else needs.

40 pairs of identities of lfw-embeddings are merged, 40 are split in
halves (as in benchmarks.noise_real). A graph joins images of a name that are each among the other's k nearest and whose
cosine passes a floor; a second group of at least two images makes a mixed identity. k and the floor are the best of all
that were tried, by the F1 over these very seeds, which nobody can know beforehand; ours has nothing to choose.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np

from benchmarks.measure import show
from benchmarks.noise_real import f1, load, run, seeds_asked, whole

NEAREST, FLOORS = (2, 3, 5, 8, 20), (0.1, 0.2, 0.3, 0.4, 0.5)


def graph(x: np.ndarray, nearest: int, floor: float) -> Any:
    """The mutual nearest neighbours among some vectors, edges weighted by cosine."""
    import igraph

    cosine = x @ x.T
    np.fill_diagonal(cosine, -np.inf)
    rank = np.argsort(np.argsort(-cosine, axis=1, kind="stable"), axis=1)
    one, two = np.nonzero(np.triu((np.maximum(rank, rank.T) < nearest) & (cosine >= floor)))
    return igraph.Graph(n=len(x), edges=np.column_stack([one, two]), edge_attrs={"weight": cosine[one, two]})


def components(made: Any) -> np.ndarray:
    """The connected component of each image."""
    return np.array(made.connected_components().membership)


def leiden(made: Any) -> np.ndarray:
    """The community of each image, of highest modularity (Traag, Waltman and van Eck 2019)."""
    import leidenalg

    return np.array(
        leidenalg.find_partition(made, leidenalg.ModularityVertexPartition, weights="weight", seed=0).membership
    )


def purity(part: np.ndarray, shown: np.ndarray) -> float:
    """Share of images that stand with the person who is most frequent in their part."""
    pairs, counts = np.unique(np.column_stack([part, shown]), axis=0, return_counts=True)
    return sum(int(counts[pairs[:, 0] == code].max()) for code in np.unique(part)) / len(part)


def main() -> None:
    """Print all figures."""
    seeds, as_json = seeds_asked(__doc__, 20)
    x, shown = load()
    ways = {"components": components, "leiden": leiden}
    scores: dict[tuple, list[float]] = {}
    pure: dict[tuple, list[float]] = {}
    for seed in seeds:
        label, _, merged = whole(shown, np.random.default_rng(seed), halves=True)
        members = {who: np.flatnonzero(label == who) for who in np.unique(label).tolist()}
        table = run(x, label, seed)
        table = table[(table["kind"] == "mixed").to_numpy() & (table["confidence"] >= 0.5).to_numpy()]
        scores.setdefault(("ours",), []).append(f1(table["identity"], merged))
        second = np.isin(np.arange(len(x)), table["row"]).astype(int)
        pure.setdefault(("ours",), []).extend(purity(second[members[who]], shown[members[who]]) for who in merged)
        for setting in product(NEAREST, FLOORS):
            graphs = {who: graph(x[rows], *setting) for who, rows in members.items()}
            for name, way in ways.items():
                parts = {who: way(made) for who, made in graphs.items()}
                found = {who for who, part in parts.items() if (np.sort(np.bincount(part))[:-1] >= 2).any()}
                scores.setdefault((name, *setting), []).append(f1(found, merged))
                pure.setdefault((name, *setting), []).extend(purity(parts[w], shown[members[w]]) for w in merged)
    figures: dict[str, Any] = {}
    for name in ("ours", *ways):
        key = max((each for each in scores if each[0] == name), key=lambda each: float(np.mean(scores[each])))
        figures |= {f"{name}_f1": float(np.mean(scores[key])), f"{name}_purity_of_mixed": float(np.mean(pure[key]))}
        if key[1:]:
            figures |= {f"{name}_best_nearest": key[1], f"{name}_best_floor": key[2]}
    show("noise_graph", figures, as_json)


if __name__ == "__main__":
    main()
