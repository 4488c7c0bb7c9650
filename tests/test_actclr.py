"ActCLR put together: its sizes, its step against a slow one, where gradients go, two stages, and what must not change its results."
import math

import pytest
import torch
from fakes import fake
from torch.nn import functional as F

from skelbench import actclr
from skelbench.actclr import REPRESENTATIONS, ActCLR
from skelbench.skeleton import BODY17, NTU25
from skelbench.streams import fixed_length
from skelbench.training import fit, load

TINY = {"preset": "small", "streams": ("joint",), "blocks": ((8, 2), (8, 2)), "projection": 6, "queue": 16, "anchor_frames": 8, "batch_negatives": False}


def build(skeleton=BODY17, seed=0, **options):
    torch.manual_seed(seed)
    model = ActCLR(skeleton, **(TINY | options))
    model.anchor.copy_(fake(20, frames=8, skeleton=skeleton, seed=9).joints.mean((0, 1)))
    return model


@pytest.fixture(scope="module")
def batch():
    return fake()


# --- sizes and arguments

def test_parameters_are_the_papers():
    found = ActCLR(NTU25).parts()
    assert found["encoder"] == 821_380 and found["encoder"] + found["projector"] == 920_068
    assert found == {"encoder": 821_380, "projector": 98_688, "key_encoder": 821_380, "key_projector": 98_688, "total": 2 * 920_068}
    three = ActCLR(NTU25, streams=("joint", "motion", "bone"), queue=8)
    assert three.parts()["encoder"] == 821_380 and three.parts()["total"] == 6 * 920_068


def test_the_papers_recipe():
    recipe = ActCLR(BODY17, blocks=((8, 2),), queue=4).recipe()
    assert (recipe.epochs, recipe.batch_size, recipe.frames) == (300, 128, 50)  # Sec. 4.1
    found = build().optimizers(recipe)
    assert set(found) == {"encoder"} and isinstance(found["encoder"], torch.optim.Adam) and build().recipe(epochs=3, frames=20).frames == 20


def test_banks_and_streams_that_do_not_fit(batch, synthetic):
    with pytest.raises(ValueError, match="97.*96 clips.*at most 96"):
        build(queue=97).check(synthetic)
    build(queue=96).check(synthetic)
    with pytest.raises(ValueError, match="joint"):
        build().actionlet(batch, "bone")
    assert build(weights={"mining": 0.5}).weights == {"contrast": 1.0, "mining": 0.5}


def test_prepare_is_the_mean_of_the_placed_set(synthetic):
    model = build()
    model.prepare(synthetic)
    clips = fixed_length(synthetic, 8)
    joints = actclr.place(clips, BODY17)[0]
    slow = (joints * clips.valid[..., None]).sum((0, 1)) / clips.valid.sum((0, 1))[..., None]
    assert torch.allclose(model.anchor, slow, atol=1e-4) and "anchor" in model.state_dict()


# --- one step against the formulas

def plain(steps, joints, valid, actionlet):
    return joints, valid, actionlet


def slow_feature(encoder, project, joints, valid, weights):
    "A clip through encoder, weighted mean (Eq. 8) and projector, place by place."
    h = encoder.frames(joints[None], valid[None])[0]  # (M, D, T', V)
    total, out = 0.0, 0
    for m in range(h.shape[0]):
        for t in range(h.shape[2]):
            for v in range(h.shape[3]):
                w = float(weights[m, t * encoder.stride, v]) * float(valid[m, t * encoder.stride].any())
                out, total = out + w * h[m, :, t, v], total + w
    return project((out / total)[None])[0]


