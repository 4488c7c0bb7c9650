"CRRL put together: sizes, every fusion, its two stages, where gradients go, masks, and what must not change its results."
import math

import pytest
import torch
from fakes import fake
from torch.nn import functional as F

from skelbench import crrl
from skelbench.contrast import KEY_VIEWS
from skelbench.crrl import CRRL, FUSIONS
from skelbench.geometry import axis_angle_to_matrix
from skelbench.skeleton import BODY17, NTU25
from skelbench.training import fit, load

TINY = {"preset": "small", "people": 1, "width": 6, "queue": 8, "scale": "min-max", "disguise": (), "distillation": 0.1}


def build(skeleton=BODY17, seed=0, **options):
    torch.manual_seed(seed)
    return CRRL(skeleton, **(TINY | options))


def ready(fusion, seed=0, **options):
    "A model of this fusion that has its first stage, untrained."
    model, first = build(seed=seed, fusion=fusion, **options), FUSIONS[fusion][1]
    if first:
        model.start_from(build(seed=seed + 1, fusion=first, **options))
    return model


@pytest.fixture(scope="module")
def batch():
    return fake()


@pytest.fixture(scope="module")
def singles(synthetic):
    "Synthetic clips of one person."
    return synthetic.select((synthetic.table["people"] == 1).to_numpy())


# --- sizes and arguments

def test_parameters_are_table_xi():
    totals = {fusion: CRRL(NTU25, fusion=fusion).parts()["total"] for fusion in ("cml", "ser", "crrl")}
    assert totals == {"cml": 4_669_440, "ser": 2_244_108, "crrl": 7_438_860}
    assert [round(n / 1e6, 1) for n in totals.values()] == [4.7, 2.2, 7.4]
    assert CRRL(NTU25).parts() == {"encoder": 1_809_408, "decoders": 434_700, "distiller": 525_312, "teacher": 4_669_440, "total": 7_438_860}


def test_the_papers_recipe():
    first, second = (CRRL(BODY17, width=8, fusion=fusion) for fusion in ("cml", "crrl"))
    assert (first.recipe().epochs, first.recipe().learning_rate, second.recipe().epochs, second.recipe().learning_rate) == (100, 0.01, 60, 0.04)
    assert second.recipe().drops == (("encoder", 20, 0.5), ("encoder", 50, 0.5)) and second.recipe().batch_size == 32
    assert (first.people, first.key_momentum, first.projector_momentum, first.temperature, first.distillation) == (2, 0.999, 1.0, 0.1, 0.1)
    assert isinstance(first.optimizers(first.recipe())["encoder"], torch.optim.SGD)
    assert build().recipe(epochs=3, frames=20).epochs == 3


def test_people_queues_and_decoders_that_do_not_fit(batch, synthetic):
    model = build(fusion="cml")
    with pytest.raises(ValueError, match="clip 0 has 2 people, this model takes 1: build it with people=2"):
        model.loss(fake(people=2))
    with pytest.raises(ValueError, match="has 2 people.*people=2"):
        model.prepare(synthetic)
    with pytest.raises(ValueError, match="at most 96"):
        build(fusion="cml", people=2, queue=97).check(synthetic)
    with pytest.raises(ValueError, match="reconstructs no coordinates.*cml"):
        model.reconstruct(batch)
    build(fusion="cml", people=2).prepare(synthetic)
    assert build(fusion="ser", people=1).embed(fake(people=1)).shape == (4, 1, 12)
    spare = fake(people=2)
    spare.valid[:, 1] = False
    assert torch.isfinite(model.embed(spare)).all(), "an empty place is not a person"


# --- the loss against the formulas

def one_direction(layers, rows):
    "A stack of one-directional GRUs over one row (T, F), by hand."
    for gru in layers:
        h, out = torch.zeros(gru.hidden_size), []
        for x in rows:
            ir, iz, ig = (gru.weight_ih_l0 @ x + gru.bias_ih_l0).chunk(3)
            hr, hz, hg = (gru.weight_hh_l0 @ h + gru.bias_hh_l0).chunk(3)
            r, z = torch.sigmoid(ir + hr), torch.sigmoid(iz + hz)
            h = (1 - z) * torch.tanh(ig + r * hg) + z * h
            out.append(h)
        rows = out
    return torch.stack(rows)


def slow_states(encoder, rows):
    "Both directions, one layer after the other, one clip (T, F)."
    for there, back in zip(encoder.forwards, encoder.backwards):
        rows = torch.cat([one_direction([there], rows), one_direction([back], rows.flip(0)).flip(0)], 1)
    return rows


