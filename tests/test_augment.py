"Augmentations: masks, draws, batches and what each leaves unchanged."
from functools import partial

import pytest
import torch

from skelbench.augment import (
    augment,
    axis_mask,
    blur,
    drop_frames,
    drop_joints,
    flip,
    gaussian_band,
    noise,
    rotate,
    shear,
    temporal_crop,
    time_crop,
    time_flip,
    virtual_camera,
)
from skelbench.skeleton import KINECT20, SKELETONS

ALL = {
    "shear": shear, "temporal_crop": temporal_crop, "flip": partial(flip, skeleton=KINECT20), "rotate": rotate, "noise": noise, "blur": blur,
    "axis_mask": axis_mask, "virtual_camera": virtual_camera, "time_crop": time_crop, "time_flip": time_flip,
    "drop_frames": drop_frames,
    "drop_gap": partial(drop_frames, gap=True), "drop_joints": drop_joints,
}
each = pytest.mark.parametrize("step", ALL.values(), ids=ALL)


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def clips(n=8, people=2, frames=24, keep=.7):
    valid = torch.rand(n, people, frames, 20) < keep
    return torch.randn(n, people, frames, 20, 3) * valid[..., None], valid


@each
def test_what_is_not_valid_stays_zero(step):
    joints, valid = clips()
    valid[0], valid[1, 1], valid[2, :, 5:9], valid[3, :, :, 4] = False, False, False, False     # nobody, one person, a gap, a joint
    joints = joints * valid[..., None]
    for _ in range(5):
        new, seen = step(joints, valid)
        assert new.shape == joints.shape and seen.shape == valid.shape and new.dtype == torch.float32 and seen.dtype == torch.bool
        assert torch.isfinite(new).all() and not new[~seen].any()
        assert not seen[0].any() and not seen[1, 1].any() and not seen[3, :, :, 4].any() or step is ALL["flip"]


@each
def test_the_seed_repeats_it_and_another_does_not(step):
    joints, valid = clips()
    outcomes = []
    for seed in (5, 5, 6):
        torch.manual_seed(seed)
        outcomes.append(step(joints, valid))
    assert torch.equal(outcomes[0][0], outcomes[1][0]) and torch.equal(outcomes[0][1], outcomes[1][1])
    assert not torch.equal(outcomes[0][0], outcomes[2][0])


@each
def test_clips_have_draws_of_their_own(step):
    joints, valid = clips(n=1, keep=1.1)
    new, seen = step(joints.expand(32, -1, -1, -1, -1), valid.expand(32, -1, -1, -1))
    assert any(not torch.equal(new[0], new[n]) for n in range(1, 32))


@each
def test_the_input_is_left_alone(step):
    joints, valid = clips()
    before = joints.clone(), valid.clone()
    step(joints, valid)
    assert torch.equal(joints, before[0]) and torch.equal(valid, before[1])


@each
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_very_short_clips(step, frames):
    joints, valid = clips(frames=frames)
    new, seen = step(joints, valid)
    assert new.shape == joints.shape and torch.isfinite(new).all() and not new[~seen].any()


@each
def test_gradients_are_finite(step):
    joints, valid = clips()
    joints.requires_grad_()
    step(joints, valid)[0].square().sum().backward()
    assert torch.isfinite(joints.grad).all()


@pytest.mark.parametrize("step", [shear, rotate, virtual_camera, partial(noise, p=1), axis_mask], ids=lambda step: getattr(step, "func", step).__name__)
def test_space_leaves_the_mask_alone(step):
    joints, valid = clips()
    assert torch.equal(step(joints, valid)[1], valid)


@pytest.mark.parametrize("step", [shear, rotate, virtual_camera])
def test_one_linear_map_for_the_whole_clip(step):
    joints, valid = clips(keep=1.1)
    new, _ = step(joints, valid)
    for n in range(len(joints)):                           # the map found on one frame of one person is the map of all
        half = torch.linalg.lstsq(joints[n, 0, 0], new[n, 0, 0]).solution
        assert torch.allclose(joints[n] @ half, new[n], atol=1e-4)