@pytest.mark.parametrize("safp, among", [("offline", False), ("online", True), ("both", False), (None, True)])
def test_a_step_is_equations_1_8_and_9(safp, among, batch, monkeypatch):
    model = build(safp=safp, batch_negatives=among, adain=0.0, mix_region=None, noise_region=None).eval()  # clips do not meet in the norms
    model.projectors["joint"][0].weight.data += 0.1 * torch.randn_like(model.projectors["joint"][0].weight)  # the two networks differ
    monkeypatch.setattr(actclr, "_view", plain)
    joints, valid = actclr.place(batch, BODY17)[0], batch.valid
    found = actclr._map(model, "joint", joints, valid)
    actionlet = found > model.threshold
    total, terms = model.loss(batch)
    bank, pairs, contrast, mining = model.queues["joint"].keys, [], [], []
    def sim(a, b): return float(F.cosine_similarity(a, b, dim=0))
    with torch.no_grad():
        for i in range(4):
            everywhere = torch.ones_like(valid[i])
            z_q = slow_feature(model.encoders["joint"], model.projectors["joint"], joints[i], valid[i],
                               actionlet[i] if safp in ("online", "both") else everywhere)
            z_k = slow_feature(model.key_encoders["joint"], model.key_projectors["joint"], joints[i], valid[i],
                               actionlet[i] if safp in ("offline", "both") else everywhere)
            pairs.append((z_q, z_k))
        for i, (z_q, z_k) in enumerate(pairs):
            own, others = math.exp(sim(z_q, z_k) / 0.1), [math.exp(sim(z_q, m) / 0.1) for m in bank]
            more = [math.exp(sim(z_q, k) / 0.1) for j, (_, k) in enumerate(pairs) if among and j != i]
            contrast.append(-math.log(own / (own + sum(others) + sum(more))))  # Eq. 1
            p_k = [math.exp(sim(z_k, m) / 0.04) for m in bank]
            mining.append(-sum(b / sum(p_k) * math.log(a / sum(others)) for a, b in zip(others, p_k)))  # Eq. 9
    assert terms["contrast"].item() == pytest.approx(sum(contrast) / 4, rel=1e-3) and terms["mining"].item() == pytest.approx(sum(mining) / 4, rel=1e-3)
    assert total.item() == pytest.approx(terms["contrast"].item() + terms["mining"].item(), rel=1e-5)


def test_chance(batch):
    model = build(streams=("joint", "bone"))
    assert model.chance(4) == {"contrast": pytest.approx(2 * math.log(17)), "mining": pytest.approx(2 * math.log(16))}
    assert build(batch_negatives=True).chance(4)["contrast"] == pytest.approx(math.log(20))
    assert set(build(stage="moco").chance(4)) == {"contrast"} == set(build(stage="moco").loss(batch)[1])
    assert set(build(weights={"contrast": 0}).chance(4)) == {"mining"} == set(build(weights={"contrast": 0}).loss(batch)[1])


# --- views

def test_the_actionlet_rides_along():
    torch.manual_seed(0)
    clips = fake(6, people=2, missing=0.0)
    actionlet = torch.rand(clips.valid.shape) > 0.5
    mirror = list(BODY17.mirror)
    for steps, undo in (((("time_flip", {"p": 1.0}),), lambda x: x.flip(2)), ((("flip", {"p": 1.0}),), lambda x: x[..., mirror])):
        joints, valid, mask = actclr._view(actclr.augmentation_steps(steps, BODY17), clips.joints, clips.valid, actionlet)
        assert torch.equal(undo(mask), actionlet) and valid.all() and joints.shape == clips.joints.shape
    steps = actclr.augmentation_steps((("temporal_crop", {}), ("shear", {}), ("noise", {}), ("blur", {})), BODY17)
    marked = clips.joints.clone()
    marked[..., 0] = torch.arange(12.0)[:, None]  # x holds the frame
    mask = torch.zeros_like(clips.valid)
    mask[:, :, 5] = True
    joints, _, moved = actclr._view(steps[:1], marked, clips.valid, mask)
    assert torch.equal(joints[..., 0] == 5, moved)


def test_rest_is_transformed_and_the_actionlet_is_not(batch, monkeypatch):
    model = build(adain=0.0)
    monkeypatch.setattr(actclr, "_view", plain)
    joints, valid = actclr.place(batch, BODY17)[0], batch.valid
    online, offline = actclr._views(model, "joint", joints, valid)
    acting = online[2] & valid
    assert acting.any() and torch.equal(online[0][acting], joints[acting]) and (online[0] != joints).any(-1)[valid & ~acting].all()
    assert torch.equal(offline[0], joints)
    model.noise_region = "full"
    assert (actclr._views(model, "joint", joints, valid)[0][0] != joints).any(-1)[valid].all()
    model.noise_region = model.mix_region = None
    assert torch.equal(actclr._views(model, "joint", joints, valid)[0][0], joints)


# --- where gradients go

def touched(model, batch):
    model.zero_grad()
    model.loss(batch)[0].backward()
    return {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}


@pytest.mark.parametrize("options", [{}, {"stage": "moco"}, {"safp": "both"},
                                     {"weights": {"contrast": 0}}, {"source": "speed"}, {"source": "features"}, {"source": "relative"}])
