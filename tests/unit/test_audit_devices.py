"""Telemetry that a team already has: nvidia-smi, dcgmi, dcgm-exporter, genuine and by hand."""

from __future__ import annotations

import json

import pytest
from audit_logs import BY_HAND, CAPTURED, read, read_text, values

from seatrial.ingest.audit.lines import figure


def test_a_captured_query_of_nvidia_smi_gives_every_reading() -> None:
    found = read(CAPTURED / "nvidia_smi_query_v100.csv")
    assert found.formats == ("nvidia-smi --query-gpu",)
    assert (found.read, dict(found.skipped)) == (9, {})
    assert values(found.facts, "0", "utilisation") == (0.99, 0.99, 0.99, 0.98, 1.0, 0.32, 0.98, 1.0)


def test_a_query_with_repeated_headings_missing_figures_and_a_cut_off_end() -> None:
    found = read(BY_HAND / "nvidia_smi_query_many_layouts_by_hand.csv")
    assert values(found.facts, "0", "throttled", "sw_power_cap") == (1.0, 1.0, 1.0)
    assert values(found.facts, "1", "utilisation") == (0.98,)
    assert values(found.facts, "1", "temperature") == (60.0, 61.0)
    assert values(found.facts, "0", "sm_clock") == (1410.0, 1395.0, 1402.0)
    assert not [series for series in found.facts.devices if series.label == "gpu_idle"]
    assert dict(found.skipped) == {
        "nvidia-smi --query-gpu: a row with utilisation of 2.5, which is not possible": 1,
        "a last line without its end": 1,
    }


def test_a_query_without_units_and_with_one_column() -> None:
    plain = read_text("index, utilization.gpu [%], power.draw [W]\n0, 45, 300.5\n1, 46, [Unknown Error]\n")
    assert values(plain.facts, "0", "power") == (300.5,)
    assert values(plain.facts, "1", "utilisation") == (0.46,)
    one = read_text("utilization.gpu [%]\n88 %\n0 %\n")
    assert values(one.facts, "not named", "utilisation") == (0.88, 0.0)


def test_rows_without_a_heading_name_no_columns_and_are_not_read() -> None:
    assert read_text("0, 45 %, 300.5 W\n1, 46 %, 301.0 W\n").facts.empty


def test_a_captured_dmon_of_four_devices() -> None:
    found = read(CAPTURED / "nvidia_smi_dmon_four_blackwell.log")
    assert found.formats == ("nvidia-smi dmon",)
    assert [values(found.facts, str(device), "utilisation")[0] for device in range(4)] == [0.98, 0.99, 1.0, 1.0]
    assert [values(found.facts, str(device), "sm_clock")[0] for device in range(4)] == [1897, 2017, 1192, 1200]


def test_dmon_as_csv_with_times_and_a_row_that_is_cut_off() -> None:
    found = read(BY_HAND / "nvidia_smi_dmon_with_time_by_hand.csv")
    assert values(found.facts, "0", "utilisation") == (0.97,)
    assert values(found.facts, "0", "power") == (420.0, 422.0)
    assert sum(found.skipped.values()) == 1


def test_dmon_with_the_performance_metrics_of_hopper() -> None:
    found = read_text(
        "# gpu    pwr  gtemp  mtemp     sm    mem   mclk   pclk      gract     smutil     mmaact\n"
        "# Idx      W      C      C      %      %    MHz    MHz      GPM:%      GPM:%      GPM:%\n"
        "    0    360     55     56    100     16   1593   1410          \u2013          -          -\n"
        "    0    510     55     56    100     60   1593   1410         99         41         20\n"
    )
    assert values(found.facts, "0", "sm_active") == pytest.approx((0.41,))
    assert values(found.facts, "0", "tensor_active") == pytest.approx((0.2,))
    assert values(found.facts, "0", "utilisation") == (1.0, 1.0)
    assert (found.read, dict(found.skipped)) == (4, {})


