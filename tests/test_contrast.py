"Eq. 7 and its relatives against slow loops, and across processes."
import math

import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing
from torch import distributed

from skelbench.contrast import chance_level, decoupled_contrast, gather, info_nce


def slow_contrast(z, group, tau, valid):
    rows, losses = [i for i in range(len(z)) if valid[i]], []
    for i in rows:
        positives = sum(math.exp(float(z[i] @ z[p]) / tau) for p in rows if p != i and group[p] == group[i])
        negatives = sum(math.exp(float(z[i] @ z[n]) / tau) for n in rows if group[n] != group[i])
        if positives and negatives:
            losses.append(-math.log(positives / negatives))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("temperature", [0.2, 1.0])
def test_decoupled_contrast_is_eq_7(normalise, temperature):
    torch.manual_seed(1)
    z, group, valid = torch.randn(24, 6), torch.randint(0, 5, (24,)), torch.rand(24) > 0.25
    seen = torch.nn.functional.normalize(z, dim=1) if normalise else z
    slow = slow_contrast(seen, group, temperature, valid)
    assert decoupled_contrast(z, group, temperature, normalise, valid).item() == pytest.approx(slow, abs=1e-4)


def test_absent_rows_count_nowhere():
    torch.manual_seed(2)
    z, group, valid = torch.randn(18, 5), torch.arange(6).repeat(3), torch.ones(18, dtype=torch.bool)
    valid[[3, 7, 8]] = False
    alone = decoupled_contrast(z[valid], group[valid], 0.2)
    noisy = torch.where(valid[:, None], z, 100 * torch.randn_like(z)).requires_grad_()
    loss = decoupled_contrast(noisy, group, 0.2, valid=valid)
    assert loss.item() == pytest.approx(alone.item(), abs=1e-5)
    loss.backward()
    assert (noisy.grad[~valid] == 0).all() and (noisy.grad[valid] != 0).any(1).all()


def test_positives_are_not_in_the_denominator():
    # two clips, two rows each: bringing a clip's own rows together by dx lowers the loss by exactly dx / tau
    def loss(cosine):
        z = torch.tensor([[1.0, 0, 0, 0], [cosine, math.sqrt(1 - cosine**2), 0, 0], [0, 0, 1, 0], [0, 0, cosine, math.sqrt(1 - cosine**2)]])
        return decoupled_contrast(z, torch.tensor([0, 0, 1, 1]), 0.5).item()
    assert loss(0.9) - loss(0.5) == pytest.approx(-0.4 / 0.5, abs=1e-5)


def test_rows_without_positive_or_negative_give_no_nan():
    z = torch.randn(3, 4, requires_grad=True)
    loss = decoupled_contrast(z, torch.tensor([0, 0, 0]))  # no negative anywhere
    loss.backward()
    assert loss.item() == 0 and (z.grad == 0).all()
    z = torch.zeros(5, 4, requires_grad=True)  # rows of length zero
    decoupled_contrast(z, torch.tensor([0, 0, 1, 1, 2])).backward()
    assert z.grad.isfinite().all()


def test_group_numbers_do_not_matter():
    z, group = torch.randn(20, 4), torch.randint(0, 4, (20,))
    other = torch.tensor([30, 7, 1000, 2])[group]
    assert torch.equal(decoupled_contrast(z, group), decoupled_contrast(z, other))


def test_float32_under_mixed_precision():
    z, group = torch.randn(20, 16), torch.arange(5).repeat(4)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(decoupled_contrast(z, group), decoupled_contrast(z.clone(), group))
        mixed = decoupled_contrast(z, group)
    assert mixed.dtype == torch.float32 and torch.equal(mixed, decoupled_contrast(z, group))


def test_chance_level_is_all_equal():
    group, valid = torch.randint(0, 6, (40,)), torch.rand(40) > 0.3
    assert chance_level(group, valid) == pytest.approx(decoupled_contrast(torch.ones(40, 3), group, valid=valid).item(), abs=1e-4)
    assert chance_level(torch.arange(64).repeat(6)) == pytest.approx(math.log(63 * 6 / 5))
    assert chance_level(torch.zeros(4, dtype=torch.long)) == 0


def test_info_nce():
    torch.manual_seed(0)
    q, k, queue = (torch.nn.functional.normalize(torch.randn(n, 5), dim=1) for n in (4, 4, 9))
    slow = [-math.log(math.exp(q[i] @ k[i] / 0.3) / (math.exp(q[i] @ k[i] / 0.3) + sum(math.exp(q[i] @ n / 0.3) for n in queue))) for i in range(4)]
    assert info_nce(3 * q, k, queue, 0.3).item() == pytest.approx(sum(slow) / 4, abs=1e-5)
    slow = [-math.log(math.exp(q[i] @ k[i] / 0.3) / sum(math.exp(q[i] @ n / 0.3) for n in k)) for i in range(4)]
    assert info_nce(q, k, temperature=0.3, normalise=False).item() == pytest.approx(sum(slow) / 4, abs=1e-5)


@pytest.mark.parametrize("call, word", [
    (lambda: decoupled_contrast(torch.randn(4, 2), torch.arange(4), 0.0), "temperature"),
    (lambda: decoupled_contrast(torch.randn(4, 2), torch.arange(4), float("nan")), "temperature"),
    (lambda: decoupled_contrast(torch.randn(4, 2), torch.arange(3)), "groups"),
    (lambda: info_nce(torch.randn(4, 2), torch.randn(4, 2), temperature=-1), "temperature"),
    (lambda: info_nce(torch.randn(1, 2), torch.randn(1, 2)), "2 rows"),
    (lambda: info_nce(torch.randn(3, 2), torch.randn(4, 2)), "key"),
])
def test_bad_input(call, word):
    with pytest.raises(ValueError, match=word):
        call()


def share(rank, path, out):
    "One of two processes: the gradient that data-parallel training ends up with (the mean over the processes)."
    distributed.init_process_group("gloo", init_method=f"file://{path}", rank=rank, world_size=2)
    x, group, valid, weight = case()
    part = slice(6 * rank, 6 * rank + 6)
    decoupled_contrast(gather(x[part] @ weight), gather(group[part]), 0.3, valid=gather(valid[part])).backward()
    distributed.all_reduce(weight.grad)
    if rank == 0:
        np.save(out, (weight.grad / 2).numpy(), allow_pickle=False)
    distributed.destroy_process_group()


def case():
    generator = torch.Generator().manual_seed(0)
    x, group = torch.randn(12, 4, generator=generator), torch.tensor([0, 0, 1, 1, 2, 2, 0, 3, 3, 4, 4, 1])
    return x, group, torch.arange(12) % 5 > 0, torch.randn(4, 3, generator=generator).requires_grad_()


def test_gather_alone():
    x = torch.randn(3, requires_grad=True)
    assert gather(x) is x


@pytest.mark.slow
def test_two_processes_have_the_gradient_of_one(tmp_path):
    multiprocessing.spawn(share, (tmp_path / "store", tmp_path / "gradient.npy"), nprocs=2)
    x, group, valid, weight = case()
    decoupled_contrast(x @ weight, group, 0.3, valid=valid).backward()
    assert np.allclose(np.load(tmp_path / "gradient.npy", allow_pickle=False), weight.grad, atol=1e-6)