def maps(step, n=4000):
    "The matrices that a linear step draws."
    basis = torch.zeros(n, 1, 1, 20, 3)
    basis[:, 0, 0, :3] = torch.eye(3)
    return step(basis, torch.ones(n, 1, 1, 20, dtype=torch.bool))[0][:, 0, 0, :3].transpose(1, 2)


@pytest.mark.parametrize("amount", [.5, 1.])
def test_shear_has_the_stated_range(amount):
    S = maps(partial(shear, amount=amount))
    assert torch.equal(S.diagonal(dim1=1, dim2=2), torch.ones(4000, 3))
    off = S[:, ~torch.eye(3, dtype=torch.bool)]
    assert off.abs().max() <= amount and (off.amax(0) > .95 * amount).all() and (off.amin(0) < -.95 * amount).all()
    assert (off.T.corrcoef() - torch.eye(6)).abs().max() < .1         # six numbers, not one


def test_rotate_has_the_stated_range():
    R = maps(rotate)
    assert torch.allclose(R @ R.transpose(1, 2), torch.eye(3).expand_as(R), atol=1e-5)
    angle = ((R.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1).acos().rad2deg()
    assert 28 < angle.max() < 32.1 and abs(angle.mean() - 15) < 1
    main = torch.stack([R[:, 2, 1], R[:, 0, 2], R[:, 1, 0]], 1).argmax(1)
    assert (torch.bincount(main, minlength=3) > 1000).all()           # each axis is the main one about as often


def test_virtual_camera_turns_about_y_then_x():
    R = maps(virtual_camera)
    tilt, yaw = torch.atan2(R[:, 2, 1], R[:, 1, 1]).rad2deg(), torch.atan2(R[:, 0, 2], R[:, 0, 0]).rad2deg()
    assert R[:, 0, 1].abs().max() < 1e-6                              # x sees nothing of y: no roll
    assert 95 < yaw.max() <= 100.01 and -100.01 <= yaw.min() < -95 and 38 < tilt.max() <= 40.01 and -40.01 <= tilt.min() < -38
    assert abs(yaw.mean()) < 4 and abs(tilt.mean()) < 2


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=str)
def test_flip_twice_is_the_identity(skeleton):
    valid = torch.rand(6, 2, 5, len(skeleton)) < .8
    joints = torch.randn(6, 2, 5, len(skeleton), 3) * valid[..., None]
    once = flip(joints, valid, skeleton, p=1)
    assert not torch.equal(once[0], joints)
    twice = flip(*once, skeleton, p=1)
    assert torch.equal(twice[0], joints) and torch.equal(twice[1], valid)
    untouched = flip(joints, valid, skeleton, p=0)
    assert torch.equal(untouched[0], joints) and torch.equal(untouched[1], valid)
    for left, right in skeleton.pairs:
        assert torch.equal(once[0][..., left, 1:], joints[..., right, 1:]) and torch.equal(once[0][..., left, 0], -joints[..., right, 0])


@pytest.mark.parametrize("name", ["flip", "time_flip", "noise", "blur", "axis_mask", "drop_frames", "drop_joints"])
def test_probability(name):
    joints, valid = clips(n=400, people=1, frames=9, keep=1.1)
    visible = {"sigma": (.5, 2.)} if name == "blur" else {}         # a window of .1 frames changes nothing
    for p in (0., .5, 1.):
        new, _ = ALL[name](joints, valid, p=p, **visible)
        share = (new != joints).flatten(1).any(1).float().mean()
        assert abs(share - p) < (.08 if p == .5 else 1e-9)
    with pytest.raises(ValueError, match="probability"):
        ALL[name](joints, valid, p=1.5)


def test_noise_has_its_size():
    joints, valid = clips(n=40, keep=.8)
    new, _ = noise(joints, valid, sigma=.3, p=1)
    difference = (new - joints)[valid]
    assert abs(difference.std() - .3) < .01 and abs(difference.mean()) < .01


