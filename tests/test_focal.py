"FoCoViL's contrast and focal weights against slow loops over the formulas, their gradients, and what must not change them."
import math

import pytest
import torch

from skelbench.focal import cosines, focal_contrast, focal_weights, focalize, multi_view_contrast, view_chance, view_pairs, weighted_contrast


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def slow(features, scene, camera, tau, focal=False, frozen=None):
    "Eq. 3, or Eq. 5-6, clip by clip and camera by camera; with `frozen` the weights are those of other features."
    def cosine(x, y): return sum(p * q for p, q in zip(x, y)) / math.sqrt(sum(p * p for p in x) * sum(q * q for q in y))
    r, weigh = ([[cosine(x, y) for y in rows.tolist()] for x in rows.tolist()] for rows in (features, features if frozen is None else frozen))
    scene, camera, losses = scene.tolist(), camera.tolist(), []
    for a in range(len(features)):
        total, found = 0.0, False
        for v in sorted(set(camera) - {camera[a]}):
            pair = [b for b in range(len(features)) if scene[b] == scene[a] and camera[b] == v]
            others = [b for b in range(len(features)) if scene[b] != scene[a] and camera[b] in (camera[a], v)]
            if not pair or not others:
                continue
            found, n = True, len(others)
            minus = sigmoid(sum(1 + weigh[a][b] for b in others) / n) if focal else 1.0
            for b in pair:
                plus = sigmoid(1 - weigh[a][b]) if focal else 1.0
                bracket = plus * math.log(math.exp(r[a][b] / tau)) - minus * math.log(sum(math.exp(r[a][o] / tau) for o in others))
                total -= bracket / len(pair)  # Eq. 6 as printed
        if found:
            losses.append(total)
    return sum(losses) / len(losses)


CASES = {
    "two cameras": ([0, 1, 2, 3] * 2, [0] * 4 + [1] * 4),
    "three cameras": ([0, 1, 2] * 3, [5] * 3 + [2] * 3 + [9] * 3),
    "holes": ([0, 0, 0, 1, 1, 2, 2, 3, 4], [0, 1, 2, 0, 2, 1, 2, 0, 1]),
    "two people": ([0, 0, 0, 0, 1, 1, 2, 2, 2], [0, 0, 1, 1, 0, 1, 0, 1, 1]),
}


@pytest.fixture(params=CASES, ids=str)
def rows(request):
    scene, camera = map(torch.tensor, CASES[request.param])
    return torch.randn(len(scene), 6, generator=torch.Generator().manual_seed(len(scene)), dtype=torch.float64), scene, camera


@pytest.mark.parametrize("tau", [0.1, 0.5, 1.0, 2.0])
def test_against_the_formulas(rows, tau):
    assert multi_view_contrast(*rows, tau).item() == pytest.approx(slow(*rows, tau), abs=1e-4)
    assert focal_contrast(*rows, tau).item() == pytest.approx(slow(*rows, tau, focal=True), abs=1e-4)
    assert focal_contrast(*rows, tau, gradient=False).item() == pytest.approx(slow(*rows, tau, focal=True), abs=1e-4)


def test_full_weights_are_equation_3(rows):
    features, scene, camera = rows
    pairs = view_pairs(scene, camera)
    ones = weighted_contrast(cosines(features), *pairs, 0.5, torch.ones(len(scene), len(scene)), torch.ones(len(scene)))
    assert torch.allclose(ones, multi_view_contrast(features, scene, camera))


@pytest.mark.parametrize("gradient", [True, False])
def test_gradient_is_the_slow_loop_s(gradient):
    "Finite differences of the slow loop; without gradient through the weights, with the weights held where they are."
    scene, camera = map(torch.tensor, CASES["holes"])
    features = torch.randn(len(scene), 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64, requires_grad=True)
    (found,) = torch.autograd.grad(focal_contrast(features, scene, camera, 0.5, gradient), features)
    here, step = features.detach(), 1e-4
    for row, axis in ((0, 0), (3, 2), (8, 1), (5, 0)):
        sides = []
        for sign in (1, -1):
            moved = here.clone()
            moved[row, axis] += sign * step
            sides.append(slow(moved, scene, camera, 0.5, focal=True, frozen=None if gradient else here))
        assert found[row, axis].item() == pytest.approx((sides[0] - sides[1]) / (2 * step), abs=2e-3)


def test_gradient_directions():
    scene, camera = torch.arange(6).repeat(2), torch.arange(2).repeat_interleave(6)
    positive, negative = view_pairs(scene, camera)
    for gradient in (True, False):
        similarity = (torch.rand(12, 12, generator=torch.Generator().manual_seed(0)) * 1.8 - 0.9).requires_grad_()
        focalize(similarity, positive, negative, 0.5, gradient).backward()
        pulled, pushed = positive.any(0), negative.any(0)
        assert (similarity.grad[pulled] < 0).all() and (similarity.grad[pushed] > 0).all()
        assert (similarity.grad[~pulled & ~pushed] == 0).all()  # a clip with itself


def test_weights():
    r = torch.tensor([[-1.0, 0.0, 1.0]])
    every = torch.ones(1, 3, dtype=torch.bool)
    pull, push = focal_weights(r, every, every)
    assert torch.allclose(pull[0], torch.tensor([sigmoid(2), sigmoid(1), sigmoid(0)]))
    assert push.item() == pytest.approx(sigmoid(1))  # the mean of 0, 1 and 2
    for value, wanted in ((-1.0, 0.5), (1.0, sigmoid(2))):
        assert focal_weights(torch.full((1, 3), value), ~every, every)[1].item() == pytest.approx(wanted)
    assert focal_weights(r, ~every, ~every)[0].sum() == 0 and focal_weights(r, ~every, ~every)[1].sum() == 0
    r.requires_grad_()
    assert not any(w.requires_grad for w in focal_weights(r, every, every, gradient=False))
    assert all(w.requires_grad for w in focal_weights(r, every, every))


