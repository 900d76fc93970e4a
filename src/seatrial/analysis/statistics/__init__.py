"""Statistics of small samples and of series; docs/statistics.md says what each assumes and how well it holds."""

from seatrial.analysis.statistics.medians import (
    LARGEST_LOG,
    SMALL_N,
    Bound,
    Interval,
    Side,
    expected_range,
    log_spread,
    median,
    median_bound,
    median_interval,
    olympic_mean,
    order_bound,
    reached_interval,
    reached_lower_bound,
    reached_median,
    share_interval,
    spread_from_range,
)
from seatrial.analysis.statistics.screening import benjamini_hochberg, robust_z
from seatrial.analysis.statistics.series import (
    autocorrelation,
    block_bootstrap_interval,
    integrated_autocorrelation_time,
)
from seatrial.analysis.statistics.two_sets import (
    RatioTest,
    compare_paired,
    compare_unpaired,
    smallest_p_of_pairs,
    smallest_p_of_sets,
)

__all__ = [
    "LARGEST_LOG",
    "SMALL_N",
    "Bound",
    "Interval",
    "RatioTest",
    "Side",
    "autocorrelation",
    "benjamini_hochberg",
    "block_bootstrap_interval",
    "compare_paired",
    "compare_unpaired",
    "expected_range",
    "integrated_autocorrelation_time",
    "log_spread",
    "median",
    "median_bound",
    "median_interval",
    "olympic_mean",
    "order_bound",
    "reached_interval",
    "reached_lower_bound",
    "reached_median",
    "robust_z",
    "share_interval",
    "smallest_p_of_pairs",
    "smallest_p_of_sets",
    "spread_from_range",
]