def test_processes_of_pmon_are_not_taken_for_devices() -> None:
    pmon = (
        "# gpu         pid   type     sm    mem\n# Idx           #    C/G      %      %\n    0  20941   C  92  52\n"
    )
    found = read_text(pmon)
    assert found.facts.empty
    assert sum(found.skipped.values()) == 3


def test_a_captured_dcgmi_dmon() -> None:
    found = read(CAPTURED / "dcgmi_dmon_rtx2080ti.txt")
    assert (found.read, dict(found.skipped)) == (7, {})
    assert values(found.facts, "0", "power") == (20.891, 20.891, 20.891, 20.986, 20.986)


def test_profiling_counters_of_dcgmi_dmon_are_shares_already() -> None:
    found = read(BY_HAND / "dcgmi_dmon_profiling_by_hand.txt")
    assert values(found.facts, "0", "sm_active") == (0.412, 0.42)
    assert values(found.facts, "0", "utilisation") == (1.0, 1.0)
    assert values(found.facts, "1", "tensor_active") == (0.199,)
    assert sum(found.skipped.values()) == 3


def test_blank_values_of_dcgm_are_no_readings() -> None:
    found = read_text("#Entity   SMCLK  POWER\nID\nGPU 0     2147483632   20.5\n")
    assert [series.quantity for series in found.facts.devices] == ["power"]


def test_a_captured_answer_of_prometheus() -> None:
    found = read(CAPTURED / "prometheus_query_l40s.json")
    assert values(found.facts, "0", "temperature", host="gpu1-wl8sg") == (32.0,)


def test_a_captured_page_of_dcgm_exporter() -> None:
    found = read(CAPTURED / "dcgm_exporter_l4.prom")
    assert values(found.facts, "0", "power", host="i-030791dc5a37cd257") == (16.365,)
    assert dict(found.skipped) == {"dcgm-exporter's page: samples of DCGM_FI_DEV_PCIE_REPLAY_COUNTER": 1}


def test_series_of_query_range_by_node_without_what_is_not_finite() -> None:
    found = read(BY_HAND / "prometheus_query_range_by_hand.json")
    assert values(found.facts, "0", "sm_active", host="node-1") == (0.41, 0.43)
    assert values(found.facts, "0", "sm_active", host="node-2") == (0.40, 0.44)
    assert values(found.facts, "0", "utilisation", host="node-1") == (1.0, 1.0)
    assert dict(found.skipped) == {
        "a sample that is not finite": 1,
        "samples of DCGM_FI_DEV_XID_ERRORS": 1,
        "samples of a series without a name": 1,
    }


def test_a_sample_that_names_no_device_is_not_read() -> None:
    series = {"metric": {"__name__": "DCGM_FI_DEV_GPU_UTIL"}, "values": [[1, "5"]]}
    found = read_text(json.dumps({"status": "success", "data": {"resultType": "matrix", "result": [series]}}))
    assert found.facts.empty
    assert dict(found.skipped) == {"a sample that names no device": 1}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("45 %", 45.0),
        ("1455 MHz", 1455.0),
        ("[N/A]", None),
        ("[Not Supported]", None),
        ("-", None),
        ("2.07e+11", 2.07e11),
    ],
)
def test_a_figure_with_its_unit(text: str, value: float | None) -> None:
    assert figure(text) == value


def test_units_beside_a_figure_or_above_its_column_are_honoured_or_the_row_is_refused() -> None:
    text = "index, clocks.sm [GHz], power.draw [mW]\n0, 1.9, 650000\n0, 1.8 GHz, 640 W\n0, 1.8 rpm, 640 W\n"
    found = read_text(text)
    assert values(found.facts, "0", "sm_clock") == pytest.approx((1900.0, 1800.0))
    assert values(found.facts, "0", "power") == pytest.approx((650.0, 640.0))
    assert [words for words in found.skipped if "is not in MHz" in words]


@pytest.mark.parametrize("text", ["1,5 W", "12 34", "abc", "0x4", "1e999"])
def test_what_may_mean_two_things_is_no_figure(text: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        figure(text)
