"From a release on disk to a set on disk."
import json
import zipfile

import numpy as np
import pytest
from reading import AT_LENGTH, fuzzed, gather, written

from skelbench.clips import SkeletonSet, duplicates, leaked
from skelbench.datasets import FORMATS, import_set, info, open_set
from skelbench.readers import NW_UCLA_CLASSES, SBU_CLASSES, SBU_FOLDS, SBU_PAIRS, nw_ucla_joints, read_nw_ucla, read_sbu, sbu_joints
from skelbench.skeleton import KINECT20, NITE15

NAMES = ["a01_s01_e00_v01", "a01_s01_e00_v02", "a01_s01_e00_v03", "a12_s10_e03_v02"]


def record(frames=4, seed=0, **changes):
    joints = np.random.default_rng(seed).normal(size=(frames, 20, 3)).round(6)
    return {"file_name": "x", "skeletons": joints.tolist(), "label": 1} | changes


def files(**extra):
    "A small good release, name -> text, and what is added to it."
    good = {f"all_sqe/{name}.json": json.dumps(record(4 + i, i, label=1 if name[:3] == "a01" else 10)) for i, name in enumerate(NAMES)}
    return good | {f"all_sqe/{name}": text for name, text in extra.items()}


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_zip_and_folder_give_the_same_clips(tmp_path, form):
    clips, left_out = gather(read_nw_ucla(written(tmp_path, files(), form == "zip")))
    assert left_out == {} and [c["name"] for c in clips] == NAMES
    for i, clip in enumerate(clips):
        assert np.array_equal(clip["joints"][:, 0], np.array(record(4 + i, i)["skeletons"], np.float32)) and clip["valid"].all()
    assert [(c["label"], c["subject"], c["camera"], c["scene"]) for c in clips] == [
        (0, 1, 1, "a01_s01_e00"), (0, 1, 2, "a01_s01_e00"), (0, 1, 3, "a01_s01_e00"), (9, 10, 2, "a12_s10_e03")]


BAD = {
    "cut": (json.dumps(record())[:200], "not JSON"),
    "empty": ("", "not JSON"),
    "deep": ("[" * 100_000, "not JSON"),
    "binary": ("\x00\x01", "not JSON"),
    "list": ("[1, 2]", "skeletons"),
    "no_field": ('{"label": 1}', "skeletons"),
    "19_joints": (json.dumps(record(skeletons=[f[:19] for f in record()["skeletons"]])), "20 joints"),
    "ragged": (json.dumps(record(skeletons=[record()["skeletons"][0], [[0, 0, 0]]])), "20 joints"),
    "flat": (json.dumps(record(skeletons=[1.0, 2.0])), "20 joints"),
    "number": (json.dumps(record(skeletons=3)), "20 joints"),
    "infinite": (json.dumps(record(skeletons=(np.array(record()["skeletons"]) * 1e300).tolist())), "finite"),
    "strings": (json.dumps(record(skeletons=[[[str(x) for x in p] for p in f] for f in record()["skeletons"]])), "not numbers"),
    "nulls": (json.dumps(record(skeletons=[[[None] * 3] * 20])), "not numbers"),
    "no_frames": (json.dumps(record(skeletons=[])), "no frames"),
    "no_label": (json.dumps({k: v for k, v in record().items() if k != "label"}), "label"),
    "label_0": (json.dumps(record(label=0)), "label"),
    "label_11": (json.dumps(record(label=11)), "label"),
    "label_text": (json.dumps(record(label="1")), "label"),
    "label_true": (json.dumps(record(label=True)), "label"),
}


@pytest.mark.parametrize("what", BAD)
def test_one_bad_file_is_left_out_and_named(tmp_path, what):
    text, says = BAD[what]
    clips, left_out = gather(read_nw_ucla(written(tmp_path, files(**{"a02_s01_e00_v01.json": text}), True)))
    assert [c["name"] for c in clips] == NAMES
    (reason, names), = left_out.items()
    assert names == ["all_sqe/a02_s01_e00_v01.json"] and any(part in reason for part in says.split("|")), reason


def test_a_coordinate_that_is_no_number(tmp_path):
    frames = record()["skeletons"]
    frames[2][5][1] = float("nan")
    _, left_out = gather(read_nw_ucla(written(tmp_path, files(**{"a02_s01_e00_v01.json": json.dumps(record(skeletons=frames))}), True)))
    assert left_out == {"coordinates are not finite": ["all_sqe/a02_s01_e00_v01.json"]}


