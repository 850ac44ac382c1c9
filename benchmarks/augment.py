"""Augmentation and the training set against plain ones, in one run: `python -m benchmarks.augment [--json]`.

Drawn faces of 112 x 112 pixels. Pictures per second of each preset in one thread; the dataset against a folder read by
OpenCV and one read by Pillow, as torchvision's ImageFolder reads it; the balanced sampler for ten million rows.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

IMAGES, ROWS, ROUNDS = 1500, 10_000_000, 5


class PlainFolder:
    """Path and label of each file, decoded and nothing more."""

    def __init__(self, files: list[str], labels: list[int], pillow: bool) -> None:
        self.files, self.labels, self.pillow = files, labels, pillow

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        import cv2
        import torch
        from PIL import Image

        if self.pillow:
            with open(self.files[index], "rb") as handle:
                picture = np.asarray(Image.open(handle).convert("RGB"))
        else:
            picture = cv2.cvtColor(cv2.imread(self.files[index]), cv2.COLOR_BGR2RGB)
        return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1))), self.labels[index]


def rate(data: Any, workers: int = 0) -> float:
    """Samples per second of CPU-bound loading through a DataLoader, one pass."""
    from torch.utils.data import DataLoader

    start = time.perf_counter()
    for _ in DataLoader(data, batch_size=64, num_workers=workers):
        pass
    return len(data) / (time.perf_counter() - start)


def measure() -> dict[str, float]:
    """Every figure by name. Those that are compared are measured in turns, and the median of five rounds is taken."""
    import cv2
    import torch

    from curate.balance.augment import Augmenter, presets
    from curate.balance.dataset import ManifestDataset
    from curate.balance.samplers import BalancedSampler
    from curate.collect.folder import FolderParams, read_folder
    from curate.collect.synthetic import SyntheticParams, write_synthetic
    from curate.core.shapes import SerialExecutor

    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        faults = dict.fromkeys(SyntheticParams().faults.model_dump(), 0)
        params = SyntheticParams(identities=IMAGES // 15, images=15, benchmark=0, faults=faults)
        write_synthetic(params, Path(folder) / "set", SerialExecutor())
        source = FolderParams(root=Path(folder) / "set" / "images")
        manifest = read_folder(source, {}, SerialExecutor(), Path(folder)).manifest
        files = [os.path.join(str(manifest.root), path) for path in manifest.frame["path"]]
        codes = manifest.codes("identity").tolist()
        sets = {"dataset": ManifestDataset(manifest, split=None), "opencv": PlainFolder(files, codes, False),
                "pillow": PlainFolder(files, codes, True)}  # fmt: skip
        for data in sets.values():
            rate(data)
        rounds = [{name: rate(data) for name, data in sets.items()} for _ in range(ROUNDS)]
        for name in sets:
            figures[f"{name}_images_per_s"] = float(np.median([found[name] for found in rounds]))
        for name in ("opencv", "pillow"):
            figures[f"dataset_to_{name}"] = float(np.median([found["dataset"] / found[name] for found in rounds]))
        pictures = [sets["dataset"].pixels(row) for row in range(min(500, len(manifest)))]
    for name in presets():
        augment = Augmenter(name)
        augment(pictures[0], 1)
        start = time.process_time()
        for seed, picture in enumerate(pictures, start=1):
            augment(picture, seed)
        figures[f"{name}_images_per_s"] = len(pictures) / (time.process_time() - start)
    groups = np.random.default_rng(0).integers(0, 8, ROWS)
    sampler = BalancedSampler(groups=groups)
    start = time.process_time()
    sampler.rows()
    figures["balanced_rows_per_s"] = ROWS / (time.process_time() - start)
    return figures


def main() -> None:
    """Print the figures, as text or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print JSON")
    figures = measure()
    if parser.parse_args().json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:28} {value:,.2f}" if value < 100 else f"{name:28} {value:,.0f}")


if __name__ == "__main__":
    main()
