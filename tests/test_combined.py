"Combined and the temporal CNN: gradients, masks, two stages, whitening, and what cannot be meant."
import json
import math

import pytest
import torch
from torch import nn

from skelbench.clips import SkeletonBatch
from skelbench.combined import CONTRASTS, Combined, contrast_between
from skelbench.contrast import decoupled_contrast, info_nce
from skelbench.focal import focal_contrast
from skelbench.skeleton import BODY17, KINECT20, NTU25
from skelbench.streams import ALL_STREAMS, channels_of, fixed_length, stream
from skelbench.temporal import ENCODERS, TemporalBlock, TemporalCNN, make_encoder
from skelbench.training import fit, load
from skelbench.whitening import Whitening

TINY = {"network": {"blocks": ((8, 2), (8, 2))}, "projector": (16, 12), "latent": 6}


def build(skeleton=BODY17, seed=0, **options):
    torch.manual_seed(seed)
    options = TINY | options
    if options.get("encoder") == "gru" and options["network"] is TINY["network"]:
        options["network"] = {"width": 4}
    return Combined(skeleton, **options)


def fake(clips=6, people=1, frames=12, skeleton=BODY17, missing=0.1, seed=0) -> SkeletonBatch:
    "Wobbling rest poses with joints missing."
    generator = torch.Generator().manual_seed(seed)
    rest, body = torch.tensor(skeleton.rest), torch.zeros(len(skeleton), 3)
    for joint, parent in skeleton.bones:
        body[joint] = body[parent] + 0.25 * rest[joint]
    wobble = torch.randn(clips, people, frames, len(skeleton), 3, generator=generator).cumsum(2) * 0.03
    joints = body + wobble + torch.randn(clips, people, 1, 1, 3, generator=generator) + torch.tensor([0, 1.0, 3.0])
    valid = torch.rand(clips, people, frames, len(skeleton), generator=generator) >= missing
    code = torch.zeros(clips, dtype=torch.long)
    return SkeletonBatch(joints * valid[..., None], valid, code, code, code, torch.arange(clips), code + frames, torch.arange(clips))


@pytest.fixture(scope="module")
def batch():
    return fake()


# --- the temporal CNN

def test_temporal_sizes():
    net = TemporalCNN(KINECT20)
    assert net.width == 128 and net.stride == 4 and 350_000 < sum(p.numel() for p in net.parameters()) < 450_000
    assert net.frames(torch.randn(2, 1, 32, 20, 3)).shape == (2, 1, 128, 8, 1)
    assert net.frames(torch.randn(2, 1, 33, 20, 3)).shape[3] == 9 and net(torch.randn(2, 3, 5, 20, 3)).shape == (2, 3, 128)
    with pytest.raises(ValueError, match=r"\(N, M, T, 20, 3\)"):
        net(torch.randn(2, 1, 32, 17, 3))
    with pytest.raises(ValueError, match="kernel must be odd"):
        TemporalCNN(KINECT20, kernel=4)


@pytest.mark.parametrize("training", [False, True])
def test_temporal_ignores_what_was_not_seen(training):
    torch.manual_seed(0)
    net = TemporalCNN(BODY17, blocks=((8, 2), (6, 1), (8, 2))).train(training)
    values, valid = torch.randn(4, 2, 11, 17, 3), torch.rand(4, 2, 11, 17) > 0.3
    valid[1, 0, 3:5], valid[2, 1] = False, False
    out = net(values.masked_fill(~valid[..., None], 0), valid)
    assert torch.allclose(net(values.masked_fill(~valid[..., None], float("nan")), valid), out)
    padded = nn.functional.pad(values, (0, 0, 0, 0, 0, 9), value=7.0), nn.functional.pad(valid, (0, 0, 0, 9))
    assert torch.allclose(net(*padded), out, atol=1e-5), "frames past the end change nothing, in training neither"
    assert not out[2, 1].any() and out.isfinite().all()


