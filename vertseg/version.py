"""The version of this program, its one source.

Raise it whenever outputs may change: a resumed run does again what another version has made.
"""

VERSION = "0.6.0"

NOTICE = "Not a medical device. For research only; check every result before you use it."
"""Stated wherever results are shown."""
