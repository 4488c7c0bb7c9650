"What every method promises: rebuilt from its arguments, one clear line for what cannot be meant, nothing moved by what was not observed."
import inspect
import json
import math

import pytest
import torch
import torch.distributed as distributed
from fakes import fake

from skelbench.commands import METHODS, method_class
from skelbench.pairs import belonging
from skelbench.preparation import check_clips, check_options, check_people, check_places, count_parts, warmed, with_people, with_preset
from skelbench.recipe import Recipe
from skelbench.skeleton import BODY17, KINECT20
from skelbench.streams import ALL_STREAMS

STGCN = {"blocks": ((8, 2), (8, 2))}
TINY = {  # every method as small as it can be, with all of its terms; what needs a first stage or a second camera is left to its own file
    "swapclr": STGCN | {"width": 16, "latent": 6, "decoder": {"position": 8, "body": (24,), "root": (12,)}},
    "crrl": {"fusion": "cml-ser-joint", "people": 2, "width": 6, "queue": 8, "dropout": 0.2, "disguise": (("noise", {"p": 1.0}),)},
    "actclr": STGCN | {"streams": ("joint", "bone"), "projection": 6, "queue": 16, "anchor_frames": 8},
    "focovil": {"views": "augmented", "width": 8, "layers": 2},
    "combined": {"streams": ALL_STREAMS, "network": STGCN, "contrast": "info_nce", "reconstruction": "saturating", "latent": 6},
}
every = pytest.mark.parametrize("name", METHODS)
ONE_CLIP = {"crrl"}  # contrasts with a queue, not with the batch


def build(name, skeleton=BODY17, seed=0, **options):
    torch.manual_seed(seed)
    return method_class(name)(skeleton, **({"preset": "small"} | TINY[name] | options))


def refused(call) -> str:
    "What a call says that cannot be meant: one line."
    with pytest.raises(ValueError) as error:
        call()
    assert "\n" not in str(error.value)
    return str(error.value)


def loss(model, batch, seed=3):
    torch.manual_seed(seed)
    return model.loss(batch)


def embeddings(model, batch):
    "What `embed` gives, of every representation that there is."
    if "representation" not in inspect.signature(model.embed).parameters:
        return [model.embed(batch)]
    names = refused(lambda: model.embed(batch, "none of these")).split("there are ")[1].split(", ")
    return [model.embed(batch, name) for name in names]


@pytest.fixture(scope="module")
def batch():
    return fake(6, people=2)


def test_every_method_is_here():
    assert set(TINY) == set(METHODS)


# --- arguments, sizes, recipes

@pytest.mark.parametrize("name, options", [
    *((name, {}) for name in METHODS),
    ("swapclr", {"streams": "joint", "outputs": ("joint", "motion"), "gamma": 3, "weights": {"kl": 0.5}, "interpolation": 0.25}),
    ("crrl", {"streams": ("joint", "bone"), "fusion": "vgsr", "disguise": (("flip", {}),), "temperature": 0.5}),
    ("crrl", {"fusion": "crrl"}),
    ("actclr", {"weights": {"mining": 0.5}, "transformation": (("time_flip", {}), ("flip", {})), "safp": "both", "mix_region": "full",
                "noise_region": None, "source": "speed"}),
    ("actclr", {"stage": "moco", "streams": "motion"}),
    ("focovil", {"streams": ("joint", "bone"), "alignment": None, "weights": {"reconstruction": 2}, "focal": None, "projection": (4, 6), "temperature": 1}),
    ("combined", {"streams": ("joint", "geometry"), "contrast": "decoupled", "focal": True, "reconstruction": None, "views": (), "teacher": 8}),
])
def test_a_method_is_built_again_from_its_arguments(name, options, batch):
    model = build(name, **options)
    again = type(model)(BODY17, **json.loads(json.dumps(model.arguments)))
    assert again.arguments == model.arguments and again.skeleton == model.skeleton
    again.load_state_dict(model.state_dict())
    features = model.eval().embed(batch)
    assert torch.equal(again.eval().embed(batch), features) and features.dim() == 3 and len(features) == 6
    assert set(inspect.signature(type(model)).parameters) == {"skeleton", *model.arguments}


