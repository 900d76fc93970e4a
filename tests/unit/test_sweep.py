"""Points of a sweep: product, zip, exclude."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seatrial.sweep import SweepMistake, flatten, points

AXES = st.dictionaries(
    st.sampled_from(["workload.m", "workload.n", "target.nodes", "workload.dtype"]),
    st.lists(st.integers(0, 99), min_size=1, max_size=4, unique=True),
    max_size=4,
)


@given(AXES)
def test_without_zip_and_exclude_the_sweep_is_the_product_in_declaration_order(axes):
    expected = [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]
    assert points(axes) == expected


@given(st.lists(st.integers(0, 99), min_size=1, max_size=5, unique=True), AXES)
def test_zipped_axes_advance_together_and_multiply_with_the_rest(values, rest):
    axes = {"workload.a": values, **rest, "workload.b": [v + 1 for v in values]}
    found = points(axes, [["workload.a", "workload.b"]])
    assert all(p["workload.b"] == p["workload.a"] + 1 for p in found)
    sizes = [len(v) for v in rest.values()]
    assert len(found) == len(values) * int(__import__("math").prod(sizes))
    assert all(list(p) == list(axes) for p in found)


@given(AXES.filter(bool), st.data())
def test_an_exclusion_removes_exactly_the_points_that_match_it(axes, data):
    name = data.draw(st.sampled_from(sorted(axes)))
    value = data.draw(st.sampled_from(axes[name]))
    everything = points(axes)
    left = [p for p in everything if p[name] != value]
    if not left:
        with pytest.raises(SweepMistake, match="leave no point"):
            points(axes, (), [{name: value}])
    else:
        assert points(axes, (), [{name: value}]) == left


def test_an_exclusion_may_list_several_values_and_name_several_axes():
    axes = {"workload.m": [1, 2, 3], "target.nodes": [1, 2]}
    left = points(axes, (), [{"workload.m": [1, 2], "target": {"nodes": 2}}])
    assert left == [
        {"workload.m": 1, "target.nodes": 1},
        {"workload.m": 2, "target.nodes": 1},
        {"workload.m": 3, "target.nodes": 1},
        {"workload.m": 3, "target.nodes": 2},
    ]


def test_nested_axes_become_dotted_names():
    assert flatten({"target": {"nodes": [1]}, "workload.m": [2]}) == {"target.nodes": [1], "workload.m": [2]}


@pytest.mark.parametrize(
    ("axes", "zipped", "exclude", "words"),
    [
        ({"workload.m": []}, [], [], "without values"),
        ({"workload.m": [1, 2], "workload.n": [1]}, [["workload.m", "workload.n"]], [], "differ in length"),
        ({"workload.m": [1]}, [["workload.m", "workload.x"]], [], "no axis"),
        ({"workload.m": [1]}, [["workload.m", "workload.m"]], [], "only once"),
        ({"workload.m": [1]}, [], [{"workload.x": 1}], "no axis"),
        ({"workload.m": [1, 1]}, [], [], "twice"),
    ],
)
def test_a_sweep_that_cannot_be_expanded_is_refused_in_words(axes, zipped, exclude, words):
    with pytest.raises(SweepMistake, match=words):
        points(axes, zipped, exclude)