def test_odd_names_and_duplicates(tmp_path):
    extra = {"kitchen.json": json.dumps(record()), "a1_s1_e0_v1.json": json.dumps(record()),
             "again/a01_s01_e00_v01.json": json.dumps(record(9))}
    clips, left_out = gather(read_nw_ucla(written(tmp_path, files(**extra), True)))
    assert [c["name"] for c in clips] == NAMES and len(clips[0]["joints"]) == 4, "the first of two files of a name is kept"
    assert {k: len(v) for k, v in left_out.items()} == {"file name is not aAA_sSS_eEE_vVV.json": 2, "a second file of this name": 1}


def test_what_is_not_json_by_name_is_no_clip(tmp_path):
    content = files(**{"README.txt": "hello"}) | {"__MACOSX/all_sqe/._a01_s01_e00_v01.json": "junk"}
    assert gather(read_nw_ucla(written(tmp_path, content, True)))[1] == {}


def test_a_joint_lost_is_not_valid(tmp_path):
    frames = record()["skeletons"]
    frames[1][7] = [0, 0, 0]
    for f in frames:
        f[9] = [0., 0., 0.]
    clips, _ = gather(read_nw_ucla(written(tmp_path, {"a01_s01_e00_v01.json": json.dumps(record(skeletons=frames))}, True)))
    want = np.ones((4, 1, 20), bool)
    want[1, 0, 7] = want[:, 0, 9] = False
    assert np.array_equal(clips[0]["valid"], want)


def test_a_clip_of_one_frame(tmp_path):
    clips, left_out = gather(read_nw_ucla(written(tmp_path, {"a01_s01_e00_v01.json": json.dumps(record(1))}, True)))
    assert clips[0]["joints"].shape == (1, 1, 20, 3) and left_out == {}


# zips that mean harm or were harmed

def test_a_path_out_of_the_archive_is_refused(tmp_path):
    clips, left_out = gather(read_nw_ucla(written(tmp_path, files() | {"../a02_s01_e00_v01.json": json.dumps(record())}, True)))
    assert len(clips) == 4 and left_out == {"path leads out of the archive": ["../a02_s01_e00_v01.json"]}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["release.zip"]


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_a_bomb_is_refused_unread(tmp_path, form):
    clips, left_out = gather(read_nw_ucla(written(tmp_path, files(**{"a02_s01_e00_v01.json": "0" * 20_000_001}), form == "zip")))
    assert len(clips) == 4 and left_out == {"larger than 20 MB": ["all_sqe/a02_s01_e00_v01.json"]}


def test_a_member_damaged_inside(tmp_path):
    path = written(tmp_path, files(), True)
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo(f"all_sqe/{NAMES[1]}.json").header_offset
    data = bytearray(path.read_bytes())
    data[start + 120:start + 160] = bytes(40)
    path.write_bytes(data)
    clips, left_out = gather(read_nw_ucla(path))
    assert len(clips) == 3 and left_out == {"damaged inside the zip": [f"all_sqe/{NAMES[1]}.json"]}


