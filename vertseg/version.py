"""The version of this program."""

VERSION = "0.1.0"

NOTICE = "Not a medical device. For research only; check every result before you use it."
"""Stated wherever results are shown."""
