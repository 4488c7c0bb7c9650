"""The synthetic set: reproducible, true to its truth, as hard as it says."""
import time
from dataclasses import replace

import numpy as np
import pytest

from skelbench.evaluation import nearest_labels, raw_coordinates
from skelbench.skeleton import BODY17, KINECT20, SKELETONS
from skelbench.synthetic import ACTIONS, ACTOR, CLASSES, cameras_at, carry, draw_people, film, hidden, make_synthetic, perform

TWO = [c for c, name in enumerate(CLASSES) if ACTIONS[name].partner is not None]


def joints_of(*limbs):
    return [j for limb in limbs for j in ACTOR.limbs[limb]]


@pytest.fixture(scope="module")
def acted():
    "Ten performances of each class: (labels, subjects, people, performance)."
    rng = np.random.default_rng(11)
    people, label, subject = draw_people(rng, 5), np.repeat(np.arange(len(CLASSES)), 10), np.tile(np.arange(10), len(CLASSES)) % 5
    return label, subject, people, perform(rng, label, subject, (subject + 1) % 5, people)


def test_same_seed_same_bytes(synthetic):
    again, other = make_synthetic(96, seed=0), make_synthetic(96, seed=1)
    for name in ("joints", "valid", "moving"):
        a, b = (np.ascontiguousarray(getattr(s, name)) for s in (synthetic, again))
        assert a.tobytes() == b.tobytes(), name
    assert again.table.equals(synthetic.table) and again.fingerprint == synthetic.fingerprint != other.fingerprint


def test_bytes_do_not_depend_on_threads():
    import torch

    before, prints = torch.get_num_threads(), []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            prints.append(make_synthetic(48, seed=4).fingerprint)
    finally:
        torch.set_num_threads(before)
    assert prints[0] == prints[1]


def test_what_is_in_it(synthetic):
    table = synthetic.table
    assert len(synthetic) == 96 and len(synthetic.classes) >= 12 and len(TWO) == 2
    assert set(table["label"]) == set(range(len(CLASSES))) and set(table["camera"]) == {1, 2, 3}
    assert table["frames"].between(30, 90).all() and table["frames"].nunique() > 20 and (table["fps"] == 30).all()
    scenes = table.groupby("scene")
    assert (scenes["camera"].nunique() == 3).all() and (scenes["label"].nunique() == 1).all() and (scenes["subject"].nunique() == 1).all()
    assert (scenes["frames"].nunique() > 1).mean() > .8, "cameras trim differently"
    assert synthetic.joints.dtype == np.float32 and np.isfinite(synthetic.joints).all()
    assert not synthetic.joints[~synthetic.valid].any(), "zeros where nothing was seen"


def test_protocols(synthetic):
    train, test = synthetic.split("xview")
    assert set(train.table["camera"]) == {1, 2} and set(test.table["camera"]) == {3}
    train, test = synthetic.split("xsub")
    assert not set(train.table["subject"]) & set(test.table["subject"]) and {len(set(t.table["label"])) for t in (train, test)} == {len(CLASSES)}


def test_everyone_does_everything():
    table = make_synthetic(16 * 4, subjects=4, cameras=1).table
    assert (table.groupby("label")["subject"].nunique() == 4).all()


def test_two_people_where_two_belong(synthetic):
    batch = synthetic.batch()
    for c in range(len(CLASSES)):
        present = batch.present[batch.label == c]
        assert present[:, 0].all() and (present[:, 1].all() if c in TWO else not present[:, 1].any()), CLASSES[c]
    assert not batch.moving[~batch.present].any()


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_every_skeleton(skeleton):
    data = make_synthetic(48, skeleton=skeleton)
    assert data.skeleton == skeleton and data.joints.shape[1:] == (2, len(skeleton), 3)
    picks = carry(skeleton)
    assert ACTOR.joints[picks[skeleton.pelvis]] == "pelvis" and ACTOR.joints[picks[skeleton.neck]] == "shoulder_centre"
    for left, right in skeleton.pairs:
        assert ACTOR.joints[picks[left]].replace("left", "right") == ACTOR.joints[picks[right]]
    for name, joint in zip(skeleton.joints, picks):
        if name in ACTOR.joints: assert ACTOR.joints[joint] == name


