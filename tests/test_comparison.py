"Intervals and paired tests against slow loops, scipy, and answers whose truth is known."
from itertools import product
from math import comb
from time import perf_counter

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap
from scipy.stats import permutation_test

from skelbench.comparison import (
    answers,
    bootstrap,
    compare,
    compare_two,
    confused,
    disagreements,
    holm,
    intervals,
    mcnemar,
    methods_of,
    resample,
    same_clips,
    sign_flip,
    with_predictions,
)


def right_of(share, seeds=3, clips=60, seed=0):
    return np.random.default_rng(seed).random((seeds, clips)) < share


def results_of(row, right, leaked=10, classes=4, **changes):
    "A result a seed, of a table of right and wrong."
    truth = np.arange(right.shape[1]) % classes
    return [{"row": row, "method": "m", "evaluation": "linear", "data": "d", "fingerprint": "f", "protocol": "p", "seed": seed, "epochs": 3, "settings": {},
             "predictions": {"clips": [f"c{k}" for k in range(len(truth))], "truth": truth.tolist(), "leaked": [int(k < leaked) for k in range(len(truth))],
                             "predicted": np.where(mine, truth, (truth + 1) % classes).tolist()}} | changes for seed, mine in enumerate(right)]


# --- intervals -------------------------------------------------------------------------------------------------------

