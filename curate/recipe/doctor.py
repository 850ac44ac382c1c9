"""What is installed, and what each extra unlocks."""

from __future__ import annotations

import importlib.util
import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

#: (module, distribution, extra, what it unlocks)
_OPTIONAL = (
    ("streamlit", "streamlit", "app", "pages to look at a run and review it (curate app)"),
    ("fiftyone", "fiftyone", "app", "a run as a FiftyOne dataset (curate fiftyone)"),
    ("umap", "umap-learn", "app", "a map of the vectors by UMAP, on the page Clusters"),
    ("_dlib_pybind11", "dlib-bin", "dlib", "128-d face vectors from a trained network (embedder: {kind: dlib})"),
    ("face_recognition_models", "face_recognition_models", "dlib", "the network's weights"),
    ("onnxruntime", "onnxruntime", "onnx", "your own face model or detector (embedder: {kind: onnx})"),
    ("httpx", "httpx", "download", "photographs from lists of URLs (curate download)"),
    ("datasketch", "datasketch", "minhash", "copies by MinHash over visual words (curate duplicates --method minhash)"),
    ("rapidfuzz", "rapidfuzz", "overlap", "names of two sets (curate overlap --by name)"),
    ("faiss", "faiss-cpu", "faiss", "approximate search, only where asked for (--approximate)"),
    ("imblearn", "imbalanced-learn", "balance", "random over- and undersampling (curate balance --compare)"),
    ("albumentations", "albumentations", "augment", "pictures of replicas, on the way or as files"),
    ("torch", "torch", "train", "a manifest as a training set (curate.balance.dataset)"),
    ("ray", "ray", "ray", "work on a cluster (--engine ray)"),
)


@dataclass(frozen=True)
class Finding:
    """One library: its version, or None where it is missing; what it unlocks; how to get it."""

    library: str
    version: str | None
    unlocks: str
    remedy: str


def examine() -> list[Finding]:
    """What each optional library is here for, and whether it is here. Imports none of them."""
    findings = []
    for module, distribution, extra, unlocks in _OPTIONAL:
        found = None
        if importlib.util.find_spec(module) is not None:
            try:
                found = version(distribution)
            except PackageNotFoundError:
                found = "unknown"
        findings.append(Finding(distribution, found, unlocks, "" if found else f"pip install 'curate[{extra}]'"))
    return findings


def free_space(path: str = ".") -> int:
    """Bytes free on the disk of a folder."""
    return shutil.disk_usage(path).free