def test_temporal_gradients_stay_finite_and_inside():
    net = TemporalCNN(BODY17, blocks=((8, 2), (8, 2)))
    values, valid = torch.randn(3, 1, 9, 17, 3, requires_grad=True), torch.rand(3, 1, 9, 17) > 0.3
    net(values, valid).square().sum().backward()
    assert values.grad.isfinite().all() and not values.grad[~valid].any() and values.grad[valid].any()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in net.parameters())
    block = TemporalBlock(8, 8, 1)
    assert block.shortcut is None


@pytest.mark.parametrize("name", ENCODERS)
def test_encoders_speak_alike(name, batch):
    torch.manual_seed(0)
    options = {"temporal": TINY["network"], "stgcn": {"blocks": ((8, 2), (8, 2)), "dropout": 0.0}, "gru": {"width": 4}}[name]
    for which in ALL_STREAMS:
        net = make_encoder(name, BODY17, channels_of(which, BODY17), **options).eval()
        values, seen = stream(which, batch.joints, batch.valid, BODY17)
        out, frames = net(values, seen), net.frames(values, seen)
        assert out.shape == (6, 1, net.width) and frames.shape[:3] == (6, 1, net.width) and frames.dim() == 5
        assert frames.shape[4] == (17 if name == "stgcn" else 1)
    with pytest.raises(ValueError, match="temporal, stgcn, gru"):
        make_encoder("transformer", BODY17, 3)


# --- contrast and whitening

def test_contrast_is_the_bench_functions():
    torch.manual_seed(0)
    a, b = torch.randn(5, 7), torch.randn(5, 7)
    rows, clip, camera = torch.cat([a, b]), torch.arange(5).repeat(2), torch.arange(2).repeat_interleave(5)
    assert torch.allclose(contrast_between(a, b, "decoupled"), decoupled_contrast(rows, clip, 0.1))
    assert torch.allclose(contrast_between(a, b, "decoupled", 0.2, True), focal_contrast(rows, clip, camera, 0.2))
    assert torch.allclose(contrast_between(a, b, "info_nce"), (info_nce(a, b, None, 0.1) + info_nce(b, a, None, 0.1)) / 2)
    with pytest.raises(ValueError, match="at least 2"):
        contrast_between(a[:1], b[:1], "vicreg")


def test_focal_info_nce_against_a_loop():
    torch.manual_seed(0)
    a, b, total = torch.randn(4, 5), torch.randn(4, 5), 0
    for x, y in ((a, b), (b, a)):
        for r in range(4):
            cos = [torch.cosine_similarity(x[r], y[k], dim=0).item() for k in range(4)]
            pull = 1 / (1 + math.exp(-(1 - cos[r])))
            push = 1 / (1 + math.exp(-sum(1 + c for c in cos) / 4))
            total += (push * math.log(sum(math.exp(c / 0.1) for c in cos)) - pull * cos[r] / 0.1) / 8
    assert contrast_between(a, b, "info_nce", 0.1, True).item() == pytest.approx(total, rel=1e-5)


def test_whitening():
    torch.manual_seed(0)
    rows = torch.randn(4000, 5) @ torch.diag(torch.tensor([4.0, 2, 1, 0.5, 0.25])) @ torch.randn(5, 5) + 3
    for power in (0.0, 0.5, 1.0):
        whiten = Whitening(5, power, momentum=1.0)
        assert torch.equal(whiten(rows), rows), "no statistics yet: nothing is changed"
        whiten.update(rows)
        before, after = torch.linalg.eigvalsh(rows.T.cov()), torch.linalg.eigvalsh(whiten(rows).T.cov())
        wanted = (before.clamp(min=1e-3 * before[-1]) ** -power * before).sort().values
        assert torch.allclose(after, wanted, rtol=2e-2), power
        assert power == 0 or whiten(rows).mean(0).abs().max() < 1e-3
    many = Whitening(5, 0.5, momentum=0.1)
    for part in rows.split(100):
        many.update(part)
    assert torch.allclose(many.mean / many.weight, rows.mean(0), atol=0.6)
    with pytest.raises(ValueError, match="whiten"):
        Whitening(5, 2.0)


