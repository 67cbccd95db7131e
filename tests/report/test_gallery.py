"""The gallery: whole, safe against names, and usable; clicked in a browser where there is one."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image as Pillow

from tests.support.paths import ROOT
from vertseg.report.gallery import gallery_page
from vertseg.report.review import read_review

SAMPLE = ROOT / "tests" / "pictures" / "sample.png"
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")


def write_page(folder: Path, entries, marks=None) -> None:
    (folder / "index.html").write_text(gallery_page(folder, entries, marks), encoding="utf-8")


def entry(number: int, status: str = "ok", checks: int = 0, name: str = ""):
    flag = {"code": "spacing", "severity": "check", "vertebrae": ["L1"], "sentence": "Odd & <far>."}
    row = {
        **{
            "label": 20 - number % 5,
            "name": f"T{12 - number % 5}",
            "peak": 0.9,
            "margin_nats": 6.25,
        },
        **{"volume_ml": 40.0, "trabecular_hu": None, "anterior_height_mm": 24.0},
        **{"middle_height_mm": 23.0, "posterior_height_mm": 25.0},
    }
    report = {
        "case": name or f"sub-{number:03d}/scan {number}.nii.gz",
        "status": status,
        "vertebrae": [row] * (1 + number % 3) if status == "ok" else [],
        "flags": [flag] * checks,
        "angles": [{"name": "kyphosis", "upper": "T4", "lower": "T12", "degrees": 31.6}],
        "seconds": {"total": 100.0 - number} if status != "failed" else {},
    }
    if status == "failed":
        error = {"what": "is broken", "where": "x", "expected": "", "remedy": "Mend it."}
        return Path("."), {**report, "error": error}
    return Path(f"sub-{number:03d}"), {**report, "outputs": {"preview": f"scan {number}.png"}}


def entries_with_pictures(root: Path):
    entries = [
        *(entry(0), entry(1, checks=2), entry(2, "no_spine", checks=1), entry(3, "failed")),
        entry(4, name='<script>alert("x")</script> {{rows}} & \'".nii.gz'),
    ]
    for folder, report in entries:
        if "outputs" in report:
            (root / folder).mkdir(exist_ok=True)
            path = root / folder / report["outputs"]["preview"]
            Pillow.new("RGB", (1200, 800), (40, 90, 160)).save(path)
    return entries


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.found.append((tag, dict(attrs)))


def test_the_page_is_self_contained_and_names_cannot_break_it(tmp_path) -> None:
    write_page(tmp_path, entries_with_pictures(tmp_path))
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(page)
    assert [tag for tag, _ in tags.found].count("script") == 3
    rows = [
        attributes for tag, attributes in tags.found if tag == "tr" and "data-case" in attributes
    ]
    assert len(rows) == 5
    assert rows[4]["data-case"] == '<script>alert("x")</script> {{rows}} & \'".nii.gz'
    assert rows[0]["data-preview"] == "sub-000/scan%200.png"
    for tag, attributes in tags.found:
        for name in ("src", "href"):
            value = attributes.get(name) or ""
            assert value.startswith("data:image/jpeg") or value in ("", "summary.csv"), (tag, value)
    assert "http" not in re.sub(r"base64,[A-Za-z0-9+/=]+", "", page)
    assert "Not a medical device" in page
    assert "is broken. Mend it." in page


def test_an_empty_gallery_and_a_lost_picture(tmp_path) -> None:
    write_page(tmp_path, [])
    assert "0 scans" in (tmp_path / "index.html").read_text()
    write_page(tmp_path, [entry(0)])
    assert (
        "thumbnail"
        not in (tmp_path / "index.html").read_text().split("<tbody>")[1].split("</tbody>")[0]
    )


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "chunk", "low", "folder", "elsewhere"])
def test_a_damaged_old_preview_is_passed_over(tmp_path, kind) -> None:
    folder, report = entry(0)
    path = tmp_path / folder / report["outputs"]["preview"]
    path.parent.mkdir()
    whole = SAMPLE.read_bytes()
    if kind == "low":
        Pillow.new("RGB", (1200, 20)).save(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "elsewhere":
        shutil.copy(SAMPLE, tmp_path.parent / "secret.png")
        report["outputs"]["preview"] = "../../secret.png"
    else:
        damaged = {"empty": b"", "text": b"hello", "cut": whole[:5000]}
        damaged["chunk"] = whole[:2000] + bytes(200) + whole[2200:]
        path.write_bytes(damaged[kind])
    write_page(tmp_path, [(folder, report)])
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert report["case"] in page and "data:image" not in page


CLICKS = """
<script>
const shown = () => rows.filter((row) => !row.hidden).map((row) => row.dataset.case);
const listed = () => Array.from(document.querySelectorAll("#cases tbody tr"))
  .map((row) => row.dataset.case);
