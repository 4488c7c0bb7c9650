"Other skeletons and other sets: joints are where the mapping says, clips stay the same clips, what is lacking is named."
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from test_methods import build, refused

from skelbench import evaluation
from skelbench.clips import SkeletonSet, leaked
from skelbench.crrl import CRRL
from skelbench.evaluation import embed, linear
from skelbench.skeleton import BODY17, COCO17, KINECT20, NITE15, NTU25
from skelbench.synthetic import make_synthetic
from skelbench.training import fit
from skelbench.transfer import busiest, limb_of, mapping_weights, nearest_known, propose_mapping, retarget, transfer

SKELETONS = (NTU25, KINECT20, BODY17, NITE15, COCO17)


@pytest.fixture(scope="module")
def kinect():
    return make_synthetic(clips=96, seed=0, skeleton=KINECT20).split("xview")


@pytest.fixture(scope="module")
def run(kinect):
    torch.manual_seed(0)
    method = CRRL(KINECT20, preset="small", fusion="ser", people=2, width=6)
    return fit(method, kinect[0], method.recipe(epochs=1, batch_size=16, frames=8), device="cpu", progress=False, protocol="xview")


# --- which joint is which

def test_a_skeleton_is_itself():
    for skeleton in SKELETONS:
        assert propose_mapping(skeleton, skeleton) == {j: [j] for j in skeleton.joints}
        assert torch.equal(mapping_weights(propose_mapping(skeleton, skeleton), skeleton, skeleton), torch.eye(len(skeleton)))


@pytest.mark.parametrize("source", SKELETONS, ids=lambda s: s.name)
@pytest.mark.parametrize("target", SKELETONS, ids=lambda s: s.name)
def test_left_stays_left_and_every_joint_gets_a_place(source, target):
    mapping = propose_mapping(source, target)
    for joint, several in mapping.items():
        side = joint.split("_")[0] if joint.split("_")[0] in ("left", "right") else None
        assert all(name.startswith(side) for name in several) if side else len({n.split("_")[0] for n in several} & {"left", "right"}) in (0, 2)
        assert [joint] == several or joint not in source.joints
    singles = [several[0] for several in mapping.values() if len(several) == 1]
    assert len(set(singles)) == len(singles)  # each once
    weights = mapping_weights(mapping, source, target)
    torch.testing.assert_close(weights.sum(1), torch.ones(len(target)))
    assert (weights >= 0).all()


def renamed(skeleton, names):
    "The same body whose joints are called otherwise."
    d = skeleton.to_dict()
    return type(skeleton).from_dict(d | {"name": "renamed", "joints": [names.get(j, j) for j in skeleton.joints]})


def test_limbs_are_walked_where_names_say_nothing_or_lie():
    assert limb_of(KINECT20, KINECT20.index("left_hip")) == ["left_hip", "left_knee", "left_ankle", "left_foot"]
    mocap = {f"{s}_{a}": f"{s[0]}{b}" for s in ("left", "right") for a, b in (
        ("hip", "hipjoint"), ("knee", "femur"), ("ankle", "tibia"), ("shoulder", "clavicle"), ("elbow", "humerus"), ("wrist", "radius"), ("hand", "wrist"))}
    there = renamed(KINECT20, mocap | {"pelvis": "root", "shoulder_centre": "thorax"})
    mapping = propose_mapping(there, KINECT20)
    assert mapping == {j: [name] for j, name in zip(KINECT20.joints, there.joints)}
    assert propose_mapping(KINECT20, there) == {name: [j] for j, name in zip(KINECT20.joints, there.joints)}


def test_a_joint_between_two_lies_on_the_way():
    proposed = propose_mapping(NITE15, KINECT20)
    weights = mapping_weights(proposed, NITE15, KINECT20)
    wrist = {NITE15.joints[k]: round(float(w), 3) for k, w in enumerate(weights[KINECT20.index("left_wrist")]) if w}
    assert set(wrist) == {"left_elbow", "left_hand"} and wrist["left_hand"] == pytest.approx(0.15 / 0.195, abs=1e-3)
    tip = mapping_weights(propose_mapping(KINECT20, NTU25), KINECT20, NTU25)[NTU25.index("left_tip")]
    assert tip.nonzero()[:, 0].tolist() == [KINECT20.index("left_hand")]  # at the end of a limb: on the last one that is known
    assert nearest_known(KINECT20, KINECT20.root, {KINECT20.index("head")})[0][0] == KINECT20.index("head")


def test_what_is_lacking_is_named():
    proposed = propose_mapping(NITE15, KINECT20)
    assert "left_wrist, right_wrist, left_ankle, right_ankle" in refused(lambda: mapping_weights(proposed, NITE15, KINECT20, None))
    assert "no joint left_claw" in refused(lambda: mapping_weights({"left_claw": "head"}, NITE15, KINECT20))
    assert "nite15 has no joint left_wrist" in refused(lambda: mapping_weights({"left_wrist": "left_wrist"}, NITE15, KINECT20))
    assert "no joint of kinect20 has a counterpart" in refused(lambda: mapping_weights({}, NITE15, KINECT20))
    lame = {j: s for j, s in proposed.items() if j != "left_hip"}
    assert "left_hip of kinect20 cannot be invalid" in refused(lambda: mapping_weights(lame, NITE15, KINECT20, "invalid"))
    assert "between, invalid" in refused(lambda: mapping_weights(proposed, NITE15, KINECT20, "guess"))


