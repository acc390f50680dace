"""Images in parts: in order, each once, and an error is the first part's (tinyformer/parts.py)."""
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tinyformer.parts import results, spread, threads


@pytest.mark.parametrize('serial', [False, True])
def test_parts_come_in_the_order_of_the_images(serial):
    "Each image is replaced by the index at which its part begins."
    seen = []
    with ThreadPoolExecutor(threads()) as pool:
        jobs = spread(pool, lambda part, at: part + at, np.zeros(10, int), 4, seen.append, serial)
        assert np.concatenate(results(jobs)).tolist() == [0] * 4 + [4] * 4 + [8] * 2
    assert len(jobs) == (1 if serial else 3) and sorted(seen) == [2, 4, 4]


def test_an_error_in_a_part_is_the_error_of_all():
    def fails(part, at):
        if at: raise ValueError(f'part {at}')
        return part
    with ThreadPoolExecutor(2) as pool, pytest.raises(ValueError, match='part 4'):
        results(spread(pool, fails, np.zeros(10), 4, lambda n: None))


def test_one_to_four_cores(): assert 1 <= threads() <= 4
