"""A small but complete run folder with drawn faces, for tests that read run folders."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFilter

from curate.core.apply import apply_decisions, replica_id
from curate.core.decisions import Decisions
from curate.core.files import write_json, write_table
from curate.core.manifest import Manifest

EVIL = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>"
ETHNICITIES = ("Asian", "Black", "Indian", "White")


def draw_face(seed: int, view: int, side: int = 96) -> Image.Image:
    """A drawn face: the seed is the person, the view is the photograph."""
    person, photo = np.random.default_rng(seed), np.random.default_rng((seed, view))
    tone = tuple(int(v) for v in np.array([205, 160, 130]) * person.uniform(0.45, 1.15))
    back = tuple(int(v) for v in photo.integers(90, 220, 3))
    image = Image.new("RGB", (side, side), back)
    pen = ImageDraw.Draw(image)
    dx, dy = photo.integers(-6, 7, 2)
    wide, tall = person.integers(24, 32), person.integers(30, 38)
    cx, cy = side // 2 + dx, side // 2 + dy
    hair = tuple(int(v) for v in person.integers(10, 120, 3))
    pen.ellipse([cx - wide - 4, cy - tall - 7, cx + wide + 4, cy + 10], fill=hair)
    pen.ellipse([cx - wide, cy - tall + 6, cx + wide, cy + tall], fill=tone)
    gap, eye = int(person.integers(9, 14)), int(person.integers(3, 5))
    for sign in (-1, 1):
        pen.ellipse([cx + sign * gap - eye, cy - 6 - eye, cx + sign * gap + eye, cy - 6 + eye], fill=(245, 245, 245))
        pen.ellipse([cx + sign * gap - 2, cy - 8, cx + sign * gap + 2, cy - 4], fill=(30, 25, 20))
    pen.line([cx, cy - 2, cx - 2, cy + 8, cx + 3, cy + 8], fill=hair, width=2)
    mouth = int(person.integers(7, 14))
    pen.arc([cx - mouth, cy + 8, cx + mouth, cy + 22], 15, 165, fill=(150, 50, 50), width=3)
    return image.filter(ImageFilter.GaussianBlur(photo.uniform(0, 1.1)))


def build_source(root: Path, people: int, evil: bool) -> Manifest:
    """Images below `root` and their manifest, with copies, damaged files and missing labels among them."""
    rng = np.random.default_rng(7)
    rows = []
    for number in range(people):
        name = EVIL if evil and number == 0 else f"person_{number:03d}"
        folder = f"p{number:03d}"
        (root / folder).mkdir(parents=True, exist_ok=True)
        gender = None if number % 17 == 5 else ("f" if rng.random() < 0.35 else "m")
        ethnicity = ETHNICITIES[min(int(rng.exponential(1.1)), 3)]
        if evil and number == 0:
            ethnicity = EVIL
        for view in range(int(rng.integers(1, 9))):
            path = f"{folder}/{view:02d}.jpg"
            draw_face(number, view).save(root / path, quality=88)
            rows.append((path, path, name, gender, ethnicity))
        if number % 3 == 0:
            path = f"{folder}/copy.jpg"
            (root / path).write_bytes((root / folder / "00.jpg").read_bytes())
            rows.append((path, path, name, gender, ethnicity))
        if number % 4 == 1:
            path = f"{folder}/small.jpg"
            draw_face(number, 0).resize((60, 60)).save(root / path, quality=60)
            rows.append((path, path, name, gender, ethnicity))
        if number % 9 == 2:
            path = f"{folder}/broken.jpg"
            (root / path).write_bytes(b"" if number % 2 else b"this is no picture")
            rows.append((path, path, name, gender, ethnicity))
    frame = pd.DataFrame(rows, columns=["image_id", "path", "identity", "gender", "ethnicity"])
    return Manifest.from_frame(frame.assign(dataset="drawn"), root=root)


def _ids(manifest: Manifest, end: str) -> list[str]:
    return [image for image in manifest.ids.to_pylist() if image.endswith(end)]


def decide(name: str, manifest: Manifest, rng: np.random.Generator) -> Decisions:
    """The decisions of one fake step."""
    if name == "unreadable":
        return Decisions.of(_ids(manifest, "broken.jpg"), "drop", "not_an_image")
    if name == "exact_duplicates":
        ids = _ids(manifest, "copy.jpg")
        return Decisions.of(ids, "drop", "exact_bytes", related_id=[i.replace("copy", "00") for i in ids])
    if name == "near_duplicates":
        ids = _ids(manifest, "small.jpg")
        kept = [i.replace("small", "00") for i in ids]
        scores = rng.uniform(0.96, 1, len(ids)).round(4)
        dropped = Decisions.of(ids, "drop", "near_duplicate", score=scores, threshold=0.96, related_id=kept)
        some = _ids(manifest, "01.jpg")[:5]
        kept = [i.replace("01.", "00.") for i in some]
        return Decisions.concat(
            [dropped, Decisions.of(some, "flag", "doubtful", score=0.93, threshold=0.96, related_id=kept)]
        )
    if name == "mislabelled":
        ids = _ids(manifest, "02.jpg")[3:7]
        return Decisions.of(ids, "move", "nearer_to_another_identity", score=rng.uniform(0.5, 0.8, len(ids)).round(4),
                            threshold=0.5, related_id=["p000/00.jpg"] * len(ids), new_value="person_001")  # fmt: skip
    if name == "small_identities":
        sizes = manifest.frame.groupby("identity", observed=True)["image_id"].transform("size")
        ids = manifest.frame["image_id"][(sizes < 2).to_numpy()].tolist()
        return Decisions.of(ids, "drop", "too_few_images", score=1, threshold=2)
    if name == "holdout":
        ids = manifest.ids.to_pylist()
        people = manifest.codes("identity")
        return Decisions.of(ids, "assign", "holdout",
                            new_value=["split=holdout" if p % 4 == 0 else "split=train" for p in people])  # fmt: skip
    ids = manifest.frame["image_id"][(manifest.frame["gender"] == "f").to_numpy(dtype=bool, na_value=False)].tolist()
    return Decisions.of([replica_id(i, 1) for i in ids], "add", "rare_cell", related_id=ids,
                        new_value=[str(n) for n in range(len(ids))])  # fmt: skip


STEPS = {
    "unreadable": "Drop images that can't be read.",
    "exact_duplicates": "Drop images with the same bytes as another.",
    "near_duplicates": "Drop altered copies of the same photograph.",
    "mislabelled": "Move images that belong to another identity.",
    "small_identities": "Drop identities with too few images.",
    "holdout": "Set identities aside to measure with.",
    "oversample": "Add replicas of rare groups to the training images.",
}


def _counts(manifest: Manifest) -> tuple[int, int]:
    return len(manifest), int(manifest.frame["identity"].nunique())


def _summary(name: str, kind: str, order: int, before: Manifest, after: Manifest, **rest: object) -> dict:
    (images_in, people_in), (images_out, people_out) = _counts(before), _counts(after)
    base = {"name": name, "kind": kind, "order": order, "images_in": images_in, "images_out": images_out,
            "identities_in": people_in, "identities_out": people_out, "actions": {}, "summary": {}, "notes": [],
            "figures": [], "tables": [], "documents": []}  # fmt: skip
    return base | rest


def audit_tables(groups: list[str], rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Curves and rates of drawn scores."""
    curves, rates = [], []
    for number, group in enumerate([*groups, "all"]):
        genuine, impostor = rng.normal(1.9 - 0.12 * number, 0.5, 3000), rng.normal(0, 0.5, 60_000)
        thresholds = np.linspace(-1.5, 3.5, 900)
        fmr = 1 - np.searchsorted(np.sort(impostor), thresholds) / len(impostor)
        fnmr = np.searchsorted(np.sort(genuine), thresholds) / len(genuine)
        curves.append(pd.DataFrame({"group": group, "threshold": thresholds, "fmr": fmr, "fnmr": fnmr}))
        for target in (1e-2, 1e-3, 1e-5):
            at = int(np.argmax(fmr <= target))
            rates.append(
                {"group": group, "target_fmr": target, "threshold": thresholds[at], "fmr": fmr[at],
                 "fmr_low": fmr[at] * 0.7, "fmr_high": fmr[at] * 1.4 + 1e-5, "fnmr": fnmr[at],
                 "fnmr_low": fnmr[at] * 0.85, "fnmr_high": min(fnmr[at] * 1.2, 1.0), "fta": 0.0,
                 "genuine_pairs": 3000, "impostor_pairs": 60_000, "supported": target > 1e-4}
            )  # fmt: skip
    return pd.concat(curves, ignore_index=True), pd.DataFrame(rates)


