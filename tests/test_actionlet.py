"The actionlet and the mixing: formulas against slow loops, the gradient that must not vanish, and what must not change a map."
import math

import pytest
import torch
from torch.nn import functional as F

from skelbench.actionlet import (
    actionlet_scores,
    anchor_of,
    difference_activation,
    distance_from_mean,
    joint_speed,
    moves,
    normalised_map,
    region,
    semantic_pool,
    similarity_mining,
    smooth,
    static_anchor,
    upsample,
    where_seen,
)
from skelbench.mixing import cut_region, motion_adaptive, others, skeleton_adain, skeleton_mix, strong_noise
from skelbench.momentum import projector
from skelbench.skeleton import BODY17, KINECT20


@pytest.fixture
def clips():
    torch.manual_seed(0)
    joints, valid = torch.randn(5, 2, 12, 17, 3).cumsum(2) / 4, torch.rand(5, 2, 12, 17) > 0.15
    valid[3, 1] = False  # nobody
    return joints * valid[..., None], valid


@pytest.fixture
def features():
    torch.manual_seed(1)
    there = torch.ones(4, 2, 3, 17, dtype=torch.bool)
    there[2, 1] = False
    there[1, 0, 2] = False
    return torch.randn(4, 2, 6, 3, 17).relu() * there[:, :, None], there, torch.randn(1, 1, 6, 3, 17).relu(), projector(6, 6, 5)


# --- the anchor

def test_anchor_is_eq_2(clips):
    joints, valid = clips
    slow = torch.zeros(12, 17, 3)
    for t in range(12):
        for v in range(17):
            seen = [joints[i, m, t, v] for i in range(5) for m in range(2) if valid[i, m, t, v]]
            slow[t, v] = sum(seen) / len(seen)
    assert torch.allclose(static_anchor([clips]), slow, atol=1e-6)
    assert torch.allclose(static_anchor((joints[i : i + 2], valid[i : i + 2]) for i in (0, 2, 4)), slow, atol=1e-6)  # streamed
    assert static_anchor([(joints, valid & False)]).eq(0).all()
    with pytest.raises(ValueError, match="no clips"):
        static_anchor([])


def test_anchor_at_another_length():
    anchor = torch.arange(5.0)[:, None, None].expand(5, 2, 3)
    assert torch.allclose(anchor_of(anchor, 9)[:, 0, 0], torch.linspace(0, 4, 9)) and anchor_of(anchor, 1).shape == (1, 2, 3)


# --- the map

def slow_map(h, there, anchor, head, relative):
    "Eq. 3-5 one clip at a time, each with a backward pass of its own."
    maps, similarities = [], []
    for i in range(len(h)):
        x = h[i].clone().requires_grad_()
        cells = [(m, t, v) for m in range(x.shape[0]) for t in range(x.shape[2]) for v in range(x.shape[3]) if there[i, m, t, v]]
        z = head((sum(x[m, :, t, v] for m, t, v in cells) / len(cells))[None])[0]
        z_bar = head(anchor[0, 0].mean((1, 2))[None])[0]
        similarity = (z @ z_bar) / (z.norm() * z_bar.norm())  # Eq. 3
        (gradient,) = torch.autograd.grad(-similarity, x)
        alpha = [sum(max(0.0, float(gradient[m, c, t, v])) for m, t, v in cells) / gradient[:, 0].numel() for c in range(x.shape[1])]  # Eq. 4
        found = torch.zeros_like(there[i], dtype=torch.float)
        for m, t, v in cells:  # Eq. 5
            found[m, t, v] = max(0.0, sum(a * float(h[i, m, c, t, v] - (anchor[0, 0, c, t, v] if relative else 0)) for c, a in enumerate(alpha)))
        maps.append(found)
        similarities.append(similarity.item())
    return torch.stack(maps), similarities


@pytest.mark.parametrize("relative", [False, True])
def test_difference_activation_is_eq_3_to_5(features, relative):
    h, there, anchor, head = features
    found, similarity, gradient = difference_activation(h, there, anchor, head, relative)
    slow, similarities = slow_map(h, there, anchor, head, relative)
    assert torch.allclose(found, slow, atol=1e-7, rtol=1e-4) and similarity.tolist() == pytest.approx(similarities, abs=1e-5)
    assert (gradient.flatten(1).abs().amax(1) > 1e-6).all(), "the gradient must not vanish"
    assert (found.flatten(1).std(1) > 0).all(), "the map must not be constant"


