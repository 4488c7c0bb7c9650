"SwapCLR put together: its sizes, its step against a slow one, where gradients go, and what must not change its results."
import math

import pytest
import torch
from fakes import fake

from skelbench import swapclr
from skelbench.geometry import axis_angle_to_matrix, bone_lengths
from skelbench.skeleton import BODY17, NTU25
from skelbench.streams import fixed_length
from skelbench.swapclr import SwapCLR

TINY = {"preset": "small", "blocks": ((8, 2), (8, 2)), "width": 16, "latent": 6, "decoder": {"position": 8, "body": (24,), "root": (12,)}}


def build(skeleton=BODY17, seed=0, **options):
    torch.manual_seed(seed)
    return SwapCLR(skeleton, **(TINY | options))


@pytest.fixture(scope="module")
def batch():
    return fake()


# --- sizes and arguments

def test_parameters_are_the_papers():
    assert SwapCLR(NTU25).parts() == {"encoder": 9_871_364, "latent": 3_542_912, "decoder": 1_920_078, "total": 46_003_062}


def test_one_number_or_a_few_are_filled_in():
    model = build(gamma=3, weights={"kl": 0.5})
    assert set(model.gamma.values()) == {3} and model.gamma["motion"] == 3 and model.weights["kl"] == 0.5 and model.weights["contrast"] == 1


def test_the_papers_recipe():
    recipe = SwapCLR(BODY17, blocks=((8, 2),), width=8).recipe()
    assert (recipe.epochs, recipe.learning_rate, recipe.momentum, recipe.weight_decay) == (500, 0.1, 0.9, 1e-4)
    assert recipe.decoder_learning_rate == 1e-3 and recipe.drops == (("encoder", 200, 0.1),) and recipe.frames == 50
    found = build().optimizers(recipe)
    assert isinstance(found["encoder"], torch.optim.SGD) and isinstance(found["decoder"], torch.optim.Adam)
    assert build().recipe(epochs=3, frames=20).epochs == 3


def test_outputs_that_a_model_does_not_have(batch):
    with pytest.raises(ValueError, match="joint, angle, motion"):
        build().reconstruct(batch, "angles")
    with pytest.raises(ValueError, match="unknown output"):
        build(reconstruction=None).reconstruct(batch)


# --- one step against the formulas

def slow_terms(model, joints, valid, latent, noise, partner):
    "Eq. 3-12 of two stacked views with M people, one person, stream, step and joint at a time."
    clips, streams, people = len(joints) // 2, len(model.streams), joints.shape[1]
    there = [(i, m) for i in range(2 * clips) for m in range(people) if bool(valid[i, m].any())]
    lengths, root = bone_lengths(joints, valid, model.skeleton), model.skeleton.root
    errors = {output: [] for output in model.outputs}
    for i, m in there:
        z_var, z_clr = 0, 0
        for s in range(streams):
            sigma = (latent.log_variance[i, s, m] / 2).exp()
            z_var = z_var + (latent.mean[i, s, m] + sigma * noise[i, s, m]) / streams
            own, other = latent.z_clr[i, s, m], latent.z_clr[partner[i], s, m]
            mixed = model.interpolation * own + (1 - model.interpolation) * other  # Eq. 12
            z_clr = z_clr + (mixed if (partner[i], m) in there else own) / streams
        for output, prediction in model.decode(z_var, z_clr, lengths[i, m], joints.shape[2]).items():  # Eq. 10, 11
            for t in range(joints.shape[2] - (output == "motion")):
                terms = []
                for j in range(len(model.skeleton)):
                    times = (t, t + 1) if output == "motion" else (t,)
                    if not all(bool(valid[i, m, u, j] and valid[i, m, u, root]) for u in times):
                        continue
                    place = [joints[i, m, u, j] - (0 if j == root else joints[i, m, u, root]) for u in times]
                    truth = place[1] - place[0] if output == "motion" else place[0]
                    guess = prediction[t, j] - (0 if j == root else prediction[t, root])
                    terms += (guess - truth).abs().tolist()
                if terms:
                    errors[output].append(2 * (1 / (1 + math.exp(-model.gamma[output] * sum(terms) / len(terms))) - 0.5))  # Eq. 6
    terms = {f"reconstruction_{output}": sum(e) / len(e) for output, e in errors.items()}
    terms["reconstruction"] = sum(terms.values()) / len(terms)
    rows = [(i % clips, torch.nn.functional.normalize(latent.z_clr[i, s, m], dim=0)) for i, m in there for s in range(streams)]
    losses = []
    for a, (clip, z) in enumerate(rows):
        exps = [(other, math.exp(float(z @ w) / model.temperature)) for b, (other, w) in enumerate(rows) if a != b]
        losses.append(-math.log(sum(e for o, e in exps if o == clip) / sum(e for o, e in exps if o != clip)))  # Eq. 7
    terms["contrast"] = sum(losses) / len(losses)
    every = [(latent.mean[i, s, m], latent.log_variance[i, s, m], latent.z_clr[i, s, m]) for i, m in there for s in range(streams)]
    terms["kl"] = sum(0.5 * float((v.exp() + u * u - 1 - v).sum()) for u, v, _ in every) / len(every)  # Eq. 8
    terms["norm"] = sum(math.sqrt(float((z * z).sum())) for _, _, z in every) / len(every)  # Eq. 9
    return terms


