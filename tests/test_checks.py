"Every kind of finding on a fault made for it, and nothing on a clean set."
import json
from dataclasses import replace

import numpy as np
import pytest

from skelbench.check_pictures import picture
from skelbench.checks import KINDS, LIMITS, SEVERITIES, check
from skelbench.clips import SkeletonSet
from skelbench.faults import AGAIN, SPOIL, as_clips, plant, resampled, turned
from skelbench.motion_checks import LEAP, bodies, leaps, measure
from skelbench.near_duplicates import CROWD, candidates, key_poses, look_alikes, near_duplicates
from skelbench.skeleton import BODY17, KINECT20, NTU25
from skelbench.synthetic import make_synthetic


def kinds(report):
    "Kinds found; on the way everything that every report promises."
    told = report.to_dict()
    assert json.loads(json.dumps(told, allow_nan=False)) and told["errors"] + told["warnings"] + told["notes"] == len(report)
    for f in report:
        assert f.kind in KINDS and f.severity in SEVERITIES and f.text and (f.count > 0 or f.kind == "protocol")
        assert all(isinstance(name, str) for name in f.clips)
    assert repr(report) and report._repr_html_()
    return {f.kind for f in report}


def named(report, kind):
    return {name for f in report.of(kind) for name in f.clips}


def rebuilt(data, change, rows=None):
    "The set with `change(clip)` done to some clips."
    clips = as_clips(data)
    for row in range(len(clips)) if rows is None else rows:
        clips[row] = change(clips[row])
    return SkeletonSet.from_clips(clips, data.skeleton, data.classes, data.name, data.protocols, data.units)


@pytest.fixture(scope="module")
def clean():
    return make_synthetic(48, seed=7, skeleton=NTU25)


@pytest.fixture(scope="module")
def spoiled():
    "One set with two clips of every fault that one sees, with little noise."
    data, truth = plant(make_synthetic(240, seed=8, skeleton=NTU25, noise=.003), [*SPOIL, *AGAIN], each=2, seed=8)
    return data, truth, check(data, progress=False)


@pytest.mark.parametrize("clips, seed, skeleton", [
    (48, 0, BODY17),
    *(pytest.param(clips, seed, skeleton, marks=pytest.mark.slow) for clips in (48, 96, 240) for seed in range(10) for skeleton in (BODY17, NTU25, KINECT20)),
    *(pytest.param(1000, seed, (BODY17, NTU25, KINECT20)[seed % 3], marks=pytest.mark.slow) for seed in range(10))],
    ids=lambda value: getattr(value, "name", str(value)))
def test_a_clean_set_comes_out_clean(clips, seed, skeleton):
    assert list(check(make_synthetic(clips, seed=seed, skeleton=skeleton), progress=False)) == []


def test_turned_and_moved_clips_are_still_clean(clean):
    rng = np.random.default_rng(0)
    assert list(check(rebuilt(clean, lambda c: turned(c, rng.uniform(0, 360), rng.normal(0, 2, 3))), progress=False)) == []


@pytest.mark.parametrize("fault", [f for f in SPOIL if f != "labels"])  # labels need more clips, see below
def test_a_spoiled_clip_is_named(spoiled, fault):
    _, truth, report = spoiled
    # a reflected copy is mirrored, and who was put into another class may be one too many there
    true_too = {name for other in {"mirrored": ["reflected"], "people": ["labels", "copies_across_classes"]}.get(fault, ()) for name in truth[other]}
    found = named(report, fault)
    assert set(truth[fault]) <= found and found <= set(truth[fault]) | true_too


@pytest.mark.parametrize("fault", AGAIN)
def test_a_copy_is_named_with_its_source(spoiled, fault):
    _, truth, report = spoiled
    kind = "copies" if fault.startswith("copies") else "near_copies"
    pairs = {frozenset(p[:2]) for f in report.of(kind) for p in f.details["pairs"]}
    assert {frozenset((name, name.removesuffix(f"_{fault}"))) for name in truth[fault]} <= pairs
    assert ("across_classes" in fault) == (set(truth[fault]) <= named(report, "copies_across_classes"))


def test_how_a_copy_was_made_is_said(spoiled):
    _, truth, report = spoiled
    how = {name: p[2] for f in report.of("near_copies") for p in f.details["pairs"] for name in p[:2]}
    for fault, word in (("moved", "moved"), ("turned", "turned"), ("cut", "cut"), ("resampled", "resampled"), ("reflected", "mirrored")):
        assert all(word in how[name] for name in truth[fault]), (fault, [how[name] for name in truth[fault]])