# --- the method

@pytest.mark.parametrize("options", [
    {}, {"encoder": "stgcn", "network": {"blocks": ((8, 2), (8, 2))}}, {"encoder": "gru"}, {"contrast": "info_nce"}, {"contrast": "decoupled"},
    {"contrast": "info_nce", "focal": True}, {"contrast": "decoupled", "focal": True}, {"contrast": None, "reconstruction": "mse", "swap": False},
    {"reconstruction": "saturating", "streams": "joint"}, {"streams": ALL_STREAMS, "whiten": 0.0, "relative": False},
], ids=lambda o: " ".join(f"{k}={v}" for k, v in o.items() if k != "network") or "default")
def test_every_combination_takes_a_step(options, batch):
    model = build(**options)
    optimizers = model.optimizers(model.recipe())
    total, terms = model.loss(batch)
    total.backward()
    assert all(v.isfinite() and not v.requires_grad for v in terms.values())
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.encoders.parameters() if p.requires_grad)
    [o.step() for o in optimizers.values()]
    assert total.item() == pytest.approx(sum(model.weights[k] * v.item() for k, v in terms.items() if k != "spread"), rel=1e-5)
    model.eval()
    features = model.embed(batch)
    assert features.shape == (6, 1, len(model.streams) * model.width) and features.isfinite().all()
    apart = build(**options | {"joined": False})
    apart.load_state_dict(model.state_dict())
    apart = apart.eval().embed(batch)
    assert apart.shape == (6, len(model.streams), model.width) and torch.allclose(nn.functional.normalize(apart, dim=-1).flatten(1), features[:, 0])
    again = Combined(BODY17, **json.loads(json.dumps(model.arguments)))
    again.load_state_dict(model.state_dict())
    assert again.arguments == model.arguments and torch.equal(again.eval().embed(batch), features)
    assert model.parts()["total"] == sum(p.numel() for p in model.parameters())
    held = [id(p) for o in optimizers.values() for g in o.param_groups for p in g["params"]]
    assert sorted(held) == sorted(id(p) for p in model.parameters())
    assert model.frames(batch).requires_grad and model.frames(batch).shape[:3] == (6, len(model.streams), 1)


def test_chance_is_what_blind_encoders_pay(batch):
    for kind in CONTRASTS[1:3]:
        for focal in (False, True):
            model = build(contrast=kind, focal=focal, streams="joint")
            rows = torch.eye(12)[:6], torch.eye(12)[6:]    # every cosine is zero
            assert contrast_between(*rows, kind, 0.1, focal).item() == pytest.approx(model.chance(6)["contrast"], rel=1e-5)
    assert build().chance(6) == {}


def test_streams_meet_each_other_or_only_themselves(batch, monkeypatch):
    import skelbench.combined as module
    met = []
    monkeypatch.setattr(module, "contrast_between", lambda a, b, *_: met.append((a, b)) or a.sum() * 0 + 2)
    for across, pairs in ((True, 9), (False, 3)):
        met.clear()
        terms = build(across=across, streams=("joint", "motion", "geometry")).loss(batch)[1]
        assert len(met) == pairs and terms["contrast"].item() == pytest.approx(6), "the same weight with and without"


def test_scene_pairs_meet_across_cameras(batch, monkeypatch):
    import skelbench.combined as module
    model, seen = build(streams="joint", views=()), []
    monkeypatch.setattr(module, "contrast_between", lambda a, b, *_: seen.append((a, b)) or a.sum())
    model.eval()
    clips = batch.replace(scene=torch.tensor([0, 0, 1, 1, 2, 2]))
    model.optimizers(model.recipe(pairs="scenes"))
    model.loss(clips)
    model.optimizers(model.recipe())
    model.loss(clips)
    (first, other), (same, own) = seen
    assert torch.allclose(same, own) and torch.allclose(first, same)
    assert torch.allclose(other, first[[1, 0, 3, 2, 5, 4]])