@every
def test_parts_are_counted(name):
    model = build(name)
    parts = model.parts()
    assert parts["total"] == sum(p.numel() for p in model.parameters()) and "encoder" in parts
    assert all(0 < count <= parts["total"] for count in parts.values())


@every
def test_terms_stand_beside_their_chance(name, batch):
    model = build(name)
    total, terms = loss(model, batch)
    assert total.isfinite() and total.dim() == 0 and all(value.isfinite() and not value.requires_grad for value in terms.values())
    chance = model.chance(6)
    assert chance and set(chance) <= set(terms) and all(isinstance(level, float) and level > 0 for level in chance.values())
    assert model.chance(12) == chance or model.chance(12)["contrast"] > chance["contrast"]


@every
def test_what_learns_has_one_optimizer_and_a_gradient(name, batch):
    model = build(name)
    optimizers = model.optimizers(model.recipe())
    held = [id(p) for optimizer in optimizers.values() for group in optimizer.param_groups for p in group["params"]]
    learning = {key: p for key, p in model.named_parameters() if p.requires_grad}
    assert sorted(held) == sorted(map(id, learning.values()))
    loss(model, batch)[0].backward()
    assert [key for key, p in model.named_parameters() if (p.grad is not None) != (key in learning)] == [], "idle parameters would make processes wait"
    before = {key: p.detach().clone() for key, p in learning.items()}
    for optimizer in optimizers.values():
        optimizer.step()
    model.after_step()
    assert any(not torch.equal(p, before[key]) for key, p in learning.items())


@every
def test_recipes(name):
    model = build(name)
    assert model.recipe(epochs=1, frames=20).epochs == 1 and model.recipe(epochs=1, frames=20).frames == 20
    assert model.recipe().to_dict() == Recipe.from_dict(model.recipe().to_dict()).to_dict()
    assert "epochs, batch_size" in refused(lambda: model.recipe(epoch=3)) and "epochs" in refused(lambda: model.recipe(epochs="three"))


# --- what cannot be meant

COMMON = [({"preset": "tiny"}, ("paper", "small")), ({"streams": ("joint", "velocity")}, ("joint", "motion", "bone")), ({"streams": ()}, ("joint",)),
          ({"streams": ("joint", "joint")}, ("once",)), ({"alignment": "hips"}, ("body", "first")), ({"temperature": 0.0}, ("temperature", "positive")),
          ({"temperature": -0.1}, ("temperature", "positive"))]