@pytest.mark.parametrize("interpolation", [0.0, 0.3])
def test_a_step_is_equations_3_to_12(interpolation, monkeypatch):
    model, clips = build(interpolation=interpolation, disguise=()), fake(3, people=2, frames=6)
    clips.valid[1, 1] = False  # one clip with one person
    joints, placement = model.place(clips)
    views, seen = torch.cat([joints, 1.1 * joints]), torch.cat([clips.valid, clips.valid])
    seen[5, 1] = False  # a person whom the second view lost
    seen[5, 0, 3, model.skeleton.root] = False  # a step without its root
    monkeypatch.setattr(swapclr, "two_views", lambda *_: (views * seen[..., None], seen))
    found = {}
    encode = swapclr._encode
    monkeypatch.setattr(swapclr, "_encode", lambda *a: found.setdefault("latent", encode(*a)))
    torch.manual_seed(5)
    total, terms = model.loss(clips)
    torch.manual_seed(5)
    noise = torch.randn_like(found["latent"].mean)
    with torch.no_grad():
        slow = slow_terms(model, views * seen[..., None], seen, found["latent"], noise, [3, 4, 5, 0, 1, 2])
    assert {name: value.item() for name, value in terms.items()} == pytest.approx(slow, abs=2e-5, rel=1e-4)
    assert total.item() == pytest.approx(sum(model.weights[name] * slow[name] for name in model.weights), rel=1e-4)  # Eq. 5


def test_absent_people_change_nothing(monkeypatch):
    "The same clips with an empty second and third person give the same terms."
    monkeypatch.setattr(swapclr, "reparameterise", lambda mean, *_: mean)
    one = fake(4)
    three = one.replace(joints=torch.cat([one.joints, 7 * torch.ones_like(one.joints), torch.full_like(one.joints, torch.nan)], 1),
                        valid=torch.cat([one.valid, one.valid & False, one.valid & False], 1))
    results = []
    for clips in (one, three):
        model = build(augmentation=())
        results.append({name: value.item() for name, value in model.loss(clips)[1].items()} | {"embed": model.eval().embed(clips)})
    assert torch.allclose(results[0].pop("embed"), results[1].pop("embed"), atol=1e-6)
    assert results[0] == pytest.approx(results[1], rel=1e-5)


# --- where gradients go

