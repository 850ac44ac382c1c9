"""Wrong names planted into real vectors, F1 and calibration: `python -m benchmarks.noise_real --json`.

Needs CURATE_REAL_DATA (lfw-embeddings: 2,921 vectors, 353 identities). Every figure is the mean over `--seeds`; ECE and
the Brier skill are those of all findings of all seeds together.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from benchmarks.measure import show
from curate.clean.noise.find import find_faults
from curate.core.shapes import SerialExecutor

#: Rows of the unaltered set that are certainly under a wrong name: see docs/noise.md.
GENUINE = (1953,)
_WHOLE, _LEAST = 40, 6


def load() -> tuple[np.ndarray, np.ndarray]:
    """Unit vectors `(2921, 128)` and who they show."""
    folder = os.environ.get("CURATE_REAL_DATA")
    if not folder:
        sys.exit("CURATE_REAL_DATA names no folder")
    data = Path(folder) / "lfw-embeddings"
    x = np.fromfile(data / "LFW_tensor.bytes", "<f4").reshape(-1, 128)
    _, shown = np.unique(pd.read_csv(data / "index.csv")["identity"], return_inverse=True)
    return x / np.linalg.norm(x, axis=1, keepdims=True), shown


def mislabel(x: np.ndarray, shown: np.ndarray, rate: float, alike: bool, rng: np.random.Generator) -> np.ndarray:
    """Labels of which `rate` moved to any other identity, or to one of the five whose mean vectors are nearest."""
    identities = int(shown.max()) + 1
    rows = rng.choice(len(x), round(rate * len(x)), replace=False)
    label = shown.copy()
    if alike:
        mean = np.zeros((identities, x.shape[1]))
        np.add.at(mean, shown, x)
        mean /= np.linalg.norm(mean, axis=1, keepdims=True)
        near = np.argsort(-(mean @ mean.T) + 9 * np.eye(identities), axis=1)[:, :5]
        label[rows] = near[shown[rows], rng.integers(0, 5, len(rows))]
    else:
        label[rows] = (shown[rows] + rng.integers(1, identities, len(rows))) % identities
    return label


def move_in(shown: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """For 60 identities, two thirds of their number again are of one other person, who keeps at least 3."""
    count, label, used, done = np.bincount(shown), shown.copy(), set(), 0
    for host in rng.permutation(len(count)).tolist():
        many = count[host] * 2 // 3
        others = [i for i in rng.permutation(len(count)).tolist() if i != host and i not in used]
        guest = next((i for i in others if count[i] - many >= 3), None)
        if host in used or not many or guest is None:
            continue
        used |= {host, guest}
        label[rng.choice(np.flatnonzero(shown == guest), many, replace=False)] = host
        done += 1
        if done == 60:
            break
    return label


def whole(shown: np.ndarray, rng: np.random.Generator, halves: bool) -> tuple[np.ndarray, set, set]:
    """40 identities of 6 images or more split in two, 40 pairs of such identities merged.

    halves: in halves; else the smaller side has any number from 2 on. Returns labels, split pairs, merged labels.
    """
    count = np.bincount(shown)
    big = rng.permutation(np.flatnonzero(count >= _LEAST))
    split, one, two = big[:_WHOLE], big[_WHOLE : 2 * _WHOLE], big[2 * _WHOLE : 3 * _WHOLE]
    label, pairs = shown.copy(), set()
    for number, who in enumerate(split.tolist()):
        rows = rng.permutation(np.flatnonzero(shown == who))
        side = len(rows) // 2 if halves else int(rng.integers(2, len(rows) - 1))
        label[rows[:side]] = len(count) + number
        pairs.add((who, len(count) + number))
    for a, b in zip(one.tolist(), two.tolist(), strict=True):
        label[shown == b] = a
    return label, pairs, set(one.tolist())


def run(x: np.ndarray, label: np.ndarray, seed: int) -> pd.DataFrame:
    """The findings, with the labels' own numbers."""
    names, codes = np.unique(label, return_inverse=True)
    table = find_faults(x, codes, SerialExecutor(), np.random.default_rng(seed)).table.copy()
    table["identity"] = label[table["row"]]
    table["suggested"] = np.append(names, -1)[np.where(table["suggested"] < len(names), table["suggested"], -1)]
    return table


