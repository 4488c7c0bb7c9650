"Streams, resampling and their masks."
import numpy as np
import pytest
import torch

from skelbench.clips import SkeletonSet
from skelbench.skeleton import BODY17, KINECT20, NTU25, SKELETONS
from skelbench.streams import STREAMS, channels_of, fixed_length, reference_joints, resample, root_absolute, root_relative, stream, zeroed


def noise(seed, *shape, keep=.7):
    "Random joints with holes; the holes hold NaN, which must never come out of anything."
    generator = torch.Generator().manual_seed(seed)
    joints = torch.randn(*shape, 3, generator=generator)
    valid = torch.rand(*shape, generator=generator) < keep
    return joints.masked_fill(~valid[..., None], float("nan")), valid


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=str)
@pytest.mark.parametrize("name", STREAMS)
def test_zero_where_not_valid(name, skeleton):
    joints, valid = noise(0, 3, 2, 6, len(skeleton))
    values, seen = stream(name, joints, valid, skeleton)
    assert torch.isfinite(values).all()
    assert not values[~seen].any() and seen.any()
    assert not (seen & ~valid).any()                       # a stream never observes what the joints do not


def test_still_body_has_no_motion():
    joints, valid = noise(1, 2, 1, 1, 25)
    joints, valid = joints.expand(-1, -1, 9, -1, -1), valid.expand(-1, -1, 9, -1)
    values, seen = stream("motion", joints, valid, NTU25)
    assert not values.any()
    assert torch.equal(seen[:, :, :-1], valid[:, :, :-1]) and not seen[:, :, -1].any()


def test_motion_adds_up_and_bones_lead_back():
    joints, valid = noise(2, 2, 2, 8, 20, keep=1.1)
    motion, _ = stream("motion", joints, valid, KINECT20)
    assert torch.allclose(joints[:, :, :1] + motion.cumsum(2)[:, :, :-1], joints[:, :, 1:], atol=1e-5)
    bones, _ = stream("bone", joints, valid, KINECT20)
    rebuilt = [None] * 20
    rebuilt[KINECT20.root] = joints[..., KINECT20.root, :]
    assert not bones[..., KINECT20.root, :].any()
    for joint, parent in KINECT20.bones:
        rebuilt[joint] = rebuilt[parent] + bones[..., joint, :]
    assert torch.allclose(torch.stack(rebuilt, -2), joints, atol=1e-5)


def test_motion_and_bone_do_not_move_with_the_room():
    joints, valid = noise(3, 2, 1, 5, 17)
    for name in ("motion", "bone"):
        here, seen = stream(name, joints, valid, BODY17)
        there, same = stream(name, joints + torch.tensor([3., -1, 2]), valid, BODY17)
        assert torch.allclose(here, there, atol=1e-5) and torch.equal(seen, same)


def test_one_frame_and_nobody():
    joints = torch.full((2, 1, 1, 17, 3), float("nan"))
    valid = torch.zeros(2, 1, 1, 17, dtype=torch.bool)
    for name in STREAMS:
        values, seen = stream(name, joints, valid, BODY17)
        assert not values.any() and not seen.any() and torch.isfinite(values).all()
    values, seen = resample(joints, valid, torch.tensor([1, 1]), 5)
    assert values.shape[2] == 5 and not values.any() and not seen.any() and torch.isfinite(values).all()


def test_unknown_stream_names_the_known():
    with pytest.raises(ValueError, match="joint, motion, bone"):
        stream("velocity", torch.zeros(1, 1, 2, 17, 3), torch.ones(1, 1, 2, 17, dtype=torch.bool), BODY17)


def test_root_relative_and_back():
    joints, valid = noise(4, 2, 2, 6, 20, keep=1.1)
    relative, seen = root_relative(joints, valid, KINECT20)
    assert not relative[..., KINECT20.root, :].any() and seen.all()
    moved, _ = root_relative(joints + torch.randn(2, 2, 6, 1, 3), valid, KINECT20)
    assert torch.allclose(moved, relative, atol=1e-5)      # each frame's own place is gone
    kept, _ = root_relative(joints, valid, KINECT20, keep_root=True)
    assert torch.equal(kept[..., KINECT20.root, :], joints[..., KINECT20.root, :])
    assert torch.allclose(root_absolute(kept, KINECT20), joints, atol=1e-5)


def test_root_relative_needs_the_root():
    joints, valid = noise(5, 2, 2, 6, 20, keep=.8)
    for keep_root in (False, True):
        relative, seen = root_relative(joints, valid, KINECT20, keep_root)
        assert torch.equal(seen, valid & valid[..., KINECT20.root, None])
        assert torch.isfinite(relative).all() and not relative[~seen].any()


@pytest.mark.parametrize("length", [1, 2, 7, 50, 113, 300])
def test_resample_to_its_own_length_is_the_identity(length):
    joints, valid = noise(length, 2, 1, length, 17)
    values, seen = resample(joints, valid, torch.tensor([length, length]), length)
    assert torch.equal(seen, valid) and torch.equal(values, zeroed(joints, valid))


