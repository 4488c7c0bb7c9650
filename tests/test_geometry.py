"Rotations, kinematics, alignment and scaling."
import math

import pytest
import torch
from torch.nn.functional import normalize

from skelbench.geometry import (
    Placement,
    align_body,
    align_first_frame,
    axis_angle_to_matrix,
    bone_lengths,
    forward_kinematics,
    inverse_kinematics,
    matrix_to_axis_angle,
    min_max,
    rotation_about,
    smallest_rotation,
    spine_joint,
    spine_length,
    tree,
    undo_min_max,
)
from skelbench.skeleton import BODY17, KINECT20, NTU25, SKELETONS

ALIGN = [align_first_frame, align_body]
each_skeleton = pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=str)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def bodies(skeleton, clips=4, people=2, frames=9, keep=1.):
    "Random bodies near the rest pose: (N, M, T, V, 3) and a mask."
    angles = .4 * torch.randn(clips, people, frames, len(skeleton), 3)
    lengths = .2 + .2 * torch.rand(clips, people, 1, len(skeleton))
    joints = forward_kinematics(angles, lengths, torch.randn(clips, people, frames, 3), skeleton)
    valid = torch.rand(joints.shape[:-1]) < keep
    return joints * valid[..., None], valid


def rotations(n):
    return axis_angle_to_matrix(normalize(torch.randn(n, 3), dim=-1) * math.pi * torch.rand(n, 1))


# rotations

def test_rotations_are_rotations_and_come_back():
    R = torch.cat([rotations(500), torch.eye(3)[None], torch.diag_embed(torch.tensor([[1., -1, -1], [-1, 1, -1], [-1, -1, 1]]))])
    assert torch.allclose(R @ R.transpose(1, 2), torch.eye(3).expand_as(R), atol=1e-5)
    assert torch.allclose(torch.linalg.det(R), torch.ones(len(R)), atol=1e-5)
    back = matrix_to_axis_angle(R)
    assert (back.norm(dim=-1) <= math.pi + 1e-5).all()
    assert torch.allclose(axis_angle_to_matrix(back), R, atol=2e-6)


def test_small_angles_come_back_as_they_were():
    small = torch.cat([torch.zeros(1, 3), 1e-6 * torch.randn(20, 3), 1e-3 * torch.randn(20, 3)])
    assert torch.allclose(matrix_to_axis_angle(axis_angle_to_matrix(small)), small, atol=1e-7)


def test_right_handed():
    x, y, z = torch.eye(3)
    quarter = torch.tensor(math.pi / 2)
    for axis, start, end in (("x", y, z), ("y", z, x), ("z", x, y)):
        assert torch.allclose(rotation_about(axis, quarter) @ start, end, atol=1e-6)
    with pytest.raises(ValueError, match="expected x, y or z"):
        rotation_about("up", quarter)


def test_gradient_at_and_near_zero():
    for size in (0., 1e-12, 1e-5, 9e-5, 1.1e-4, 1e-2, math.pi):
        a = (size * torch.tensor([.6, -.64, .48])).double().requires_grad_()
        assert torch.autograd.gradcheck(axis_angle_to_matrix, a, atol=1e-5)
    a = torch.zeros(5, 3, requires_grad=True)
    axis_angle_to_matrix(a).sum().backward()
    assert torch.isfinite(a.grad).all()


@pytest.mark.parametrize("gap", [0., 1e-9, 1e-7, 1e-5, 1e-3, .1])
def test_smallest_rotation_at_both_ends(gap):
    start = normalize(torch.randn(300, 3), dim=-1)
    side = normalize(torch.linalg.cross(start, torch.randn(300, 3)), dim=-1)
    for sign in (1., -1.):
        end = normalize(sign * math.cos(gap) * start + math.sin(gap) * side, dim=-1)
        a = smallest_rotation(start, end)
        assert torch.allclose((axis_angle_to_matrix(a) @ start[..., None])[..., 0], end, atol=2e-6)
        angle = gap if sign > 0 else math.pi - gap
        assert torch.allclose(a.norm(dim=-1), torch.full((300,), angle), atol=1e-4)
    assert not smallest_rotation(start, torch.zeros_like(start)).any()