def test_only_the_online_networks_learn(options, batch):
    model = build(**options)
    assert touched(model, batch) == {"encoders", "projectors"}
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    held = {id(p) for o in model.optimizers(model.recipe()).values() for g in o.param_groups for p in g["params"]}
    assert held == {id(p) for p in model.parameters() if p.requires_grad}


def test_after_a_step_the_offline_networks_follow_and_the_bank_moves(batch):
    model = build(momentum=0.9)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    model.loss(batch)[0].backward()
    for optimizer in model.optimizers(model.recipe(learning_rate=0.1)).values():
        optimizer.step()
    key = model.keys["joint"].clone()
    weight = model.encoders["joint"].blocks[0].graph.weight.detach()
    model.after_step()
    assert torch.allclose(model.key_encoders["joint"].blocks[0].graph.weight,
                          0.9 * before["key_encoders.joint.blocks.0.graph.weight"] + 0.1 * weight, atol=1e-6)
    bank = model.queues["joint"].keys
    assert torch.allclose(bank[:4], F.normalize(key, dim=1)) and torch.equal(bank[4:], before["queues.joint.keys"][4:]) and model.queues["joint"].pointer == 4
    assert torch.equal(model.anchor, before["anchor"])


# --- the actionlet

def test_the_map_is_not_constant_and_its_gradient_not_zero(synthetic):
    clips = fixed_length(synthetic, 16)[:32]
    model = build(queue=16)
    model.prepare(synthetic)
    for _ in range(8):
        model.loss(clips)  # the batch norms take note of the set
    found, actionlet = model.eval().actionlet(clips)
    spread = torch.stack([row[seen].std() for row, seen in zip(found, clips.valid)])
    assert spread.min() > 0.02 and found.min() >= 0 and found.max() <= 1
    share = actionlet.flatten(1).sum(1) / clips.valid.flatten(1).sum(1)
    assert 0.02 < share.mean() < 0.98 and (actionlet <= clips.valid).all()


@pytest.mark.parametrize("source", ["difference", "relative", "features", "speed", "distance", "own_distance"])
def test_a_clip_without_motion_has_no_actionlet(source):
    clips = fake(3, missing=0.0)
    clips.joints[1] = clips.joints[1, :, :1]
    for threshold in (0.0, 0.5, 1.0):
        model = build(source=source, threshold=threshold).eval()
        found, actionlet = model.actionlet(clips)
        assert found.isfinite().all() and not actionlet[1].any() and found[1].eq(0).all()
        assert actionlet[0].any() == (threshold < 1)
        assert model.loss(clips)[0].isfinite()
        for representation in REPRESENTATIONS:
            assert model.embed(clips, representation).isfinite().all()
        assert torch.allclose(model.embed(clips, "actionlet")[1], model.embed(clips)[1], atol=1e-5)  # nothing to pool over: everything


def test_a_clip_of_one_frame_has_no_actionlet():
    clips = fake(4, people=2, frames=1, missing=0.0)
    clips.valid[2] = False
    assert not build().eval().actionlet(clips)[1].any()


def test_where_you_stand_changes_no_actionlet():
    from skelbench.geometry import rotation_about
    model, clips = build().eval(), fake(5, missing=0.0)
    turn = rotation_about("y", torch.tensor(1.0))
    moved = clips.replace(joints=clips.joints @ turn.T + torch.tensor([1.0, 0.2, -2.0]))
    for a, b in zip(model.actionlet(clips), model.actionlet(moved)):
        assert torch.allclose(a.float(), b.float(), atol=1e-3)
    assert torch.allclose(model.embed(clips), model.embed(moved), atol=1e-4)
    larger = clips.replace(joints=clips.joints * 1.7)
    assert torch.allclose(model.actionlet(clips)[0], model.actionlet(larger)[0], atol=1e-3)


def test_diagnosis(synthetic, batch):
    clips = fixed_length(synthetic, 16)[:16]
    found = build().eval().diagnose(clips)
    assert set(found) == {"actionlet_share", "actionlet_average_precision", "actionlet_iou"} and all(0 <= x <= 1 for x in found.values())
    assert set(build().eval().diagnose(batch)) == {"actionlet_share"} and build(stage="moco").diagnose(clips) == {}


# --- what must not change results

