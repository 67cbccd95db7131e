"""The plan for a million scans follows from the figures."""

import pytest

from tests.bench.scale import as_text, plan

CASE = {
    "scans": 2,
    "vertebrae": 20,
    "job_s": {"wall": 5.0, "processor": 14.4},
    "input_bytes": 100e6,
    "output_bytes": 1e6,
    "peak_bytes": 1e9,
}


def test_plan() -> None:
    found = plan(CASE, price=0.05, cores=10)
    assert found["processor seconds a scan"] == pytest.approx(7.2)
    assert found["scans a core and day"] == pytest.approx(12000)
    assert found["core-hours a million"] == pytest.approx(2000)
    assert found["days a million, a node of 10 cores"] == pytest.approx(2000 / 240)
    assert found["price of 1,000 scans"] == pytest.approx(0.1)
    assert found["MB/s read by 10 cores"] == pytest.approx(10 * 50 / 7.2)
    assert found["TB written a million"] == pytest.approx(0.5)


def test_a_column_for_each_case() -> None:
    text = as_text({"lumbar": CASE, "mixed folder": CASE}, price=0.05, cores=10)
    assert text.splitlines()[0].split() == ["lumbar", "mixed", "folder"]
    assert "7.2" in text
