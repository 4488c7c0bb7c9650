"Sets merged, parts of them kept, sets as files for others: what is there afterwards, what is said to be lost, and what is not left behind."
import json
import tracemalloc
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from skelbench import exporting, merging
from skelbench.bvh import parse_bvh, positions, read_bvh
from skelbench.clips import ARRAYS, SkeletonSet
from skelbench.exporting import export
from skelbench.generic import read_generic
from skelbench.merging import choose, merge, select_clips
from skelbench.skeleton import BODY17, KINECT20

RULES = {"xsub": {"column": "subject", "train": [1, 2], "test": [3]}, "xview": {"column": "camera", "train": [1], "test": [2]}}


def clip(k, people=1, **more):
    "A clip of noise."
    random = np.random.default_rng(k)
    joints = 1 + random.random((4 + k % 5, people, 17, 3))
    return {"joints": joints, "valid": random.random(joints.shape[:3]) > .1, "name": f"clip {k}", "label": k % 2, "subject": 1 + k % 3, "camera": 1 + k % 2,
            "fps": 30} | more


def made(numbers=range(12), classes=("a", "b"), name="made", protocols=RULES, units="metres", skeleton=BODY17, people=lambda k: 1, **more):
    "A set of noise."
    return SkeletonSet.from_clips([clip(k, people(k)) | {field: value(k) for field, value in more.items()} for k in numbers], skeleton, list(classes), name,
                                  dict(protocols), units, f"source of {name}")


def content(folder):
    return {p.name: p.read_bytes() for p in folder.iterdir()}


# merging

def test_merged_is_what_all_clips_together_would_be(tmp_path):
    one, two = made(range(6), people=lambda k: 1 + k % 2), made(range(6, 15), people=lambda k: 1 + (k == 9) * 2)
    both, said = merge([one, two], tmp_path / "both.skel", "made", same_subjects=True)
    clips = [clip(k, 1 + k % 2 if k < 6 else 1 + (k == 9) * 2) for k in range(15)]
    SkeletonSet.from_clips(clips, BODY17, ["a", "b"], "made", RULES, "metres", "source of made").save(tmp_path / "once.skel")
    assert content(tmp_path / "both.skel") == content(tmp_path / "once.skel")
    assert said == ["camera 1, 2 of several sets have one number, which they keep"]


def test_from_folders_and_into_one_of_them(tmp_path):
    for name, numbers in (("one", range(5)), ("two", range(5, 9))):
        made(numbers, name=name).save(tmp_path / f"{name}.skel")
    with pytest.raises(FileExistsError):
        merge([tmp_path / "one.skel", tmp_path / "two.skel"], tmp_path / "one.skel")
    both, _ = merge([tmp_path / "one.skel", tmp_path / "two.skel"], tmp_path / "one.skel", overwrite=True)
    assert both.name == "one+two" and both.table["name"].tolist() == [f"clip {k}" for k in range(9)] and both.source == "source of one; source of two"
    assert np.array_equal(both.clip("clip 7").joints[0, :, :, :, :].numpy()[0], made([7]).clip("clip 7").joints[0, 0].numpy())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["one.skel", "two.skel"]


def other_parents():
    return replace(BODY17, parents=tuple(BODY17.index("spine") if j == "left_shoulder" else p for j, p in zip(BODY17.joints, BODY17.parents)))


@pytest.mark.parametrize("skeleton, why", [
    (KINECT20, "only one has nose; only two has left_hand"), (other_parents(), "left_shoulder hangs on shoulder_centre or spine")])
def test_other_skeletons(tmp_path, skeleton, why):
    two = SkeletonSet.from_clips([{"joints": np.zeros((3, 1, len(skeleton), 3)), "name": "x", "label": 0}], skeleton, ["a"], "two")
    with pytest.raises(ValueError, match=f"one and two have different skeletons: {why}"):
        merge([made(name="one"), two], tmp_path / "both.skel")
    assert not list(tmp_path.iterdir())