def slow_view(model, batch, n):
    "Placed and scaled coordinates of one clip (T, V, 3) of one person: min-max by hand."
    placed, valid, _ = crrl._placed(model, batch)
    joints, seen, out = placed[n, 0], valid[n, 0], torch.zeros_like(placed[n, 0])
    for axis in range(3):
        values = joints[..., axis][seen]
        low, high = values.min(), values.max()
        out[..., axis] = (2 * (joints[..., axis] - low) / (high - low) - 1) * seen
    return out, seen


def slow_terms(model, batch):
    "Eq. 1-7 clip by clip, from the formulas; of the frames up to each clip's end."
    branch, found = model.branches["joint"], {"contrast": [], "distillation": []}
    squares, count = {"forward": 0.0, "reverse": 0.0}, 0
    for n in range(len(batch)):
        x, seen = slow_view(model, batch, n)
        length = int(seen.any(1).nonzero().max()) + 1
        x, seen = x[:length], seen[:length]
        h = slow_states(branch.encoder, x.flatten(1))
        if "contrast" in model.terms:
            v = torch.zeros_like(x)
            for t in range(length):  # Eq. 2
                now = t if t < length - 1 else max(t - 1, 0)
                then = min(now + 1, length - 1)
                both = seen[now] & seen[then]
                v[t] = model.velocity_scale * (x[then] - x[now]) * both[:, None]
            q = F.normalize(branch.projector(h.mean(0)), dim=0)  # Eq. 3
            k = F.normalize(branch.key_projector(slow_states(branch.key_encoder, v.flatten(1)).mean(0)), dim=0)  # Eq. 4
            logits = torch.cat([(q @ k)[None], branch.queue.keys @ q]) / model.temperature
            found["contrast"].append(-math.log(logits.softmax(0)[0].item()))  # Eq. 6
        if "reconstruction" in model.terms:
            for name, hint, order in (("forward", h[0], range(length)), ("reverse", h[-1], range(length - 1, -1, -1))):
                said = branch.decoders["reconstruction"](hint[None], length)[0].view(length, -1, 3)
                for step, t in enumerate(order):
                    squares[name] += float(((said[step] - x[t]).square() * seen[t][:, None]).sum())
            count += 3 * int(seen.sum())
        if "distillation" in model.terms:
            taught = slow_states(branch.teacher.encoder, x.flatten(1)).mean(0)
            found["distillation"].append(float((branch.distiller(h.mean(0)) - taught).square().mean()))  # Eq. 7
    means = {name: sum(values) / len(values) for name, values in found.items() if values}
    if count:
        means["reconstruction"] = sum(squares[name] / count for name in squares if model.directions in ("both", name))  # Eq. 1
    return means


@pytest.mark.parametrize("fusion, options", [("cml", {}), ("ser", {}), ("ser", {"directions": "forward"}), ("ser", {"directions": "reverse"}),
                                             ("crrl", {"distillation": 0.7}), ("cml-ser-joint", {}), ("ser-distill-cml", {"temperature": 0.5})])
def test_one_step_is_the_formulas(fusion, options):
    model, clips = ready(fusion, **options).eval(), fake(3, frames=7)
    for n, length in enumerate((7, 4, 2)):  # clips of different lengths
        clips.valid[n, :, length:] = False
        clips.valid[n, :, length - 1, 0] = True
    total, terms = model.loss(clips)
    slow = slow_terms(model, clips)
    assert set(terms) == set(model.terms) == set(slow)
    for name in slow:
        assert terms[name].item() == pytest.approx(slow[name], rel=1e-3, abs=1e-5), name
    weighted = sum(value * (model.distillation if name == "distillation" else 1) for name, value in slow.items())
    assert total.item() == pytest.approx(weighted, rel=1e-3)  # Eq. 8