def test_resample_keeps_ends_and_straight_lines():
    time = torch.arange(9.)
    line = (time[:, None, None] * torch.tensor([1., -2, .5])).expand(9, 17, 3)[None, None]
    for to in (2, 5, 9, 40):
        values, seen = resample(line, torch.ones(1, 1, 9, 17, dtype=torch.bool), torch.tensor([9]), to)
        expected = torch.linspace(0, 8, to)[:, None] * torch.tensor([1., -2, .5])
        assert torch.allclose(values[0, 0, :, 3], expected, atol=1e-5) and seen.all()


def test_resample_mask_at_the_edges_of_a_gap():
    joints, valid = torch.randn(1, 1, 9, 17, 3), torch.ones(1, 1, 9, 17, dtype=torch.bool)
    valid[0, 0, 4, 5] = False                              # one joint of one frame
    _, seen = resample(joints, valid, torch.tensor([9]), 17)   # target 2i is frame i, target 2i + 1 lies between i and i + 1
    lost = (~seen).nonzero().tolist()
    assert lost == [[0, 0, 7, 5], [0, 0, 8, 5], [0, 0, 9, 5]]


def test_what_lies_past_the_end_never_leaks():
    joints, valid = noise(6, 4, 2, 12, 17, keep=.9)
    lengths = torch.tensor([0, 1, 5, 12])
    first, seen = resample(joints, valid, lengths, 20)
    for n, length in enumerate(lengths):                   # rubbish, marked as valid, past every clip's end
        joints[n, :, length:] = 1e6
        valid[n, :, length:] = True
    second, same = resample(joints, valid, lengths, 20)
    assert torch.equal(first, second) and torch.equal(seen, same)
    assert not seen[0].any()
    assert torch.equal(second[1], zeroed(joints, valid)[1, :, :1].expand(-1, 20, -1, -1))      # one frame stands still


def test_a_batch_is_resampled_like_each_clip_alone():
    joints, valid = noise(7, 6, 2, 30, 17)
    lengths = torch.tensor([1, 2, 9, 17, 29, 30])
    values, seen = resample(joints, valid, lengths, 13)
    for n, length in enumerate(lengths.tolist()):
        alone, own = resample(joints[n:n + 1, :, :length], valid[n:n + 1, :, :length], lengths[n:n + 1], 13)
        assert torch.equal(values[n], alone[0]) and torch.equal(seen[n], own[0])


def test_resample_is_differentiable_past_gaps():
    joints, valid = noise(8, 2, 1, 8, 17)
    joints = zeroed(joints, valid).requires_grad_()
    resample(joints, valid, torch.tensor([8, 5]), 11)[0].square().sum().backward()
    assert torch.isfinite(joints.grad).all() and not joints.grad[1, :, 5:].any()


def test_resample_refuses_nonsense():
    joints, valid = torch.zeros(1, 1, 4, 17, 3), torch.ones(1, 1, 4, 17, dtype=torch.bool)
    with pytest.raises(ValueError, match="at least 1"):
        resample(joints, valid, torch.tensor([4]), 0)
    with pytest.raises(ValueError, match="0..4"):
        resample(joints, valid, torch.tensor([5]), 3)


def small_set(lengths, people=(1, 2)):
    generator = np.random.default_rng(0)
    clips = []
    for i, length in enumerate(lengths):
        shape = (length, people[i % len(people)], 17)
        clips.append(dict(joints=generator.normal(size=(*shape, 3)).astype(np.float32), valid=generator.random(shape) < .8,
                          moving=generator.random(shape) < .5, name=f"clip{i}", label=i % 3, subject=i, camera=1, scene=f"s{i}", fps=30.))
    return SkeletonSet.from_clips(clips, BODY17, ["a", "b", "c"], "small", {})


def test_fixed_length_is_the_set_resampled():
    data = small_set([1, 2, 7, 20, 33, 50])
    batch = fixed_length(data, 20, chunk=4)
    assert batch.joints.shape == (6, 2, 20, 17, 3) and batch.frames.tolist() == [1, 2, 7, 20, 33, 50]
    assert batch.index.tolist() == list(range(6)) and batch.label.tolist() == [0, 1, 2, 0, 1, 2]
    for n in range(6):
        clip = data.clip(n)
        joints, valid = resample(clip.joints, clip.valid, clip.frames, 20)
        people = joints.shape[1]
        assert torch.equal(batch.joints[n, :people], joints[0]) and torch.equal(batch.valid[n, :people], valid[0])
    exact = data.clip(3)                                   # 20 frames already: its truth is unchanged where it is valid
    assert torch.equal(batch.moving[3, :exact.joints.shape[1]], (exact.moving & exact.valid)[0])
    assert not (batch.moving & ~batch.valid).any() and batch.moving.any()