def test_joints_in_another_order_and_another_rest_pose(tmp_path):
    names = list(BODY17.joints)
    names[3], names[4] = names[4], names[3]
    with pytest.raises(ValueError, match="their joints come in another order, from head on"):
        merge([made(), made(skeleton=replace(BODY17, joints=tuple(names)))], tmp_path / "both.skel")
    turned = replace(BODY17, rest=tuple((-x, y, z) for x, y, z in BODY17.rest))
    both, said = merge([made(name="one"), made(range(20, 30), name="two", skeleton=turned)], tmp_path / "both.skel")
    assert "rest of the skeleton are one's; two has others" in said and both.skeleton == BODY17


def test_units(tmp_path):
    metres, inches = made(name="metres"), made(range(20, 26), name="inches", units="inches")
    both, said = merge([metres, inches], tmp_path / "both.skel")
    assert both.units == "metres" and "inches is converted from inches to metres" in said
    joints = inches.joints * np.float32(.0254)
    assert np.array_equal(both.joints[len(metres.joints):], joints)
    again = SkeletonSet.from_clips([clip(k) | {"joints": joints[s:s + n], "valid": inches.valid[s:s + n]}
                                    for k, s, n in zip(range(20, 26), inches.table["start"], inches.table["frames"])], BODY17, ["a", "b"], "x")
    assert both.table["content"][12:].tolist() == again.table["content"].tolist() and both.table["content"][:12].tolist() == metres.table["content"].tolist()
    pixels = [made(units="pixels"), made(range(20, 26), units="pixels")]
    assert merge(pixels, tmp_path / "pixels.skel")[0].units == "pixels"
    with pytest.raises(ValueError, match="made1 in metres, made2 in pixels; only lengths can be converted"):
        merge([made(), pixels[1]], tmp_path / "no.skel")
    with pytest.raises(ValueError, match="two sets or more"):
        merge([metres], tmp_path / "no.skel")


def test_classes_and_frame_labels(tmp_path):
    def labels(values): return lambda k: np.resize(values, 4 + k % 5)
    one = made(range(4), ("a", "b"), "one", frame_labels=labels([0, 1, -1]))
    two = made(range(4, 8), ("c", "b", "a"), "two", frame_labels=labels([0, 2, -1]), moving=lambda k: clip(k)["valid"])
    both, said = merge([one, two], tmp_path / "both.skel")
    assert both.classes == ["a", "b", "c"] and both.table["label"].tolist() == [0, 1, 0, 1, 2, 1, 2, 1]
    assert set(both.frame_labels[:len(one.joints)]) == {0, 1, -1} and set(both.frame_labels[len(one.joints):]) == {2, 0, -1}
    assert "which joints act (moving) are lost: two has them, one does not" in said and both.moving is None
    wild = made(range(4, 8), ("c", "b"), "wild", frame_labels=labels([7]))
    both, said = merge([one, wild], tmp_path / "wild.skel")
    assert both.frame_labels is None and "the labels of frames are lost: those of wild are no numbers of its classes" in said
    both, said = merge([one, made(range(4, 8), name="none")], tmp_path / "none.skel")
    assert both.frame_labels is None and "the labels of frames (frame_labels) are lost: one has them, none does not" in said
    both, said = merge([wild, replace(wild, name="again")], tmp_path / "same.skel")  # nothing is renumbered
    assert set(both.frame_labels) == {7} and any("4 clips of again are in wild, too, joint for joint, as clip 4" in s for s in said)


def test_names_scenes_and_people_are_kept_apart(tmp_path):
    one = made(range(6), name="one", scene=lambda k: f"scene {k % 2}")
    two = made(range(4, 8), name="two", scene=lambda k: f"scene {k % 2}")
    third = made(range(3), name="two", subject=lambda k: 7 + k)
    third.table["name"] = ["two1_clip 4", "clip 5", "clip 99"]
    both, said = merge([one, two, third], tmp_path / "both.skel")
    names = both.table["name"].tolist()
    assert names[:6] == ["clip 0", "clip 1", "clip 2", "clip 3", "one_clip 4", "one_clip 5"]
    assert names[6:] == ["_two1_clip 4", "two1_clip 5", "clip 6", "clip 7", "two1_clip 4", "two2_clip 5", "clip 99"]
    assert both.table["scene"].nunique() == 2 + 2 + 3 and "2 clip names are in several sets: the set's name stands before them, as in one_clip 4" in said
    assert both.table["subject"].tolist() == [1, 2, 3, 1, 2, 3, 5, 6, 4, 5, 7, 8, 9]
    assert "subjects of two1 are other people than those before: 3 is added to their numbers" in said
    same, said = merge([one, two], tmp_path / "same.skel", same_subjects=True)
    assert same.table["subject"].tolist() == [1, 2, 3, 1, 2, 3, 2, 3, 1, 2] and not any("people" in s for s in said)
    unknown, _ = merge([made(range(3), subject=lambda k: 0), made(range(3, 6), subject=lambda k: 0)], tmp_path / "unknown.skel")
    assert unknown.table["subject"].tolist() == [0, 0, 0, 1, 1, 1]