def leaves(monkeypatch, model, clips, **options):
    "The gradients of a loss on mean, log_variance and z_clr of every row, all else fixed."
    encode, kept = swapclr._encode, {}

    def detached(*a):
        latent = encode(*a)
        for name in ("mean", "log_variance", "z_clr"):
            kept[name] = getattr(latent, name).detach().requires_grad_()
            setattr(latent, name, kept[name])
        return latent

    with monkeypatch.context() as patch:
        patch.setattr(swapclr, "_encode", detached)
        total, _ = model.loss(clips)
        total.backward()
    return {name: torch.zeros(len(z)) if z.grad is None else z.grad.abs().flatten(1).sum(1) for name, z in kept.items()}


@pytest.mark.parametrize("swap, amount, own, other", [(True, 0.0, False, True), (True, 0.5, True, True), (False, 0.0, True, False)])
def test_reconstruction_reaches_z_var_of_its_view_and_z_clr_of_the_other(swap, amount, own, other, batch, monkeypatch):
    model = build(swap=swap, interpolation=amount, contrast=False, weights={"kl": 0, "norm": 0})
    whole = swapclr._reconstruction
    # only the first view of the first clip is reconstructed
    monkeypatch.setattr(swapclr, "_reconstruction", lambda self, *rows: whole(self, *(row[:1] for row in rows)))
    got = leaves(monkeypatch, model, batch)
    first, second = 0, len(batch)  # its row, and that of its other view
    for name in ("mean", "log_variance"):
        assert got[name][first] > 0 and (got[name][1:] == 0).all()
    assert (got["z_clr"][first] > 0) == own and (got["z_clr"][second] > 0) == other
    assert sum(got["z_clr"] > 0) == own + other


@pytest.mark.parametrize("name, reached", [("kl", {"mean", "log_variance"}), ("norm", {"z_clr"}), ("contrast", {"z_clr"}),
                                           ("reconstruction", {"mean", "log_variance", "z_clr"})])
def test_each_term_reaches_its_parts(name, reached, batch, monkeypatch):
    weights = dict.fromkeys(("reconstruction", "contrast", "kl", "norm"), 0) | {name: 1}
    got = leaves(monkeypatch, build(weights=weights), batch)
    assert {part for part, size in got.items() if (size > 0).all()} == reached
    assert all((size == 0).all() for part, size in got.items() if part not in reached)


def touched(model, batch):
    model.loss(batch)[0].backward()
    reached = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    return reached & {"encoders", "latents", "decoders"}


def test_rows_of_table_4_train_what_they_should(batch):
    assert touched(build(), batch) == {"encoders", "latents", "decoders"}
    assert touched(build(contrast=False, reconstruction="mse"), batch) == {"encoders", "latents", "decoders"}
    only = build(reconstruction=None)
    assert touched(only, batch) == {"encoders", "latents"} and len(only.decoders) == 0
    assert set(build(reconstruction=None, latent_optimizer="sgd").optimizers(only.recipe())) == {"encoder"}
    assert set(only.loss(batch)[1]) == {"contrast"} and only.diagnose(batch) == {} and only.representations == ("c", "z_clr")
    every = build()
    every.loss(batch)[0].backward()
    assert [name for name, p in every.named_parameters() if p.grad is None] == []  # nothing idle, or several processes would wait for it