def test_fixed_length_without_resampling_pads():
    data = small_set([3, 9, 5])
    batch = fixed_length(data, None)
    assert batch.joints.shape[2] == 9 and not batch.valid[0, :, 3:].any() and batch.frames.tolist() == [3, 9, 5]


def test_fixed_length_refuses_an_empty_set():
    data = small_set([3, 9])
    with pytest.raises(ValueError, match="no clips"):
        fixed_length(data.select(np.zeros(2, bool)), 5)


# --- the geometric stream

def about_y(degrees):
    turn = torch.tensor(degrees).deg2rad()
    return torch.tensor([[turn.cos(), 0, turn.sin()], [0, 1, 0], [-turn.sin(), 0, turn.cos()]])


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=str)
def test_reference_joints_are_ends_and_middles(skeleton):
    take = reference_joints(skeleton)
    names = [skeleton.joints[j] for j in take]
    assert len(take) == 12 and skeleton.pelvis in take and {"left_elbow", "right_elbow", "left_knee", "right_knee"} <= set(names)
    mirrored = {skeleton.mirror[j] for j in take}
    assert mirrored == set(take)                           # as many of the left as of the right
    assert channels_of("geometry", skeleton) == 26 and [channels_of(name, skeleton) for name in STREAMS] == [3, 3, 3]
    with pytest.raises(ValueError, match="joint, motion, bone, geometry"):
        channels_of("velocity", skeleton)


def test_reference_joints_of_a_skeleton_without_hands():
    from dataclasses import replace
    names = tuple(name.replace("left_", "l").replace("right_", "r") for name in NTU25.joints)
    take = reference_joints(replace(NTU25, joints=names))  # nothing to know by name: the limbs' ends
    assert len(take) == 12 and {"lshoulder", "rshoulder", "lfoot", "rfoot"} <= {names[j] for j in take}


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=str)
def test_geometry_is_zero_where_nothing_was_seen(skeleton):
    joints, valid = noise(9, 3, 2, 6, len(skeleton))
    values, seen = stream("geometry", joints, valid, skeleton)
    assert values.shape == (3, 2, 6, len(skeleton), channels_of("geometry", skeleton)) and torch.equal(seen, valid)
    assert torch.isfinite(values).all() and not values[~valid].any()
    take = torch.tensor(reference_joints(skeleton))
    lost = ~valid[..., take][..., None, :].expand(*valid.shape, 12)        # a reference that was not seen
    assert not values[..., :12][lost].any() and not values[..., 12:24][lost].any()
    joints[~valid] = 1e6                                   # rubbish where nothing was seen
    assert torch.equal(stream("geometry", joints, valid, skeleton)[0], values)
    nobody, _ = stream("geometry", joints, valid & False, skeleton)
    assert not nobody.any()


def test_geometry_does_not_turn_or_move_and_scales():
    joints, valid = noise(10, 2, 1, 5, 25)
    values, _ = stream("geometry", joints, valid, NTU25)
    for degrees in (35., 120., 180., 271.):
        turned = joints @ about_y(degrees).T + torch.tensor([2., -1, 4])
        assert torch.allclose(stream("geometry", turned, valid, NTU25)[0], values, atol=1e-5)
    assert torch.allclose(stream("geometry", 3 * joints, valid, NTU25)[0], 3 * values, atol=1e-5)
    tilted = joints[..., [1, 0, 2]]
    assert not torch.allclose(stream("geometry", tilted, valid, NTU25)[0], values, atol=1e-2)      # heights know what is up


def test_geometry_mirrors_with_the_body():
    joints, valid = noise(11, 2, 1, 5, 20)
    mirror, take = list(KINECT20.mirror), list(reference_joints(KINECT20))
    swapped = [take.index(KINECT20.mirror[j]) for j in take]
    order = [*swapped, *(12 + k for k in swapped), 24, 25]
    values, _ = stream("geometry", joints, valid, KINECT20)
    flipped = joints[..., mirror, :] * torch.tensor([-1., 1, 1])
    assert torch.allclose(stream("geometry", flipped, valid[..., mirror], KINECT20)[0], values[..., mirror, :][..., order], atol=1e-5)


def test_geometry_of_a_still_body_and_of_one_frame():
    joints, valid = noise(12, 1, 1, 1, 17)
    alone, _ = stream("geometry", joints, valid, BODY17)
    still, _ = stream("geometry", joints.expand(-1, -1, 4, -1, -1), valid.expand(-1, -1, 4, -1), BODY17)
    assert torch.allclose(still, alone.expand(-1, -1, 4, -1, -1)) and not still[..., 12:24].any() and not still[..., 25].any()


def test_geometry_passes_gradient():
    joints, valid = noise(13, 2, 1, 4, 17)
    joints = zeroed(joints, valid).requires_grad_()
    stream("geometry", joints, valid, BODY17)[0].sum().backward()
    assert torch.isfinite(joints.grad).all() and joints.grad[valid].any() and not joints.grad[~valid].any()