def test_absent_people_change_nothing(batch):
    model = build().eval()
    three = batch.replace(joints=torch.cat([batch.joints, 7 * torch.ones_like(batch.joints), torch.full_like(batch.joints, torch.nan)], 1),
                          valid=torch.cat([batch.valid, batch.valid & False, batch.valid & False], 1))
    for representation in REPRESENTATIONS:
        assert torch.allclose(model.embed(three, representation), model.embed(batch, representation), atol=1e-5)
    assert torch.allclose(model.actionlet(three)[0][:, :1], model.actionlet(batch)[0], atol=1e-5) and not model.actionlet(three)[1][:, 1:].any()
    assert model.frames(three)[:, :, 1:].eq(0).all() and model.frames(three).shape[:3] == (4, 1, 3)
    total, _ = model.train().loss(three)
    total.backward()
    assert total.isfinite() and all(p.grad.isfinite().all() for p in model.parameters() if p.requires_grad)


def test_input_representations_see_only_their_part(batch, monkeypatch):
    model = build().eval()
    found = actclr._map(model, "joint", actclr.place(batch, BODY17)[0], batch.valid)
    actionlet = actclr.region(found, model.threshold)
    monkeypatch.setattr(actclr, "_map", lambda *_: found)
    wild = torch.randn_like(batch.joints)
    for representation, part in (("actionlet_input", actionlet), ("rest_input", ~actionlet)):
        seen = []
        for joints in (batch.joints, torch.where(part[..., None], batch.joints, wild)):  # what is not shown may do anything
            monkeypatch.setattr(actclr, "place", lambda *_, joints=joints: (joints, None))  # alignment would see it
            seen.append(model.embed(batch, representation))
        assert torch.allclose(*seen, atol=1e-5)


# --- two stages

def test_the_second_stage_starts_from_the_first(batch):
    first, second = build(seed=1, stage="moco", momentum=0.5), build(seed=2)
    first.loss(batch)
    first.after_step()
    anchor = second.anchor.clone() + 1
    second.anchor.copy_(anchor)
    second.start_from(first)
    mine, theirs = second.state_dict(), first.state_dict()
    assert all(torch.equal(mine[name], theirs[name]) for name in theirs if name != "anchor") and torch.equal(second.anchor, anchor)
    larger = build(queue=20)
    larger.start_from(first)  # another bank: its own, the networks of the first
    name = "encoders.joint.blocks.0.time.weight"
    assert len(larger.queues["joint"].keys) == 20 and torch.equal(larger.state_dict()[name], theirs[name])


@pytest.mark.parametrize("other", [{"blocks": ((8, 2), (12, 2))}, {"streams": ("bone",)}, {"projection": 8}])
def test_a_first_stage_that_cannot_serve(other):
    with pytest.raises(ValueError, match="cannot start from.*streams joint"):
        build().start_from(build(stage="moco", **other))
    with pytest.raises(ValueError, match="cannot start from this Linear"):
        build().start_from(torch.nn.Linear(2, 2))


def test_two_stages_saved_loaded_and_resumed(tmp_path, synthetic):
    options = {"probes": 4, "batch_size": 24, "frames": 12}
    first = build(stage="moco", queue=48)
    one = fit(first, synthetic, first.recipe(epochs=1, **options), to=tmp_path / "moco", progress=False)
    def second(**keywords):
        model = build(seed=3, queue=48)
        recipe = model.recipe(epochs=2, schedule="steps", **options)
        return fit(model, synthetic, recipe, to=tmp_path / "whole", progress=False, start_from=one, **keywords)
    whole = second()
    again = load(tmp_path / "whole", ActCLR)
    clips = fixed_length(synthetic, 12)[:8]
    assert torch.equal(again.model.embed(clips), whole.model.embed(clips)) and torch.equal(again.model.anchor, whole.model.anchor)
    assert torch.equal(again.model.actionlet(clips)[0], whole.model.actionlet(clips)[0])
    assert whole.history[0]["chance_contrast"] == pytest.approx(math.log(49)) and "probe_actionlet_share" in whole.history[-1]
    (tmp_path / "whole" / "checkpoints" / "epoch_0002.safetensors").unlink()
    resumed = second(resume=True)
    assert all(torch.equal(a, b) for a, b in zip(resumed.model.state_dict().values(), whole.model.state_dict().values()))


def test_it_learns(synthetic):
    "A few steps on one batch: the contrast leaves chance."
    clips = fixed_length(synthetic, 16)[:32]
    model = build(stage="moco", queue=32, momentum=0.9, augmentation=(("shear", {"amount": 0.2}),), blocks=((16, 2), (32, 2)))
    optimizer = model.optimizers(model.recipe(learning_rate=5e-3))["encoder"]
    for _ in range(14):
        total, terms = model.loss(clips)
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        model.after_step()
    assert terms["contrast"] < 0.8 * math.log(33)