def test_unknown_joint_is_named():
    strange = replace(BODY17, name="strange", joints=("pelvis", "spine", "shoulder_centre", "head", "antenna", *BODY17.joints[5:]))
    with pytest.raises(ValueError, match="strange.*antenna"): make_synthetic(48, skeleton=strange)
    twice = replace(KINECT20, name="twice", joints=tuple("right_wrist2" if j == "right_hand" else j for j in KINECT20.joints))
    with pytest.raises(ValueError, match="twice"): carry(twice)


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_bones_keep_their_length(acted, skeleton):
    _, subject, people, performance = acted
    joints, parents = performance.joints[..., carry(skeleton), :], list(skeleton.parents)
    lengths = np.linalg.norm(joints - joints[..., parents, :], axis=-1)
    assert np.ptp(lengths, axis=2).max() < 1e-9, "over the frames"
    first = lengths[:, 0, 0]
    for s in range(5): assert np.ptp(first[subject == s], axis=0).max() < 1e-9, "over a subject's performances"
    order = [s for s, _ in skeleton.bones]
    assert np.abs(first[0, order] - first[1, order]).max() > .005, "subjects differ"


def test_idle_people_move_nothing():
    rng = np.random.default_rng(0)
    people = draw_people(rng, 6)
    idle = perform(rng, np.full(12, -1), np.arange(12) % 6, np.arange(12) % 6, people)
    assert not idle.moving.any() and idle.present.tolist() == [[True, False]] * 12
    assert np.ptp(idle.joints[:, 0], axis=1).max() > .02, "they sway all the same"


def test_one_arm_waves(acted):
    label, subject, people, performance = acted
    moving = performance.moving[label == CLASSES.index("wave one hand"), 0]
    arms = np.stack([moving[:, :, joints_of(f"{side}_arm")].any((1, 2)) for side in ("left", "right")])
    assert (arms.sum(0) == 1).all(), "one arm, and never both"
    assert not moving[:, :, joints_of("left_leg", "right_leg", "torso", "head")].any()
    mostly = people.left_handed[subject[label == 0]]
    assert (arms[0] == mostly).mean() > .5, "mostly the preferred hand"


@pytest.mark.parametrize("name, moved, still", [
    ("wave both hands", ("left_arm", "right_arm"), ("left_leg", "right_leg")), ("clap", ("left_arm", "right_arm"), ("left_leg", "right_leg")),
    ("bow", ("head", "torso"), ("left_leg", "right_leg")), ("walk", ("left_leg", "right_leg", "left_arm", "right_arm"), ("torso", "head")),
    ("sit down", ("left_leg", "right_leg"), ()), ("push", ("left_arm", "right_arm"), ("left_leg", "right_leg")),
])
def test_moving_is_where_the_action_is(acted, name, moved, still):
    label, _, _, performance = acted
    moving = performance.moving[label == CLASSES.index(name), 0]
    for limb in moved: assert moving[:, :, joints_of(limb)].any((1, 2)).all(), limb
    for limb in still: assert not moving[:, :, joints_of(limb)].any(), limb


def test_moving_is_when_the_action_is(acted):
    label, _, _, performance = acted
    frame = np.arange(performance.moving.shape[2])
    for n in np.flatnonzero(label != CLASSES.index("stand up")):  # who stands up was sitting before
        before, after = frame < performance.span[n, 0] - 3, frame >= performance.span[n, 1] + 3
        assert not performance.moving[n, :, before].any(), CLASSES[label[n]]
        if label[n] != CLASSES.index("sit down"): assert not performance.moving[n, :, after].any(), CLASSES[label[n]]
    assert performance.moving[:, 0].any((1, 2)).all()


def test_clip_truth_is_the_performances_truth(synthetic):
    "The moving wrist of a waving clip travels more, in what the camera saw, than the other."
    batch = synthetic.batch()
    wrists = [BODY17.index(f"{side}_wrist") for side in ("left", "right")]
    for n in np.flatnonzero(batch.label == CLASSES.index("wave one hand")):
        moved = batch.moving[n, 0, :, wrists].any(0)
        assert moved.sum() == 1
        spread = []
        for v in wrists:
            seen = batch.joints[n, 0, batch.valid[n, 0, :, v], v] - batch.joints[n, 0, batch.valid[n, 0, :, v], BODY17.index("shoulder_centre")]
            spread.append(float(np.ptp(np.percentile(seen[:, 1], [5, 95]))))
        assert spread[int(moved[1])] > spread[1 - int(moved[1])]


def test_partners_face_each_other(acted):
    label, _, _, performance = acted
    for n in np.flatnonzero(label == CLASSES.index("handshake")):
        first, second = performance.joints[n, :, 0]
        ahead = [body[ACTOR.index("nose")] - body[ACTOR.index("head")] for body in (first, second)]
        assert ahead[0] @ ahead[1] < 0 and (second[0] - first[0]) @ ahead[0] > 0


