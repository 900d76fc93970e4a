"""Few values that agree to what they are measured to show no spread, not one that is next to nothing."""

import pytest

from seatrial.analysis.bounds import NONE_FAILED, bound_of_repeats
from seatrial.analysis.ratio import estimate
from seatrial.analysis.statistics import compare_paired, compare_unpaired, log_spread


@pytest.mark.parametrize("second", [10.0, 10.0000001, 10.000009])
def test_two_values_equal_to_within_their_resolution_have_no_bound(second):
    assert bound_of_repeats([10.0, second], NONE_FAILED, "upper", 0.95).value is None
    assert estimate(10.0, log_spread([10.0, second]), 2).error is None
    assert compare_unpaired([10.0, second], [11.0, 12.0]).low is None
    assert compare_paired([10.0, second], [10.0, 10.0]).low is None


def test_two_values_that_differ_by_more_have_one():
    assert bound_of_repeats([10.0, 10.001], NONE_FAILED, "upper", 0.95).value is not None
    assert estimate(10.0, log_spread([10.0, 10.001]), 2).error is not None
