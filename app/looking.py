"""What every page is given: the run, its images, its colours, and the folders of what is cached."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from curate.core.errors import CurateError
from curate.recipe.store import RunFolder as Store
from curate.report.figures import series_names
from curate.report.groups import GroupTables, group_tables
from curate.report.page import Headline, headline
from curate.report.runs import RunFolder
from curate.report.styles import Style, assign_styles

from .images import Images, Opened
from .thumbs import Thumbs


@dataclass(frozen=True)
class Summary:
    """What the overview shows of a run, computed once: headline figures, tables by group, colours of the groups."""

    headline: Headline
    groups: tuple[GroupTables, ...]
    styles: dict[str, Style]


@dataclass(frozen=True)
class Look:
    """A run as the pages see it. store: the folder that reviews are appended to. cache: where thumbnails lie.

    stamp: changes whenever the run writes something.
    """

    path: Path
    run: RunFolder
    images: Images
    summary: Summary
    store: Store
    thumbs: Thumbs
    cache: Path
    stamp: str

    @classmethod
    def of(cls, path: Path, opened: Opened, summary: Summary, stamp: str) -> Look:
        """The look of an opened run."""
        cache = Path(opened.run.plan.get("cache") or path / "review") / "look"
        return cls(path, opened.run, opened.images, summary, Store(path), Thumbs(cache / "thumbs"), cache, stamp)


def summarise(run: RunFolder) -> Summary:
    """The summary of a run."""
    groups = tuple(group_tables(run))
    return Summary(headline(run), groups, styles_of(run, groups))


def styles_of(run: RunFolder, groups: tuple[GroupTables, ...]) -> dict[str, Style]:
    """Colours of the groups, the same as in the run's report page."""
    names = [[str(name) for name in entry.removal["group"]] for entry in groups]
    drawn = []
    for step in run.steps:
        for figure in step.figures:
            try:
                drawn.append((figure, run.table(figure.table)))
            except (CurateError, OSError):
                continue  # shown as a warning where the figure should stand
    return assign_styles([*names, *series_names(drawn)])


__all__ = ["Look", "Summary", "summarise"]