OWN = {
    "swapclr": [
        ({"outputs": "angles"}, ("angle",)), ({"reconstruction": "l1"}, ("saturating", "mse")), ({"representation": "z"}, ("z_gen", "z_clr")),
        ({"latent_optimizer": "lion"}, ("adam", "sgd")), ({"augmentation": (("shears", {}),)}, ("shear", "temporal_crop", "time_flip")),
        ({"augmentation": (("shear", {"amout": 1}),)}, ("amount",)), ({"disguise": (("mix_frames", {}),)}, ("unknown augmentation", "shear")),
        ({"gamma": -1}, ("gamma", "positive")), ({"weights": {"kld": 1}}, ("kl",)), ({"interpolation": 2}, ("lambda",)),
        ({"contrast": False, "reconstruction": None}, ("nothing to train",)),
    ],
    "crrl": [
        ({"fusion": "cml-ser"}, ("crrl", "cml-ser-joint")), ({"key_view": "blur"}, ("velocity", "shear")), ({"directions": "backward"}, ("both", "reverse")),
        ({"representation": "mean"}, ("average", "last")), ({"scale": "none"}, ("min-max", "spine")), ({"optimizer": "lion"}, ("sgd", "adam")),
        ({"velocity_scale": 0}, ("velocity_scale", "positive")), ({"queue": 0}, ("queue", "whole", "1")), ({"people": 1.5}, ("people", "whole")),
        ({"layers": True}, ("layers", "whole")), ({"key_momentum": 1.1}, ("key_momentum", "0", "1")), ({"projector_momentum": -1}, ("projector_momentum",)),
        ({"distillation": -1}, ("distillation", "at least 0")), ({"disguise": (("shears", {}),)}, ("shear",)),
        ({"streams": ("geometry",), "key_view": "shear"}, ("geometry",)),
    ],
    "actclr": [
        ({"stage": "simclr"}, ("moco", "actclr")), ({"mix_region": "everywhere"}, ("non-actionlet", "full", "None")), ({"noise_region": "rest"}, ("full",)),
        ({"safp": "key"}, ("offline", "online", "both")), ({"source": "gradient"}, ("difference", "speed", "distance")),
        ({"representation": "c"}, ("actionlet", "rest")), ({"temperature_key": 0}, ("temperature_key", "positive")),
        ({"temperature_query": 0}, ("temperature_query", "positive")), ({"threshold": 1.5}, ("threshold", "0", "1")), ({"momentum": -0.1}, ("momentum",)),
        ({"queue": 0}, ("queue",)), ({"noise": -1}, ("noise",)), ({"smoothing": -1}, ("smoothing",)), ({"weights": {"kl": 1}}, ("mining",)),
        ({"weights": {"contrast": 0, "mining": 0}}, ("nothing to train",)), ({"transformation": (("shears", {}),)}, ("shear",)),
        ({"augmentation": (("time_flip", {"q": 1}),)}, ("q", "it has p")),
    ],
    "focovil": [
        ({"views": "cameras"}, ("scenes", "augmented")), ({"merge": "mean"}, ("concatenate", "sum")), ({"scale": "unit"}, ("minmax", "spine")),
        ({"focal": True}, ("gradient", "detached")), ({"representation": "first"}, ("last", "average")), ({"augmentation": (("shears", {}),)}, ("shear",)),
        ({"weights": {"alpha": 1}}, ("contrast", "reconstruction")), ({"projection": (0, 8)}, ("projection",)),
        ({"contrast": False, "reconstruction": False}, ("nothing to train",)),
        ({"pull": False, "push": False, "reconstruction": False}, ("nothing to train",)),
    ],
    "combined": [
        ({"encoder": "transformer"}, ("temporal, stgcn, gru",)), ({"contrast": "barlow"}, ("vicreg, info_nce, decoupled",)),
        ({"contrast": "vicreg", "focal": True}, ("focal", "info_nce or decoupled", "vicreg")), ({"reconstruction": "l1"}, ("saturating, mse",)),
        ({"contrast": None, "reconstruction": None}, ("nothing to train",)), ({"whiten": 3}, ("whiten", "0 to 1")), ({"gamma": 0}, ("gamma", "positive")),
        ({"views": (("virtual_cameras", {}),)}, ("virtual_camera",)), ({"weights": {"kld": 1}}, ("kl",)),
    ],
}


@pytest.mark.parametrize("name, options, words", [(name, *case) for name in METHODS for case in COMMON + OWN[name]],
                         ids=lambda value: str(value) if isinstance(value, (str, dict)) else "")
def test_what_cannot_be_meant_is_answered_with_what_can(name, options, words):
    said = refused(lambda: build(name, **options))
    assert all(word in said for word in words), said


@every
def test_batches_that_cannot_be_learned_from(name, batch):
    model = build(name)
    if name in ONE_CLIP:
        assert loss(model, batch[:1])[0].isfinite()
    else:
        assert "at least 2, got 1" in refused(lambda: model.loss(batch[:1]))
    assert "valid joint" in refused(lambda: model.loss(batch.replace(valid=batch.valid & False)))


