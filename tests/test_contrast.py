"Eq. 7 and its relatives against slow loops, and across processes."
import math

import numpy as np
import pytest
import torch
import torch.multiprocessing as multiprocessing
from torch import distributed

from skelbench.contrast import chance_level, decoupled_contrast, distillation_loss, gather, info_nce, key_view, queue_chance, velocity, vicreg


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


# --- CRRL's terms and VICReg

def test_vicreg_is_the_formula():
    torch.manual_seed(0)
    a, b = 0.5 * torch.randn(11, 4), torch.randn(11, 4)

    def spread(z):
        c = torch.cov(z.T)
        return (1 - (c.diagonal() + 1e-4).sqrt()).clamp(min=0).mean(), (c.square().sum() - c.diagonal().square().sum()) / 4
    (va, ca), (vb, cb) = spread(a), spread(b)
    wanted = 25 * (a - b).square().mean() + 25 * (va + vb) + ca + cb
    assert vicreg(a, b).item() == pytest.approx(wanted.item(), rel=1e-5)
    assert vicreg(a, b, 1, 0, 0).item() == pytest.approx((a - b).square().mean().item(), rel=1e-5)
    wide = 10 * torch.linalg.qr(torch.randn(11, 4) - 0).Q  # apart, uncorrelated up to their means
    assert vicreg(wide, wide, 25, 25, 0).item() == pytest.approx(0, abs=1e-6), "nothing to pay where views agree and every number has its spread"


def test_vicreg_does_not_collapse_and_bad_views():
    same = torch.zeros(6, 3, requires_grad=True)
    loss = vicreg(same, same)
    loss.backward()
    assert loss.item() == pytest.approx(50 * (1 - 0.01), rel=1e-4) and same.grad.isfinite().all()
    for a, b in ((torch.zeros(4, 2), torch.zeros(5, 2)), (torch.zeros(1, 2), torch.zeros(1, 2))):
        with pytest.raises(ValueError, match="2 rows"):
            vicreg(a, b)


def test_velocity_ends_with_the_clip():
    values = torch.arange(5.0).square().view(1, 1, 5, 1, 1)
    seen = torch.ones(1, 1, 5, 1, dtype=torch.bool)
    assert velocity(values, seen)[0].flatten().tolist() == [1, 3, 5, 7, 7]  # Eq. 2: the last step again
    seen[:, :, 3:] = False
    steps, known = velocity(values, seen)
    assert steps.flatten().tolist() == [1, 3, 3, 0, 0] and known.flatten().tolist() == [True, True, True, False, False]
    seen[:, :, 1:] = False
    steps, known = velocity(values, seen)
    assert (steps == 0).all() and known.flatten().tolist() == [True, False, False, False, False]  # one frame stands still
    assert not velocity(values, seen & False)[1].any()


def test_distillation_teaches_one_way():
    teacher, student = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    loss = distillation_loss(teacher, student)
    loss.backward()
    assert loss.item() == pytest.approx((teacher - student).square().mean().item()) and teacher.grad is None
    with pytest.raises(ValueError, match="same rows"):
        distillation_loss(teacher, student[:2])


def test_key_views():
    torch.manual_seed(0)
    values, known = torch.randn(400, 1, 6, 5, 3), torch.rand(400, 1, 6, 5) > 0.2
    values = values * known[..., None]
    made, seen = key_view("noise", values, known)
    assert (made - values)[seen].std().item() == pytest.approx(0.05, rel=0.05) and (made[~known] == 0).all()
    turned, _ = key_view("rotation", values, known)
    assert torch.allclose(turned.norm(dim=-1), values.norm(dim=-1), atol=1e-4) and not torch.allclose(turned, values)
    slanted, _ = key_view("shear", values, known)
    matrix = torch.linalg.lstsq(values[0].flatten(0, 2), slanted[0].flatten(0, 2)).solution
    assert torch.allclose(matrix.diagonal(), torch.ones(3), atol=1e-4) and matrix.abs().max() <= 1 + 1e-4
    steps, both = key_view("velocity", values, known, 3.0)
    assert torch.equal(steps, 3 * velocity(values, known)[0]) and torch.equal(both, velocity(values, known)[1])


def test_queue_chance():
    loss = info_nce(torch.randn(7, 4), torch.ones(7, 4), torch.ones(64, 4), 0.1)
    assert queue_chance(64) == pytest.approx(math.log(65)) == pytest.approx(loss.item(), abs=1e-5)