def scores(findings: list[pd.DataFrame], name: str) -> dict[str, float]:
    """ECE in ten equal-mass bins, the Brier skill against the share of true findings, and how many were false."""
    both = pd.concat(findings)
    chance, true = both["confidence"].to_numpy(), both["true"].to_numpy(float)
    order = np.argsort(chance, kind="stable")
    ece = sum(
        abs(chance[part].mean() - true[part].mean()) * len(part) for part in np.array_split(order, 10) if len(part)
    )
    skill = 1 - ((chance - true) ** 2).mean() / true.var() if true.var() else float("nan")
    return {f"{name}_ece": ece / len(both), f"{name}_brier_skill": float(skill), f"{name}_findings": len(both),
            f"{name}_false": int((true == 0).sum())}  # fmt: skip


def f1(found: Any, truth: Any) -> float:
    """F1 of two sets."""
    found, truth = set(found), set(truth)
    return 2 * len(found & truth) / max(1, len(found) + len(truth))


def images(x: np.ndarray, shown: np.ndarray, seeds: range) -> Iterator[tuple[str, dict[str, float]]]:
    """Mislabelled images, and images that moved in."""
    cases = [(f"{'alike' if alike else 'any'}_{round(100 * rate)}", rate, alike)
             for alike in (False, True) for rate in (0.02, 0.1, 0.3)]  # fmt: skip
    for name, rate, alike in [*cases, ("moved_in", 0.0, False)]:
        with_, without, all_ = [], [], []
        for seed in seeds:
            rng = np.random.default_rng(seed)
            label = move_in(shown, rng) if name == "moved_in" else mislabel(x, shown, rate, alike, rng)
            table = run(x, label, seed)
            table = table[(table["kind"] == "mislabelled").to_numpy()]
            truth = set(np.flatnonzero(label != shown).tolist())
            sure = set(table["row"][table["confidence"] >= 0.5].tolist())
            without.append(f1(sure - set(GENUINE), truth - set(GENUINE)))
            with_.append(f1(sure, truth))
            all_.append(table[~table["row"].isin(GENUINE)].assign(true=lambda t, truth=truth: t["row"].isin(truth)))
        yield name, {f"{name}_f1": float(np.mean(without)), f"{name}_f1_genuine_not_excluded": float(np.mean(with_)),
                     f"{name}_f1_lowest": min(without), **scores(all_, name)}  # fmt: skip


def identities(x: np.ndarray, shown: np.ndarray, seeds: range) -> Iterator[tuple[str, dict[str, float]]]:
    """Split and mixed identities."""
    for name, halves in (("halves", True), ("any_size", False)):
        split_f1, mixed_f1, split, mixed = [], [], [], []
        for seed in seeds:
            label, pairs, merged = whole(shown, np.random.default_rng(seed), halves)
            table = run(x, label, seed)
            part = table[(table["kind"] == "split").to_numpy()]
            part = part.assign(pair=[tuple(sorted(p)) for p in zip(part["identity"], part["suggested"], strict=True)])
            part = part.drop_duplicates("pair")
            split.append(part.assign(true=part["pair"].isin(pairs)))
            split_f1.append(f1(part["pair"][part["confidence"] >= 0.5], pairs))
            part = table[(table["kind"] == "mixed").to_numpy()].drop_duplicates("identity")
            mixed.append(part.assign(true=part["identity"].isin(merged)))
            mixed_f1.append(f1(part["identity"][part["confidence"] >= 0.5], merged))
        yield name, {f"split_{name}_f1": float(np.mean(split_f1)), **scores(split, f"split_{name}"),
                     f"mixed_{name}_f1": float(np.mean(mixed_f1)), **scores(mixed, f"mixed_{name}")}  # fmt: skip


def seeds_asked(about: str | None, first: int) -> tuple[range, bool]:
    """The seeds of the command line, and whether it wants JSON."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--first-seed", type=int, default=first)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    chosen = parser.parse_args()
    return range(chosen.first_seed, chosen.first_seed + chosen.seeds), chosen.json


def main() -> None:
    """Print all figures."""
    seeds, as_json = seeds_asked(__doc__, 10)
    x, shown = load()
    figures: dict[str, Any] = {"seeds": f"{seeds[0]} to {seeds[-1]}"}
    for section in (images, identities):
        for _, part in section(x, shown, seeds):
            figures |= part
    show("noise_real", figures, as_json)


if __name__ == "__main__":
    main()
