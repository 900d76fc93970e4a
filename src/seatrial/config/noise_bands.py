"""What counts as quiet, and what as a hiccup; what counts as noisy stands among the rules of the findings."""

from __future__ import annotations

from seatrial.config.base import Closed, Threshold


class NoiseBands(Closed):
    """Bands of the spread of a series, each with its source (tables/noise.csv)."""

    quiet_cov: Threshold = Threshold(
        value=0.02, source="our bands: CoV under 2 % quiet, 2 to 5 % usual on shared systems, over 5 % noisy"
    )
    hiccup: Threshold = Threshold(
        value=1.5, source="our choice: an iteration that takes more than 1.5 times the median is a hiccup"
    )
    drift: Threshold = Threshold(
        value=2.0,
        source="our choice: Allan deviation over a tenth of the series beyond twice that of white noise, which "
        "white noise itself passes in fewer than 1 of 2,000 series (docs/statistics.md)",
    )