def test_weights_with_cameras_are_equation_5(rows):
    features, scene, camera = rows
    r, (positive, negative) = cosines(features), view_pairs(scene, camera)
    pull, push = focal_weights(r, positive, negative)
    for v in range(len(positive)):
        for a in range(len(scene)):
            others = [float(r[a, b]) for b in range(len(scene)) if negative[v, a, b]]
            assert push[v, a].item() == pytest.approx(sigmoid(sum(1 + x for x in others) / len(others)) if others else 0, abs=1e-5)
            for b in range(len(scene)):
                assert pull[v, a, b].item() == pytest.approx(sigmoid(1 - float(r[a, b])) if positive[v, a, b] else 0, abs=1e-5)


@pytest.mark.parametrize("loss", [multi_view_contrast, focal_contrast])
def test_invariances(loss, rows):
    features, scene, camera = rows
    value, order = loss(features, scene, camera), torch.randperm(len(scene))
    turn = torch.linalg.qr(torch.randn(6, 6, dtype=torch.float64))[0]
    assert torch.allclose(value, loss(features[order], scene[order], camera[order]))
    assert torch.allclose(value, loss(features * torch.rand(len(scene), 1).add(0.1), scene, camera), atol=1e-5)
    assert torch.allclose(value, loss(features @ turn, scene, camera), atol=1e-5)
    assert torch.allclose(value, loss(features, 100 - 3 * scene, 50 - camera))


@pytest.mark.parametrize("loss", [multi_view_contrast, focal_contrast])
def test_rows_that_count_nowhere(loss, rows):
    features, scene, camera = rows
    for extra in (0.0, 7.0):
        more = torch.cat([features, torch.full((2, 6), extra)]).requires_grad_()
        valid = torch.arange(len(more)) < len(features)
        value = loss(more, torch.cat([scene, scene[:2]]), torch.cat([camera, camera[-2:]]), valid=valid)
        assert torch.allclose(value, loss(features, scene, camera), atol=1e-6)
        value.backward()
        assert torch.isfinite(more.grad).all() and (more.grad[-2:] == 0).all()


@pytest.mark.parametrize("scene, camera", [([0, 0], [0, 1]), ([0, 1, 2], [0, 0, 0]), ([0, 1], [0, 1])], ids=["one scene", "one camera", "no pair"])
def test_nothing_to_compare(scene, camera):
    features = torch.randn(len(scene), 4, requires_grad=True)
    loss = focal_contrast(features, torch.tensor(scene), torch.tensor(camera))
    loss.backward()
    assert loss == 0 and (features.grad == 0).all() and view_chance(torch.tensor(scene), torch.tensor(camera)) == 0


def test_collapsed_features_have_a_gradient():
    features = torch.ones(8, 4) + 1e-3 * torch.randn(8, 4, generator=torch.Generator().manual_seed(0))
    features.requires_grad_()
    focal_contrast(features, torch.arange(4).repeat(2), torch.arange(2).repeat_interleave(4)).backward()
    assert torch.isfinite(features.grad).all() and features.grad.abs().max() > 1e-4


def test_chance():
    scene, camera = torch.arange(32).repeat(2), torch.arange(2).repeat_interleave(32)
    assert view_chance(scene, camera) == pytest.approx(math.log(62), abs=1e-5)  # 2 I - 2
    assert view_chance(scene, camera, focal=True) == pytest.approx(sigmoid(1) * math.log(62), abs=1e-5)
    scene, camera = torch.arange(10).repeat(3), torch.arange(3).repeat_interleave(10)
    assert view_chance(scene, camera) == pytest.approx(2 * math.log(18), abs=1e-5)  # summed over the two other cameras


@pytest.mark.parametrize("temperature", [0, 0.0, -1, math.nan, math.inf])
def test_temperature(temperature):
    for loss in (multi_view_contrast, focal_contrast):
        with pytest.raises(ValueError) as error:
            loss(torch.randn(4, 3), torch.tensor([0, 0, 1, 1]), torch.tensor([0, 1, 0, 1]), temperature)
        assert "temperature must be positive" in str(error.value) and "\n" not in str(error.value)


def test_rows_must_match():
    with pytest.raises(ValueError, match="R scenes and R cameras"):
        multi_view_contrast(torch.randn(4, 3), torch.arange(3), torch.arange(4))


def test_on_a_queue():
    "Any contrastive loss: queries, keys and a queue."
    generator = torch.Generator().manual_seed(0)
    query, key, queue = (torch.randn(n, 5, generator=generator) for n in (4, 4, 9))
    similarity = cosines(query, torch.cat([key, queue]))
    positive, negative = torch.eye(4, 13, dtype=torch.bool), (torch.arange(13) >= 4).expand(4, -1)
    wanted = []
    for a in range(4):
        r = similarity[a].tolist()
        plus, minus = sigmoid(1 - r[a]), sigmoid(sum(1 + x for x in r[4:]) / 9)
        wanted.append(-plus * r[a] / 0.2 + minus * math.log(sum(math.exp(x / 0.2) for x in r[4:])))
    assert focalize(similarity, positive, negative, 0.2).item() == pytest.approx(sum(wanted) / 4, abs=1e-5)


def test_half_precision_is_left_alone():
    features, scene, camera = torch.randn(8, 16), torch.arange(4).repeat(2), torch.arange(2).repeat_interleave(4)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(focal_contrast(features, scene, camera, 0.1), focal_contrast(features.float(), scene, camera, 0.1))
        assert cosines(features.bfloat16()).dtype == torch.float32
