"Every kind of finding on a fault made for it, and nothing on a clean set."
import json
from dataclasses import replace

import numpy as np
import pytest

from skelbench.check_pictures import picture
from skelbench.checks import KINDS, LIMITS, SEVERITIES, check
from skelbench.clips import SkeletonSet
from skelbench.faults import AGAIN, SPOIL, as_clips, plant, resampled, turned
from skelbench.motion_checks import bodies, measure
from skelbench.near_duplicates import near_duplicates
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
    return make_synthetic(192, seed=7, skeleton=NTU25)


@pytest.fixture(scope="module")
def spoiled(clean):
    "One set with three clips of every fault that one sees, with little noise."
    data = make_synthetic(384, seed=8, skeleton=NTU25, noise=.003)
    data, truth = plant(data, [*SPOIL, *AGAIN], each=3, seed=8)
    return data, truth, check(data, progress=False)


@pytest.mark.parametrize("skeleton", [BODY17, NTU25, KINECT20], ids=lambda s: s.name)
@pytest.mark.parametrize("seed", [0, 21])
def test_a_clean_set_comes_out_clean(seed, skeleton):
    assert list(check(make_synthetic(240, seed=seed, skeleton=skeleton), progress=False)) == []


def test_turned_and_moved_clips_are_still_clean(clean):
    rng = np.random.default_rng(0)
    assert list(check(rebuilt(clean, lambda c: turned(c, rng.uniform(0, 360), rng.normal(0, 2, 3))), progress=False)) == []


@pytest.mark.parametrize("fault", [f for f in SPOIL if f not in ("labels", "mirrored")])
def test_a_spoiled_clip_is_named(spoiled, fault):
    _, truth, report = spoiled
    found = named(report, fault)
    assert set(truth[fault]) <= found, (fault, truth[fault], found)
    true_too = {"bone_lengths": ("still_joints", "side_swaps"), "mirrored": ("reflected",), "people": ("labels", "copies_across_classes"),
                "still_joints": ("frozen",)}
    also = {name for other in true_too.get(fault, ()) for name in truth[other]}
    assert len(found - set(truth[fault]) - also) <= 1, f"{fault}: {found - set(truth[fault])} are named, too"


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


def test_every_finding_has_a_picture(spoiled):
    data, _, report = spoiled
    assert len(kinds(report)) >= 18
    for finding in report:
        figure = picture(finding, data)
        assert figure is not None and figure.axes, finding.kind


def test_a_wrong_label_is_doubted():  # few are: what is named is wrong
    data, truth = plant(make_synthetic(480, seed=4, variation=.3), ["labels"], each=6, seed=4)
    found = check(data, progress=False, neighbours=10).of("labels")
    assert found and found[0].severity == "note" and set(found[0].clips) <= set(truth["labels"])


def test_mirrored_clips_are_named_where_feet_are_seen_well():
    data = make_synthetic(144, seed=3, skeleton=NTU25, occlusion=False, dropout=0, noise=.001)
    assert check(data, progress=False).of("mirrored") == []
    data, truth = plant(data, ["mirrored"], each=4, seed=3)
    assert len(named(check(data, progress=False), "mirrored") & set(truth["mirrored"])) >= 3


# -- whole sets ---------------------------------------------------------------

@pytest.mark.parametrize("factor, unit", [(1000, "millimetres"), (100, "centimetres"), (1 / .3048, "feet"), (1 / .0254, "inches")])
def test_units_are_guessed(clean, factor, unit):
    report = check(replace(clean, joints=clean.joints * np.float32(factor)), progress=False)
    (finding,) = report
    assert finding.kind == "units" and finding.severity == "error" and unit in finding.text
    stated = replace(clean, joints=clean.joints * np.float32(factor), units=unit)
    assert list(check(stated, progress=False)) == []


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
    def centred(c):
        return c | {"joints": np.where(c["valid"][..., None], c["joints"] - c["joints"][:, :, [clean.skeleton.pelvis]], 0).astype(np.float32)}
    whole = make_synthetic(96, seed=3, skeleton=NTU25, occlusion=False, dropout=0)
    assert kinds(check(rebuilt(whole, centred), progress=False)) <= {"still_joints"}


def test_frame_rates_that_are_not_known(clean):
    table = clean.table.assign(fps=np.nan)
    report = check(replace(clean, table=table), progress=False)
    assert [(f.kind, f.severity) for f in report] == [("fps", "note")] and "30" in report[0].text
    table = clean.table.assign(fps=np.where(np.arange(len(clean)) < 5, 0, 30.))
    assert kinds(check(replace(clean, table=table), progress=False)) == {"fps"}


def test_limits_can_be_changed_and_are_checked(clean):
    assert "jumps" in kinds(check(clean, progress=False, joint_speed=5.))
    with pytest.raises(ValueError, match="unknown limit 'joint_sped'"):
        check(clean, progress=False, joint_sped=5.)
    assert set(LIMITS) >= {"joint_speed", "still"}


def test_bodies_are_the_set(clean):
    some = clean.select([5, 3, 100])
    rows = list(bodies(some, frames=50))
    assert len(rows) == 3 and [b.rows.tolist() for b in rows] == [[0], [1], [2]]
    for i, b in enumerate(rows):
        clip = some.clip(i)
        assert len(b.row) == int(clip.valid.any(3).sum()) and b.valid.sum() == int(clip.valid.sum())
        assert np.array_equal(b.joints, clip.joints[0, b.person, b.time].numpy())


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
    assert not report.of("units") and not report.of("frozen") and not any(f.details.get("whole_set") for f in report.of("mirrored"))