def test_a_report_keeps_its_promises(spoiled):
    data, _, report = spoiled
    assert len(kinds(report)) >= 20 and picture(report.of("jumps")[0], data).axes


@pytest.mark.slow
def test_every_finding_has_a_picture(spoiled):
    data, _, report = spoiled
    for finding in report:
        figure = picture(finding, data)
        assert figure is not None and figure.axes, finding.kind


@pytest.mark.slow
def test_a_wrong_label_is_doubted_in_a_set_that_is_known_well():
    data, truth = plant(make_synthetic(640, seed=4, skeleton=NTU25, variation=.3), ["labels"], each=12, seed=4)
    (found,) = check(data, progress=False).of("labels")
    assert found.severity == "note" and len(found.clips) >= 9 and set(found.clips) <= set(truth["labels"])
    assert found.details["likely"][found.clips[0]] in data.classes and picture(found, data).axes
    data, _ = plant(make_synthetic(640, seed=4, skeleton=NTU25), ["labels"], each=12, seed=4)
    assert check(data, progress=False).of("labels") == []


@pytest.mark.slow
def test_no_clip_is_called_mirrored_where_noise_hides_its_front(clean):
    data, _ = plant(make_synthetic(144, seed=3, skeleton=BODY17, noise=.02), ["mirrored"], each=8, seed=3)
    assert check(data, progress=False).of("mirrored") == []


def test_a_crowd_stays_bounded_and_is_told():
    data = make_synthetic(96, seed=0, noise=0., dropout=0., occlusion=False, variation=0.)
    keys = key_poses(data, progress=False)
    pairs, maps, crowded = look_alikes(keys, *candidates(keys), progress=False)
    assert crowded and len(pairs) <= CROWD * len(keys.row) and np.isfinite(maps).all()
    assert f"; {crowded} clips look like more others than were compared" in check(data, progress=False).of("near_copies")[0].text


# -- whole sets ---------------------------------------------------------------

@pytest.mark.parametrize("factor, unit", [(1000, "millimetres"), (100, "centimetres"), (1 / .3048, "feet"), (1 / .0254, "inches")])
def test_units_are_guessed(clean, factor, unit):
    report = check(replace(clean, joints=clean.joints * np.float32(factor)), progress=False)
    (finding,) = report
    assert finding.kind == "units" and finding.severity == "error" and unit in finding.text
    stated = replace(clean, joints=clean.joints * np.float32(factor), units=unit)
    assert list(check(stated, progress=False)) == []
    (finding,) = check(replace(clean, units="mm"), progress=False)
    assert finding.kind == "units" and "where mm are stated" in finding.text


@pytest.mark.parametrize("order, sign, up", [((0, 2, 1), (1, -1, 1), "z"), ((1, 0, 2), (1, -1, 1), "x"), ((0, 1, 2), (-1, -1, 1), "-y")])
def test_the_axis_that_is_up_is_named(clean, order, sign, up):
    report = check(replace(clean, joints=clean.joints[..., list(order)] * np.float32(sign)), progress=False)
    (finding,) = report
    assert finding.kind == "up_axis" and finding.severity == "error" and finding.details["up"] == up


def test_a_mirrored_set_is_known_by_its_feet(clean):
    report = check(replace(clean, joints=clean.joints * np.float32([-1, 1, 1])), progress=False)
    (finding,) = report
    assert finding.kind == "mirrored" and finding.severity == "error" and finding.details["whole_set"] and finding.details["sure"] >= .7


def test_joints_that_never_move_or_are_never_seen(clean):
    valid, joints = clean.valid.copy(), clean.joints.copy()
    valid[..., 5] = False
    joints[..., 8, :] = [.1, .2, .3]
    report = check(replace(clean, joints=np.where(valid[..., None], joints, 0), valid=valid), progress=False)
    assert report.of("unseen_joints")[0].details["joints"] == [clean.skeleton.joints[5]]
    assert clean.skeleton.joints[8] in report.of("still_joints")[0].details["joints"]


def test_subjects_and_scenes_on_both_sides(clean):
    names = clean.table["name"].tolist()
    data = replace(clean, protocols={"half": {"train": names[::2], "test": names[1::2]}, "gone": {"column": "camera", "train": [1], "test": [9]}})
    report = check(data, progress=False)
    assert kinds(report) == {"subjects_in_both_sides", "scenes_in_both_sides", "protocol"}
    assert len(report.of("subjects_in_both_sides")[0].details["values"]) == clean.table["subject"].nunique()
    assert kinds(check(data, "folds:subject/3", progress=False)) == set() == kinds(check(data, "cameras:1,2/3", progress=False))
    with pytest.raises(ValueError, match="gone|no clip"):
        check(data, "gone", progress=False)
    for finding in report:
        assert (picture(finding, data) is None) == (finding.kind == "protocol")