def test_every_protocol_keeps_every_clip_on_its_side(tmp_path):
    names = {"train": ["clip 0", "clip 3"], "test": ["clip 1"]}
    one = made(range(9), name="one", protocols=RULES | {"list": names, "folds": {"column": "subject", "folds": 3}, "only": RULES["xview"],
                                                        "part": {"of": RULES["xsub"], "share": .5, "draw": 1}, "mixed": RULES["xview"], "broken": {"x": 1}})
    two = made(range(6, 18), name="two", protocols={"xsub": {"column": "subject", "train": [3], "test": [1, 2]}, "xview": RULES["xview"],
               "list": {"train": ["clip 6"], "test": ["clip 17", "clip 9"]}, "folds": {"column": "subject", "folds": 3}, "broken": {"x": 1},
               "part": {"of": RULES["xsub"], "share": .5, "draw": 1}, "mixed": {"column": "camera", "train": [2], "test": [1]}})
    both, said = merge([one, two], tmp_path / "both.skel")
    assert set(both.protocols) == {"xsub", "xview", "list", "folds", "part", "mixed"} and len(both.splits("folds")) == 3
    assert "protocol only is dropped: not every set has it" in said and any(s.startswith("protocol broken is dropped") for s in said)
    assert both.protocols["xsub"] == {"column": "subject", "train": [1, 2, 6], "test": [3, 4, 5]} and both.protocols["xview"] == RULES["xview"]
    for protocol in ("xsub", "xview", "list", "mixed"):
        for side in (0, 1):
            expected = [c for s in (one, two) for c in s.split(protocol)[side].table["content"]]
            assert both.split(protocol)[side].table["content"].tolist() == expected, protocol
    assert both.protocols["list"]["train"] == ["clip 0", "clip 3", "two_clip 6"] and set(both.protocols["mixed"]) == {"train", "test"}


def test_two_sides_become_one_set_again(tmp_path):
    whole = made(range(20))
    train, said = select_clips(whole, tmp_path / "train.skel", protocol="xview", side="train")
    test, _ = select_clips(whole, tmp_path / "test.skel", protocol="xview", side="test")
    assert "protocol xview is dropped: no clip is on the test side, camera 2" in said and "xsub" in train.protocols
    for side in (train, test):
        side.protocols["xview"] = RULES["xview"]
    both, _ = merge([train, test], tmp_path / "both.skel", same_subjects=True)
    assert both.protocols == RULES and sorted(both.table["content"]) == sorted(whole.table["content"])


@pytest.mark.parametrize("how", [lambda one, two, to: merge([one, two], to), lambda one, two, to: select_clips(one, to)])
def test_what_fails_leaves_nothing(tmp_path, monkeypatch, how):
    def full(file, parts, name):
        file.write(b"begun")
        raise OSError("no space left on device")
    monkeypatch.setattr(merging, "write_array", full)
    with pytest.raises(OSError):
        how(made(), made(range(20, 30)), tmp_path / "both.skel")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def large(tmp_path):
    "100 MB on disk, two people; clips in turn from its two halves, so that no two lie one after another."
    still = SkeletonSet.from_clips([{"joints": np.ones((250, 2, 17, 3)), "name": f"c{k}", "label": k % 2} for k in range(400)], BODY17, ["a", "b"], "large")
    still.save(tmp_path / "large.skel")
    return SkeletonSet.open(tmp_path / "large.skel")