def test_axis_mask_takes_one_axis():
    joints, valid = clips(n=60)
    new, seen = axis_mask(joints, valid, p=1)
    gone = (new == 0).flatten(1, 3).all(1)
    assert torch.equal(seen, valid) and (gone.sum(1) == 1).all() and gone.any(0).all()
    kept = ~gone[:, None, None, None].expand_as(joints)
    assert torch.equal(new[kept], joints[kept])


def test_blur_kernel_sums_to_one_and_is_symmetric():
    sigma = torch.tensor([.1, .5, 2., 50.])
    band = gaussian_band(sigma, 30, 15)
    assert torch.allclose(band.sum(-1), torch.ones(4, 30), atol=1e-6) and (band >= 0).all()
    assert torch.allclose(band[:, 15, 8:23], band[:, 15, 8:23].flip(-1)) and not band[:, 15, :8].any() and not band[:, 15, 23:].any()
    ratio = band[2, 15, 16] / band[2, 15, 15]
    assert abs(ratio - torch.exp(torch.tensor(-1 / 8))) < 1e-6


def test_blur_ignores_what_is_not_valid():
    joints, valid = clips()
    standing = torch.randn(8, 2, 1, 20, 3).expand(-1, -1, 24, -1, -1) * valid[..., None]
    new, seen = blur(standing, valid, p=1)
    assert torch.equal(seen, valid) and torch.allclose(new, standing, atol=1e-5)     # a standing body stands, gaps or not
    torch.manual_seed(3)
    first, _ = blur(joints, valid, p=1)
    poisoned = joints.clone()
    alone = valid.clone()
    alone[:, :, 7] = False
    poisoned[:, :, 7] = 0
    torch.manual_seed(3)
    second, _ = blur(poisoned, alone, p=1)
    assert torch.allclose(first[:, :, 15:], second[:, :, 15:], atol=1e-6)            # eight frames away nothing changed
    assert not torch.allclose(first[:, :, 8], second[:, :, 8], atol=1e-3)


def test_blur_smooths():
    joints, valid = clips(keep=1.1)
    new, _ = blur(joints, valid, sigma=(2., 2.), p=1)
    assert new.diff(dim=2).abs().mean() < .3 * joints.diff(dim=2).abs().mean()


@pytest.mark.parametrize("bad", [dict(kernel=4), dict(sigma=(0, 1)), dict(sigma=(2, 1))])
def test_blur_refuses(bad):
    with pytest.raises(ValueError, match="blur"):
        blur(*clips(), **bad)


def test_time_flip_plays_backwards():
    joints, valid = clips(frames=12)
    new, seen = time_flip(joints, valid, 1.)
    assert torch.equal(new[:, :, 3], joints[:, :, 8]) and torch.equal(seen[:, :, 0], valid[:, :, 11])
    back, mask = time_flip(new, seen, 1.)
    assert torch.equal(back, joints) and torch.equal(mask, valid)


def ramp(n, frames):
    "Clips whose every coordinate is the frame's number."
    time = torch.arange(float(frames)).view(1, 1, frames, 1, 1)
    return time.expand(n, 1, frames, 20, 3), torch.ones(n, 1, frames, 20, dtype=torch.bool)


def test_temporal_crop_reflects_and_keeps_the_length():
    new, _ = temporal_crop(*ramp(300, 50))
    track = new[:, 0, :, 0, 0].long()
    padded = torch.cat([torch.arange(8, 0, -1), torch.arange(50), torch.arange(48, 40, -1)])    # 50 // 6 = 8 at each end
    starts = set()
    for row in track:
        start = [s for s in range(17) if torch.equal(row, padded[s:s + 50])]
        assert len(start) == 1
        starts.add(start[0])
    assert starts == set(range(17))                        # every start, both ends included


