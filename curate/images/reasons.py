"""Why an image has no pixels."""

from __future__ import annotations

#: Why an image has no pixels. The place in this tuple is what the feature `decoded` stores: append, never reorder.
REASONS = (
    "fine",
    "no_path",  # the manifest's row names no file
    "missing",  # there is no such file
    "outside_root",  # the path, or a link on the way, leaves the manifest's root
    "not_a_file",  # a folder, a pipe, a device
    "not_readable",  # the system refuses to read it: permissions, a failing disk, a circle of links
    "empty_file",
    "too_large",  # more than MAX_PIXELS by its header, or more than MAX_BYTES
    "not_an_image",  # no known image format, whatever the file's name says
    "truncated",  # the header is good, the end is missing
    "corrupt",  # the header is good, the rest can't be decoded
)
FINE, NO_PATH, MISSING, OUTSIDE_ROOT, NOT_A_FILE, NOT_READABLE, EMPTY_FILE = range(7)
TOO_LARGE, NOT_AN_IMAGE, TRUNCATED, CORRUPT = range(7, len(REASONS))