# kinematics

@each_skeleton
def test_forward_of_inverse_is_the_pose(skeleton):
    V = len(skeleton)
    poses = torch.randn(6, 50, V, 3)
    for joint, parent in skeleton.bones[::2]:                       # bones of no length
        poses[1, :, joint] = poses[1, :, parent]
    rest = torch.tensor(skeleton.rest)
    for joint, parent in skeleton.bones:
        poses[2, :, joint] = poses[2, :, parent] - .3 * rest[joint]    # every bone opposite to rest
        poses[3, :, joint] = poses[3, :, parent] + .3 * rest[joint]    # the rest pose
        poses[4, :, joint] = poses[4, :, parent] - .3 * rest[joint] + 1e-6 * torch.randn(50, 3)
    poses[5] = 0                                                    # nobody
    angles, lengths, root = inverse_kinematics(poses, skeleton)
    assert all(torch.isfinite(x).all() for x in (angles, lengths, root))
    assert torch.allclose(forward_kinematics(angles, lengths, root, skeleton), poses, atol=2e-5)
    assert angles[3].abs().max() < 2e-3 and (angles.norm(dim=-1) <= math.pi + 1e-5).all()


@each_skeleton
def test_forward_keeps_lengths_and_root(skeleton):
    V = len(skeleton)
    angles, lengths, root = 3 * torch.randn(7, 5, V, 3), torch.rand(7, 1, V), torch.randn(7, 5, 3)
    joints = forward_kinematics(angles, lengths, root, skeleton)
    assert torch.equal(joints[..., skeleton.root, :], root)
    for joint, parent in skeleton.bones:
        measured = (joints[..., joint, :] - joints[..., parent, :]).norm(dim=-1)
        assert torch.allclose(measured, lengths[..., joint].expand(7, 5), atol=1e-5)


@each_skeleton
def test_a_bone_carries_only_what_hangs_on_it(skeleton):
    V = len(skeleton)
    lengths, root = torch.full((V,), .3), torch.zeros(3)
    still = forward_kinematics(torch.zeros(V, 3), lengths, root, skeleton)
    for joint, _ in skeleton.bones:
        angles = torch.zeros(V, 3)
        angles[joint] = torch.tensor([.5, .4, -.7])
        moved = (forward_kinematics(angles, lengths, root, skeleton) - still).norm(dim=-1) > 1e-5
        for other in range(V):
            path = [other]
            while path[-1] != skeleton.root:
                path.append(skeleton.parents[path[-1]])
            if joint not in path:
                assert not moved[other]
        assert moved[joint]


def test_turning_the_root_turns_the_body():
    angles = .5 * torch.randn(3, 20, 3)
    angles[:, KINECT20.root] = 0
    lengths, root = torch.rand(3, 20), torch.zeros(3, 3)
    turn = torch.tensor([.3, -1.1, .6])
    straight = forward_kinematics(angles, lengths, root, KINECT20)
    angles[:, KINECT20.root] = turn
    assert torch.allclose(forward_kinematics(angles, lengths, root, KINECT20), straight @ axis_angle_to_matrix(turn).T, atol=1e-5)


def test_kinematics_are_differentiable_from_zero():
    angles = torch.zeros(2, 4, 25, 3, requires_grad=True)
    lengths, root = torch.rand(2, 1, 25, requires_grad=True), torch.zeros(2, 4, 3, requires_grad=True)
    (forward_kinematics(angles, lengths, root, NTU25) * torch.randn(2, 4, 25, 3)).sum().backward()
    for x in (angles, lengths, root):
        assert torch.isfinite(x.grad).all() and x.grad.any()
    double = [x.detach().double().requires_grad_() for x in (.5 * torch.randn(1, 17, 3), torch.rand(1, 17), torch.randn(1, 3))]
    assert torch.autograd.gradcheck(lambda *x: forward_kinematics(*x, BODY17), double)