def histogram(groups: list[str], rng: np.random.Generator, per_group: int = 4000) -> pd.DataFrame:
    """`audit/histogram` of scores drawn for each two groups, and of all of them."""
    edges = np.round(np.arange(-0.5, 1.0001, 0.01), 2)
    parts, pooled = [], np.zeros((2, len(edges) + 1), np.int64)
    for a, b in [(a, b) for a in groups for b in groups if a <= b]:
        counts = [np.histogram(rng.normal(mean, 0.12, per_group if mean < 0.5 or a == b else 0),
                               bins=[-np.inf, *edges, np.inf])[0] for mean in (0.1 - 0.1 * (a != b), 0.6)]  # fmt: skip
        pooled += counts
        parts.append((a, b, counts))
    return pd.concat([
        pd.DataFrame({"group_a": a, "group_b": b, "threshold": [-np.inf, *edges], "impostors": counts[0],
                      "genuines": counts[1], "exact": True, "fmr_n_eff": per_group / 4, "fmr_degrees": 40.0,
                      "fnmr_n_eff": per_group / 8, "fnmr_degrees": np.inf})
        for a, b, counts in [("all", "all", pooled), *parts]
    ], ignore_index=True)  # fmt: skip


def build_run(folder: Path, *, people: int = 36, evil: bool = False) -> Path:
    """Write a whole run folder below `folder`, pixels beside it, and return the run's path."""
    root, run = folder / "images", folder / "run"
    rng = np.random.default_rng(11)
    manifest = source = build_source(root, people, evil)
    source.write(run / "steps" / "00-source" / "manifest.parquet")
    write_json(run / "steps" / "00-source" / "summary.json", _summary("source", "source", 0, source, source))
    plan_steps, rejected, order = [], [], 0
    for order, (name, sentence) in enumerate(STEPS.items(), start=1):
        decisions = decide(name, manifest, rng).stamped(name, order)
        after, gone = apply_decisions(manifest, decisions)
        where = f"steps/{order:02d}-{name}"
        write_table(run / where / "decisions.parquet", decisions.frame)
        keys = decisions.frame["action"].astype("str") + "/" + decisions.frame["reason"].astype("str")
        actions = {key: int(n) for key, n in keys.value_counts().items()} | {"dropped": len(gone)}
        write_json(run / where / "summary.json", _summary(name, "step", order, manifest, after, actions=actions))
        plan_steps.append({"order": order, "name": name, "kind": "step", "folder": where, "sentence": sentence})
        rejected.append(gone)
        manifest = after
    manifest.write(run / "manifest.parquet")
    gone = pd.concat([part.astype({"step": "str", "reason": "str"}) for part in rejected], ignore_index=True)
    write_table(run / "rejected.parquet", gone)
    for extra in _reports(run, manifest, order, rng):
        plan_steps.append(extra)
    write_json(run / "plan.json", {
        "name": EVIL if evil else "drawn_faces", "seed": 7, "recipe": {"name": "drawn_faces"},
        "source": {"root": str(root), "kind": "folder"}, "steps": plan_steps, "versions": {"curate": "0.1.0"},
        "levels": dict(source.levels), "cache": str(folder / "cache"),
    })  # fmt: skip
    return run