def test_absent_people_and_short_clips():
    model, clips = build(reconstruction="saturating"), fake(5, people=2)
    clips.valid[0, 1], clips.valid[2] = False, False
    total, terms = model.loss(clips)
    total.backward()
    assert total.isfinite() and all(p.grad.isfinite().all() for p in model.parameters())
    model.eval()
    assert not model.embed(clips)[2].any() and not model.reconstruct(clips)[2].any() and not model.frames(clips)[0, :, 1].any()
    assert not model.embed(clips[2:3]).any()
    assert model.reconstruct(clips).shape == clips.joints.shape
    assert model.loss(fake(4, frames=1))[0].isfinite()


def test_people_and_decoders_that_are_not_there(batch):
    alone = batch.replace(valid=batch.valid.clone())
    alone.valid[1:] = False
    with pytest.raises(ValueError, match="at least 2 people"):
        build().loss(alone)
    with pytest.raises(ValueError, match="no decoder"):
        build().reconstruct(batch)


# --- two stages

def test_a_teacher_is_frozen_and_learned_from(batch):
    teacher, student = build(streams="motion"), build(seed=1, streams="joint", teacher=8)
    with pytest.raises(ValueError, match="no teacher"):
        student.loss(batch)
    student.start_from(teacher)
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    optimizer, history = torch.optim.Adam(student.parameters(), 1e-2), []
    for _ in range(30):
        total, terms = student.loss(batch)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(terms["distill"].item())
    assert history[-1] < 0.5 * history[0]
    assert all(torch.equal(value, before[name]) for name, value in student.teacher.state_dict().items()), "the teacher stays as it was"
    assert not any("teacher" in name for name in student.state_dict())
    for wrong, options in ((student, {"teacher": 0}), (nn.Linear(2, 2), {"teacher": 8}), (build(NTU25), {"teacher": 8})):
        with pytest.raises(ValueError, match="teacher"):
            build(**options).start_from(wrong)
    narrow = build(teacher=5)
    narrow.start_from(teacher)
    with pytest.raises(ValueError, match="8 numbers.*teacher=5"):
        narrow.loss(batch)


def test_a_run_is_saved_loaded_and_resumed(synthetic, tmp_path):
    options = {"skeleton": synthetic.skeleton, "streams": ("joint", "geometry")}
    settings = {"batch_size": 32, "frames": 16, "probes": 4}
    whole = build(**options)
    fit(whole, synthetic, whole.recipe(epochs=3, **settings), to=tmp_path / "whole", progress=False, device="cpu")
    broken = build(**options)
    recipe = broken.recipe(epochs=3, **settings)
    step, steps = broken.after_step, []

    def killed():
        step()
        steps.append(1)
        if len(steps) == 5:
            raise KeyboardInterrupt
    broken.after_step = killed
    with pytest.raises(KeyboardInterrupt):
        fit(broken, synthetic, recipe, to=tmp_path / "broken", progress=False, device="cpu")
    fresh = build(seed=9, **options)
    fit(fresh, synthetic, recipe, to=tmp_path / "broken", resume=True, progress=False, device="cpu")
    clips = fixed_length(synthetic, 16)[:8]
    assert torch.equal(fresh.eval().embed(clips), whole.eval().embed(clips))
    assert torch.equal(load(tmp_path / "broken", device="cpu").model.embed(clips), whole.embed(clips))
    assert float(whole.whitenings["joint"].weight) > 0, "whitening is part of the run"


def test_it_learns(synthetic):
    clips = fixed_length(synthetic, 16)[:48]
    model = build(synthetic.skeleton, contrast="info_nce", across=False, network={"blocks": ((32, 2), (32, 2))}, projector=(64, 32))
    optimizer, history = torch.optim.Adam(model.parameters(), 3e-3), []
    for _ in range(25):
        total, terms = model.loss(clips)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        history.append(terms["contrast"].item())
    assert sum(history[-5:]) / 5 < 0.6 * model.chance(48)["contrast"] and terms["spread"] > 0.3