def test_a_cosine_over_a_dimension_of_one_would_vanish(features):
    "What goes wrong where the cosine is taken over the wrong dimension: the guard of the test before sees it."
    h, there, anchor, head = features
    gradient = difference_activation(h, there, anchor, lambda x: head(x)[:, :1])[2]
    assert gradient.abs().max() < 1e-6


def test_clips_of_a_batch_do_not_meet(features):
    h, there, anchor, head = features
    whole = difference_activation(h, there, anchor, head)[0]
    alone = torch.cat([difference_activation(h[i : i + 1], there[i : i + 1], anchor, head)[0] for i in range(4)])
    assert torch.allclose(whole, alone, atol=1e-7)


def test_one_backward_pass_and_nothing_left_behind(features, monkeypatch):
    h, there, anchor, head = features
    calls, real = [], torch.autograd.grad
    monkeypatch.setattr(torch.autograd, "grad", lambda *a, **k: calls.append(1) or real(*a, **k))
    with torch.no_grad():
        difference_activation(h, there, anchor, head)
    assert len(calls) == 1 and h.grad is None and all(p.grad is None for p in head.parameters())


def test_smoothing_is_a_mean_with_the_neighbours():
    torch.manual_seed(0)
    found = torch.rand(2, 1, 3, 20)
    neighbours = {v: {v} | {b for a, b in KINECT20.bones if a == v} | {a for a, b in KINECT20.bones if b == v} for v in range(20)}
    slow = torch.stack([found[..., sorted(near)].mean(-1) for v, near in sorted(neighbours.items())], -1)
    assert torch.allclose(smooth(found, KINECT20), slow, atol=1e-6)
    assert torch.equal(smooth(found, KINECT20, 0), found) and torch.allclose(smooth(torch.ones(20), KINECT20, 3), torch.ones(20))


# --- from a map to a region

def test_normalisation_and_its_edges():
    torch.manual_seed(0)
    found, there = torch.rand(4, 1, 3, 17) * 7 + 2, torch.ones(4, 1, 3, 17, dtype=torch.bool)
    found[1] = 3.0  # the same everywhere
    there[2] = False  # nothing seen
    there[3, 0, 1] = False
    found[3, 0, 1] = 1e6  # not seen: has no say
    scaled = normalised_map(found, there, torch.tensor([True, True, True, True]))
    assert scaled[0].min() == 0 and scaled[0].max() == 1 and scaled[1].eq(0).all() and scaled[2].eq(0).all()
    assert scaled[3][there[3]].max() == 1 and scaled[3, 0, 1].eq(0).all() and scaled.isfinite().all()
    assert torch.allclose(normalised_map(5 * found + 1, there), normalised_map(found, there), atol=1e-5)  # scale and offset do not matter
    assert normalised_map(found, there, torch.tensor([False] * 4)).eq(0).all()


def test_thresholds_zero_and_one():
    found = torch.tensor([0.0, 0.3, 1.0]).view(1, 1, 1, 3)
    assert region(found, 0.0).tolist() == [[[[False, True, True]]]] and not region(found, 1.0).any() and region(found, 0).dtype == torch.bool
    for threshold in (-0.1, 1.1):
        with pytest.raises(ValueError, match="from 0 to 1"):
            region(found, threshold)


def test_a_clip_without_motion_does_not_move(clips):
    joints, valid = clips
    still = joints[:, :, :1].expand(-1, -1, 12, -1, -1)
    assert moves(joints, valid).all() and not moves(still, valid).any() and not moves(joints, valid & False).any()
    assert not moves(joints[:, :, :1], valid[:, :, :1]).any()  # one frame
    lost = joints.clone()
    lost[~valid] = 1e9  # what was not seen does not move
    assert not moves(torch.where(valid[..., None], still, lost), valid).any()


def test_upsampling():
    found = torch.tensor([0.0, 4.0, 2.0]).view(1, 1, 3, 1)
    assert upsample(found, 6, 2).flatten().tolist() == [0, 2, 4, 3, 2, 2]
    assert torch.equal(upsample(found, 3, 1), found)
    assert upsample(torch.rand(2, 1, 7, 5), 50, 8).shape == (2, 1, 50, 5)  # T' = ceil(T / stride)