const press = (selector) => document.querySelector(selector).click();
const result = {};
result.start = shown().length;
for (const filter of ["check", "no_spine", "failed", "all"]) {
  press('[data-filter="' + filter + '"]');
  result[filter] = shown();
}
press('[data-sort="seconds"]');
result.fastest = listed();
press('[data-sort="seconds"]');
result.slowest = listed();
press('[data-sort="case"]');
code.value = "spacing";
code.dispatchEvent(new Event("change"));
result.spacing = shown();
code.value = "";
search.value = "SCAN 1";
search.dispatchEvent(new Event("input"));
result.search = shown();
search.value = "";
search.dispatchEvent(new Event("input"));
press('tr[data-case^="sub-000"] .thumbnail');
result.open = [viewer.open, document.getElementById("title").textContent];
result.large = document.getElementById("large").getAttribute("src");
result.measured = Array.from(document.querySelectorAll("#measured td"), (td) => td.textContent);
result.angles = document.querySelector("#measured p").textContent;
result.ahead = ahead.map((image) => image.getAttribute("src"));
const type = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
type("w");
word.value = '=says "T13", odd';
word.dispatchEvent(new Event("input"));
type("n");
result.focused = document.activeElement === word;
word.blur();
type("ArrowRight");
press('[data-mark="right"]');
result.pressed = markButtons.map((button) => button.getAttribute("aria-pressed"));
type("ArrowRight");
type("u");
type("u");
result.csv = marksAsCsv();
result.stored = JSON.parse(localStorage.getItem(STORE));
result.save = save.textContent;
result.shownMarks = Object.fromEntries(
  rows.map((row) => [row.dataset.case, row.querySelector(".mark").textContent]));
