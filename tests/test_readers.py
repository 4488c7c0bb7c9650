"From a release on disk to a set on disk."
import json
import zipfile

import numpy as np
import pytest

import skelbench.readers
from skelbench.clips import SkeletonSet, duplicates, leaked
from skelbench.datasets import FORMATS, import_set, info, open_set
from skelbench.readers import read_nw_ucla

NAMES = ["a01_s01_e00_v01", "a01_s01_e00_v02", "a01_s01_e00_v03", "a12_s10_e03_v02"]


def record(frames=4, seed=0, **changes):
    joints = np.random.default_rng(seed).normal(size=(frames, 20, 3)).round(6)
    return {"file_name": "x", "skeletons": joints.tolist(), "label": 1} | changes


def files(**extra):
    "A small good release, name -> text, and what is added to it."
    good = {f"all_sqe/{name}.json": json.dumps(record(4 + i, i, label=1 if name[:3] == "a01" else 10)) for i, name in enumerate(NAMES)}
    return good | {f"all_sqe/{name}": text for name, text in extra.items()}


def write(tmp_path, content, form="zip"):
    if form == "folder":
        for name, text in content.items():
            path = tmp_path / "release" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path / "release"
    with zipfile.ZipFile(tmp_path / "release.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in content.items():
            archive.writestr(name, text)
    return tmp_path / "release.zip"


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_zip_and_folder_give_the_same_clips(tmp_path, form):
    clips, left_out = read_nw_ucla(write(tmp_path, files(), form), progress=False)
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
    clips, left_out = read_nw_ucla(write(tmp_path, files(**{"a02_s01_e00_v01.json": text})), progress=False)
    assert [c["name"] for c in clips] == NAMES
    (reason, names), = left_out.items()
    assert names == ["all_sqe/a02_s01_e00_v01.json"] and any(part in reason for part in says.split("|")), reason


def test_a_coordinate_that_is_no_number(tmp_path):
    frames = record()["skeletons"]
    frames[2][5][1] = float("nan")
    _, left_out = read_nw_ucla(write(tmp_path, files(**{"a02_s01_e00_v01.json": json.dumps(record(skeletons=frames))})), progress=False)
    assert left_out == {"coordinates are not finite": ["all_sqe/a02_s01_e00_v01.json"]}


def test_odd_names_and_duplicates(tmp_path):
    extra = {"kitchen.json": json.dumps(record()), "a1_s1_e0_v1.json": json.dumps(record()),
             "again/a01_s01_e00_v01.json": json.dumps(record(9))}
    clips, left_out = read_nw_ucla(write(tmp_path, files(**extra)), progress=False)
    assert [c["name"] for c in clips] == NAMES and len(clips[0]["joints"]) == 4, "the first of two files of a name is kept"
    assert {k: len(v) for k, v in left_out.items()} == {"file name is not aAA_sSS_eEE_vVV.json": 2, "a second file of this name": 1}


def test_what_is_not_json_by_name_is_no_clip(tmp_path):
    content = files(**{"README.txt": "hello"}) | {"__MACOSX/all_sqe/._a01_s01_e00_v01.json": "junk"}
    assert read_nw_ucla(write(tmp_path, content), progress=False)[1] == {}


def test_a_joint_lost_is_not_valid(tmp_path):
    frames = record()["skeletons"]
    frames[1][7] = [0, 0, 0]
    for f in frames:
        f[9] = [0., 0., 0.]
    clips, _ = read_nw_ucla(write(tmp_path, {"a01_s01_e00_v01.json": json.dumps(record(skeletons=frames))}), progress=False)
    want = np.ones((4, 1, 20), bool)
    want[1, 0, 7] = want[:, 0, 9] = False
    assert np.array_equal(clips[0]["valid"], want)


def test_a_clip_of_one_frame(tmp_path):
    clips, left_out = read_nw_ucla(write(tmp_path, {"a01_s01_e00_v01.json": json.dumps(record(1))}), progress=False)
    assert clips[0]["joints"].shape == (1, 1, 20, 3) and left_out == {}


# zips that mean harm or were harmed

def test_a_path_out_of_the_archive_is_refused(tmp_path):
    clips, left_out = read_nw_ucla(write(tmp_path, files() | {"../a02_s01_e00_v01.json": json.dumps(record())}), progress=False)
    assert len(clips) == 4 and left_out == {"path leads out of the archive": ["../a02_s01_e00_v01.json"]}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["release.zip"]


@pytest.mark.parametrize("form", ["zip", "folder"])
def test_a_bomb_is_refused_unread(tmp_path, form, monkeypatch):
    monkeypatch.setattr(skelbench.readers, "LARGEST", 1_000_000)
    clips, left_out = read_nw_ucla(write(tmp_path, files(**{"a02_s01_e00_v01.json": "0" * 5_000_000}), form), progress=False)
    assert len(clips) == 4 and left_out == {"larger than 1 MB": ["all_sqe/a02_s01_e00_v01.json"]}


def test_a_member_damaged_inside(tmp_path):
    path = write(tmp_path, files())
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo(f"all_sqe/{NAMES[1]}.json").header_offset
    data = bytearray(path.read_bytes())
    data[start + 120:start + 160] = bytes(40)
    path.write_bytes(data)
    clips, left_out = read_nw_ucla(path, progress=False)
    assert len(clips) == 3 and left_out == {"damaged inside the zip": [f"all_sqe/{NAMES[1]}.json"]}


def test_nothing_usable_is_one_line(tmp_path):
    for content, says in (({"a/readme.txt": "x"}, "holds no .json"), ({"a02_s01_e00_v01.json": "{"}, "nothing usable; not JSON"),
                          ({"x.json": json.dumps(record())}, "nothing usable; file name")):
        with pytest.raises(ValueError, match=says) as caught:
            read_nw_ucla(write(tmp_path, content), progress=False)
        assert "\n" not in str(caught.value)
    path = write(tmp_path, files())
    for damage in (path.read_bytes()[:-300], b"", b"PK\x03\x04 no more"):
        path.write_bytes(damage)
        with pytest.raises(ValueError, match="not a whole zip") as caught:
            read_nw_ucla(path, progress=False)
        assert "\n" not in str(caught.value)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_nw_ucla(tmp_path / "nowhere.zip")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no .json"):
        read_nw_ucla(tmp_path / "empty")


# data sets

def test_import_tells_what_it_left_out(tmp_path):
    release = write(tmp_path, files(**{"kitchen.json": "{}", "a02_s01_e00_v01.json": "{"}))
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
    data, _ = import_set("nw_ucla", write(tmp_path, content), tmp_path / "a.skel", progress=False)
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