# measures of a body

@each_skeleton
def test_bone_lengths_are_those_put_in(skeleton):
    joints, valid = bodies(skeleton, keep=.8)
    measured = bone_lengths(joints, valid, skeleton)
    offsets = (joints - joints[..., list(skeleton.parents), :]).norm(dim=-1)
    both = valid & valid[..., list(skeleton.parents)]
    assert both.flatten(0, 2).any(0).all()
    error = ((offsets - measured[:, :, None]).abs() * both * both.any(2, keepdim=True))
    assert error.max() < 1e-5                               # lengths are constant over frames: the median is each of them
    assert not measured[..., skeleton.root].any()


def test_bone_lengths_fall_back_to_twin_then_mean_then_zero():
    joints, valid = bodies(KINECT20, clips=1, people=2)
    left, right, head = KINECT20.index("left_hand"), KINECT20.index("right_hand"), KINECT20.index("head")
    truth = bone_lengths(joints, valid, KINECT20)[0, 0]
    valid[0, 0, :, left] = False
    valid[0, 0, :, head] = False
    valid[0, 1] = False
    joints = joints.masked_fill(~valid[..., None], float("nan"))
    lengths = bone_lengths(joints, valid, KINECT20)
    seen = [truth[right] if j == left else truth[j] for j in range(20) if j not in (head, KINECT20.root)]
    assert torch.isfinite(lengths).all() and not lengths[0, 1].any()
    assert lengths[0, 0, left] == truth[right]
    assert abs(lengths[0, 0, head] - torch.stack(seen).mean()) < 1e-6


def test_outliers_do_not_stretch():
    joints, valid = bodies(NTU25, clips=2, people=1, frames=21)
    before, spine = bone_lengths(joints, valid, NTU25), spine_length(joints, valid, NTU25)
    joints[:, :, 3:9, NTU25.neck] += 5
    assert (bone_lengths(joints, valid, NTU25) - before).abs().max() < .3
    assert (spine_length(joints, valid, NTU25) - spine).abs().max() < .3


def test_spine_length():
    joints, valid = bodies(KINECT20, people=1)
    expected = (joints[..., KINECT20.neck, :] - joints[..., KINECT20.pelvis, :]).norm(dim=-1).flatten(1).sort(1).values[:, 4]
    assert torch.allclose(spine_length(joints, valid, KINECT20), expected)
    assert torch.equal(spine_length(joints, torch.zeros_like(valid), KINECT20), torch.ones(4))
    assert torch.equal(spine_length(torch.zeros_like(joints), valid, KINECT20), torch.ones(4))


# alignment

@each_skeleton
@pytest.mark.parametrize("align", ALIGN)
@pytest.mark.parametrize("keep", [1., .85])
def test_alignment_does_not_see_the_camera(align, skeleton, keep):
    joints, valid = bodies(skeleton, clips=20, frames=30, keep=keep)
    turned = torch.einsum("nij,n...j->n...i", rotations(20), joints) + 3 * torch.randn(20, 1, 1, 1, 3)
    turned = turned * valid[..., None]
    first, second = align(joints, valid, skeleton), align(turned, valid, skeleton)
    R = first.rotation
    assert torch.allclose(R @ R.transpose(1, 2), torch.eye(3).expand_as(R), atol=1e-5) and (torch.linalg.det(R) > .99).all()
    assert torch.allclose(first.apply(joints, valid), second.apply(turned, valid), atol=5e-4)
    assert (R - torch.eye(3)).abs().amax((1, 2)).gt(1e-3).all()       # it did turn