type("ArrowLeft");
type("ArrowLeft");
press("#next");
result.next = document.getElementById("title").textContent;
press("#close");
type("r");
marked.value = "wrong";
marked.dispatchEvent(new Event("change"));
result.wrong = shown();
marked.value = "none";
marked.dispatchEvent(new Event("change"));
result.unmarked = shown();
result.closed = viewer.open;
const answer = document.createElement("pre");
answer.id = "answer";
answer.textContent = JSON.stringify(result);
document.body.append(answer);
</script>
</body>
"""


def clicked(tmp_path: Path, clicks: str, timeout_s: int = 120) -> dict:
    """What the clicks, added to the page, found in a browser."""
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    (tmp_path / "clicks.html").write_text(page.replace("</body>", clicks), encoding="utf-8")
    command = [
        *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
        *("--disable-background-networking", f"--user-data-dir={tmp_path / 'profile'}"),
        (tmp_path / "clicks.html").as_uri(),
    ]
    ran = subprocess.run(
        command, capture_output=True, encoding="utf-8", check=True, timeout=timeout_s
    )
    found = re.search(r'<pre id="answer">(.*?)</pre>', ran.stdout, re.DOTALL)
    assert found is not None
    return json.loads(unescape(found[1]))


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_clicks_in_a_browser(tmp_path) -> None:
    entries = entries_with_pictures(tmp_path)
    write_page(tmp_path, entries)
    answer = clicked(tmp_path, CLICKS)
    names = [report["case"] for _, report in entries]
    assert answer["start"] == 5
    assert answer["check"] == names[1:3]
    assert answer["no_spine"] == [names[2]] and answer["failed"] == [names[3]]
    assert answer["all"] == names
    assert answer["fastest"] == [names[3], names[4], names[2], names[1], names[0]]
    assert answer["slowest"] == answer["fastest"][::-1]
    assert set(answer["spacing"]) == set(names[1:3])
    assert answer["search"] == [names[1]]
    assert answer["open"] == [True, names[0]]
    assert answer["large"] == "sub-000/scan%200.png"
    assert answer["ahead"][0] == "sub-001/scan%201.png"
    numbers = ["0.90", "6.3", "40.0", "–", "24.0", "23.0", "25.0", "–"]
    assert answer["measured"] == ["T12", *numbers]
    assert answer["angles"] == "kyphosis T4–T12 32°"
    assert answer["next"] == names[1] and answer["closed"] is False
    # Marks: by key and by button, taken back, with a word, kept in the browser, saved as CSV.
    assert answer["focused"] is True and answer["pressed"] == ["true", "false", "false"]
    assert {case: mark["mark"] for case, mark in answer["stored"].items()} == {
        names[0]: "wrong",
        names[1]: "right",
        names[2]: "",
    }
    assert answer["save"] == "Save marks (2)"
    assert answer["shownMarks"][names[0]] == '✗ wrong=says "T13", odd'
    assert answer["wrong"] == [names[0]] and set(answer["unmarked"]) == set(names[2:])
    (tmp_path / "review.csv").write_text(answer["csv"], encoding="utf-8")
    saved = read_review(tmp_path / "review.csv")
    assert {case: (mark.mark, mark.word) for case, mark in saved.items()} == {
        names[0]: ("wrong", '=says "T13", odd'),
        names[1]: ("right", ""),
    }
    # Given back, the next page shows them, in another browser, too.
    write_page(tmp_path, entries, saved)
    shutil.rmtree(tmp_path / "profile")
    answer = clicked(tmp_path, MARKS_SHOWN)
    assert answer["marks"][:2] == ['✗ wrong=says "T13", odd', "✓ right"]


MARKS_SHOWN = """
<script>
const answer = document.createElement("pre");
answer.id = "answer";
const marksShown = rows.map((row) => row.querySelector(".mark").textContent);
answer.textContent = JSON.stringify({ marks: marksShown });
document.body.append(answer);
</script>
</body>
"""

MANY = """
<script>
const type = (key) => document.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
document.querySelector(".thumbnail").click();
for (let n = 0; n < rows.length; n += 1) {
  type("rwu"[n % 3]);
  type("ArrowRight");
}
const answer = document.createElement("pre");
answer.id = "answer";
answer.textContent = JSON.stringify({ title: opened.dataset.case, csv: marksAsCsv() });
document.body.append(answer);
</script>
</body>
"""


@pytest.mark.skipif(BROWSER is None, reason="needs Chromium")
def test_five_hundred_cases_are_reviewed_by_keyboard(tmp_path) -> None:
    entries = [entry(number) for number in range(500)]
    for folder, report in entries:
        (tmp_path / folder).mkdir()
        path = tmp_path / folder / report["outputs"]["preview"]
        Pillow.new("RGB", (120, 80), (40, 90, 160)).save(path)
    write_page(tmp_path, entries)
    answer = clicked(tmp_path, MANY)
    assert answer["title"] == entries[0][1]["case"]  # once around
    (tmp_path / "review.csv").write_text(answer["csv"], encoding="utf-8")
    found = [mark.mark for mark in read_review(tmp_path / "review.csv").values()]
    assert found == (["right", "wrong", "unsure"] * 167)[:500]


def test_a_case_takes_little_room_so_that_hundreds_open_at_once(tmp_path) -> None:
    sizes = []
    for count in (1, 3):
        entries = [entry(number, checks=2) for number in range(count)]
        for folder, report in entries:
            (tmp_path / folder).mkdir(exist_ok=True)
            shutil.copy(SAMPLE, tmp_path / folder / report["outputs"]["preview"])
        write_page(tmp_path, entries)
        sizes.append((tmp_path / "index.html").stat().st_size)
    assert (sizes[1] - sizes[0]) / 2 < 18_000  # 500 scans are 9 MB at most
