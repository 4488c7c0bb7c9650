"FoCoViL put together: its sizes, its step against a slow one, where gradients go, what must not change its results, and what it refuses."
import math

import pytest
import torch

from skelbench.clips import SkeletonBatch
from skelbench.focovil import FoCoViL, frame_norm
from skelbench.geometry import align_first_frame, axis_angle_to_matrix, forward_kinematics, min_max
from skelbench.skeleton import BODY17, NTU25
from skelbench.streams import ALL_STREAMS
from skelbench.training import fit, load

TINY = {"preset": "small", "width": 8, "layers": 2}
EXACT = TINY | {"augmentation": (), "disguise": ()}


def build(skeleton=BODY17, seed=0, **options):
    torch.manual_seed(seed)
    return FoCoViL(skeleton, **(TINY | options))


def fake(scenes=3, cameras=2, people=1, frames=10, skeleton=BODY17, missing=0.1, seed=0) -> SkeletonBatch:
    "Performances that wobble, each seen from several sides, with joints missing."
    generator = torch.Generator().manual_seed(seed)
    angles = torch.randn(scenes, people, 1, len(skeleton), 3, generator=generator) * 0.4
    angles = angles + 0.3 * torch.randn(scenes, people, frames, len(skeleton), 3, generator=generator).cumsum(2) / 4
    root = torch.randn(scenes, people, 1, 3, generator=generator) + torch.tensor([0, 1.0, 3.0])
    joints = forward_kinematics(angles, torch.full((len(skeleton),), 0.25), root.expand(scenes, people, frames, 3), skeleton)
    turns = axis_angle_to_matrix(torch.tensor([[0.0, 0.8 * c, 0.0] for c in range(cameras)]))
    joints = torch.cat([joints @ turn.T for turn in turns])
    joints = joints + 0.02 * torch.randn(joints.shape, generator=generator)
    valid = torch.rand(joints.shape[:-1], generator=generator) > missing
    scene, camera = torch.arange(scenes).repeat(cameras), torch.arange(cameras).repeat_interleave(scenes)
    code = torch.zeros_like(scene)
    return SkeletonBatch(joints * valid[..., None], valid, code, code, camera, scene, code + frames, torch.arange(len(code)))


@pytest.fixture(scope="module")
def batch():
    return fake()


# --- sizes and arguments

def test_parameters():
    "Three layers of two GRUs of 1024 over 75 numbers a frame; g 1024 -> 512 -> 1024; one GRU that unrolls (Sec. 3.4, 4.1.2)."
    def gru(inputs, width): return 3 * width * (inputs + width + 2)
    with torch.device("meta"):
        paper, narrow = FoCoViL(NTU25), FoCoViL(NTU25, width=512, merge="concatenate")
    encoder = 2 * (gru(75, 1024) + 2 * gru(2048, 1024))
    g, decoder = 1024 * 512 + 512 + 512 * 1024 + 1024, gru(75, 1024) + 1024 * 75 + 75
    assert paper.parts() == {"encoder": encoder, "projector": g, "decoder": decoder, "total": encoder + g + decoder}
    assert round(encoder / 1e6, 1) == 44.5
    assert narrow.parts()["encoder"] == 2 * (gru(75, 512) + 2 * gru(1024, 512)) and round(narrow.parts()["encoder"] / 1e6, 1) == 11.3
    assert narrow.parts()["projector"] == g
    assert FoCoViL(NTU25, preset="small").parts()["total"] < 1_620_000  # Table 4


@pytest.mark.parametrize("projection, widths", [((), []), ((16,), [(16, 16)]), ((4, 16), [(16, 4), (4, 16)]), ((32, 16), [(16, 32), (32, 16)]),
                                                (None, [(16, 8), (8, 16)])])