def test_sets_larger_than_memory(tmp_path, large, monkeypatch):
    mixed = large.select(np.arange(400).reshape(2, 200).T.ravel())
    monkeypatch.setattr(exporting, "CHUNK", 1 << 20)
    for work in (lambda: merge([large, large], tmp_path / "a"), lambda: select_clips(mixed, tmp_path / "b", classes=["b"]),
                 lambda: export(large, tmp_path / "c", "npz")):
        tracemalloc.start()
        try:
            work()
            assert tracemalloc.get_traced_memory()[1] < 8e6  # of 50 MB and more
        finally:
            tracemalloc.stop()
    a, b = SkeletonSet.open(tmp_path / "a"), SkeletonSet.open(tmp_path / "b")
    assert len(a) == 800 and len(b) == 200 and (a.joints[::999] == 1).all() and b.valid[::999].all()
    assert b.table["name"].tolist() == mixed.table["name"][mixed.table["label"] == 1].tolist()


# selecting

def test_choose(tmp_path):
    data = made(range(30), classes=("a", "b"))
    t = data.table
    (tmp_path / "names.txt").write_text("\ufeffclip 3\r\n\n clip 10 \n", encoding="utf-8")
    t.iloc[[4, 2]].to_csv(tmp_path / "names.csv", index=False)
    for which, expected in (
            ({}, t["frames"] > 0), ({"classes": ["b"]}, t["label"] == 1), ({"subjects": [1, 3]}, t["subject"] != 2), ({"cameras": [2]}, t["camera"] == 2),
            ({"classes": ["a"], "subjects": [2]}, (t["label"] == 0) & (t["subject"] == 2)), ({"names": ["clip 7"]}, t["name"] == "clip 7"),
            ({"names": tmp_path / "names.txt"}, t["name"].isin(["clip 3", "clip 10"])), ({"names": str(tmp_path / "names.csv")}, t.index.isin([2, 4])),
            ({"protocol": "xsub", "side": "test"}, t["subject"] == 3), ({"protocol": "cameras:1/2", "side": "train"}, t["camera"] == 1),
            ({"protocol": "folds:subject/3", "side": "test", "fold": 2}, t["subject"] == 2)):
        assert choose(data, **which).tolist() == np.flatnonzero(expected).tolist(), which
    part = choose(data, classes=["b"], fraction=.2, seed=3)
    assert len(part) == 3 and set(t["label"].iloc[part]) == {1} and part.tolist() == choose(data, classes=["b"], fraction=.2, seed=3).tolist()
    for which, why in (
            ({"classes": ["c"]}, "no class c: there are a, b"), ({"subjects": [4]}, "no subject 4: there are 1, 2, 3"), ({"cameras": [0]}, "no camera 0"),
            ({"names": ["x"]}, "no clip named 'x'"), ({"names": []}, "no clip is left"), ({"side": "test"}, "a protocol with its side"),
            ({"protocol": "xsub", "side": "both"}, "train or test"), ({"protocol": "folds:subject/3", "side": "test"}, "has 3 folds: say which"),
            ({"protocol": "xsub", "side": "test", "fold": 2}, "has 1 folds"), ({"fraction": 0}, "fraction"),
            ({"protocol": "x", "side": "test"}, "unknown protocol"), ({"subjects": [3], "protocol": "xsub", "side": "train"}, "no clip is left")):
        with pytest.raises(ValueError, match=why):
            choose(data, **which)
    with pytest.raises(FileNotFoundError, match="no such file of clip names"):
        choose(data, names=str(tmp_path / "none.txt"))