@every
def test_another_skeleton_is_refused(name, synthetic):
    model, other = build(name), fake(skeleton=KINECT20)
    for call in (model.embed, model.loss, model.frames):
        said = refused(lambda call=call: call(other))
        assert "body17 (17 joints)" in said and "20 joints" in said
    said = refused(lambda: build(name, KINECT20, people=2).prepare(synthetic) if name == "crrl" else build(name, KINECT20).prepare(synthetic))
    assert "kinect20" in said and "body17" in said
    model.prepare(synthetic)


# --- what must not change results

@every
def test_removed_joints_have_no_say(name, batch):
    model = build(name).eval()
    for rubbish in (1e3, torch.nan):
        wild = batch.replace(joints=torch.where(batch.valid[..., None], batch.joints, rubbish))
        assert all(map(torch.equal, embeddings(model, wild), embeddings(model, batch)))
        assert torch.equal(loss(model, wild)[0], loss(model, batch)[0])
        if hasattr(model, "reconstruct"):
            assert torch.equal(model.reconstruct(wild), model.reconstruct(batch))
    model.zero_grad()
    loss(model, wild)[0].backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@every
@pytest.mark.parametrize("seen", [False, True], ids=["absent", "zeros marked as seen"])
def test_a_person_of_zeros(name, seen, batch):
    "Recordings pad a missing second person with zeros; readers leave them out, and where one does not, nothing breaks."
    model, alone = build(name), batch.replace(joints=batch.joints[:, :1], valid=batch.valid[:, :1])
    padded = alone.replace(joints=torch.cat([alone.joints, torch.zeros_like(alone.joints)], 1),
                           valid=torch.cat([alone.valid, torch.full_like(alone.valid, seen)], 1))
    total, terms = loss(model, padded)
    total.backward()
    assert all(value.isfinite() for value in terms.values()) and all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    model.eval()
    assert all(features.isfinite().all() for features in embeddings(model, padded))
    if not seen:
        assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(embeddings(model, padded), embeddings(model, alone)))
        if hasattr(model, "reconstruct"):
            made = model.reconstruct(padded)
            assert made.shape == padded.joints.shape and not made[:, 1].any() and torch.allclose(made[:, :1], model.reconstruct(alone), atol=1e-4)


@every
def test_a_clip_of_nobody(name, batch):
    model, empty = build(name), batch.replace(valid=batch.valid.clone())
    empty.valid[2] = False
    total, terms = loss(model, empty)
    total.backward()
    assert all(value.isfinite() for value in terms.values()) and all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    model.eval()
    for features in (*embeddings(model, empty), *embeddings(model, empty[2:3])):
        assert features.isfinite().all() and not features[2 if len(features) > 1 else 0].any()
    assert all(torch.allclose(a[:2], b[:2], atol=1e-5) for a, b in zip(embeddings(model, empty), embeddings(model, batch)))
    assert not model.frames(empty)[2].any() or name == "crrl"  # whose frames are states, which a decoder may be given
    if hasattr(model, "diagnose"):
        assert all(math.isfinite(value) for value in model.diagnose(empty[2:3]).values())
    if hasattr(model, "reconstruct"):
        assert not model.reconstruct(empty)[2].any() and not model.reconstruct(empty[2:3]).any()
    if hasattr(model, "actionlet"):
        assert not model.actionlet(empty)[1][2].any() and not model.actionlet(empty[2:3])[0].any()


@every
def test_a_clip_of_one_frame(name):
    model, short = build(name), fake(6, frames=1)
    total, terms = loss(model, short)
    total.backward()
    assert all(value.isfinite() for value in terms.values()) and all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    model.eval()
    assert all(features.isfinite().all() for features in embeddings(model, short))
    if hasattr(model, "reconstruct"):
        assert model.reconstruct(short).shape == short.joints.shape