@pytest.mark.parametrize("fusion, learned", [
    ("random", {"encoder"}), ("cml", {"encoder", "projector"}), ("ser", {"encoder", "decoders"}), ("cml-ser-joint", {"encoder", "decoders", "projector"}),
    ("cml-pretrain-ser", {"encoder", "decoders"}), ("ser-pretrain-cml", {"encoder", "projector"}), ("ser-distill-cml", {"encoder", "projector", "distiller"}),
    ("crrl", {"encoder", "decoders", "distiller"}), ("vg", {"encoder", "decoders"}), ("vgsr", {"encoder", "decoders"}),
])
def test_gradients_reach_what_learns(fusion, learned, batch):
    model = ready(fusion)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizers = model.optimizers(model.recipe(learning_rate=0.1))
    held = sorted(id(p) for o in optimizers.values() for g in o.param_groups for p in g["params"])
    assert held == sorted(id(p) for p in model.parameters() if p.requires_grad)
    total, terms = model.loss(batch)
    assert total.isfinite() and set(terms) == set(model.terms)
    total.backward()
    got = {name.split(".")[2] for name, p in model.named_parameters() if p.grad is not None}
    assert got == learned and all(p.grad is not None for p in model.parameters() if p.requires_grad), "idle parameters would make processes wait"
    optimizers["encoder"].step()
    model.after_step()
    changed = {name.split(".")[2] for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    follows = {"key_encoder", "queue"} if "contrast" in model.terms else set()
    assert changed == ((learned | follows) if fusion != "random" else set())


def test_both_momenta(batch):
    model = build(fusion="cml", key_momentum=0.5, projector_momentum=0.9)
    branch = model.branches["joint"]
    assert torch.equal(branch.key_encoder.forwards[0].weight_ih_l0, branch.encoder.forwards[0].weight_ih_l0)
    assert not torch.equal(branch.key_projector[0].weight, branch.projector[0].weight), "the key MLP has weights of its own"
    before = {name: value.clone() for name, value in branch.state_dict().items()}
    model.loss(batch)[0].backward()
    model.optimizers(model.recipe(learning_rate=0.1))["encoder"].step()
    model.after_step()
    for side, m in (("encoder", 0.5), ("projector", 0.9)):
        for name, value in getattr(branch, side).state_dict().items():
            wanted = m * before[f"key_{side}.{name}"] + (1 - m) * value
            assert torch.allclose(branch.state_dict()[f"key_{side}.{name}"], wanted, atol=1e-6)  # Eq. 5


def test_the_queue_moves(batch):
    model = build(fusion="cml", queue=6)
    queue = model.branches["joint"].queue
    old = queue.keys.clone()
    for step in range(2):
        model.loss(batch)
        keys = F.normalize(model.branches["joint"].keys, dim=1)
        model.after_step()
        if step == 0:
            assert torch.allclose(queue.keys[:4], keys) and torch.equal(queue.keys[4:], old[4:])
    assert torch.allclose(queue.keys[4:], keys[:2]) and torch.allclose(queue.keys[:2], keys[2:])
    model.eval().embed(batch)
    model.after_step()
    assert torch.allclose(queue.keys[:2], keys[2:]), "nothing enters the queue without a step"
    assert model.chance(32) == {"contrast": math.log(7)} and build(fusion="ser").chance(32) == {}


@pytest.mark.parametrize("name", KEY_VIEWS)
def test_every_key_view(name, batch):
    model = build(fusion="cml", key_view=name)
    total, terms = model.loss(batch)
    total.backward()
    assert total.isfinite() and set(terms) == {"contrast"}


@pytest.mark.parametrize("options", [
    {"scale": "spine"}, {"streams": ("joint", "motion", "bone")}, {"streams": "geometry"}, {"dropout": 0.2, "layers": 3}, {"layers": 1},
    {"disguise": (("virtual_camera", {"yaw": 100}), ("flip", {}))}, {"people": 3}, {"alignment": None}, {"alignment": "first"},
])
def test_options_train(options, batch):
    for fusion in ("crrl", "cml-ser-joint", "vgsr"):
        model = ready(fusion, **options)
        total, _ = model.loss(batch)
        total.backward()
        assert total.isfinite() and model.embed(batch).shape == (4, len(model.branches), 12)
        assert model.frames(batch).shape == (4, len(model.branches), 1, 12, 1, 12) and model.frames(batch).requires_grad


def test_streams_are_networks_side_by_side(batch):
    model = ready("crrl", streams=("joint", "bone"))
    total, terms = model.eval().loss(batch)
    apart = 0
    for name in ("joint", "bone"):
        alone = ready("crrl", streams=(name,)).eval()
        alone.load_state_dict({key: value for key, value in model.state_dict().items() if not key.startswith("branches") or key.startswith(f"branches.{name}")})
        apart = apart + alone.loss(batch)[0]
    assert total.item() == pytest.approx(apart.item(), rel=1e-5)
    assert build(fusion="cml", streams=("joint", "bone")).chance(4)["contrast"] == pytest.approx(2 * math.log(9))


# --- two stages

def test_a_second_stage_wants_its_first():
    with pytest.raises(ValueError, match="start_from.*cml"):
        model = build(fusion="crrl")
        model.optimizers(model.recipe())
    with pytest.raises(ValueError, match="starts from a CRRL with fusion='cml', got CRRL ser"):
        build(fusion="crrl").start_from(build(fusion="ser"))
    with pytest.raises(ValueError, match="got Linear"):
        build(fusion="crrl").start_from(torch.nn.Linear(2, 2))
    with pytest.raises(ValueError, match="one stage"):
        build(fusion="cml").start_from(build(fusion="cml"))
    with pytest.raises(ValueError, match="same width"):
        build(fusion="crrl").start_from(build(fusion="cml", width=7))
    build(fusion="crrl").start_from(build(fusion="cml", queue=5, temperature=1.0))  # what is CML's own may differ


def test_what_is_taken_from_the_first_stage(batch):
    cml, ser = build(seed=3, fusion="cml"), build(seed=4, fusion="ser")

    def same(a, b): return all(torch.equal(x, y) for x, y in zip(a.parameters(), b.parameters()))
    model = build(fusion="crrl")
    model.start_from(cml)
    mine, theirs = model.branches["joint"], cml.branches["joint"]
    assert same(mine.teacher.encoder, theirs.encoder) and same(mine.teacher.key_projector, theirs.key_projector) and not same(mine.encoder, theirs.encoder)
    model = build(fusion="cml-pretrain-ser")
    model.start_from(cml)
    assert same(model.branches["joint"].encoder, theirs.encoder)
    model = build(fusion="ser-pretrain-cml")
    model.start_from(ser)
    mine, theirs = model.branches["joint"], ser.branches["joint"]
    assert same(mine.encoder, theirs.encoder) and same(mine.key_encoder, theirs.encoder)


def test_the_teacher_does_not_move(batch):
    model = ready("crrl", dropout=0.5).train()
    assert not model.branches["joint"].teacher.training and model.branches["joint"].encoder.training
    torch.manual_seed(0)
    values = crrl._rows(model, "joint", *crrl._placed(model, batch)[:2])
    said = [crrl._states(model.branches["joint"].teacher.encoder, *values)[0] for _ in range(2)]
    assert torch.equal(*said)


@pytest.mark.parametrize("fusion", ["crrl", "ser-pretrain-cml"])
def test_two_stages_saved_loaded_and_resumed(fusion, singles, tmp_path):
    clips = singles.select(slice(0, 24))
    recipe = {"epochs": 2, "batch_size": 8, "frames": 8, "probes": 2}
    before = build(fusion=FUSIONS[fusion][1])
    first = fit(before, clips, before.recipe(**recipe), to=tmp_path / "first", progress=False, device="cpu")
    runs = []
    for name in ("whole", "broken"):
        model = build(seed=5, fusion=fusion)
        to = {"to": tmp_path / name, "progress": False, "device": "cpu", "start_from": first}
        if name == "broken":  # stopped after one epoch, and taken up again by a fresh model
            class Stop(KeyboardInterrupt):
                pass

            count, step = [], model.after_step
            def once(count=count, step=step):
                step()
                count.append(1)
                if len(count) == 5:
                    raise Stop
            model.after_step = once
            with pytest.raises(KeyboardInterrupt):
                fit(model, clips, model.recipe(**recipe), **to)
            model = build(seed=5, fusion=fusion)
            runs.append(fit(model, clips, model.recipe(**recipe), resume=True, **to))
        else:
            runs.append(fit(model, clips, model.recipe(**recipe), **to))
    a, b = (run.model.state_dict() for run in runs)
    assert all(torch.equal(a[name], b[name]) for name in a)
    again = load(tmp_path / "whole", device="cpu").model
    assert all(torch.equal(a[name], value) for name, value in again.state_dict().items()) and bool(again.started)
    assert "chance_contrast" in (runs[0] if "contrast" in again.terms else first).history[-1]


# --- evaluation

def turned(batch, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rotation = axis_angle_to_matrix(2 * torch.randn(3, generator=generator))
    shift = torch.randn(3, generator=generator)
    return batch.replace(joints=(batch.joints @ rotation.T + shift) * batch.valid[..., None]), rotation, shift


@pytest.mark.parametrize("options", [{}, {"scale": "spine"}, {"alignment": "first"}, {"directions": "reverse"}])
def test_another_camera_changes_nothing_but_the_frame(options):
    model, clips = build(fusion="ser", people=2, **options).eval(), fake(people=2, missing=0.05)
    moved, rotation, shift = turned(clips)
    for representation in crrl.REPRESENTATIONS:
        assert (model.embed(clips, representation) - model.embed(moved, representation)).abs().max() < 1e-4
    assert (model.reconstruct(clips) @ rotation.T + shift - model.reconstruct(moved)).abs().max() < 1e-3
    large = clips.replace(joints=3 * clips.joints)
    assert torch.allclose(3 * model.reconstruct(clips), model.reconstruct(large), atol=1e-3)


@pytest.mark.parametrize("scale", crrl.SCALES)
@pytest.mark.parametrize("directions", ["both", "reverse"])
def test_a_perfect_decoder_gives_the_clip_back(scale, directions, monkeypatch):
    "Every normalisation is undone: a decoder that says exactly what was asked returns the joints in metres."
    model, clips = build(fusion="ser", people=2, scale=scale, directions=directions).eval(), fake(people=2, missing=0.05)
    clips.valid[1, :, 8:] = False
    clips.valid[2, 1] = False
    clips = clips.replace(joints=clips.joints * clips.valid[..., None])
    joints, valid, _ = crrl._placed(model, clips)
    truth = crrl.side_by_side(crrl._scaled(model, joints, valid)[0]).flatten(2)
    lengths = crrl.lengths_of(clips.valid.any(3).any(1))
    monkeypatch.setattr(crrl, "unroll", lambda decoder, states, seen, way: [crrl.turned(truth, lengths) if way == "reverse" else truth])
    made = model.reconstruct(clips)
    assert (made - clips.joints)[clips.valid].abs().max() < 1e-4 and (made[2, 1] == 0).all()
    assert model.diagnose(clips)["error_mm"] < 0.1


def test_removed_joints_have_no_say(batch):
    model = ready("crrl").eval()
    for rubbish in (1e3, torch.nan):
        wild = batch.replace(joints=torch.where(batch.valid[..., None], batch.joints, rubbish))
        assert torch.equal(model.embed(wild), model.embed(batch)) and torch.equal(model.reconstruct(wild), model.reconstruct(batch))
        assert torch.equal(model.loss(wild)[0], model.loss(batch)[0])


def test_padding_changes_nothing():
    model, clips = ready("crrl", people=2).eval(), fake(3, people=2, frames=6)
    n, m, t, v, c = clips.joints.shape
    longer = clips.replace(joints=torch.cat([clips.joints, torch.full((n, m, 4, v, c), torch.nan)], 2),
                           valid=torch.cat([clips.valid, torch.zeros(n, m, 4, v, dtype=torch.bool)], 2))
    for representation in crrl.REPRESENTATIONS:
        assert torch.allclose(model.embed(longer, representation), model.embed(clips, representation), atol=1e-5)
    assert model.loss(longer)[0].item() == pytest.approx(model.loss(clips)[0].item(), rel=1e-4)
    assert torch.allclose(model.reconstruct(longer)[:, :, :6], model.reconstruct(clips), atol=1e-4)


@pytest.mark.parametrize("fusion", FUSIONS)
def test_empty_people_short_clips_and_stillness(fusion, batch):
    model = ready(fusion, people=2)
    empty = fake(people=2)
    empty.valid[1, 1], empty.valid[2] = False, False
    total, terms = model.loss(empty)
    total.backward()
    assert all(value.isfinite() for value in terms.values()) and all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    model.eval()
    assert (model.embed(empty)[2] == 0).all() and model.embed(empty).isfinite().all()
    short, still = fake(3, frames=1), batch.replace(joints=batch.joints[:, :, :1].expand_as(batch.joints).contiguous())
    assert model.loss(short)[0].isfinite() and model.loss(still)[0].isfinite() and model.embed(short).isfinite().all()


def test_the_disguise_is_for_the_encoders_only(batch, monkeypatch):
    model, seen = ready("cml-ser-joint", disguise=(("axis_mask", {"p": 1.0}),), scale="spine"), {}
    terms = crrl._branch_terms
    monkeypatch.setattr(crrl, "_branch_terms", lambda *a: seen.update(plain=a[3], disguised=a[4], key=a[5]) or terms(*a))
    torch.manual_seed(1)
    model.loss(batch)
    masked = [(seen[name][0].abs().amax((1, 2, 3)) == 0) for name in ("plain", "disguised", "key")]
    assert [int(mask.sum()) for mask in masked] == [0, 4, 4] and not torch.equal(*masked[1:]), "query and key are disguised apart"


def test_it_learns(singles):
    "Thirty steps a stage: every term falls, the contrast well below chance."
    from skelbench.streams import fixed_length

    clips, first = fixed_length(singles, 16)[:32], None
    for fusion in ("cml", "crrl"):
        model = build(fusion=fusion, width=16, queue=16, key_momentum=0.9)
        if first is not None:
            model.start_from(first)
        optimizer, history = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 1e-2), []
        for _ in range(30):
            total, terms = model.loss(clips)
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            model.after_step()
            history.append({name: value.item() for name, value in terms.items()})
        assert all(history[-1][name] < 0.9 * history[0][name] for name in model.terms), history[-1]
        first = model
