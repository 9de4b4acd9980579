"""Long lists of numbers read as the json module reads them."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from posewright.files.longlists import split_lists

plain = st.decimals(-(10**9), 10**9, places=3).map(lambda d: format(d, "f"))
whole = st.integers(-(10**15), 10**15).map(str)


@given(st.lists(st.lists(st.one_of(plain, whole), min_size=4, max_size=4), min_size=1, max_size=6))
def test_equals_json_to_the_last_bit(rows: list[list[str]]) -> None:
    text = ",".join(f'{{"k": [{", ".join(row)}], "n": {i}}}' for i, row in enumerate(rows))
    read = split_lists(f"[{text}]".encode(), "k")
    assert read is not None
    objects, values = read
    expected = [[float(x) for x in e["k"]] for e in json.loads(f"[{text}]")]
    assert values.tolist() == expected
    assert objects == [{"k": 0, "n": i} for i in range(len(rows))]


def test_chunks_keep_the_order() -> None:
    rng = np.random.default_rng(0)
    table = rng.uniform(-500, 500, (2345, 6)).round(2)
    text = json.dumps([{"image_id": i, "k": row.tolist()} for i, row in enumerate(table)])
    read = split_lists(text.encode(), "k")
    assert read is not None and (read[1] == table).all()
    assert [o["image_id"] for o in read[0]] == list(range(len(table)))


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        "{}",
        "7",
        "[{}]",
        '[{"k": []}]',
        '[{"k": [1, 2]}, {"k": [1]}]',
        '[{"k": [1e3]}]',
        '[{"k": [1, null]}]',
        '[{"k": [NaN]}]',
        '[{"k": [1 2]}]',
        '[{"k": [1..2]}]',
        '[{"k": [1.2.3, 4]}]',
        '[{"k": [1.2.3, 4, 5.6]}]',
        '[{"k": [1,, 2]}]',
        '[{"k": [1, 2,]}]',
        '[{"k": [1.]}]',
        '[{"k": [012]}]',
        '[{"k": [-00.5]}]',
        '[{"k": [.5]}]',
        '[{"k": [-]}]',
        '[{"k": [1-2]}]',
        '[{"k": [-.5]}]',
        '[{"k": [134.94345092773438]}]',
        '[{"k": [99999999999999999999]}]',
        '[{"k": ["1"]}]',
        '[{"k": [[1, 2]]}]',
        '[{"k": [1]}',
        '[{"a": {"k": [1]}, "k": [2]}]',
        '[{"a": {"k": [1]}}]',
        '[{"k": [1], "k": [2]}]',
        '[{"k": [1]}, {"k": 0}]',
        "[1, 2]",
        f'[{{"k": [0.{"1" * 30}]}}]',
    ],
)
def test_what_is_unusual_is_left_to_json(text: str) -> None:
    assert split_lists(text.encode(), "k") is None


def test_names_in_text_are_not_lists() -> None:
    text = json.dumps([{"name": 'a "k": [1, 2] b', "k": [3.5, 4]}])
    read = split_lists(text.encode(), "k")
    assert read is not None and read[1].tolist() == [[3.5, 4]]
    assert read[0][0]["name"] == 'a "k": [1, 2] b'
