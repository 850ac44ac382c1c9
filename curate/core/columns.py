"""The columns of the shared tables, and what may stand in them."""

from __future__ import annotations

IMAGE_ID = "image_id"
PATH = "path"
IDENTITY = "identity"
DATASET = "dataset"
SPLIT = "split"
PARENT_ID = "parent_id"
REPLICA = "replica"
AUGMENT_SEED = "augment_seed"
WEIGHT = "weight"
BBOX = "bbox"
LANDMARKS = "landmarks"

#: Columns of a manifest that are never labels.
RESERVED = (
    IMAGE_ID, PATH, IDENTITY, DATASET, SPLIT, PARENT_ID, REPLICA, AUGMENT_SEED, WEIGHT, BBOX, LANDMARKS,
)  # fmt: skip
#: Columns held as text, one value per row.
TEXT = (IMAGE_ID, PATH, PARENT_ID)
#: Columns held as categories besides the labels.
CATEGORIES = (IDENTITY, DATASET, SPLIT)

TRAIN = "train"
HOLDOUT = "holdout"

#: Whether a label belongs to the person or to the photograph.
LEVELS = ("identity", "image")
#: Labels that belong to the person unless the recipe says otherwise.
IDENTITY_LABELS = ("gender", "ethnicity")

DROP, MOVE, MERGE, FLAG, ADD, ASSIGN, KEEP = "drop", "move", "merge", "flag", "add", "assign", "keep"
ACTIONS = (DROP, MOVE, MERGE, FLAG, ADD, ASSIGN, KEEP)

STEP_SOURCE, HUMAN_SOURCE = "step", "human"

DECISION_COLUMNS = (
    IMAGE_ID, "action", "reason", "score", "threshold", "related_id", "new_value", "step", "order", "source",
)  # fmt: skip


def default_level(label: str) -> str:
    """`identity` for gender and ethnicity, else `image`."""
    return "identity" if label in IDENTITY_LABELS else "image"
