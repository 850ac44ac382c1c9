"""The cards of public datasets say everything that they should, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import Field, StringConstraints, ValidationError

from curate.collect import SOURCES
from curate.core import columns as col
from curate.core.shapes import StrictParams

FOLDER = Path(__file__).parents[2] / "data_manifests"
CARDS = sorted(FOLDER.glob("*.yaml"))
Text = Annotated[str, StringConstraints(min_length=3)]


class Label(StrictParams):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z_]+$")]
    level: Literal["identity", "image"]
    values: list[Annotated[str, StringConstraints(min_length=1)]] | None


class ReadBy(StrictParams):
    kind: str
    hint: Text | None


class Reference(StrictParams):
    authors: Text
    year: Annotated[int, Field(ge=1990, le=2030)]
    title: Text
    link: Text | None


class Card(StrictParams):
    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]
    title: Text
    images: Annotated[int, Field(ge=1)] | None
    identities: Annotated[int, Field(ge=1)] | None
    labels: list[Label]
    good_for: Annotated[list[Text], Field(min_length=1)]
    known_faults: Annotated[list[Text], Field(min_length=1)]
    access: Text
    status: Literal["available", "on_request", "withdrawn"]
    source: ReadBy
    reference: Reference


def test_the_datasets_asked_about_most_are_here() -> None:
    expected = (
        "bfw bupt_balancedface casia_webface celeba diveface fairface ijb_c lfw megaface ms_celeb_1m orl rfw utkface"
    )
    assert [path.stem for path in CARDS] == [*expected.split(), "vggface2"]


@pytest.mark.parametrize("path", CARDS, ids=lambda path: path.stem)
def test_card(path: Path) -> None:
    card = Card.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    assert card.name == path.stem
    assert card.source.kind in SOURCES
    assert not {label.name for label in card.labels} & set(col.RESERVED)
    assert card.images is None or card.identities is None or card.images >= card.identities
    if card.reference.link and card.reference.link.startswith("arXiv:"):
        assert re.fullmatch(r"arXiv:\d{4}\.\d{4,5}", card.reference.link)


def test_an_unknown_field_is_refused() -> None:
    card = yaml.safe_load(CARDS[0].read_text(encoding="utf-8"))
    with pytest.raises(ValidationError, match="licence"):
        Card.model_validate({**card, "licence": "free"})


def test_every_field_is_explained() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in text for name in Card.model_fields)