def test_selected(tmp_path):
    data = made(range(20), ("a", "b", "none"), people=lambda k: 1 + (k == 1), frame_labels=lambda k: np.resize([0, 1, -1], 4 + k % 5),
                moving=lambda k: clip(k, 1 + (k == 1))["valid"])
    data.save(tmp_path / "data.skel")
    whole, said = select_clips(tmp_path / "data.skel", tmp_path / "whole.skel")
    assert not said and content(tmp_path / "whole.skel") == content(tmp_path / "data.skel")
    part, said = select_clips(data, tmp_path / "part.skel", subjects=[2, 3])
    expected = data.select(data.table["subject"] > 1)
    assert part.classes == ["a", "b", "none"] and part.table["content"].tolist() == expected.table["content"].tolist() and part.people == 2
    for array in ARRAYS:  # frames and people as they were
        clips = [getattr(data, array)[s:s + n] for s, n in zip(expected.table["start"], expected.table["frames"])]
        assert np.array_equal(getattr(part, array), np.concatenate(clips))
    assert part.protocols == {"xsub": RULES["xsub"], "xview": RULES["xview"]}
    few, said = select_clips(data, tmp_path / "few.skel", classes=["b"])
    assert few.classes == ["b"] and set(few.table["label"]) == {0} and set(few.frame_labels) == {0, -1}
    assert said[:2] == ["labels count from 0 among the 1 classes that are left", "frames of other classes have the label -1"]
    listed = replace(data, protocols={"list": {"train": ["clip 1", "clip 2"], "test": ["clip 3", "clip 4"]}})
    some, said = select_clips(listed, tmp_path / "some.skel", subjects=[1, 2])
    assert some.protocols["list"] == {"train": ["clip 1"], "test": ["clip 3", "clip 4"]}
    assert said == ["protocol list has another rule than before, with the same sides"]
    with pytest.raises(FileExistsError):
        select_clips(data, tmp_path / "few.skel")
    assert len(select_clips(data, tmp_path / "few.skel", overwrite=True)[0]) == 20


# exporting

NAMES = ["a/b", "A:B", "a_b", "../../outside", "..", " ", "x" * 300, "ü" * 200, "nul\0l", "=1+1", "-"]


@pytest.mark.parametrize("to", ["csv", "bvh"])
def test_names_are_no_paths(tmp_path, to):
    data = made(range(len(NAMES)), classes=("../a", "/b"), name="x", subject=lambda k: 1)
    data.table["name"] = NAMES
    export(data, tmp_path / "out" / "there", to, progress=False)
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    table = pd.read_csv(tmp_path / "out" / "there" / "clips.csv", keep_default_na=False)
    assert table["name"].tolist()[:7] == NAMES[:7] and table["label"].tolist()[:2] == ["../a", "/b"]
    assert all((tmp_path / "out" / "there" / f).is_file() for f in table["file"]) and len({f.lower() for f in table["file"]}) == len(NAMES)
    assert all(p.is_relative_to(tmp_path / "out" / "there") for p in files) and len(files) == len(NAMES) + (3 if to == "csv" else 2)


def test_csv_comes_back_to_the_last_bit(tmp_path):
    data = made(range(14), people=lambda k: 1 + (k % 4 == 0), frame_labels=lambda k: np.arange(4 + k % 5), moving=lambda k: clip(k, 1 + (k % 4 == 0))["valid"])
    assert export(data, tmp_path / "csv", "csv", progress=False) == []
    first = pd.read_csv(tmp_path / "csv" / "clips" / "clip_0.csv")
    assert first.columns.tolist() == ["frame", "person", "joint", "x", "y", "z", "valid", "moving", "frame_label"] and len(first) == 4 * 2 * 17
    assert (first["frame_label"] == first["frame"]).all() and (first["moving"] == first["valid"]).all() and (first["x"].isna() == (first["valid"] == 0)).all()
    release = read_generic(tmp_path / "csv", table="clips.csv", parents=tmp_path / "csv" / "skeleton.txt", units="m", up="y", fps=30)
    assert release.skeleton.joints == BODY17.joints and release.skeleton.parents == BODY17.parents and release.classes == ["a", "b"]
    clips = {c["name"]: c for unit in release.units for c in release.clips(unit)}
    assert len(clips) == 14
    for k in range(14):
        old, new = data.clip(f"clip {k}"), clips[f"clip_{k}"]
        M = new["joints"].shape[1]
        assert np.array_equal(new["joints"].swapaxes(0, 1), old.joints[0, :M]) and np.array_equal(new["valid"].swapaxes(0, 1), old.valid[0, :M])
        assert not old.valid[0, M:].any() and new["label"] == k % 2 and new["subject"] == 1 + k % 3 and new["camera"] == 1 + k % 2
    about = json.loads((tmp_path / "csv" / "exported.json").read_text())
    assert about["protocols"] == RULES and about["fingerprint"] == data.fingerprint