def test_temporal_crop_moves_the_mask_with_the_frames():
    joints, valid = ramp(50, 30)
    valid = torch.rand(valid.shape) < .5
    new, seen = temporal_crop((joints + 1) * valid[..., None], valid)
    assert torch.equal(seen, new[..., 0] > 0)


def test_time_crop_is_a_straight_stretch():
    new, seen = time_crop(*ramp(300, 50), low=.6)
    track = new[:, 0, :, 0, 0]
    steps = track.diff(dim=1)
    assert seen.all() and track.min() >= 0 and track.max() <= 49
    assert (steps - steps.mean(1, keepdim=True)).abs().max() < 3e-3    # an even pace, never reversed
    span = track[:, -1] - track[:, 0]
    assert span.min() > .59 * 49 and span.max() < 49.01 and span.max() > .97 * 49 and span.min() < .63 * 49


def test_time_crop_of_everything_is_the_identity():
    joints, valid = clips(frames=50)
    new, seen = time_crop(joints, valid, low=1.)
    assert torch.equal(new, joints) and torch.equal(seen, valid)


def test_time_crop_mixes_no_gap_in():
    joints, valid = ramp(100, 40)
    valid = valid.clone()
    valid[:, :, 15:20] = False
    new, seen = time_crop(joints * valid[..., None], valid)
    track = new[:, 0, :, 0, 0][seen[:, 0, :, 0]]
    assert ((track <= 14) | (track >= 20)).all()           # nothing between the last frame before the gap and the first after it
    assert (~seen).any() and seen.any()


@pytest.mark.parametrize("gap", [False, True])
def test_drop_frames_drops_that_many(gap):
    joints, valid = clips(n=200, frames=50, keep=1.1)
    new, seen = drop_frames(joints, valid, fraction=.4, gap=gap)
    lost = ~seen.any(3).any(1)
    assert (lost.sum(1) == 20).all() and torch.equal(seen.all(3).all(1), ~lost)
    edges = lost.long().diff(dim=1).abs().sum(1)
    assert (edges <= 2).all() if gap else (edges > 2).all()
    assert lost.any(0).all() and torch.equal(new[seen], joints[seen])


def test_drop_joints_drops_them_for_the_whole_clip():
    joints, valid = clips(n=200, keep=1.1)
    new, seen = drop_joints(joints, valid, fraction=.25)
    lost = ~seen.any(2).any(1)
    assert (lost.sum(1) == 5).all() and torch.equal(seen, (~lost)[:, None, None].expand_as(seen)) and lost.any(0).all()
    everything, none = drop_joints(joints, valid, fraction=1.)
    assert not everything.any() and not none.any()


@pytest.mark.parametrize("step, bad", [(drop_frames, dict(fraction=1.2)), (drop_joints, dict(fraction=-.1)), (time_crop, dict(low=0)),
                                       (temporal_crop, dict(padding=2))])
def test_nonsense_is_refused(step, bad):
    with pytest.raises(ValueError, match=step.__name__):
        step(*clips(), **bad)


def test_augment_applies_in_order_and_zeroes_first():
    joints, valid = clips()
    dirty = joints.masked_fill(~valid[..., None], float("nan"))
    steps = [shear, partial(flip, skeleton=KINECT20), noise, blur]
    torch.manual_seed(4)
    new, seen = augment(steps, dirty, valid)
    torch.manual_seed(4)
    expected = joints, valid
    for step in steps:
        expected = step(*expected)
    assert torch.equal(new, expected[0]) and torch.equal(seen, expected[1])
    with pytest.raises(ValueError, match="expected joints"):
        augment(steps, joints, valid[:, :, 1:])


def test_the_number_of_draws_does_not_depend_on_the_data():
    joints, valid = clips()
    for name, step in ALL.items():
        torch.manual_seed(9)
        step(joints, valid)
        after = torch.rand(1)
        torch.manual_seed(9)
        step(joints * 0, valid & False)
        assert torch.equal(torch.rand(1), after), name