def test_copies_across_a_split(clean):
    clips = as_clips(clean)
    mine = [c for c in clips if c["camera"] == 1][:6]
    for i, c in enumerate(mine):
        clips.append(c | {"name": f"again{i}", "camera": 3})
        clips.append(resampled(turned(c, 50, (1, 0, 1)), .8) | {"name": f"near{i}", "camera": 3})
    data = SkeletonSet.from_clips(clips, clean.skeleton, clean.classes, "leak", clean.protocols)
    report = check(data, "xview", progress=False)
    exact, near = report.of("copies_across_split")[0], report.of("near_copies_across_split")[0]
    assert exact.severity == near.severity == "error" and exact.count == 6 and near.count >= 5
    assert {p[1] for p in exact.details["pairs"]} == {f"again{i}" for i in range(6)}
    assert {p[1] for p in near.details["pairs"]} <= {f"near{i}" for i in range(6)}
    assert check(data, "subjects:1,3,5/2,4", progress=False).of("copies_across_split") == []


# -- odd sets -----------------------------------------------------------------

def test_one_clip_and_one_frame(clean):
    assert list(check(clean.select([3]), progress=False)) == [f for f in check(clean.select([3]), progress=False) if f.kind == "protocol"]
    frame = rebuilt(clean.select([3]), lambda c: c | {k: c[k][:1] for k in ("joints", "valid")})
    assert kinds(check(frame, progress=False)) - {"protocol"} == {"one_frame"}
    assert near_duplicates(frame, progress=False) == near_duplicates(clean.select([3]), progress=False) == []


def test_no_clip_at_all(clean):
    assert kinds(check(clean.select([]), progress=False)) <= {"protocol"}


def test_no_joint_at_all(clean):
    data = replace(clean.select(range(4)), joints=np.zeros_like(clean.joints), valid=np.zeros_like(clean.valid))
    report = check(data, "folds:name/2", progress=False)
    assert "empty" in kinds(report) and report.of("empty")[0].count == 4 and not report.of("copies")
    assert np.isfinite(measure(data, progress=False).clips.to_numpy(float)).all()
    for finding in report:
        picture(finding, data)


def test_two_dimensions(clean):
    flat = rebuilt(clean, lambda c: c | {"joints": c["joints"] * np.float32([1, 1, 0])})
    assert list(check(flat, progress=False)) == []
    pixels = rebuilt(clean, lambda c: c | {"joints": c["joints"] * np.float32([300, 300, 0]) + np.float32([400, 900, 0])})
    pixels.units = "pixels"
    assert list(check(pixels, progress=False)) == []
    pixels.units = "metres"
    assert "pixels" in check(pixels, progress=False).of("units")[0].text
    down = replace(pixels, joints=pixels.joints * np.float32([1, -1, 1]), units="pixels")
    assert check(down, progress=False).of("up_axis")[0].details["up"] == "-y"


def test_what_is_no_number_is_found_and_spreads_nowhere(clean):
    joints, valid = clean.joints.copy(), clean.valid.copy()
    for row, value in ((2, np.nan), (5, np.inf), (9, 1e30)):
        start = clean.table["start"][row]
        joints[start + 3, 0, 4], valid[start + 3, 0, 4] = value, True
    data = replace(clean, joints=joints, valid=valid)
    report = check(data, progress=False)
    assert kinds(report) == {"not_finite"} and report[0].clips == clean.table["name"][[2, 5, 9]].tolist()
    assert np.isfinite(measure(data, progress=False).clips.to_numpy(float)).all() and picture(report[0], data).axes


def test_root_at_zero_is_no_fault(clean):
    whole = make_synthetic(96, seed=3, skeleton=NTU25, occlusion=False, dropout=0)  # the root is seen all the time

    def centred(c):
        return c | {"joints": np.where(c["valid"][..., None], c["joints"] - c["joints"][:, :, [whole.skeleton.pelvis]], 0).astype(np.float32)}
    assert kinds(check(rebuilt(whole, centred), progress=False)) == kinds(check(whole, progress=False)) == set()
    joints, valid = clean.joints.copy(), clean.valid.copy()  # but a hand at zero is one
    joints[..., 7, :], valid[..., 7] = 0, valid.any(-1)
    report = check(replace(clean, joints=joints, valid=valid), progress=False)
    assert kinds(report) >= {"still_joints", "zero_joints"} and report.of("still_joints")[0].details["joints"] == [clean.skeleton.joints[7]]