@each_skeleton
@pytest.mark.parametrize("align", ALIGN)
def test_a_standing_body_stays(align, skeleton):
    V = len(skeleton)
    joints = forward_kinematics(torch.zeros(1, 1, 3, V, 3), torch.full((V,), .3), torch.zeros(1, 1, 3, 3), skeleton)
    valid = torch.ones(joints.shape[:-1], dtype=torch.bool)
    placement = align(joints, valid, skeleton)
    assert torch.allclose(placement.rotation, torch.eye(3)[None], atol=1e-5)       # y up, left +x, facing +z: the house's frame
    placed = placement.apply(joints)
    assert placed[0, 0, 0, skeleton.neck, 1] > .2 and placed[0, 0, 0, skeleton.hips[0], 0] > .05
    assert not placed[0, 0, 0, skeleton.pelvis].any()


@pytest.mark.parametrize("align", ALIGN)
def test_placement_undone_and_scaled(align):
    joints, valid = bodies(NTU25, keep=.8)
    placement = align(joints, valid, NTU25)
    assert torch.allclose(placement.undo(placement.apply(joints, valid), valid), joints, atol=1e-5)
    spine = spine_length(joints, valid, NTU25)
    small = placement.scaled(spine)
    assert torch.allclose(small.apply(joints) * spine.view(-1, 1, 1, 1, 1), placement.apply(joints), atol=1e-5)
    assert torch.allclose(small.undo(small.apply(joints)), joints, atol=1e-5)
    half = small[[2, 0]]
    assert torch.equal(half.apply(joints[[2, 0]]), small.apply(joints)[[2, 0]])


@pytest.mark.parametrize("align", ALIGN)
def test_nobody_and_degenerate_bodies(align):
    empty = torch.full((1, 2, 5, 20, 3), float("nan"))
    point = torch.ones(1, 2, 5, 20, 3)
    line = torch.arange(20.).view(1, 1, 1, 20, 1).expand(1, 2, 5, 20, 3)
    joints = torch.cat([empty, point, line])
    valid = torch.ones(joints.shape[:-1], dtype=torch.bool)
    valid[0] = False
    placement = align(joints, valid, KINECT20)
    assert torch.equal(placement.rotation, torch.eye(3).expand(3, 3, 3))
    placed = placement.apply(joints, valid)
    assert torch.isfinite(placed).all() and not placed[0].any() and not placed[1].any()


@pytest.mark.parametrize("align", ALIGN)
def test_one_frame_and_missing_joints(align):
    joints, valid = bodies(KINECT20, clips=5, people=1, frames=1)
    assert torch.isfinite(align(joints, valid, KINECT20).apply(joints)).all()
    for lost in ([KINECT20.pelvis], list(KINECT20.hips), list(KINECT20.shoulders), range(20)):
        mask = valid.clone()
        mask[..., list(lost)] = False
        placement = align(joints.masked_fill(~mask[..., None], float("nan")), mask, KINECT20)
        assert torch.isfinite(placement.rotation).all() and torch.isfinite(placement.origin).all()


def test_first_frame_is_the_first_that_can_be_used():
    joints, valid = bodies(NTU25, clips=3, people=2, frames=6)
    cut = valid.clone()
    cut[:, 0, :2, NTU25.pelvis] = False
    cut[2, 0] = False                                      # clip 2: nobody but the second person
    later = align_first_frame(joints[:, :1, 2:], valid[:, :1, 2:], NTU25)
    found = align_first_frame(joints, cut, NTU25)
    assert torch.allclose(found.rotation[:2], later.rotation[:2]) and torch.equal(found.origin[:2], later.origin[:2])
    second = align_first_frame(joints[:, 1:], valid[:, 1:], NTU25)
    assert torch.allclose(found.rotation[2], second.rotation[2]) and torch.equal(found.origin[2], second.origin[2])


def test_body_origin_is_the_pelvis_or_the_middle_of_the_hips():
    joints, valid = bodies(KINECT20, clips=2, people=1)
    pelvis, hips = KINECT20.pelvis, list(KINECT20.hips)
    valid[0, 0, 0] = False
    assert torch.equal(align_body(joints, valid, KINECT20).origin[0], joints[0, 0, 1, pelvis])
    valid[1, 0, :, pelvis] = False
    assert torch.allclose(align_body(joints, valid, KINECT20).origin[1], joints[1, 0, 0, hips].mean(0))