def test_npz_has_everything_and_no_object(tmp_path):
    data = made(range(9), people=lambda k: 1 + k % 2, moving=lambda k: clip(k, 1 + k % 2)["valid"])
    assert export(data, tmp_path / "x.npz", "npz", ["clip 5", "clip 2"]) == []
    with np.load(tmp_path / "x.npz", allow_pickle=False) as plain:
        part = data.select(["clip 5", "clip 2"])
        batch, start = part.batch(), plain["start"]
        assert start.tolist() == [0, 4] and plain["frames"].tolist() == [4, 6] and plain["joints"].shape == (10, 2, 17, 3)
        for i in (0, 1):
            assert np.array_equal(plain["joints"][start[i]:start[i] + plain["frames"][i]].swapaxes(0, 1), batch.joints[i, :, :plain["frames"][i]])
        assert plain["name"].tolist() == ["clip 5", "clip 2"] and plain["content"].tolist() == part.table["content"].tolist()
        assert plain["moving"].dtype == bool and plain["joint_names"].tolist() == list(BODY17.joints) and json.loads(str(plain["about"]))["units"] == "metres"


def body(frames=20):
    "A body that turns, with bones of one length."
    pose = np.zeros((17, 3))
    for j, p in BODY17.bones:
        pose[j] = pose[p] + .3 * np.array(BODY17.rest[j])
    turn = np.linspace(0, 2, frames)
    x, z = np.outer(np.cos(turn), pose[:, 0]) + np.outer(np.sin(turn), pose[:, 2]), np.outer(-np.sin(turn), pose[:, 0]) + np.outer(np.cos(turn), pose[:, 2])
    return np.stack([x, np.tile(pose[:, 1] + 1, (frames, 1)), z + 2], -1)


def back(path):
    "(T, V, 3) of a .bvh, in the order of BODY17."
    bvh = parse_bvh(path.read_bytes())
    return positions(bvh, ends=True)[:, [bvh.joints.index(j) for j in BODY17.joints]]


def test_bvh(tmp_path):
    gap, never, rootless, both = np.ones((4, 20, 2, 17), bool)
    gap[5:9, 0, BODY17.index("left_wrist")] = gap[0, 0, BODY17.index("pelvis")] = False
    never[:, 0, BODY17.index("right_knee")] = False
    rootless[:, 0, BODY17.index("pelvis")] = False
    for valid in (gap, never, rootless):
        valid[:, 1] = False
    joints = np.stack([body(), body() + 1], 1)
    clips = [{"joints": joints, "valid": v, "name": n, "label": i % 2, "fps": np.nan if n == "never" else 25.}
             for i, (n, v) in enumerate((("gap", gap), ("never", never), ("rootless", rootless), ("both", both), ("nobody", gap & False)))]
    data = SkeletonSet.from_clips(clips, BODY17, ["a", "b"], "made", units="metres")
    lost = export(data, tmp_path / "bvh", "bvh", progress=False)
    files = sorted(p.relative_to(tmp_path / "bvh").as_posix() for p in tmp_path.rglob("*.bvh"))
    assert files == ["a/gap.bvh", "a/rootless.bvh", "b/both_person1.bvh", "b/both_person2.bvh", "b/never.bvh"]
    for name, valid in (("gap", gap), ("never", never), ("rootless", rootless)):
        found = back(next((tmp_path / "bvh").rglob(f"{name}.bvh")))
        assert np.abs(found - body())[valid[:, 0]].max() < 1e-3 and np.abs(found - body()).max() < .35, name
    assert np.abs(back(tmp_path / "bvh" / "a" / "gap.bvh") - body()).max() < .05  # between what was seen
    assert np.abs(back(tmp_path / "bvh" / "b" / "both_person2.bvh") - body() - 1).max() < 1e-4
    assert [s.split(" ")[0] for s in lost] == ["1", "1", "which", "1", "labels"] and "1 clips without frames a second are written at 30" in lost
    release = read_bvh(tmp_path / "bvh", pattern="(?P<label>[^/]+)/[^/]+$", up="y", unit="m")
    assert release.classes == ["a", "b"] and len(release.units) == 5
    with pytest.raises(ValueError, match="none of these clips has a joint that was observed"):
        export(data, tmp_path / "no", "bvh", ["nobody"], progress=False)
    assert not (tmp_path / "no").exists()


