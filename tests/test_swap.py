"SwapCLR's mechanisms, each against a slow loop written from its formula."
import math

import pytest
import torch

from skelbench.swap import (
    interpolate,
    kl_divergence,
    norm_penalty,
    partners,
    reparameterise,
    saturate,
    saturating_loss,
    squared_loss,
    step_error,
    swap,
)


@pytest.fixture
def motions():
    torch.manual_seed(0)
    prediction, target, valid = torch.randn(2, 2, 6, 4, 3), torch.randn(2, 2, 6, 4, 3), torch.rand(2, 2, 6, 4) > 0.4
    valid[1, 1] = False  # an absent person
    valid[0, 1, 3] = False  # a step without any joint
    return prediction, target, valid


def slow_steps(prediction, target, valid, term):
    steps = []
    for n in range(2):
        for m in range(2):
            for t in range(6):
                terms = [term(float(prediction[n, m, t, j, a] - target[n, m, t, j, a])) for j in range(4) if valid[n, m, t, j] for a in range(3)]
                if terms:
                    steps.append(sum(terms) / len(terms))
    return steps


@pytest.mark.parametrize("gamma", [0.5, 5.0, 60.0])
def test_saturating_loss_is_eq_6_of_each_step(motions, gamma):
    slow = [2 * (1 / (1 + math.exp(-gamma * e)) - 0.5) for e in slow_steps(*motions, abs)]
    assert saturating_loss(*motions, gamma).item() == pytest.approx(sum(slow) / len(slow), abs=1e-6)


def test_squared_loss_and_step_error(motions):
    slow = slow_steps(*motions, lambda d: d * d)
    assert squared_loss(*motions).item() == pytest.approx(sum(slow) / len(slow), abs=1e-5)
    error, counts = step_error(*motions)
    assert error[counts].tolist() == pytest.approx(slow_steps(*motions, abs), abs=1e-5)
    assert not counts[1, 1].any() and not counts[0, 1, 3] and (error[~counts] == 0).all()


@pytest.mark.parametrize("loss", [lambda p, t, v: saturating_loss(p, t, v, 5.0), squared_loss])
def test_what_is_not_valid_has_no_say(motions, loss):
    prediction, target, valid = motions
    wild = torch.where(valid[..., None], target, torch.nan)
    prediction = prediction.requires_grad_()
    value = loss(prediction, wild, valid)
    assert value.item() == pytest.approx(loss(prediction, target, valid).item(), abs=1e-6)
    value.backward()
    assert prediction.grad.isfinite().all() and (prediction.grad[~valid] == 0).all() and (prediction.grad[valid] != 0).all()


def test_nothing_valid_is_zero_and_not_nan(motions):
    prediction, target, valid = motions
    for loss in (saturating_loss(prediction.requires_grad_(), target, valid & False, 5.0), squared_loss(prediction, target, valid & False)):
        loss.backward()
        assert loss.item() == 0 and prediction.grad.isfinite().all()


def test_saturation():
    assert saturate(torch.tensor(0.0), 5.0).item() == 0
    assert saturate(torch.tensor(1e-6), 5.0).item() == pytest.approx(2.5e-6, rel=1e-5)  # linear: gamma e / 2
    error = torch.tensor([0.02, 20.0], requires_grad=True)
    saturate(error, 5.0).sum().backward()
    assert error.grad[0] > 2.4 and error.grad[1] < 1e-6  # an outlier has no pull
    assert saturate(torch.tensor(1e9), 5.0).item() == 1


def test_variational_terms():
    torch.manual_seed(0)
    mean, log_variance, valid = torch.randn(5, 3, 4), torch.randn(5, 3, 4), torch.rand(5, 3) > 0.3
    rows = [(m, v) for m, v, there in zip(mean.flatten(0, 1), log_variance.flatten(0, 1), valid.flatten()) if there]
    slow = [sum(0.5 * (math.exp(v) + m * m - 1 - v) for m, v in zip(a.tolist(), b.tolist())) for a, b in rows]
    assert kl_divergence(mean, log_variance, valid).item() == pytest.approx(sum(slow) / len(slow), abs=1e-5)  # Eq. 8
    slow = [math.sqrt(sum(m * m for m in a.tolist())) for a, _ in rows]
    assert norm_penalty(mean, valid).item() == pytest.approx(sum(slow) / len(slow), abs=1e-5)  # Eq. 9
    assert kl_divergence(torch.zeros(2, 3), torch.zeros(2, 3)).item() == 0
    zero = torch.zeros(2, 3, requires_grad=True)
    norm_penalty(zero).backward()
    assert zero.grad.isfinite().all()


def test_reparameterise():
    torch.manual_seed(0)
    mean, log_variance = torch.randn(3, requires_grad=True), torch.randn(3, requires_grad=True)
    samples = reparameterise(mean.expand(40000, 3), log_variance.expand(40000, 3))
    assert torch.allclose(samples.mean(0), mean, atol=0.06) and torch.allclose(samples.var(0), log_variance.exp(), rtol=0.05)
    samples.square().sum().backward()
    assert (mean.grad != 0).all() and (log_variance.grad != 0).all()
    state = torch.get_rng_state()
    assert torch.equal(reparameterise(mean, log_variance, sample=False), mean) and torch.equal(torch.get_rng_state(), state)


def test_swap_is_eq_10():
    z = torch.randn(10, 2, 3)
    assert all(torch.equal(swap(z)[i], z[(i + 5) % 10]) for i in range(10))
    assert torch.equal(swap(swap(z)), z)
    assert torch.equal(swap(z, partners(torch.tensor([4, 9, 2, 0, 7]))), swap(z))  # groups of one


@pytest.mark.parametrize("group", [[3, 3, 1, 3, 1], [0, 0, 0, 0, 0], [5, 1, 5, 1, 9]])
def test_partners_are_mutual_and_of_the_group(group):
    group = torch.tensor(group)
    partner = partners(group)
    assert torch.equal(partner[partner], torch.arange(10))
    for row in range(10):
        other = int(partner[row])
        assert group[row % 5] == group[other % 5] and row // 5 != other // 5  # of the same group, of the other view
        if (group == group[row % 5]).sum() > 1:
            assert row % 5 != other % 5  # another clip where there is one


def test_interpolate_is_eq_12():
    a, b = torch.randn(4, 3), torch.randn(4, 3)
    for amount in (0.0, 0.3, 1.0):
        slow = [[amount * x + (1 - amount) * y for x, y in zip(p, q)] for p, q in zip(a.tolist(), b.tolist())]
        assert torch.allclose(interpolate(a, b, amount), torch.tensor(slow))
    assert torch.equal(interpolate(a, b), b)


@pytest.mark.parametrize("call, word", [
    (lambda: saturating_loss(torch.zeros(1, 1, 3), torch.zeros(1, 1, 3), torch.ones(1, 1) > 0, 0.0), "gamma"),
    (lambda: swap(torch.zeros(3, 2)), "two views"),
    (lambda: interpolate(torch.zeros(2), torch.zeros(2), 1.5), "lambda"),
])
def test_bad_input(call, word):
    with pytest.raises(ValueError, match=word):
        call()