def test_bootstrap_is_that_of_scipy():
    right = right_of(.7, clips=120)
    theirs = scipy_bootstrap((100 * right.mean(0),), np.mean, n_resamples=9999, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    assert np.allclose(bootstrap(right), (theirs.low, theirs.high), atol=.6)


def test_bootstrap_of_a_difference_is_that_of_a_slow_loop():
    first, second, generator = right_of(.7, seed=1), right_of(.5, seeds=2, seed=2), np.random.default_rng(3)
    slow = []
    for _ in range(4000):
        drawn = generator.integers(60, size=60)
        slow.append(100 * (first[:, drawn].mean() - second[:, drawn].mean()))
    assert np.allclose(bootstrap(first, second), np.percentile(slow, [2.5, 97.5]), atol=1.5)


def test_bootstrap_over_seeds_is_that_of_a_slow_loop():
    first, second, generator = right_of(.7, seed=1), right_of(.5, seeds=2, seed=2), np.random.default_rng(3)
    first[0] |= right_of(.6, 1, seed=9)[0]  # a seed that is better than the others
    slow = []
    for _ in range(4000):
        drawn, a, b = generator.integers(60, size=60), generator.integers(3, size=3), generator.integers(2, size=2)
        slow.append(100 * (first[a][:, drawn].mean() - second[b][:, drawn].mean()))
    over = bootstrap(first, second, over_seeds=True)
    assert np.allclose(over, np.percentile(slow, [2.5, 97.5]), atol=1.7)
    low, high = bootstrap(first, second)
    assert over[1] - over[0] > high - low


def test_resampled_clips_are_the_same_for_every_seed():
    right = right_of(.6, seeds=1)
    drawn = resample(np.concatenate([right, right, ~right]), resamples=200)
    assert np.allclose(drawn[:, 0], drawn[:, 1]) and np.allclose(drawn[:, 0] + drawn[:, 2], 100) and drawn[:, 0].std() > 1
    assert np.allclose(bootstrap(right, right), 0), "a method is no better than itself, whatever is drawn"
    with pytest.raises(ValueError, match="no clips"):
        resample(np.zeros((2, 0), bool))


def test_seeds_times_clips_are_not_so_many_clips():
    right = right_of(.6, seeds=1, clips=100)
    three = np.repeat(right, 3, 0)  # the same answers three times tell nothing new
    assert np.allclose(bootstrap(right), bootstrap(three)) and np.allclose(bootstrap(right), bootstrap(three, over_seeds=True), atol=1.5)


def test_a_level_and_a_seed_are_heeded():
    right = right_of(.6)
    narrow, wide = bootstrap(right, level=50), bootstrap(right, level=99)
    assert wide[0] < narrow[0] < narrow[1] < wide[1]
    assert bootstrap(right) == bootstrap(right) != bootstrap(right, seed=1)


# --- tests -----------------------------------------------------------------------------------------------------------

def test_mcnemar_is_the_binomial_sum():
    first, second = right_of(.8, 1, 50)[0], right_of(.6, 1, 50, seed=1)[0]
    only, other = int((first & ~second).sum()), int((second & ~first).sum())
    n = only + other
    assert mcnemar(first, second) == pytest.approx(min(1, 2 * sum(comb(n, k) for k in range(min(only, other) + 1)) / 2 ** n))
    assert mcnemar(first, second) == mcnemar(second, first) and mcnemar(first, first) == 1
    with pytest.raises(ValueError, match="same clips, got 50 and 49"):
        mcnemar(first, second[:-1])


@pytest.mark.parametrize("seeds, others", [(3, 3), (3, 2), (1, 4), (2, 1)])
def test_sign_flips_are_all_of_them(seeds, others):
    first, second = right_of(.8, seeds, 11), right_of(.5, others, 11, seed=4)
    d = first.mean(0) - second.mean(0)
    sums = np.abs([np.dot(signs, d) for signs in product((1, -1), repeat=11)])
    p = sign_flip(first, second)
    assert p == pytest.approx((sums >= abs(d.sum()) - 1e-12).mean()) and 0 < p < 1
    assert p == pytest.approx(permutation_test((d,), lambda x, axis: x.mean(axis), permutation_type="samples", n_resamples=np.inf).pvalue)
    assert p == sign_flip(second, first) and p == sign_flip(first[::-1], second[:, :])
    order = np.random.default_rng(0).permutation(11)
    assert p == pytest.approx(sign_flip(first[:, order], second[:, order]))


def test_sign_flips_of_one_seed_each_are_mcnemar():
    first, second = right_of(.8, 1, 300), right_of(.7, 1, 300, seed=1)
    assert sign_flip(first, second) == pytest.approx(mcnemar(first, second)) and sign_flip(first, first) == 1
    with pytest.raises(ValueError, match="same clips"):
        sign_flip(first, second[:, 1:])


def test_p_is_even_where_nothing_differs():
    "Of tests between equals a twentieth falls below .05, or fewer as the values are few."
    p = [sign_flip(right_of(.7, 2, 40, seed=2 * k), right_of(.7, 2, 40, seed=2 * k + 1)) for k in range(400)]
    assert .01 < np.mean(np.array(p) <= .05) < .08


def test_holm_is_its_steps():
    p = np.random.default_rng(0).random(12) ** 3
    slow, largest = np.empty(12), 0.
    for step, k in enumerate(sorted(range(12), key=lambda k: p[k])):
        largest = max(largest, (12 - step) * p[k])
        slow[k] = min(1, largest)
    assert np.allclose(holm(p), slow) and (holm(p) >= p).all() and (holm(p) <= np.minimum(1, 12 * p) + 1e-12).all()
    assert len(holm([])) == 0 and holm([.2])[0] == .2
    for bad in ([1.2], [np.nan], [-.1]):
        with pytest.raises(ValueError, match="from 0 to 1"):
            holm(bad)


# --- tables ----------------------------------------------------------------------------------------------------------

def test_compare_has_all_pairs_and_both_kinds_of_clips():
    tables = {"a": right_of(.9), "b": right_of(.6, seed=1), "c": right_of(.6, 1, seed=2)}
    frame = compare([r for row, right in tables.items() for r in results_of(row, right)])
    assert len(frame) == 6 and set(frame["tests"]) == {3}
    line = frame[(frame["first"] == "a") & (frame["second"] == "b")].set_index("on")
    for on, part in (("official", slice(0, None)), ("leak_free", slice(10, None))):
        a, b = tables["a"][:, part], tables["b"][:, part]
        assert line.loc[on, "difference"] == pytest.approx(100 * (a.mean() - b.mean())) and line.loc[on, "p"] == pytest.approx(sign_flip(a, b))
        assert line.loc[on, "low"] < line.loc[on, "difference"] < line.loc[on, "high"] and line.loc[on, "clips"] == a.shape[1]
        mine = frame[frame["on"] == on]
        assert np.allclose(mine["corrected"], holm(mine["p"]))
    assert line.loc["official", "corrected"] < .01 and line.loc["official", "seeds"] == "3 and 3"
    one = compare([*results_of("c", tables["c"]), *results_of("b", tables["b"][:1])])
    assert set(one["test"]) == {"McNemar"} and one["p"].iloc[0] == pytest.approx(mcnemar(tables["c"][0], tables["b"][0]))


def test_no_leak_no_leak_free_row():
    frame = compare([*results_of("a", right_of(.9), leaked=0), *results_of("b", right_of(.6), leaked=0)])
    assert list(frame["on"]) == ["official"]


def test_intervals_hold_mean_and_spread():
    right = right_of(.7)
    frame = intervals(results_of("a", right)).set_index("on")
    each = 100 * right[:, 10:].mean(1)
    assert frame.loc["leak_free", "mean"] == pytest.approx(each.mean()) and frame.loc["leak_free", "spread"] == pytest.approx(each.std(ddof=1))
    assert frame.loc["official", "low"] < frame.loc["official", "mean"] < frame.loc["official", "high"]
    assert np.isnan(intervals(results_of("a", right[:1]))["spread"]).all()


@pytest.mark.parametrize("changes", [{"protocol": "q"}, {"fingerprint": "g"}, {"data": "e"}, {"evaluation": "nearest"}])
def test_what_was_measured_elsewhere_is_kept_apart(changes):
    a, b, other = results_of("a", right_of(.9)), results_of("b", right_of(.6)), results_of("b", right_of(.6), **changes)
    assert len(methods_of([*a, *b, *other])) == 2 and len(compare([*a, *b, *other])) == 2, "a and b only"
    with pytest.raises(ValueError, match=f"different {next(iter(changes))}"):
        same_clips(answers(a), answers(other))
    with pytest.raises(ValueError, match="nothing to compare"):
        compare([*a, *other])
    with pytest.raises(ValueError, match=f"{next(iter(changes))} differ"):
        answers([b[0], other[1]])


def test_other_settings_are_another_row():
    a, b = results_of("a", right_of(.9)), results_of("a", right_of(.8), settings={"fraction": .1})
    assert [m.name for m in methods_of([*a, *b])[0]] == ["a, fraction None", "a, fraction 0.1"]
    draws = [r | {"settings": {"draw": k}} for k in range(2) for r in b]
    assert len(methods_of(draws)[0][0].seeds) == 6, "draws of labels are repetitions of one row"
    asked = [r | {"asked": {"with": "linear", "representation": "z_clr"}} for r in a]
    assert [m.name for m in methods_of([*a, *asked])[0]] == ["a", "a, z_clr"]


def test_bad_input_is_one_sentence():
    a = results_of("a", right_of(.9))
    cases = {"row a has no predictions: measure it again": [{k: v for k, v in a[0].items() if k != "predictions"}],
             "row a: seed 0 twice": [a[0], a[1], a[0]], "measured on other clips": [a[0], results_of("a", right_of(.9, clips=50))[1]],
             "no results": [], "predictions are damaged": [a[0] | {"predictions": a[0]["predictions"] | {"truth": [1]}}]}
    for words, wrong in cases.items():
        with pytest.raises(ValueError, match=words) as error:
            answers(wrong)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="a and b were measured on other clips"):
        compare([*a, *results_of("b", right_of(.9, clips=50))])
    have, said = with_predictions([*a, *({k: v for k, v in r.items() if k != "predictions"} for r in results_of("old", right_of(.9)))])
    assert len(have) == 3 and said == ["row old has no predictions: measure it again"]