def _reports(run: Path, manifest: Manifest, order: int, rng: np.random.Generator) -> list[dict]:
    entries = []
    frame = manifest.frame
    labels = pd.concat([
        frame[label].value_counts().rename_axis("value").reset_index(name="images").astype({"value": "str"})
        .assign(label=label) for label in ("gender", "ethnicity")
    ], ignore_index=True)  # fmt: skip
    groups = sorted(map(str, frame["ethnicity"].cat.categories))
    curves, rates = audit_tables(groups, rng)
    cross = pd.DataFrame([(a, b, 10.0 ** -(4 - (a == b) * 1.5)) for a in groups for b in groups],
                         columns=["group_a", "group_b", "fmr"])  # fmt: skip
    figures = {
        "imbalance": [{"kind": "bars", "table": "imbalance/labels", "title": "Images of each value of each label",
                       "options": {"x": "value", "y": "images", "color": "label", "unit": "images"}}],
        "audit": [
            {"kind": "det", "table": "audit/curves", "title": "Error rates of each group as the threshold moves",
             "options": {}},
            {"kind": "heatmap", "table": "audit/cross", "title": "False matches between groups",
             "options": {"x": "group_a", "y": "group_b", "value": "fmr", "log": True}},
            {"kind": "lines", "table": "audit/curves", "title": "False matches by threshold",
             "options": {"x": "threshold", "y": "fmr", "color": "group", "log_y": True}},
        ],
    }  # fmt: skip
    tables = {"imbalance": {"imbalance/labels": labels},
              "audit": {"audit/curves": curves, "audit/rates": rates, "audit/cross": cross,
                        "audit/histogram": histogram(groups, rng)}}  # fmt: skip
    notes = {"imbalance": [], "audit": ["At FMR 1e-5 no group has enough impostor pairs: those rows are upper bounds."]}
    sentences = {"imbalance": "Count images by label and cell.", "audit": "Measure error rates of each group."}
    for number, name in enumerate(figures, start=order + 1):
        where = f"steps/{number:02d}-{name}"
        for table, content in tables[name].items():
            write_table(run / f"{table}.parquet", content)
        write_json(run / where / "summary.json", _summary(
            name, "report", number, manifest, manifest, figures=figures[name], notes=notes[name],
            tables=sorted(tables[name]), summary={"pairs": 63000, "fmr": 0.001},
        ))  # fmt: skip
        entries.append({"order": number, "name": name, "kind": "report", "folder": where, "sentence": sentences[name]})
    return entries