def test_table_9(projection, widths, batch):
    model = build(projection=projection)
    layers = [m for m in model.projectors["joint"].modules() if isinstance(m, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == widths
    assert torch.isfinite(model.loss(batch)[0])


def test_what_presets_fill_in():
    model = build(alignment=None, weights={"reconstruction": 2})
    assert model.alignment is None and model.weights == {"contrast": 1.0, "reconstruction": 2}
    assert build().alignment == "body" and FoCoViL(BODY17, width=8).alignment == "first"
    assert FoCoViL(BODY17, width=8).arguments["disguise"] == [] and FoCoViL(BODY17, width=8, views="augmented").disguise


def test_the_papers_recipe():
    recipe = FoCoViL(BODY17, width=8).recipe()
    assert (recipe.learning_rate, recipe.frames, recipe.pairs, recipe.batch_size) == (1e-4, 50, "scenes", 128) and recipe.weight_decay == 0
    assert recipe.drops[0] == ("model", 67, 0.95) and FoCoViL(BODY17, width=8, views="augmented").recipe().batch_size == 64
    model = build()
    found = model.optimizers(model.recipe())
    assert [*found] == ["model"] and isinstance(found["model"], torch.optim.Adam)
    assert build(contrast=False).recipe().pairs == "augmented" and build(views="augmented").recipe(epochs=1).warmup == 0


def test_pairs_and_outputs_that_are_not_there(batch):
    model = build()
    for one_camera in (batch[:3], batch.replace(camera=batch.camera * 0), batch.replace(scene=torch.arange(6))):
        with pytest.raises(ValueError, match='filmed by two cameras.*views="augmented"'):
            model.loss(one_camera)
    for options in ({"reconstruction": False}, {"streams": "motion"}):
        with pytest.raises(ValueError, match="does not reconstruct joints"):
            build(**options).reconstruct(batch)
    for options, pairs in (({}, "augmented"), ({"views": "augmented"}, "scenes"), ({"views": "augmented"}, "shuffled")):
        with pytest.raises(ValueError, match="cannot be trained with pairs"):
            build(**options).optimizers(model.recipe(pairs=pairs))


def test_a_set_of_one_camera(synthetic):
    train = synthetic.select((synthetic.table["camera"] == 1).to_numpy())
    model = build(synthetic.skeleton)
    with pytest.raises(ValueError, match="no scene of this set was filmed by two cameras"):
        fit(model, train, model.recipe(epochs=1, batch_size=8, frames=6), progress=False)
    model = build(synthetic.skeleton, views="augmented")
    run = fit(model, train, model.recipe(epochs=1, batch_size=8, frames=6, probes=2), progress=False)
    assert math.isfinite(run.history[-1]["contrast"])


# --- one step against the formulas

@torch.no_grad()
def slow_terms(model, joints, valid, scene, camera):
    "Eq. 3-7 of prepared joints (N, M, T, V, 3), one person, frame and pair at a time."
    codes, errors = [], []
    for i in range(len(joints)):
        people = []
        for m in range(joints.shape[1]):
            if not valid[i, m].any():
                continue
            x, seen = joints[i, m], valid[i, m]
            length = max(t for t in range(len(x)) if seen[t].any()) + 1
            g = model.projectors["joint"](model.encoders["joint"].ends(x[None, :length].flatten(2)))
            made = model.decoders["joint"](None, len(x), g)[0].unflatten(1, x.shape[1:])
            steps = [sum(float((made[t, j] - x[t, j]).square().sum()) for j in range(x.shape[1]) if seen[t, j]) ** 0.5 for t in range(len(x)) if seen[t].any()]
            errors.append(sum(steps) / len(steps))  # Eq. 7
            people.append(g[0])
        codes.append(sum(people) / len(people))
    def r(a, b): return float(torch.nn.functional.cosine_similarity(codes[a], codes[b], dim=0))
    losses = []
    for a in range(len(codes)):
        total = 0.0
        for b in range(len(codes)):
            if scene[b] != scene[a] or camera[b] == camera[a]:
                continue
            others = [r(a, c) for c in range(len(codes)) if scene[c] != scene[a] and camera[c] in (camera[a], camera[b])]
            plus, minus = 1.0, 1.0
            if model.focal:
                plus, minus = 1 / (1 + math.exp(r(a, b) - 1)), 1 / (1 + math.exp(-sum(1 + x for x in others) / len(others)))  # Eq. 5
            total -= plus * r(a, b) / model.temperature - minus * math.log(sum(math.exp(x / model.temperature) for x in others))  # Eq. 6
        losses.append(total)
    return {"contrast": sum(losses) / len(losses), "reconstruction": sum(errors) / len(errors)}


@pytest.mark.parametrize("focal", ["gradient", "detached", None])
@pytest.mark.parametrize("cameras, people, scale", [(2, 1, "minmax"), (3, 2, "spine")])
def test_one_step(focal, cameras, people, scale):
    batch = fake(cameras=cameras, people=people)
    if people == 2:  # an absent person, one who leaves early
        batch.valid[0, 1], batch.valid[2, 1, 6:] = False, False
    model = FoCoViL(BODY17, **(EXACT | {"scale": scale, "alignment": "first", "focal": focal, "weights": {"reconstruction": 0.3}}))
    placed = model.place(batch)[0]
    joints = min_max(placed, batch.valid)[0] if scale == "minmax" else placed
    wanted = slow_terms(model, joints, batch.valid, batch.scene.tolist(), batch.camera.tolist())
    loss, terms = model.loss(batch)
    for name, value in wanted.items():
        assert terms[name].item() == pytest.approx(value, abs=2e-4), name
    assert loss.item() == pytest.approx(wanted["contrast"] + 0.3 * wanted["reconstruction"], abs=3e-4)
    assert 0.5 <= terms["weight_positive"] <= 0.8809 and 0.5 <= terms["weight_negative"] <= 0.8809


def test_preparation_is_the_papers(batch):
    model = FoCoViL(BODY17, width=8)
    placed, _ = model.place(batch)
    aligned = align_first_frame(batch.joints, batch.valid, BODY17).apply(batch.joints, batch.valid)
    exact = min_max(aligned, batch.valid)[0]
    assert torch.allclose(min_max(placed, batch.valid)[0], exact, atol=1e-5) and exact.abs().max() == 1
    raw = FoCoViL(BODY17, width=8, alignment=None).place(batch)[1].rotation
    assert torch.equal(raw, torch.eye(3).expand(6, 3, 3))


def test_frame_norm_by_hand():
    error = torch.tensor([[[3.0, 4.0], [0.0, 6.0]]])
    known = torch.tensor([[[True, True], [False, True]]])
    assert frame_norm(error, torch.zeros(1, 2, 2), known) == 5.5 and frame_norm(error, error * torch.nan, known & False) == 0


# --- Table 8's rows and their gradients

def reached(model, loss):
    model.zero_grad()
    loss.backward()
    return {part: any(p.grad is not None and bool((p.grad != 0).any()) for p in getattr(model, part).parameters())
            for part in ("encoders", "projectors", "decoders") if len(getattr(model, part))}


@pytest.mark.parametrize("options, parts", [
    ({}, {"encoders": True, "projectors": True, "decoders": True}),
    ({"contrast": False, "alignment": None}, {"encoders": True, "projectors": True, "decoders": True}),
    ({"reconstruction": False}, {"encoders": True, "projectors": True}),
    ({"weights": {"reconstruction": 0.0}}, {"encoders": True, "projectors": True, "decoders": False}),
    ({"pull": False, "focal": None}, {"encoders": True, "projectors": True, "decoders": True}),
    ({"push": False, "focal": None}, {"encoders": True, "projectors": True, "decoders": True}),
])
def test_gradients_reach(options, parts, batch):
    model = build(**options)
    assert reached(model, model.loss(batch)[0]) == parts


def test_plus_and_minus(batch):
    "Without either kind of pairs the contrast is the other part of Eq. 3 alone."
    whole, plus, minus = (build(**EXACT | {"focal": None} | part).loss(batch)[1]["contrast"] for part in ({}, {"push": False}, {"pull": False}))
    assert torch.allclose(whole, plus + minus, atol=1e-5)
    model = build(**EXACT)
    assert plus.item() == pytest.approx(-model.loss(batch)[1]["similarity_positive"].item() / 0.5, abs=1e-5)


def test_weights_carry_gradient_or_not(batch):
    def gradient(focal):
        model = build(**EXACT | {"focal": focal, "reconstruction": False})
        loss = model.loss(batch)[0]
        loss.backward()
        return loss.detach(), torch.cat([p.grad.flatten() for p in model.encoders.parameters()])
    (a, through), (b, stopped) = gradient("gradient"), gradient("detached")
    assert torch.allclose(a, b) and not torch.allclose(through, stopped)


def test_streams_are_independent(batch):
    model = build(streams=ALL_STREAMS)
    assert model.eval().embed(batch).shape == (6, len(ALL_STREAMS), 16)
    model = build(**EXACT | {"streams": ("joint", "bone")})
    loss, terms = model.loss(batch)
    parts = []
    for name in model.streams:  # each as if it were alone
        alone = FoCoViL(BODY17, **(EXACT | {"streams": (name,)}))
        alone.load_state_dict({key: value for key, value in model.state_dict().items() if key.split(".")[1] == name})
        parts.append(alone.loss(batch)[0])
        assert torch.allclose(alone.eval().embed(batch)[:, 0], model.eval().embed(batch)[:, model.streams.index(name)])
    assert torch.allclose(loss, sum(parts), atol=1e-5)
    assert model.chance(6)["contrast"] == pytest.approx(2 * alone.chance(6)["contrast"])
    assert 0.5 <= terms["weight_negative"] <= 0.8809


# --- what must not change the result

@pytest.mark.parametrize("alignment", ["first", "body"])
@pytest.mark.parametrize("scale", ["minmax", "spine"])
def test_turned_moved_scaled(alignment, scale):
    batch, model = fake(missing=0.0), build(alignment=alignment, scale=scale).eval()
    turn = axis_angle_to_matrix(torch.tensor([0.3, 2.0, -0.4]))
    moved = batch.replace(joints=1.3 * (batch.joints @ turn.T) + torch.tensor([1.0, -2.0, 3.0]))
    assert torch.allclose(model.embed(batch), model.embed(moved), atol=1e-4)
    back = 1.3 * (model.reconstruct(batch) @ turn.T) + torch.tensor([1.0, -2.0, 3.0])
    assert torch.allclose(model.reconstruct(moved), back, atol=1e-3)  # everything undone


@pytest.mark.parametrize("scale", ["minmax", "spine"])
def test_a_perfect_decoder_gives_the_clip_back(scale, monkeypatch):
    batch, model = fake(people=2, missing=0.0), build(scale=scale)
    batch.joints[1, 1], batch.valid[1, 1] = 0, False
    placed = model.place(batch)[0]
    truth = min_max(placed, batch.valid)[0] if scale == "minmax" else placed
    monkeypatch.setattr(model.decoders["joint"], "forward", lambda hints, frames, state: truth[batch.present].flatten(2))
    assert torch.allclose(model.reconstruct(batch), batch.joints, atol=1e-4)
    assert model.diagnose(batch)["reconstruction_mm"] < 0.1


def test_labels_and_absent_people_do_not_matter(batch):
    model = build(**EXACT).eval()
    loss = model.loss(batch)[0]
    assert torch.equal(loss, model.loss(batch.replace(label=torch.randint(9, (6,)), subject=torch.randint(9, (6,))))[0])
    joints, valid = (torch.cat([x, torch.zeros_like(x)], 1) for x in (batch.joints, batch.valid))
    wider = batch.replace(joints=joints, valid=valid)
    assert torch.allclose(loss, model.loss(wider)[0], atol=1e-5) and torch.allclose(model.embed(batch), model.embed(wider), atol=1e-5)
    assert (model.reconstruct(wider)[:, 1] == 0).all() and model.frames(wider).shape == (6, 1, 2, 10, 1, 16)
    swapped = wider.replace(joints=joints.flip(1), valid=valid.flip(1))
    assert torch.allclose(model.embed(wider), model.embed(swapped), atol=1e-5)
    order = torch.tensor([4, 2, 0, 5, 1, 3])
    assert torch.allclose(loss, model.loss(batch[order])[0], atol=1e-5)


def test_short_and_empty_clips(batch):
    model = build(**EXACT).eval()
    short = batch.replace(joints=batch.joints[:, :, :1], valid=batch.valid[:, :, :1] | True)
    assert torch.isfinite(model.loss(short)[0]) and torch.isfinite(model.embed(short)).all()
    gone = batch.replace(valid=batch.valid.clone())
    gone.valid[0] = False  # all-zero clip: counts nowhere, neither as a positive nor as a negative
    rest = batch[torch.tensor([1, 2, 4, 5])]
    alone = batch.replace(scene=torch.tensor([0, 1, 2, 9, 1, 2]))
    assert (model.embed(gone)[0] == 0).all() and torch.isfinite(model.loss(gone)[0])
    assert torch.allclose(model.loss(gone)[1]["similarity_positive"], model.loss(rest)[1]["similarity_positive"], atol=1e-5)
    assert torch.isfinite(model.loss(alone)[0])
    padded = batch.replace(joints=torch.cat([batch.joints, batch.joints * 0], 2), valid=torch.cat([batch.valid, batch.valid & False], 2))
    assert torch.allclose(model.embed(batch), model.embed(padded), atol=1e-5)
    assert torch.allclose(model.embed(batch, "average"), model.embed(padded, "average"), atol=1e-5)
    assert not torch.equal(model.embed(batch, "average"), model.embed(batch, "last"))
    nobody = batch.replace(valid=batch.valid & False)
    assert (model.embed(nobody) == 0).all() and (model.reconstruct(nobody) == 0).all()


def test_chance_is_what_random_features_give():
    for views, cameras in (("augmented", 1), ("scenes", 2), ("scenes", 3)):
        batch = fake(scenes=12, cameras=cameras, frames=3)
        model = build(views=views)
        model.cameras = max(2, cameras)
        class Random(torch.nn.Module):
            def forward(self, code): return torch.randn(len(code), 4000)
        model.projectors["joint"] = Random()
        model.reconstruction = False
        assert model.loss(batch)[1]["contrast"].item() == pytest.approx(model.chance(len(batch))["contrast"], abs=0.1)


# --- runs

def test_runs(tmp_path, synthetic):
    train = synthetic.split("xview")[0]
    def make(): return build(synthetic.skeleton, streams=("joint", "bone"))
    def recipe(model, **changes): return model.recipe(**{"epochs": 2, "batch_size": 16, "frames": 6, "probes": 4, **changes})
    model = make()
    run = fit(model, train, recipe(model), to=tmp_path / "run", progress=False)
    line = run.history[-1]
    assert {"contrast", "chance_contrast", "reconstruction", "weight_positive", "probe_reconstruction_mm"} <= set(line)
    again = load(tmp_path / "run")
    batch = train.batch(slice(0, 4))
    assert torch.equal(again.model.embed(batch), run.model.embed(batch))
    other = make()
    short = fit(other, train, recipe(other), to=tmp_path / "other", progress=False)
    assert all(torch.equal(a, b) for a, b in zip(short.model.state_dict().values(), run.model.state_dict().values()))
    shuffled = make()
    run = fit(shuffled, train, recipe(shuffled, pairs="shuffled", epochs=1), progress=False)
    assert math.isfinite(run.history[-1]["contrast"]) and run.model.cameras == train.table["camera"].nunique()


def test_it_learns_the_scenes(synthetic):
    train = synthetic.split("xview")[0]
    model = build(synthetic.skeleton, width=16, disguise=(), temperature=0.2)
    run = fit(model, train, model.recipe(epochs=8, batch_size=16, frames=8, learning_rate=3e-3, probes=0), progress=False)
    first, last = run.history[0], run.history[-1]
    assert last["contrast"] < first["contrast"] and last["contrast"] < last["chance_contrast"] - 0.3
    assert last["similarity_positive"] > last["similarity_negative"] + 0.2


@pytest.mark.parametrize("views", ["scenes", "augmented"])
def test_a_disguise_is_for_the_encoder_only(views, monkeypatch):
    "What must be given back is the clip before the virtual camera turned it; an augmentation is part of the view."
    batch = fake(missing=0.0)
    wide = (("virtual_camera", {"yaw": 180, "tilt": 40}),)
    model = build(views=views, disguise=wide, scale="minmax")
    placed = model.place(batch)[0]
    truth = min_max(placed, batch.valid)[0].flatten(3)[:, 0]
    truth = truth.repeat(2, 1, 1) if views == "augmented" else truth
    plain = build(**EXACT).loss(batch)[1]["contrast"]
    monkeypatch.setattr(model.decoders["joint"], "forward", lambda hints, frames, state: truth)
    torch.manual_seed(0)
    terms = model.loss(batch)[1]
    assert terms["reconstruction"] < 1e-5 and not torch.allclose(terms["contrast"], plain)
    model = build(views=views, augmentation=wide, disguise=(), scale="minmax")
    monkeypatch.setattr(model.decoders["joint"], "forward", lambda hints, frames, state: truth)
    assert model.loss(batch)[1]["reconstruction"] > 0.1


def test_projected_codes(batch):
    model = build(**EXACT).eval()
    assert torch.allclose(model.project(batch)[:, 0], model.projectors["joint"](model.embed(batch)[:, 0]), atol=1e-6)  # one person a clip
    assert torch.equal(build(projection=()).eval().project(batch), build(projection=()).eval().embed(batch))