def test_disagreements_and_confusions():
    right = right_of(.7)
    other = right.copy()
    other[:, 3], right[:, 3], other[:, 5], right[:, 5] = True, False, False, True
    first, second = answers(results_of("a", right)), answers(results_of("b", other))
    frame = disagreements(first, second)
    assert list(frame["clip"]) == ["c5", "c3"] and list(frame["difference"]) == [1, -1] and frame["leaked"].all()
    slow = np.zeros((4, 4))
    for seed in range(3):
        for truth, guess in zip(first.truth, first.predicted[seed], strict=True):
            slow[truth, guess] += 1 / 3
    assert np.allclose(confused(first, 4), slow) and np.isclose(slow.sum(), 60)
    with pytest.raises(ValueError, match="more than 3 classes"):
        confused(first, 3)


def test_compare_two_refuses_other_clips():
    with pytest.raises(ValueError, match="other clips"):
        compare_two(answers(results_of("a", right_of(.9))), answers(results_of("b", right_of(.9, clips=30))))


def test_it_is_quick():
    first, second = right_of(.9, clips=464), right_of(.8, clips=464, seed=1)
    began = perf_counter()
    bootstrap(first, second)
    bootstrap(first, second, over_seeds=True)
    sign_flip(first, second)
    assert perf_counter() - began < 1