def test_frame_rates_that_are_not_known(clean):
    table = clean.table.assign(fps=np.nan)
    report = check(replace(clean, table=table), progress=False)
    assert [(f.kind, f.severity) for f in report] == [("fps", "note")] and "no frame rate" in report[0].text
    table = clean.table.assign(fps=np.where(np.arange(len(clean)) < 5, 0, 30.))
    assert kinds(check(replace(clean, table=table), progress=False)) == {"fps"}


@pytest.mark.parametrize("every, skeleton", [(1, NTU25), *(pytest.param(n, k, marks=pytest.mark.slow) for n in (1, 2, 3) for k in (BODY17, KINECT20))],
                         ids=lambda value: getattr(value, "name", str(value)))
def test_without_a_clock_a_jump_is_told_from_the_clip(every, skeleton):
    "Of clips whose rate nobody noted, every frame, or every second or third one: a quick hand is none, one that is elsewhere for a frame is."
    def thinned(c):
        return c | {"joints": c["joints"][::every], "valid": c["valid"][::every], "fps": 0.}
    whole = make_synthetic(72, seed=21, skeleton=skeleton)
    assert kinds(check(rebuilt(whole, thinned), progress=False)) - {"short"} == {"fps"}
    data, truth = plant(whole, ["jumps"], each=12, seed=1)
    there = {c["name"] for c, was in zip(as_clips(data), as_clips(whole)) if (c["joints"][::every] != was["joints"][::every]).any()}
    found = named(check(rebuilt(data, thinned), progress=False), "jumps")
    assert there <= set(truth["jumps"]) and found <= there and len(found) >= .8 * len(there)


def test_leaps_against_a_loop():
    rng = np.random.default_rng(0)
    steps = rng.gamma(1, .2, (200, 4)) * np.where(rng.random((200, 4)) < .03, 12, 1)
    known, at = rng.random((200, 4)) < .9, np.array([0, 3, 50, 51, 120])
    slow = []
    for begin, end in zip(at, [*at[1:], 200]):
        longest = 0
        for j in range(4):
            there = sorted(steps[t, j] for t in range(begin, end) if known[t, j])
            if there and there[-1] > 1 and there[-1] > LEAP * there[int(.9 * (len(there) - 1))]: longest = max(longest, there[-1])
        slow.append(longest)
    assert leaps(at, steps, known, 1.).tolist() == slow and max(slow) > 0
    assert leaps(at, np.zeros((200, 4)), known, 1.).tolist() == [0] * 5


def test_limits_can_be_changed_and_are_checked(clean):
    assert "jumps" in kinds(check(clean, progress=False, joint_speed=5.))
    with pytest.raises(ValueError, match="unknown limit 'joint_sped'"):
        check(clean, progress=False, joint_sped=5.)
    assert set(LIMITS) >= {"joint_speed", "still"}


def test_bodies_are_the_set(clean):
    some = clean.select([5, 3, 40])
    rows = list(bodies(some, frames=50))
    assert len(rows) == 3 and [b.rows.tolist() for b in rows] == [[0], [1], [2]]
    for i, b in enumerate(rows):
        clip = some.clip(i)
        assert len(b.row) == int(clip.valid.any(3).sum()) and b.valid.sum() == int(clip.valid.sum())
        assert np.array_equal(b.joints, clip.joints[0, b.person, b.time].numpy())


@pytest.mark.slow
def test_nw_ucla(nw_ucla):
    data = SkeletonSet.open(nw_ucla)
    report = check(data, progress=False)
    leak = report.of("copies_across_split")[0]
    assert leak.count == 95 and {p[1][:3] for p in leak.details["pairs"]} == {"a02", "a03"}
    assert all(a[:-1] == b[:-1] and b.endswith("3") for a, b, *_ in leak.details["pairs"])
    assert named(report, "one_frame") == {"a02_s09_e04_v02", "a02_s09_e04_v03"}
    assert named(report, "missing_joints") == {"a04_s01_e01_v01", "a04_s04_e02_v01"}
    assert len(named(report, "one_frame") | named(report, "short")) == 10
    near = {frozenset(p[:2]) for p in report.of("near_copies")[0].details["pairs"]}
    assert frozenset(("a08_s01_e03_v01", "a09_s01_e03_v02")) in near and report.of("near_copies_across_classes")
    jumps = named(report, "jumps")  # most of them a whole body that is elsewhere for a frame; a quick throw is none
    assert len(jumps) == 139 and {"a04_s01_e01_v01", "a12_s04_e00_v01"} <= jumps and "a11_s03_e04_v02" not in jumps
    assert not report.of("units") and not report.of("frozen") and not any(f.details.get("whole_set") for f in report.of("mirrored"))