def test_frozen_parts_stay(batch):
    model = build()
    model.encoders.requires_grad_(False)
    before = {name: p.clone() for name, p in model.named_parameters()}
    optimizers = model.optimizers(model.recipe(weight_decay=0.0))
    model.loss(batch)[0].backward()
    for optimizer in optimizers.values():
        optimizer.step()
    changed = {name.split(".")[0] for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert changed == {"latents", "decoders"}


@pytest.mark.parametrize("options, terms", [
    ({}, {"reconstruction", "contrast", "kl", "norm", "reconstruction_joint", "reconstruction_angle", "reconstruction_motion"}),
    ({"contrast": False, "outputs": "angle"}, {"reconstruction", "kl", "norm", "reconstruction_angle"}),
    ({"streams": ("bone",), "outputs": ("motion",), "width": 32}, {"reconstruction", "contrast", "kl", "norm", "reconstruction_motion"}),
    ({"alignment": None, "normalise": False}, None), ({"alignment": "first", "swap": False}, None),
    ({"augmentation": (("flip", {}), ("noise", {"sigma": 0.02}))}, None),
])
def test_rows_of_the_tables_are_a_keyword_away(options, terms, batch):
    model = build(**options)
    total, got = model.loss(batch)
    total.backward()
    assert total.isfinite() and (terms is None or set(got) == terms)
    for name, width in (("c", model.arguments["width"]), ("z_gen", 12), ("z_clr", 6)):
        assert model.embed(batch, name).shape == (4, len(model.streams), width)


def test_scenes_count_as_one_clip_only_where_the_recipe_says_so(batch, monkeypatch):
    clips = batch.replace(scene=torch.tensor([0, 0, 1, 1]))
    model, groups, contrast = build(), [], swapclr._contrast
    monkeypatch.setattr(swapclr, "_contrast", lambda self, latent, clip: groups.append(clip.tolist()) or contrast(self, latent, clip))
    for pairs in ("augmented", "scenes"):
        model.optimizers(model.recipe(pairs=pairs))
        assert model.loss(clips)[0].isfinite()
    assert groups == [2 * [0, 1, 2, 3], 2 * [0, 0, 1, 1]]


# --- evaluation

def turned(batch, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rotation = axis_angle_to_matrix(2 * torch.randn(3, generator=generator))
    shift = torch.randn(3, generator=generator)
    joints = (batch.joints @ rotation.T + shift) * batch.valid[..., None]
    return batch.replace(joints=joints), rotation, shift


@pytest.mark.parametrize("alignment", ["body", "first"])
def test_another_camera_changes_nothing_but_the_frame(alignment):
    model, clips = build(alignment=alignment).eval(), fake(people=2, missing=0.05)
    moved, rotation, shift = turned(clips)
    assert (model.embed(clips) - model.embed(moved)).abs().max() < 1e-4
    assert (model.reconstruct(clips) @ rotation.T + shift - model.reconstruct(moved)).abs().max() < 1e-3
    assert (model.reconstruct(clips, "motion") @ rotation.T - model.reconstruct(moved, "motion")).abs().max() < 1e-3
    assert (model.reconstruct(clips, "angle") @ rotation.T + shift - model.reconstruct(moved, "angle")).abs().max() < 1e-3


def test_reconstructions_are_metres(batch):
    model = build().eval()
    large = batch.replace(joints=3 * batch.joints)
    assert torch.allclose(3 * model.reconstruct(batch), model.reconstruct(large), atol=1e-3)
    joints = model.reconstruct(batch, "angle")  # angles keep the clip's own bones
    lengths = bone_lengths(joints, torch.ones_like(batch.valid), BODY17)
    assert torch.allclose(lengths, bone_lengths(batch.joints, batch.valid, BODY17), atol=1e-4)


def test_diagnosis_swaps_parts_between_clips():
    model, clips = build(gamma=0.1), fake(5, people=2)
    for decoder in model.decoders.values():
        for layer in decoder.body:
            layer.weight.data *= 4  # a decoder that listens, as a trained one does
    for _ in range(6):
        model.loss(clips)  # the norms' running statistics
    model.eval()
    clips.valid[0, 1] = False
    own = model.latent(clips)
    order = [(n, m) for m in range(2) for n in range(5) if own.present[n, m]]
    z_clr, mixed = own.z_clr.mean(1), torch.zeros(5, 2, 6)
    for k, (n, m) in enumerate(order):
        other = order[k - 1]
        assert other[0] != n
        mixed[n, m] = z_clr[other]
    error = (model.reconstruct(clips, z_clr=mixed) - clips.joints).norm(dim=-1)[clips.valid]
    found = model.diagnose(clips)
    assert found["shuffled_z_clr_mm"] == pytest.approx(1000 * error.mean().item(), rel=1e-3)
    error = (model.reconstruct(clips) - clips.joints).norm(dim=-1)[clips.valid]
    assert found["reconstruction_mm"] == pytest.approx(1000 * error.mean().item(), rel=1e-3)
    assert len({found[name] for name in ("reconstruction", "shuffled_z_clr", "shuffled_z_var")}) == 3


def test_embed_is_the_mean_over_people_who_are_there(batch):
    model, clips = build().eval(), fake(3, people=2)
    clips.valid[1, 1] = False
    c = model.latent(clips).c
    assert torch.allclose(model.embed(clips)[0], c[0].mean(1)) and torch.allclose(model.embed(clips)[1], c[1, :, 0])
    features = model.frames(clips)
    assert features.shape[:3] == (3, 3, 2) and features.shape[-2:] == (17, 16) and features.requires_grad


def test_the_disguise_is_for_the_encoder_only(batch, monkeypatch):
    model, seen = build(disguise=(("axis_mask", {"p": 1.0}),)), {}
    views, encode, reconstruction = swapclr.two_views, swapclr._encode, swapclr._reconstruction
    monkeypatch.setattr(swapclr, "two_views", lambda *a: seen.setdefault("views", views(*a)))
    monkeypatch.setattr(swapclr, "_encode", lambda self, joints, valid: seen.setdefault("encoded", joints) is None or encode(self, joints, valid))
    monkeypatch.setattr(swapclr, "_reconstruction", lambda *a: seen.setdefault("target", a[3]) is None or reconstruction(*a))
    model.loss(batch)
    joints, valid = seen["views"]
    assert torch.equal(seen["target"], joints[valid.any(3).any(2)]), "the target is the view as it was made"
    assert (seen["encoded"].abs().amax((1, 2, 3)) == 0).sum(1).eq(1).all(), "the encoder sees each view without one axis"


def test_it_learns(synthetic):
    "Sixteen steps: every term that should falls, and the decoder can then be asked for another number of frames."
    clips = fixed_length(synthetic, 24)[:32]
    model = build(seed=1, width=32, latent=16, decoder={"position": 32, "body": (64, 64), "root": (32,)}, augmentation=(("shear", {"amount": 0.3}),),
                  disguise=())
    optimizers = model.optimizers(model.recipe(learning_rate=0.1, decoder_learning_rate=3e-3))
    history = []
    for _ in range(16):
        total, terms = model.loss(clips)
        for optimizer in optimizers.values():
            optimizer.zero_grad()
        total.backward()
        for optimizer in optimizers.values():
            optimizer.step()
        history.append({name: value.item() for name, value in terms.items()})
    assert history[-1]["contrast"] < min(history[0]["contrast"] - 0.5, 0.6 * model.chance(32)["contrast"])
    assert history[-1]["reconstruction_joint"] < 0.75 * history[0]["reconstruction_joint"]
    model.eval()
    z = model.latent(clips)
    longer = model.decode(z.mean.mean(1), z.z_clr.mean(1), bone_lengths(model.place(clips)[0], clips.valid, BODY17), 57)
    assert longer["joint"].shape == (32, 2, 57, 17, 3)


@pytest.mark.slow
def test_the_paper_preset_trains_a_few_steps():
    "The paper's sizes are for a GPU; here only: two optimizers, all terms finite, and the same clips' loss falls."
    from skelbench.streams import fixed_length
    from skelbench.synthetic import make_synthetic

    torch.manual_seed(0)
    data = make_synthetic(clips=48, seed=0, skeleton=NTU25)
    model = SwapCLR(NTU25, preset="paper")
    recipe = model.recipe()
    batch = fixed_length(data, recipe.frames)[torch.arange(0, 48, 8)]
    optimizers, losses = model.optimizers(recipe), []
    for _ in range(4):
        loss, terms = model.loss(batch)
        assert all(torch.isfinite(term) for term in terms.values())
        for optimizer in optimizers.values():
            optimizer.zero_grad()
        loss.backward()
        for optimizer in optimizers.values():
            for group in optimizer.param_groups:
                group["lr"] = 1e-3  # six clips are no batch for a learning rate of 0.1
            optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