# --- clips

def test_joints_are_weighted_means_clip_by_clip(kinect):
    part = kinect[1].select([5, 0, 7])
    made = retarget(part, NITE15, {**propose_mapping(KINECT20, NITE15), "torso": ["spine", "pelvis"]})
    batch, expected = made.batch(), part.batch()
    a, b, torso = KINECT20.index("spine"), KINECT20.index("pelvis"), NITE15.index("torso")
    valid = expected.valid[..., a] & expected.valid[..., b]
    torch.testing.assert_close(batch.joints[..., torso, :], torch.where(valid[..., None], (expected.joints[..., a, :] + expected.joints[..., b, :]) / 2, 0.0))
    assert torch.equal(batch.valid[..., torso], valid)
    hand = NITE15.index("left_hand"), KINECT20.index("left_hand")
    assert torch.equal(batch.joints[..., hand[0], :], expected.joints[..., hand[1], :])
    assert made.table["name"].tolist() == part.table["name"].tolist() and leaked(part, made).all() and made.skeleton == NITE15


def test_invalid_joints_are_never_seen(kinect):
    sparse = retarget(kinect[1], NITE15)
    wrists = [KINECT20.index(f"{side}_{part}") for side in ("left", "right") for part in ("wrist", "ankle")]
    lost, filled = retarget(sparse, KINECT20, missing="invalid"), retarget(sparse, KINECT20)
    assert not lost.valid[..., wrists].any() and not lost.joints[..., wrists, :].any() and filled.valid[..., wrists].any()
    rest = [j for j in range(20) if j not in wrists]
    assert np.array_equal(lost.joints[..., rest, :], filled.joints[..., rest, :])


def moving(energies, frames=4):
    "A set of clips whose people shake so much."
    def clip(k, row):
        base = np.zeros((frames, len(row), 15, 3), "f4")
        base[1::2] += np.asarray(row, "f4")[None, :, None, None]
        return {"name": f"c{k}", "label": 0, "joints": base + np.arange(len(row), dtype="f4")[None, :, None, None] * 10}
    return SkeletonSet.from_clips([clip(k, row) for k, row in enumerate(energies)], NITE15, ["a"], "moving")


def test_those_who_move_most_stay(kinect):
    data = moving([(0, 1, 2), (3, 0, 1), (0, 5, 0)])
    frames = data.table["frames"].to_numpy()
    assert busiest(data.joints, data.valid, frames, 1).tolist() == [[2], [0], [1]]
    assert busiest(data.joints, data.valid, frames, 2).tolist() == [[1, 2], [0, 2], [0, 1]]
    made = retarget(data, NITE15, people=1)
    assert made.people == 1 and made.table["people"].tolist() == [1, 1, 1]
    assert made.batch().joints[:, 0, 0, 0, 0].tolist() == [20, 0, 10]


# --- measured

def test_the_same_skeleton_is_linear_evaluation(run, kinect):
    other = make_synthetic(clips=64, seed=5, skeleton=KINECT20).split("xview")
    result, plain = transfer(run, *other, epochs=20, protocol="xview"), linear(run, *other, epochs=20)
    assert (result.official, result.raw_coordinates, result.evaluation) == (plain.official, plain.raw_coordinates, "transfer")
    assert result.settings["trained_fingerprint"] == run.info["fingerprint"] and "mapping" not in result.settings and result.protocol == "xview"
    assert "trained on" in refused(lambda: transfer(run, kinect[1], kinect[0]))


@pytest.mark.parametrize("how", ["linear", "finetune"])
def test_another_skeleton_and_fewer_places(run, how):
    other = make_synthetic(clips=64, seed=5, skeleton=NITE15).split("xview")
    few = SimpleNamespace(model=build("crrl", KINECT20, fusion="ser", people=1), recipe=run.recipe, info={})
    result = transfer(few, *other, how=how, epochs=2)
    s = result.settings
    assert s["people"] == 1 and s["skeleton"] == "nite15" and s["without_counterpart"] == ["left_wrist", "right_wrist", "left_ankle", "right_ankle"]
    assert (s["how"], result.protocol, s["checked_unseen"]) == (how, "not named", False) and ("from_scratch" in s) == (how == "finetune")
    json.dumps(result.to_dict())


def test_floors_of_one_mapping_are_not_those_of_another(run):
    parts = make_synthetic(clips=96, seed=2, skeleton=NITE15).split("xview")
    together = [transfer(run, *parts, missing=missing) for missing in ("between", "invalid")]
    for found, missing in zip(together, ("between", "invalid"), strict=True):
        evaluation.FLOORS.clear()
        alone = transfer(run, *parts, missing=missing)
        assert (alone.raw_coordinates, alone.random_encoder) == (found.raw_coordinates, found.random_encoder), missing
    assert together[0].raw_coordinates != together[1].raw_coordinates or together[0].random_encoder != together[1].random_encoder


def test_wishes_that_cannot_be_meant(run, kinect):
    other = make_synthetic(clips=64, seed=5, skeleton=NITE15).split("xview")
    assert "linear, finetune" in refused(lambda: transfer(run, *other, how="guess"))
    assert "without a counterpart in nite15" in refused(lambda: transfer(run, *other, missing=None))
    assert "skeleton" in refused(lambda: embed(run, other[1]))  # what transfer is for
