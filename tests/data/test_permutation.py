"""Shuffling by arithmetic."""

from collections import Counter

import numpy as np
import pytest

from jaxgan.data.permutation import epoch_and_index, permute, random_bits, uniform


@pytest.mark.parametrize("count", [1, 2, 3, 7, 64, 65, 1000, 4097])
def test_every_epoch_holds_every_index_once(count):
    epoch, index = epoch_and_index(np.arange(3 * count), count, seed=7)
    assert (epoch == np.arange(3 * count) // count).all()
    for k in range(3):
        assert sorted(index[k * count : (k + 1) * count]) == list(range(count))


def test_epochs_and_seeds_differ():
    orders = [permute(np.arange(100), 100, s, e) for s in (1, 2) for e in (0, 1)]
    for i in range(4):
        for j in range(i):
            assert (orders[i] == orders[j]).mean() < 0.1


def test_any_position_can_be_asked_alone():
    _, whole = epoch_and_index(np.arange(5000), 777, seed=3)
    for p in (0, 776, 777, 4999):
        assert epoch_and_index(np.array([p]), 777, seed=3)[1] == whole[p]


def test_position_far_out_costs_no_memory_and_no_time():
    far = np.array([10**15, 10**15 + 1])
    epoch, index = epoch_and_index(far, 1_281_167, seed=0)
    assert (epoch == 10**15 // 1_281_167).all() and (
        (0 <= index) & (index < 1.3e6)
    ).all()


@pytest.mark.parametrize(("count", "orders"), [(2, 2), (3, 6), (4, 24)])
def test_all_orders_of_few_examples_are_equally_likely(count, orders):
    draws = 200 * orders
    index, epoch = np.tile(np.arange(count), draws), np.repeat(np.arange(draws), count)
    order = permute(index, count, 1, epoch).reshape(draws, count)
    seen = Counter(map(tuple, order))
    assert len(seen) == orders
    chi_square = sum((n - 200) ** 2 / 200 for n in seen.values())
    # 99.9 % quantiles of chi square with 1, 5 and 23 degrees of freedom.
    assert chi_square < {2: 10.8, 6: 20.5, 24: 49.7}[orders]


def test_order_is_not_related_to_the_index():
    shuffled = permute(np.arange(2000), 2000, seed=5)
    assert abs(np.corrcoef(shuffled, np.arange(2000))[0, 1]) < 0.07
    steps = np.diff(shuffled)
    assert abs(np.corrcoef(steps[1:], steps[:-1])[0, 1] + 0.5) < 0.07


def test_order_is_the_same_on_every_machine_and_version():
    # Changing these numbers changes what a resumed run reads.
    assert permute(np.arange(8), 8, seed=0).tolist() == [1, 2, 4, 7, 3, 5, 0, 6]
    assert int(random_bits(0, 1)) == 15204172177749531820


def test_uniform_fills_the_unit_interval():
    u = uniform(1, np.arange(20_000)[:, None], np.arange(2))
    assert u.shape == (20_000, 2) and 0 <= u.min() and u.max() < 1
    counts, _ = np.histogram(u, 10, (0, 1))
    assert np.abs(counts - 4000).max() < 250
    assert abs(np.corrcoef(u[:, 0], u[:, 1])[0, 1]) < 0.03