def test_a_source_that_is_none_is_one_line(tmp_path):
    with pytest.raises(ValueError, match="holds no .json") as caught:
        read_nw_ucla(written(tmp_path, {"a/readme.txt": "x"}, True))
    assert "\n" not in str(caught.value)
    path = written(tmp_path, files(), True)
    for damage in (path.read_bytes()[:-300], b"", b"PK\x03\x04 no more"):
        path.write_bytes(damage)
        with pytest.raises(ValueError, match="not a whole zip") as caught:
            read_nw_ucla(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_nw_ucla(tmp_path / "nowhere.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no .json"):
        read_nw_ucla(tmp_path / "empty")


# SBU: two people

def people(frames=5, seed=0):
    "(T, 2, 15, 3) metres, and the file that holds them."
    joints = np.random.default_rng(seed).uniform([-1, -1, 1], [1, 1, 3], (frames, 2, 15, 3))
    lines = (joints / [-2.56, -1.92, 1.28] + [.5, .5, 0]).reshape(frames, 90)
    return joints, "\n".join(",".join([str(7 + t), *(f"{x:.6g}" for x in line)]) for t, line in enumerate(lines)) + "\n"


def test_sbu_is_written_and_read(tmp_path):
    content = {f"SBU/{pair}/{1 + i % 8:02}/00{1 + i % 3}/skeleton_pos.txt": people(3 + i, i)[1] for i, pair in enumerate(SBU_PAIRS)}
    content |= {"SBU/s01s02/05/001/skeleton_pos.txt": people(4, 9)[1].replace("\n", "\r\n"), "SBU/readme.txt": "x", "SBU/notes/a.txt": "x",
                "again/SBU/s01s02/05/001/skeleton_pos.txt": "x", "SBU/s01s02/09/001/skeleton_pos.txt": people()[1],
                "SBU/s02s05/01/001/skeleton_pos.txt": people()[1]}
    for form in ("zip", "folder"):
        release = read_sbu(written(tmp_path, content, form == "zip"))
        clips, left_out = gather(release)
        assert {why: len(names) for why, names in left_out.items()} == {"file name is not sXXsYY/CC/EEE/skeleton_pos.txt": 1,
                                                                        "a second file of this name": 1, "no pair or class of this data set": 2}
        data = SkeletonSet.from_clips(clips, release.skeleton, release.classes, "sbu", release.protocols)
        assert len(data) == 22 and data.people == 2 and data.skeleton == NITE15 and release.metric == "metres"
        assert sorted(data.table["setup"].unique()) == list(range(1, 22)) and data.valid.all()
        clip = next(c for c in clips if c["name"] == "s03s04_c01_e003")
        assert np.abs(clip["joints"] - people(3 + 8, 8)[0]).max() < 1e-4 and (clip["subject"], clip["setup"], clip["label"]) == (3, 9, 0)
    tests = [set(data.splits(f"fold{k}")[0][2].table["setup"]) for k in range(1, 6)]
    assert [tuple(sorted(t)) for t in tests] == list(SBU_FOLDS)
    assert {SBU_PAIRS[s - 1] for s in tests[0]} == {"s01s02", "s03s04", "s05s02", "s06s04"}


@pytest.mark.parametrize("text, says", [
    ("", "no frames"), (" \n\n", "no frames"), ("1,2,3\n", "a line is not 91 numbers: line 1"), (people()[1] + "8,1,2", "a line is not 91 numbers: line 6"),
    (people()[1].replace("\n", ",1\n", 1), "a line is not 91 numbers: line 1"), (people()[1].replace("7,", "seven,", 1), "a line is not 91 numbers: "),
    ("nan," * 90 + "1", "coordinates are not finite"), ("1e308," * 90 + "1", "coordinates are not finite"), ("\u00e9," * 90 + "1", "not text"),
    ("#" + people()[1], "a line is not 91 numbers: "), ("," * 90, "a line is not 91 numbers: ")])
def test_a_bad_sbu_file_says_why(tmp_path, text, says):
    _, left_out = gather(read_sbu(written(tmp_path, {"s01s02/01/001/skeleton_pos.txt": text}, True)))
    (reason, names), = left_out.items()
    assert reason.startswith(says) and "\n" not in reason and names == ["s01s02/01/001/skeleton_pos.txt"]


# whatever there is in a file

@AT_LENGTH
def test_fuzz(times):
    def ucla(data):
        joints, label = nw_ucla_joints(data)
        return [{"joints": joints[:, None], "name": "x", "label": label}]
    good = [json.dumps(record(frames, frames)).encode() for frames in (1, 4)]
    read, why = fuzzed(good, ucla, KINECT20, NW_UCLA_CLASSES, times)
    assert read > times / 20 and len(why) >= 4, (read, why)
    good = [people(frames)[1].encode() for frames in (1, 6)]
    read, why = fuzzed(good, lambda data: [{"joints": sbu_joints(data), "name": "x", "label": 0}], NITE15, SBU_CLASSES, times)
    assert read > times / 20 and len(why) >= 3, (read, why)


# data sets

def test_import_tells_what_it_left_out(tmp_path):
    release = written(tmp_path, files(**{"kitchen.json": "{}", "a02_s01_e00_v01.json": "{"}), True)
    data, left_out = import_set("nw_ucla", release, tmp_path / "a.skel", progress=False)
    assert sum(map(len, left_out.values())) == 2
    counts = info(open_set(tmp_path / "a.skel"))
    assert {k: counts[k] for k in ("clips", "classes", "subjects", "cameras", "frames", "joints", "people")} == {
        "clips": 4, "classes": 10, "subjects": 2, "cameras": 3, "frames": 4 + 5 + 6 + 7, "joints": 20, "people": 1}
    assert counts["left_out"] == {k: len(v) for k, v in left_out.items()} and json.loads(json.dumps(counts)) == counts
    assert data.path and data.source


def test_import_refuses_before_it_reads(tmp_path):
    (tmp_path / "a.skel").mkdir()
    with pytest.raises(FileExistsError, match="exists already"):  # not "no such file": the destination is asked first
        import_set("nw_ucla", tmp_path / "nowhere.zip", tmp_path / "a.skel")
    with pytest.raises(ValueError, match=f"unknown format 'ucla': there are {', '.join(FORMATS)}"):
        import_set("ucla", tmp_path / "nowhere.zip", tmp_path / "b.skel")
    with pytest.raises(FileNotFoundError):
        import_set("nw_ucla", tmp_path / "nowhere.zip", tmp_path / "b.skel")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.skel"]


def test_info_of_a_set_whose_protocol_has_an_empty_side(tmp_path):
    "Cameras 1 and 2 only: xview cannot be, and info still answers."
    content = {k: v for k, v in files().items() if "v03" not in k}
    data, _ = import_set("nw_ucla", written(tmp_path, content, True), tmp_path / "a.skel", progress=False)
    assert info(data)["leaked"] == {"xview": None} and info(data)["clips"] == 3


def test_nw_ucla_is_what_was_counted(nw_ucla):
    data = open_set(nw_ucla)
    counts = info(data)
    assert [counts[k] for k in ("clips", "classes", "subjects", "cameras", "frames", "joints", "people")] == [1484, 10, 10, 3, 58534, 20, 1]
    assert counts["left_out"] == {} and counts["leaked"] == {"xview": 95}
    train, test = data.split("xview")
    assert (len(train), len(test)) == (1020, 464)
    leak = leaked(train, test)
    assert test.table[leak].groupby("label").size().to_dict() == {1: 50, 2: 45} and set(test.table["label"][leak]) == {1, 2}
    assert leak[test.table["label"].isin([1, 2])].all(), "every clip of these two classes"
    assert (data.table.groupby("scene")["camera"].nunique() == 3).sum() == 433
    assert data.table.groupby("camera").size().tolist() == [516, 504, 464]
    assert data.table["frames"].agg(["min", "max"]).tolist() == [1, 201] and (data.table["frames"] < 10).sum() == 10
    lost = [r.name for r in data.table.itertuples(index=False) if not data.valid[r.start:r.start + r.frames].all()]
    assert lost == ["a04_s01_e01_v01", "a04_s04_e02_v01"]
    actions = ["a01", "a02", "a03", "a04", "a05", "a06", "a08", "a09", "a11", "a12"]
    assert (data.table["name"].str[:3] == data.table["label"].map(dict(enumerate(actions)))).all()


def test_nw_ucla_twins_are_twins(nw_ucla):
    "Content says equal where, and only where, the joints are."
    data = SkeletonSet.open(nw_ucla)
    seen = {}
    for r in data.table.itertuples():
        seen.setdefault(data.joints[r.start:r.start + r.frames].tobytes(), []).append(r.name)
    want = {(a, b) for names in seen.values() for a in names for b in names if a < b}
    assert {tuple(sorted(pair)) for pair in duplicates(data, data)} == want and len(want) >= 95


def test_nw_ucla_release_is_what_was_counted(shared_data):
    release = read_nw_ucla(shared_data / "nw_ucla" / "all_sqe.zip")
    clips, left_out = gather(release)
    data = SkeletonSet.from_clips(clips, release.skeleton, release.classes, "nw_ucla", release.protocols)
    assert (len(data), left_out, int(data.table["frames"].sum()), data.table["camera"].value_counts().sort_index().tolist()) == (
        1484, {}, 58534, [516, 504, 464])
    assert [len(side) for side in data.split("xview")] == [1020, 464] and leaked(*data.split("xview")).sum() == 95


def test_sbu_is_what_was_counted(shared_data):
    release = read_sbu(shared_data / "sbu" / "sbu.zip")
    clips, left_out = gather(release)
    data = SkeletonSet.from_clips(clips, release.skeleton, release.classes, "sbu", release.protocols)
    t = data.table
    assert (len(data), left_out, t["frames"].sum(), t["setup"].nunique(), t["subject"].nunique()) == (282, {}, 6822, 21, 7)
    assert t.groupby("label").size().tolist() == [42, 43, 40, 41, 18, 21, 39, 38] and (t["frames"].min(), t["frames"].max()) == (10, 46)
    assert [len(data.split(f"fold{k}")[1]) for k in range(1, 6)] == [55, 52, 56, 54, 65] and (t["people"] == 2).all()
    # metres: a thigh is as long in every frame, the left as the right; upright: the head is above the feet; not mirrored: they face each other
    joints = data.joints
    thighs = [np.linalg.norm(joints[:, :, knee] - joints[:, :, hip], axis=-1) for hip, knee in ((9, 10), (12, 13))]
    assert all(abs(thigh.mean() - .426) < .001 and thigh.std() < .035 for thigh in thighs)
    assert ((joints[:, :, 0, 1] - joints[:, :, [11, 14], 1].min(-1)) > .8).mean() > .99
    left, other = joints[:, :, [3, 9]].mean(2) - joints[:, :, [6, 12]].mean(2), joints[:, ::-1, 2] - joints[:, :, 2]
    assert ((np.cross(left, [0, 1, 0]) * other).sum(-1) > 0).mean() > .88
    sides = t.assign(left=np.add.reduceat(joints[:, 0, 2, 0] > joints[:, 1, 2, 0], t["start"]) / t["frames"]).groupby("setup")["left"].agg(["min", "max"])
    assert (sides["min"] == sides["max"]).all() and sides["min"].sum() == 12, "who stands on the left is a matter of the pair"
