"""The gallery of a batch: one HTML page that works by itself, from a disk, without a network.

The page holds small pictures of all previews; the large ones are the PNG files in the folders
beside it.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from html import escape
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import quote

from PIL import Image as Pillow

from vertseg.labels import ORDER_CRANIAL_TO_CAUDAL
from vertseg.report.claims import is_safe_name
from vertseg.report.preview import HEADER
from vertseg.report.review import Mark
from vertseg.report.schema import Report
from vertseg.report.words import (
    LeftOut,
    angles_in_words,
    count_flags,
    failure_in_words,
    levels_in_words,
)
from vertseg.version import NOTICE, VERSION

Entry = tuple[Path, Report]
"""Folder of a report, relative to the page, and the report."""

_THUMBNAIL_PIXELS = (336, 202)  # 1.6 times the size at which they are shown, for sharp screens
_THUMBNAIL_QUALITY = 50  # with 500 scans the page is some 6 MB
_MEASURED = (
    *("name", "peak", "margin_nats", "volume_ml", "trabecular_hu"),
    *("anterior_height_mm", "middle_height_mm", "posterior_height_mm", "genant_grade_hint"),
)
_STATUS = {"ok": "ok", "no_spine": "no spine", "failed": "failed"}


def gallery_page(
    root: Path,
    entries: Sequence[Entry],
    marks: Mapping[str, Mark] | None = None,
    left_out: Sequence[LeftOut] = (),
) -> str:
    """The page as HTML.

    Args:
        root: folder of the page, that of the outputs.
        entries: cases in the order in which they are listed at first.
        marks: case -> what a reviewer said of it, shown until the browser's own marks replace it.
        left_out: files of the input that are not scans.
    """
    reports = [report for _, report in entries]
    codes = sorted({flag["code"] for report in reports for flag in report["flags"]})
    count = f"{len(entries)} scan{'' if len(entries) == 1 else 's'}"
    parts = {
        "count": count,
        "notice": escape(NOTICE),
        "totals": _totals(reports),
        "codes": "".join(
            f'<option value="{escape(code)}">{escape(code.replace("_", " "))}</option>'
            for code in codes
        ),
        "rows": "\n".join(_row(root, folder, report) for folder, report in entries),
        "version": escape(VERSION),
        "measurements": _measurements(reports),
        "left_out": _left_out(left_out),
        "marks": _within_html({case: asdict(mark) for case, mark in (marks or {}).items()}),
    }
    page = resources.files("vertseg").joinpath("data/gallery.html").read_text(encoding="utf-8")
    # Piece by piece, so that nothing within a report can be taken for a place to fill.
    pieces = page.split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, _, rest = piece.partition("}}")
        filled += [parts[name], rest]
    return "".join(filled)


def _left_out(files: Sequence[LeftOut]) -> str:
    if not files:
        return ""
    items = "".join(f"<li>{escape(name)}: {escape(reason)}</li>" for name, reason in files)
    heading = f"{len(files)} file{'s' * (len(files) > 1)} of the input left out"
    return f'<details class="left-out"><summary>{heading}</summary><ul>{items}</ul></details>'


def _totals(reports: Sequence[Report]) -> str:
    seconds = [report["seconds"].get("total", 0.0) for report in reports if report["seconds"]]
    median = sorted(seconds)[len(seconds) // 2] if seconds else 0.0
    totals = {
        "scans": len(reports),
        "with a spine": sum(report["status"] == "ok" for report in reports),
        "vertebrae": sum(len(report["vertebrae"]) for report in reports),
        "to check": sum(count_flags(report)[0] > 0 for report in reports),
        "no spine": sum(report["status"] == "no_spine" for report in reports),
        "failed": sum(report["status"] == "failed" for report in reports),
        "seconds per scan (median)": f"{median:.1f}",
    }
    return "".join(
        f'<div class="total"><b>{value}</b><span>{name}</span></div>'
        for name, value in totals.items()
    )


def _row(root: Path, folder: Path, report: Report) -> str:
    preview = report.get("outputs", {}).get("preview")
    picture = folder / preview if preview else None
    labels = [row["label"] for row in report["vertebrae"]]
    first = ORDER_CRANIAL_TO_CAUDAL.index(labels[0]) if labels else len(ORDER_CRANIAL_TO_CAUDAL)
    checks, _ = count_flags(report)
    data = {
        "case": report["case"],
        "status": report["status"],
        "count": len(labels),
        "first": first,
        "checks": checks,
        "seconds": report["seconds"].get("total", 0),
        "codes": " ".join(dict.fromkeys(flag["code"] for flag in report["flags"])),
        "preview": quote(picture.as_posix(), errors="surrogateescape") if picture else "",
    }
    attributes = " ".join(f'data-{name}="{escape(str(value))}"' for name, value in data.items())
    seconds = f"{data['seconds']:.1f}" if report["seconds"] else ""
    status = str(report["status"])
    return (
        f"<tr {attributes}><td>{_thumbnail(root, picture)}</td>"
        f'<td class="name">{_breakable(report["case"])}</td>'
        f'<td class="status-{escape(status)}">{escape(_STATUS.get(status, status))}</td>'
        f'<td class="number">{len(labels) or ""}</td>'
        f'<td class="levels">{escape(levels_in_words(report))}</td>'
        f'<td>{_sentences(report)}</td><td class="mark"></td>'
        f'<td class="number">{seconds}</td></tr>'
    )


def _breakable(name: str) -> str:
    """A name that is broken after its folders and words first."""
    return re.sub(r"([/_])", r"\1<wbr>", escape(name))


def _sentences(report: Report) -> str:
    items = [("failed", failure_in_words(report))] if report["status"] == "failed" else []
    items += [
        ("check" if flag["severity"] == "check" else "note", flag["sentence"])
        for flag in report["flags"]
    ]
    listed = "".join(f'<li class="{kind}">{escape(text)}</li>' for kind, text in items)
    return f'<ul class="sentences">{listed}</ul>' if listed else ""


def _thumbnail(root: Path, picture: Path | None) -> str:
    """The small picture as a button, or nothing where there is none."""
    if picture is None or not is_safe_name(picture.as_posix()) or not (root / picture).is_file():
        return ""
    try:
        with Pillow.open(root / picture) as large:
            # Without its heading, which nobody can read at this size.
            small = large.convert("RGB").crop((0, HEADER, large.width, large.height))
    except Exception:  # whatever Pillow finds wrong with a file that lay there for years
        return ""
    small.thumbnail(_THUMBNAIL_PIXELS, reducing_gap=2.0)
    packed = io.BytesIO()
    small.save(packed, "JPEG", quality=_THUMBNAIL_QUALITY, optimize=True)
    source = base64.b64encode(packed.getvalue()).decode("ascii")
    return (
        '<button type="button" class="thumbnail" aria-label="Open the preview">'
        f'<img loading="lazy" decoding="async" alt="" src="data:image/jpeg;base64,{source}">'
        "</button>"
    )


def _measurements(reports: Iterable[Report]) -> str:
    """Numbers of all vertebrae, and angles in words, as JSON that can stand within HTML."""
    tables = {
        report["case"]: {
            "rows": [[row.get(name) for name in _MEASURED] for row in report["vertebrae"]],
            "angles": angles_in_words(report),
        }
        for report in reports
        if report["vertebrae"]
    }
    return _within_html(tables)


def _within_html(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c")