@every
def test_looking_draws_nothing_and_leaves_the_model_alone(name, batch):
    model = build(name).train()
    state, weights = torch.get_rng_state(), {key: value.clone() for key, value in model.state_dict().items()}
    modes = [part.training for part in model.modules()]
    for method in sorted({"reconstruct", "diagnose", "actionlet"} & set(dir(model))):
        first, second = (getattr(model, method)(batch) for _ in range(2))
        assert first == second if isinstance(first, dict) else all(map(torch.equal, first, second)), method
    assert modes == [part.training for part in model.modules()] and model.training and torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, weights[key]) for key, value in model.state_dict().items())
    features, streams = model.eval().frames(batch), len(model.arguments["streams"])
    assert features.requires_grad and features.dim() == 6 and features.shape[:2] == (6, streams)
    assert model.embed(batch).shape[:2] == (6, streams if name != "combined" else 1) and torch.equal(torch.get_rng_state(), state)


# --- what they share

def test_belonging_over_processes(monkeypatch):
    scene = torch.tensor([7, 7, 3, 3])
    assert belonging("augmented", scene).tolist() == [0, 1, 2, 3] and all(belonging(pairs, scene) is scene for pairs in ("scenes", "shuffled"))
    monkeypatch.setattr(distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(distributed, "get_rank", lambda: 2)
    assert belonging("augmented", scene).tolist() == [8, 9, 10, 11] and belonging("scenes", scene) is scene


def test_options_are_filled_in_and_held_against_what_they_may_be():
    options = with_preset({"preset": "small", "width": None, "rate": 0.0}, {"small": {"width": 3, "rate": 1.0}})
    assert options == {"preset": "small", "width": 3, "rate": 0.0}
    check_options(options, {"preset": ("small",)}, counts=("width",), rate=(0, 1), width=(0, None))
    for keywords, words in (({"positive": ("rate",)}, "rate must be positive, got 0.0"), ({"counts": ("rate",)}, "whole number of at least 1"),
                            ({"rate": (0.5, 1)}, "rate must be from 0.5 to 1, got 0.0"), ({"width": (4, None)}, "width must be at least 4, got 3")):
        assert words in refused(lambda keywords=keywords: check_options(options, {}, **keywords))
    for endless in (float("nan"), float("inf")):
        assert "positive" in refused(lambda endless=endless: check_options({"rate": endless}, {}, positive=("rate",)))


def test_warm_up_of_short_runs():
    recipe = Recipe(epochs=40)
    assert [warmed(recipe, {"epochs": epochs}).warmup for epochs in (1, 3, 4, 8, 100)] == [0, 0, 1, 2, 2] and warmed(recipe, {"warmup": 7}).warmup == 7
    assert "epochs" in refused(lambda: warmed(recipe, {"epochs": True}))


def test_places_for_people(synthetic, batch):
    for rows in (batch.joints, batch.valid):
        assert torch.equal(with_people(rows, 3)[:, :2], rows) and not with_people(rows, 3)[:, 2].any() and torch.equal(with_people(rows, 1), rows[:, :1])
    alone = batch.replace(valid=batch.valid.clone(), index=torch.arange(10, 16))
    alone.valid[:, 1] = False
    check_places(alone, 1)
    alone.valid[3, 1, 0, 0] = True
    assert refused(lambda: check_places(alone, 1)) == "clip 13 has 2 people, this model takes 1: build it with people=2"
    check_people(synthetic, 2)
    assert "people=2" in refused(lambda: check_people(synthetic, 1))
    check_clips(batch[:1], batch.valid[:1], least=1)


def test_parts_of_streams_are_counted_once():
    def layer(): return torch.nn.Linear(3, 4)
    model = torch.nn.ModuleDict({"streams": torch.nn.ModuleDict({"joint": layer(), "bone": layer()}), "rest": layer()})
    assert count_parts(model, encoder=model["streams"], other=model["rest"], none=None, empty=torch.nn.ModuleDict()) == \
        {"encoder": 16, "other": 16, "total": 48}
