"""The estimate for a GPU is the sum of its two parts."""

import pytest

from tests.bench.gpu_estimate import CARDS, SHARES, as_text, estimate

CASE = {
    "scans": 2,
    "flop": 4e12,
    "job_s": {"wall": 5.0, "processor": 9.0},
    "bare_s": {"spine": {"processor": 1.0}, "segmentation": {"processor": 4.0}},
}


def test_networks_and_host_add_up() -> None:
    worst, best = estimate(CASE, 100e12, threads=2)
    assert worst == pytest.approx(2e12 / 0.5e12 + 1.0)
    assert best == pytest.approx(2e12 / 1e12 + 1.0)


def test_says_that_it_is_an_estimate() -> None:
    text = as_text({"mixed folder": CASE}, threads=2)
    assert text.startswith("ESTIMATE:") and "mixed folder" in text


def test_shares_are_those_of_the_measured_jobs() -> None:
    """FLOP of `tests.bench` over the seconds in networks that `tests.bench.gpu` has measured."""
    low, high = SHARES
    rate = CARDS["H100, H200"]
    for flop, seconds in ((0.61e12, 0.104), (1.54e12, 0.156)):
        assert low <= flop / seconds / rate <= high