def test_people_keep_their_places():
    joints, valid = bodies(NTU25, clips=3, people=2)
    for align in ALIGN:
        placed = align(joints, valid, NTU25).apply(joints, valid)
        def between(x):
            return (x[:, 0] - x[:, 1]).norm(dim=-1)
        assert torch.allclose(between(placed), between(joints), atol=1e-5)


def test_averaging_beats_one_frame_under_noise():
    still = forward_kinematics(torch.zeros(60, 1, 40, 20, 3), torch.full((20,), .25), torch.zeros(60, 1, 40, 3), KINECT20)
    noisy, valid = still + .03 * torch.randn_like(still), torch.ones(still.shape[:-1], dtype=torch.bool)
    error = {align: matrix_to_axis_angle(align(noisy, valid, KINECT20).rotation).norm(dim=-1).median() for align in ALIGN}
    assert error[align_body] < error[align_first_frame] / 3


def test_spine_joint():
    assert [s.joints[spine_joint(s)] for s in (NTU25, KINECT20, BODY17)] == ["spine"] * 3


# min-max

def test_min_max_and_back():
    joints, valid = bodies(NTU25, keep=.7)
    scaled, (low, high) = min_max(joints, valid)
    flat = scaled.flatten(1, 3)
    assert torch.allclose(flat.amin(1), -torch.ones(4, 3), atol=1e-5) and torch.allclose(flat.amax(1), torch.ones(4, 3), atol=1e-5)
    assert not scaled[~valid].any()
    assert torch.allclose(undo_min_max(scaled, low, high)[valid], joints[valid], atol=1e-5)
    moved, _ = min_max((joints * torch.tensor([2., .5, 3]) + 7) * valid[..., None], valid)
    assert torch.allclose(moved, scaled, atol=1e-4)        # neither place nor size of the axes is left


def test_min_max_without_extent():
    joints = torch.full((3, 1, 4, 17, 3), float("nan"))
    joints[1], joints[2] = 5., torch.randn(1, 4, 17, 3)
    joints[2, ..., 1] = 1e6
    valid = torch.ones(3, 1, 4, 17, dtype=torch.bool)
    valid[0] = False
    scaled, (low, high) = min_max(joints, valid)
    assert torch.isfinite(scaled).all() and not scaled[:2].any() and not scaled[2, ..., 1].any() and scaled[2].any()
    assert torch.equal(undo_min_max(scaled, low, high)[1], joints[1])


def test_placement_moves_with_its_device_call():
    placement = Placement(torch.eye(3)[None], torch.zeros(1, 3), torch.ones(1)).to("cpu")
    assert placement.rotation.device.type == "cpu" and torch.equal(placement.apply(torch.ones(1, 4, 3)), torch.ones(1, 4, 3))


def test_tables_made_in_inference_mode_serve_training():
    tree.cache_clear()
    with torch.inference_mode():
        forward_kinematics(torch.zeros(2, len(NTU25), 3), torch.ones(2, len(NTU25)), torch.zeros(2, 3), NTU25)
    angles = torch.zeros(2, len(NTU25), 3, requires_grad=True)
    forward_kinematics(angles, torch.ones(2, len(NTU25)), torch.zeros(2, 3), NTU25).square().sum().backward()
    assert angles.grad is not None and not any(t.is_inference() for t in tree(NTU25, torch.device("cpu"))[2:])


def test_a_body_without_a_spine_says_so():
    from dataclasses import replace

    from skelbench.geometry import spine_joint
    from skelbench.skeleton import BODY17
    with pytest.raises(ValueError, match="no spine"):
        spine_joint(replace(BODY17, neck=BODY17.pelvis, name="flat"))