def test_noise_grows_with_distance(acted):
    _, _, _, performance = acted
    error = []
    for distance in (2., 4.):
        rotation, position = np.diag([-1., 1., -1.])[None], np.array([[0, 1., distance]])
        clean, noisy = (film(np.random.default_rng(0), performance, BODY17, rotation, position, noise, 0, False)[0] for noise in (0, .01))
        error.append((noisy - clean)[:, :, 0, ..., 0].std())
    assert 3 < error[1] / error[0] < 5, "four times at twice the distance"


def test_what_hides_behind_a_ball():
    balls, radius = np.array([[[0., 0., 2.]]]), np.array([.2])
    joints = np.array([[[0, 0, 3.], [0, 0, 1.5], [.5, 0, 3.], [0, 0, 2.1], [.25, 0, 3.]]])
    assert hidden(joints, balls, radius)[0].tolist() == [True, False, False, False, True]
    assert not hidden(joints, balls, np.zeros(1)).any(), "an absent person hides nothing"


def test_occlusion_and_dropout_can_be_switched_off():
    assert make_synthetic(48, dropout=0, occlusion=False).batch().valid[:, 0].float().sum() > 0
    clean = make_synthetic(48, noise=0, dropout=0, occlusion=False)
    batch = clean.batch()
    past = np.arange(batch.valid.shape[2]) < batch.frames[:, None].numpy()
    assert (batch.valid[:, 0].numpy() == past[..., None]).all()
    lengths = (batch.joints[:, 0, :, BODY17.index("left_knee")] - batch.joints[:, 0, :, BODY17.index("left_hip")]).norm(dim=-1)
    for n in range(48): assert np.ptp(lengths[n, :batch.frames[n]].numpy()) < 1e-5
    full = make_synthetic(192)
    seen = [full.valid[s:s + n, 0].mean() for s, n in full.table[["start", "frames"]].to_numpy()]
    assert .8 < np.mean(seen) < .99


def test_cameras_are_rigid():
    rotation, position = cameras_at(np.random.default_rng(0), 5)
    assert np.allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3)) and np.allclose(np.linalg.det(rotation), 1)
    assert (rotation[:, 1, 1] > .8).all(), "y is up"
    assert len(set(position[:3, 1])) == 3, "at different heights"


@pytest.mark.parametrize("bad, word", [
    ({"clips": 47}, "clips must be at least 48"), ({"clips": 64, "cameras": 5}, "80"), ({"clips": 96.}, "whole number"), ({"cameras": 0}, "cameras"),
    ({"cameras": -1}, "cameras"), ({"subjects": 1}, "subjects"), ({"noise": -.1}, "noise"), ({"noise": float("nan")}, "noise"),
    ({"dropout": 1}, "dropout"), ({"variation": 5}, "variation"), ({"clips": True}, "clips"),
])
def test_bad_arguments(bad, word):
    with pytest.raises(ValueError, match=word) as error: make_synthetic(**bad)
    assert "\n" not in str(error.value)


def test_one_camera_and_odd_counts():
    assert list(make_synthetic(16, cameras=1).protocols) == ["xsub"]
    odd = make_synthetic(50)
    assert len(odd) == 50 and odd.table.groupby("scene")["camera"].nunique().tolist() == [3] * 16 + [2]


def test_saves_and_opens(synthetic, tmp_path):
    from skelbench.clips import SkeletonSet

    opened = SkeletonSet.open(synthetic.save(tmp_path / "made.skel"))
    assert opened.fingerprint == synthetic.fingerprint and (np.asarray(opened.moving) == np.asarray(synthetic.moving)).all()


def test_quick_enough():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)  # waiting threads would count as time of this process
    try:
        make_synthetic(48)
        began = time.thread_time()
        make_synthetic(1000, seed=1)
        assert time.thread_time() - began < 10, "a thousand clips in less than ten seconds of one core"
    finally:
        torch.set_num_threads(before)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1])
def test_hard_enough_to_mean_something(seed):
    data = make_synthetic(1000, seed)
    train, test = data.split("xview")
    import torch

    labels, truth = (torch.tensor(part.table["label"].tolist()) for part in (train, test))
    right = (nearest_labels(raw_coordinates(train), labels, raw_coordinates(test)) == truth).float().mean().item()
    assert .4 < right < .8, f"{right:.1%}"