# --- pooling, baselines, scores, mining

def test_semantic_pool_is_eq_8(features):
    h, there, _, _ = features
    A = torch.rand(there.shape) * there
    A[3] = 0
    slow = torch.zeros(4, 6)
    for i in range(4):
        weights = A[i] if i < 3 else there[i].float()
        for m in range(2):
            for t in range(3):
                for v in range(17):
                    slow[i] += h[i, m, :, t, v] * weights[m, t, v] / weights.sum()
    assert torch.allclose(semantic_pool(h, A, there), slow, atol=1e-5)
    assert torch.allclose(semantic_pool(h, 3 * A, there), slow, atol=1e-5)
    assert torch.allclose(semantic_pool(h, torch.ones_like(A)), h.mean((1, 3, 4)), atol=1e-6)  # weight one: the plain mean
    with pytest.raises(ValueError, match="weights"):
        semantic_pool(h, A[:, :, :2])


def test_where_seen():
    valid = torch.zeros(1, 2, 5, 4, dtype=torch.bool)
    valid[0, 0, 2, 1] = True
    assert where_seen(valid, 2).shape == (1, 2, 3, 4) and where_seen(valid, 2)[0, 0].all(-1).tolist() == [False, True, False]


def test_baselines(clips):
    joints, valid = clips
    speed, far = joint_speed(joints, valid), distance_from_mean(joints, valid)
    anchor = static_anchor([clips])
    for i, m, t, v in ((0, 0, 0, 3), (1, 1, 5, 7), (2, 0, 11, 16), (4, 1, 6, 2)):
        steps = [float((joints[i, m, b, v] - joints[i, m, a, v]).norm()) for a, b in ((t - 1, t), (t, t + 1))
                 if a >= 0 and b < 12 and valid[i, m, a, v] and valid[i, m, b, v]]
        assert float(speed[i, m, t, v]) == pytest.approx(sum(steps) / len(steps) if valid[i, m, t, v] and steps else 0, abs=1e-6)
        path = [joints[i, m, u, v] for u in range(12) if valid[i, m, u, v]]
        assert float(far[i, m, t, v]) == pytest.approx(float((joints[i, m, t, v] - sum(path) / len(path)).norm()) * bool(valid[i, m, t, v]), abs=1e-5)
        near = float((joints[i, m, t, v] - anchor[t, v]).norm()) * bool(valid[i, m, t, v])
        assert float(distance_from_mean(joints, valid, anchor)[i, m, t, v]) == pytest.approx(near, abs=1e-5)
    turn = torch.linalg.qr(torch.randn(3, 3))[0]
    assert torch.allclose(joint_speed((joints @ turn + 2) * valid[..., None], valid), speed, atol=1e-5)  # any camera, any place
    assert torch.allclose(distance_from_mean((joints @ turn + 2) * valid[..., None], valid), far, atol=1e-5)


def test_scores():
    truth, valid = torch.zeros(3, 1, 4, 5, dtype=torch.bool), torch.ones(3, 1, 4, 5, dtype=torch.bool)
    truth[0, 0, :2, 1] = truth[1, 0, 3, 2:4] = True  # the third clip has nothing that acts
    found = truth.float()
    assert actionlet_scores(found, truth, valid) == {"iou": 1.0, "average_precision": 1.0, "chance": pytest.approx(0.1), "clips": 2}
    found[0, 0, 0, 0] = found[0, 0, 0, 1] = 0.5  # one wrong, one as high as a wrong one
    assert actionlet_scores(found, truth, valid, 0.4)["iou"] == pytest.approx((2 / 3 + 1) / 2)
    valid[0, 0, 0, 0] = False  # not observed: not scored
    assert actionlet_scores(found, truth, valid, 0.4)["iou"] == 1
    with pytest.raises(ValueError, match="no joint that acts|no clip"):
        actionlet_scores(found, truth & False, valid)