def test_bvh_of_bones_that_stretch(tmp_path):
    joints = body() + np.random.default_rng(0).normal(size=(20, 17, 3)) * .03
    clips = [{"joints": x[:, None] * 1000, "name": n, "label": 0, "fps": 25.} for n, x in (("x", joints), ("rigid", body()))]
    data = SkeletonSet.from_clips(clips, BODY17, ["a"], "made", units="mm")
    lost = export(data, tmp_path / "bvh", "bvh", progress=False)
    assert np.linalg.norm(back(tmp_path / "bvh" / "a" / "x.bvh") - joints, axis=-1).max() < 1e-4
    assert lost[0].startswith("in 1 of 2 files bones are not rigid") and not any("mm" in s for s in lost)
    assert not any("rigid" in s for s in export(data, tmp_path / "one", "bvh", ["rigid"], progress=False))
    assert not any("rigid" in s for s in export(data, tmp_path / "turns", "bvh", ["x"], progress=False, tolerance=np.inf))
    assert .01 < np.linalg.norm(back(tmp_path / "turns" / "a" / "x.bvh") - joints, axis=-1).max() < .5
    for to, wrong in (("csv", {"tolerance": 0}), ("bvh", {"rigid": True})):
        with pytest.raises(ValueError, match=f"an export to {to} has no option {next(iter(wrong))}"):
            export(data, tmp_path / "wrong", to, progress=False, **wrong)
    pixels = replace(data, units="pixels")
    assert "coordinates are in pixels; programs will take them for metres" in export(pixels, tmp_path / "pixels", "bvh", progress=False)


def test_places_that_are_taken(tmp_path, monkeypatch):
    data = made(range(3))
    for to in ("csv", "bvh"):
        export(data, tmp_path / to, to, progress=False)
        with pytest.raises(FileExistsError):
            export(data, tmp_path / to, to, progress=False)
        export(data, tmp_path / to, "csv", [0], overwrite=True, progress=False)
        assert len(list((tmp_path / to / "clips").iterdir())) == 1
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    for place, to in (("file", "npz"), ("folder", "npz"), ("file", "csv"), ("file/x", "csv"), ("file/x", "npz")):
        with pytest.raises(FileExistsError):
            export(data, tmp_path / place, to, progress=False)
    data.save(tmp_path / "set.skel")
    with pytest.raises(FileExistsError, match="holds no exported.json"):
        export(data, tmp_path / "set.skel", "csv", overwrite=True, progress=False)
    with pytest.raises(ValueError, match="there are csv, npz, bvh"):
        export(data, tmp_path / "x", "xlsx")
    before = sorted(p.name for p in tmp_path.iterdir())
    monkeypatch.setattr(exporting, "_long", lambda *a: 1 / 0)
    monkeypatch.setattr(exporting, "write_array", lambda *a: 1 / 0)
    for place, to in (("broken", "csv"), ("broken.npz", "npz")):
        with pytest.raises(ZeroDivisionError):
            export(data, tmp_path / place, to, progress=False)
    assert sorted(p.name for p in tmp_path.iterdir()) == before and (tmp_path / "file").read_text() == "mine"
    export(data, tmp_path / "file2", "bvh", progress=False)


def test_genuine_recordings_go_out_and_come_back(nw_ucla, tmp_path):
    data = SkeletonSet.open(nw_ucla)
    rows = np.arange(0, len(data), 60)
    assert export(data, tmp_path / "csv", "csv", rows, progress=False) == []
    release = read_generic(tmp_path / "csv", table="clips.csv", parents=tmp_path / "csv" / "skeleton.txt", units="m", up="y")
    clips = [c for unit in release.units for c in release.clips(unit)]
    assert len(clips) == len(rows) == 25
    for new in clips:
        old = data.clip(new["name"])
        assert np.array_equal(new["joints"][:, 0], old.joints[0, 0]) and release.classes[new["label"]] == data.classes[int(old.label)]
    one, _ = select_clips(data, tmp_path / "one.skel", protocol="xview", side="test")
    two, _ = select_clips(data, tmp_path / "two.skel", protocol="xview", side="train")
    both, said = merge([two, one], tmp_path / "both.skel", same_subjects=True)
    assert len(one) == 464 and len(two) == 1020 and sorted(both.table["content"]) == sorted(data.table["content"])
    assert any("clips of nw_ucla2 are in nw_ucla1, too, joint for joint" in s for s in said)  # the release's own leak