def test_similarity_mining_is_eq_9():
    torch.manual_seed(0)
    q, k, bank = torch.randn(3, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True), torch.randn(6, 4)
    rows = []
    for a, b in zip(q, k):
        def p(z, tau):
            s = [math.exp(float(F.cosine_similarity(z, m, dim=0)) / tau) for m in bank]
            return [x / sum(s) for x in s]
        rows.append(-sum(y * math.log(x) for x, y in zip(p(a, 0.1), p(b, 0.04))))
    loss = similarity_mining(q, k, bank)
    assert loss.item() == pytest.approx(sum(rows) / 3, rel=1e-4)
    loss.backward()
    assert q.grad.abs().min() > 0 and k.grad is None
    assert similarity_mining(q, k, bank[:1].expand(6, 4)).item() == pytest.approx(math.log(6), rel=1e-5)
    for bad in ({"temperature_query": 0}, {"temperature_key": -1}):
        with pytest.raises(ValueError, match="positive"):
            similarity_mining(q, k, bank, **bad)


# --- mixing

def test_partners_are_others():
    for n in (1, 2, 3, 40):
        partner = others(n)
        assert sorted(partner.tolist()) == list(range(n)) and (n == 1 or all(int(p) != i for i, p in enumerate(partner)))


def test_adain_leaves_alone_what_it_cannot_style(clips):
    joints, valid = clips
    partner = torch.tensor([3, 2, 1, 0, 4])
    styled = skeleton_adain(joints, valid, partner, p=1.0)
    assert torch.equal(styled[~valid], joints[~valid]) and styled.isfinite().all()
    assert torch.equal(styled[0, 1], joints[0, 1])  # its partner has no second person
    assert not torch.equal(styled[0, 0], joints[0, 0]) and torch.allclose(styled[4], joints[4], atol=1e-5)
    still = torch.zeros_like(joints) + joints[:, :, :1]
    assert skeleton_adain(still, torch.ones_like(valid), partner, p=1.0).abs().max() < 50  # the ratio is limited
    with pytest.raises(ValueError, match="limit"):
        skeleton_adain(joints, valid, partner, limit=0.5)


def test_mixing_takes_only_what_both_have(clips):
    joints, valid = clips
    partner = others(5)
    for shares in ((1, 0, 0), (0, 1, 0), (0, 0, 1), (0.5, 0.25, 0.25)):
        mixed = skeleton_mix(joints, valid, partner, BODY17, shares)
        assert torch.equal(mixed[~valid], joints[~valid]) and mixed.isfinite().all()
        assert torch.equal(mixed[3, 1], joints[3, 1])
    for shares in ((0, 0, 0), (1, 1), (-1, 1, 1)):
        with pytest.raises(ValueError, match="shares"):
            skeleton_mix(joints, valid, partner, BODY17, shares)


def test_cut_regions_are_limbs_for_a_while():
    torch.manual_seed(0)
    area, start, length = cut_region(torch.zeros(200, 1, 50, 17, 3), BODY17)
    per_frame = area[:, 0].any(2).sum(1)
    assert per_frame.min() >= 12 and per_frame.max() <= 20 and torch.equal(per_frame[:, None], length)
    limbs = torch.stack([area[:, 0][..., list(j)].any(2).any(1) for j in BODY17.limbs.values()], 1).sum(1)
    assert set(limbs.tolist()) == {2, 3} and (start + length <= 50).all()


def test_noise_and_regions(clips):
    joints, valid = clips
    with pytest.raises(ValueError, match="noise"):
        strong_noise(joints, valid, -0.1)
    with pytest.raises(ValueError, match="non-actionlet, full"):
        motion_adaptive(joints, valid, valid, BODY17, "rest")
    with pytest.raises(ValueError, match="non-actionlet, full"):
        motion_adaptive(joints, valid, valid, BODY17, noise_region="rest")
    acting = valid & (torch.arange(17) < 6)
    out = motion_adaptive(joints, valid, acting, BODY17)
    assert torch.equal(out[acting], joints[acting]) and torch.equal(out[~valid], joints[~valid])  # Eq. 7
    assert (out != joints).any(-1)[valid & ~acting].all()
    assert (motion_adaptive(joints, valid, acting, BODY17, None, "full") != joints).any(-1)[valid].all()
    only = motion_adaptive(joints, valid, acting, BODY17, "full", None)  # mixing without noise
    assert (only != joints).any() and (only == joints).all(-1)[valid].any()
    assert motion_adaptive(joints, valid, acting, BODY17, None, None) is joints
