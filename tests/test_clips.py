"Skeletons, protocols, sets and batches."
import json
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch

from skelbench.clips import SkeletonSet, concatenate, duplicates, leaked
from skelbench.protocols import find_rows
from skelbench.skeleton import KINECT20, NTU25, SKELETONS, Skeleton, get_skeleton
from skelbench.storage import beside


def make_clips(lengths=(3, 5, 1, 7, 2, 9, 4, 4), skeleton=KINECT20, seed=0):
    "Clips of one or two people, some joints lost; clips 1 and 4 hold the same joints."
    rng = np.random.default_rng(seed)
    clips = []
    for i, T in enumerate(lengths):
        shape = (T, 1 + i % 2, len(skeleton))
        clips.append({"joints": rng.normal(size=(*shape, 3)).astype(np.float32), "valid": rng.random(shape) > .1,
                      "moving": rng.random(shape) > .5, "frame_labels": np.arange(T), "name": f"c{i}", "label": i % 3,
                      "subject": i // 2, "camera": i % 2 + 1, "setup": 1, "scene": f"s{i // 2}", "fps": 30})
    if len(clips) > 4:
        clips[4] |= {k: clips[1][k] for k in ("joints", "valid", "moving", "frame_labels")}
    return clips


@pytest.fixture
def data():
    protocols = {"xview": {"column": "camera", "train": [1], "test": [2]}}
    return SkeletonSet.from_clips(make_clips(), KINECT20, ["a", "b", "c"], "toy", protocols, source="made here")


# skeletons

@pytest.mark.parametrize("s", SKELETONS.values(), ids=SKELETONS)
def test_skeleton_is_a_tree_with_sides(s):
    seen = set()
    for j in s.order:  # parents before children, every joint once
        assert j == s.root or s.parents[j] in seen
        seen.add(j)
    assert seen == set(range(len(s)))
    assert [s.mirror[s.mirror[j]] for j in range(len(s))] == list(range(len(s)))
    for left, right in s.pairs:
        assert s.joints[left].replace("left", "right") == s.joints[right] and s.mirror[left] == right
        assert s.mirror[s.parents[left]] == s.parents[right], "the mirror image of a bone is a bone"
        assert np.allclose(np.array(s.rest[left]) * [-1, 1, 1], s.rest[right])
    assert sorted(j for limb in s.limbs.values() for j in limb) == list(range(len(s)))
    assert [s.index(name) for name in s.joints] == list(range(len(s)))
    assert Skeleton.from_dict(json.loads(json.dumps(s.to_dict()))) == s and hash(s) == hash(Skeleton.from_dict(s.to_dict()))
    assert s.partition().dtype == torch.float32


def test_partition_by_hand():
    "A chain of three, 0 - 1 - 2, centred on 0."
    limbs = {"head": (2,), "torso": (0, 1), "left_arm": (), "right_arm": (), "left_leg": (), "right_leg": ()}
    s = Skeleton("chain", ("a", "b", "c"), (0, 0, 1), (), 0, ((0, 0, 0), (0, 1, 0), (0, 1, 0)), limbs, (0, 0), (1, 1), 0, 1)
    want = torch.zeros(3, 3, 3)
    want[0] = torch.diag(torch.tensor([1 / 2, 1 / 3, 1 / 2]))  # itself, over the size of the neighbourhood
    want[1, 0, 1], want[1, 1, 2] = 1 / 3, 1 / 2  # 1 receives from the inner 0, 2 from the inner 1
    want[2, 1, 0], want[2, 2, 1] = 1 / 2, 1 / 3  # 0 receives from the outer 1, 1 from the outer 2
    assert torch.allclose(s.partition(), want)


@pytest.mark.parametrize("change", [
    {"parents": (1, 0, *KINECT20.parents[2:])}, {"parents": KINECT20.parents[:-1]}, {"joints": ("x",) * 20}, {"centre": 20},
    {"pairs": ((4, 8), (4, 9))}, {"limbs": {**KINECT20.limbs, "head": ()}}, {"rest": ((0, 0, 2),) * 20}, {"joints": None}, {"limbs": []}])
def test_skeleton_that_is_none_is_refused(change):
    with pytest.raises(ValueError, match="skeleton"):
        Skeleton.from_dict(KINECT20.to_dict() | change)


def test_unknown_names_name_those_that_exist():
    with pytest.raises(ValueError, match="ntu25, kinect20, body17"):
        get_skeleton("ntu")
    with pytest.raises(ValueError, match="left_hand"):
        KINECT20.index("tail")


# sets in memory

def test_set_holds_what_it_was_given(data):
    assert len(data) == 8 and data.people == 2 and len(data.joints) == 38
    for i, clip in enumerate(make_clips()):
        if i == 4:
            clip = make_clips()[1]
        b = data.clip(f"c{i}")
        T, M = clip["joints"].shape[:2]
        want = np.where(clip["valid"][..., None], clip["joints"], 0)
        assert np.array_equal(b.joints[0, :M].transpose(0, 1), want) and not b.joints[0, M:].any() and not b.valid[0, M:].any()
        assert np.array_equal(b.valid[0, :M].transpose(0, 1), clip["valid"])
        assert np.array_equal(b.moving[0, :M].transpose(0, 1), clip["moving"])
        assert (int(b.frames), int(b.index), int(b.label), int(b.camera)) == (T, i, i % 3, i % 2 + 1)
    assert "8 clips" in repr(data) and "kinect20" in repr(data)


def test_batch_pads_with_nothing(data):
    b = data.batch([5, 2, 5])
    assert b.joints.shape == (3, 2, 9, 20, 3) and b.joints.dtype == torch.float32 and b.valid.dtype == torch.bool
    assert not b.joints[1, :, 1:].any() and not b.valid[1, :, 1:].any() and not b.joints[~b.valid].any()
    assert b.joints[0].equal(b.joints[2]) and b.present.tolist() == [[True, True], [True, False], [True, True]]


def test_batch_indexing_and_concatenation(data):
    b = data.batch()
    assert b[3].index.tolist() == [3] and b[-1].index.tolist() == [7]
    assert b[1:3].index.tolist() == [1, 2] and b[[4, 0]].index.tolist() == [4, 0]
    assert b[torch.tensor([2, 2])].index.tolist() == [2, 2] and b[b.camera == 2].index.tolist() == [1, 3, 5, 7]
    assert b[np.array([True] + [False] * 7)].index.tolist() == [0]
    parts = concatenate([data.batch([i]) for i in range(8)])
    assert all(getattr(parts, k).equal(getattr(b, k)) for k in ("joints", "valid", "moving", "label", "subject", "camera", "frames"))
    assert concatenate([b, b.replace(moving=None)]).moving is None
    with pytest.raises(ValueError, match="joints must be"):
        b.replace(joints=b.joints[:, :, :2])


def test_scene_codes_tie_a_performance_together(data):
    assert data.batch().scene.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    alone = [{k: v for k, v in c.items() if k != "scene"} for c in make_clips()]
    assert SkeletonSet.from_clips(alone, KINECT20, ["a", "b", "c"], "x").batch().scene.tolist() == list(range(8))


def test_select_shares_the_arrays(data):
    part = data.select(["c6", "c1"])
    assert part.joints is data.joints and part.table["name"].tolist() == ["c6", "c1"]
    assert part.batch().joints.equal(data.batch([6, 1]).joints) and part.batch().index.tolist() == [0, 1]
    assert data.select(data.table["camera"] == 1).table["camera"].eq(1).all()
    assert len(data.select([])) == 0
    for wrong in (["c9"], [8], [True, False], [1.5]):
        with pytest.raises(ValueError):
            data.select(wrong)
    with pytest.raises(ValueError, match="no clips"):
        data.select([]).batch()


def test_rows_in_every_form():
    table = pd.DataFrame({"name": ["a", "b", "c"]})
    for rows, want in ((None, [0, 1, 2]), ("b", [1]), (2, [2]), (-1, [2]), ([2, 0], [2, 0]), (slice(1, None), [1, 2]),
                       (torch.tensor([1]), [1]), ([False, True, True], [1, 2]), (pd.Series([True, False, False]), [0]),
                       (("c", "a"), [2, 0]), ([], [])):
        assert find_rows(table, rows).tolist() == want


def test_sample_is_stratified_and_seeded():
    data = SkeletonSet.from_clips(make_clips([2] * 90), KINECT20, ["a", "b", "c"], "toy")
    part = data.sample(.1, seed=3)
    assert part.table["label"].value_counts().to_dict() == {0: 3, 1: 3, 2: 3}
    assert part.table["name"].tolist() == data.sample(.1, seed=3).table["name"].tolist() != data.sample(.1, seed=4).table["name"].tolist()
    assert data.sample(.001, seed=0).table["label"].tolist() and len(data.sample(1, seed=0)) == 90
    for fraction in (0, 1.1, -1):
        with pytest.raises(ValueError, match="fraction"):
            data.sample(fraction, seed=0)


@pytest.mark.parametrize("change, says", [
    ({"joints": np.zeros((3, 1, 19, 3))}, "'c0'.*20"), ({"joints": np.zeros((0, 1, 20, 3))}, "'c0'"),
    ({"joints": np.full((3, 1, 20, 3), np.nan), "valid": None}, "finite"), ({"valid": np.ones((3, 1, 19), bool)}, "valid"),
    ({"moving": np.ones((2, 1, 20), bool)}, "moving"), ({"label": 3}, "label"), ({"label": -1}, "label"), ({"label": None}, "label"),
    ({"label": 1.5}, "label"), ({"name": "c1"}, "twice"), ({"name": None}, "name")])
def test_a_clip_that_does_not_fit_is_named(change, says):
    clips = make_clips()
    clips[0] |= change
    with pytest.raises(ValueError, match=says):
        SkeletonSet.from_clips(clips, KINECT20, ["a", "b", "c"], "toy")


def test_not_a_number_may_stand_where_nothing_was_observed():
    clip = make_clips([4])[0]
    clip["joints"][1, 0, 5], clip["valid"][1, 0, 5] = np.nan, False
    assert SkeletonSet.from_clips([clip], KINECT20, ["a"], "toy").batch().joints.isfinite().all()


def test_a_person_and_a_joint_missing_throughout_are_legal(tmp_path):
    clips = make_clips([4, 4, 4])
    clips[0]["valid"][:] = False
    clips[1]["valid"][:, 0] = False
    clips[2]["valid"][:, :, 7] = False
    data = SkeletonSet.from_clips(clips, KINECT20, ["a", "b", "c"], "toy")
    assert data.table["people"].tolist() == [0, 2, 1]
    back = SkeletonSet.open(data.save(tmp_path / "x.skel")).batch()
    assert back.present.tolist() == [[False, False], [False, True], [True, False]] and not back.valid[2, 0, :, 7].any()


# content

def test_content_finds_twins_and_nothing_else(data):
    assert duplicates(data, data) == [("c1", "c4")]
    train, test = data.split("xview")
    assert leaked(test, train).tolist() == [False, False, True, False] and leaked(train, test).tolist() == [True, False, False, False]
    clips = make_clips()
    clips[4]["joints"] = np.nextafter(clips[4]["joints"], np.float32(9), dtype=np.float32)
    assert duplicates(*[SkeletonSet.from_clips(clips, KINECT20, ["a", "b", "c"], "toy")] * 2) == []


def test_content_does_not_depend_on_absent_people(data):
    wider = [c | {"joints": np.pad(c["joints"], ((0, 0), (0, 1), (0, 0), (0, 0))), "valid": np.pad(c["valid"], ((0, 0), (0, 1), (0, 0))),
                  "moving": None} for c in make_clips()]
    wider = SkeletonSet.from_clips(wider, KINECT20, ["a", "b", "c"], "wider")
    assert wider.table["content"].equals(data.table["content"]) and wider.people == 3


def test_fingerprint_changes_with_what_is_measured(data):
    seen = {data.fingerprint}
    for change in ({"label": 2}, {"subject": 9}, {"camera": 9}, {"scene": "other"}, {"name": "other"}, {"joints": np.ones((3, 1, 20, 3))}):
        clips = make_clips()
        clips[0] |= change
        seen.add(SkeletonSet.from_clips(clips, KINECT20, ["a", "b", "c"], "toy").fingerprint)
    seen.add(SkeletonSet.from_clips(make_clips(), KINECT20, ["a", "b", "d"], "toy").fingerprint)
    assert len(seen) == 8
    assert SkeletonSet.from_clips(make_clips(), KINECT20, ["a", "b", "c"], "another name").fingerprint == data.fingerprint


# protocols

def test_protocols_divide_as_they_say(data, tmp_path):
    def cameras(s):
        return set(s.table["camera"])
    train, test = data.split("xview")
    assert cameras(train) == {1} and cameras(test) == {2} and len(train) + len(test) == 8
    train, test = data.split("cameras:2/1")
    assert cameras(train) == {2} and cameras(test) == {1}
    train, test = data.split("subjects:0,1/3")
    assert set(train.table["subject"]) == {0, 1} and set(test.table["subject"]) == {3} and len(train) + len(test) == 6
    folds = data.splits("folds:subject/4")
    assert len(folds) == 4 and len({name for name, _, _ in folds}) == 4
    assert sorted(name for _, _, test in folds for name in test.table["name"]) == sorted(data.table["name"])
    assert all(not set(train.table["subject"]) & set(test.table["subject"]) for _, train, test in folds)
    assert len(data.splits("folds:scene/2")) == 2
    file = tmp_path / "mine.json"
    file.write_text(json.dumps({"train": ["c0", "c3"], "test": ["c7"]}))
    train, test = data.split(str(file))
    assert train.table["name"].tolist() == ["c0", "c3"] and test.table["name"].tolist() == ["c7"]


@pytest.mark.parametrize("protocol, says", [
    ("xsub", "unknown protocol 'xsub': toy has xview"), ("cameras:1", "unknown"), ("cameras:1/1", "both sides"),
    ("cameras:1/7", "test side"), ("cameras:7/1", "train side"), ("cameras:a/1", "numbers"), ("cameras:/1", "numbers"),
    ("folds:subject/1", "2 or more"), ("folds:subject/5", "4 values"),
    ("folds:wind/2", "folds:COLUMN/K"), ("folds:subject/x", "folds:COLUMN/K"), ("", "unknown")])
def test_a_protocol_that_cannot_be_is_refused(data, protocol, says):
    with pytest.raises(ValueError, match=says) as caught:
        data.splits(protocol)
    assert "\n" not in str(caught.value)


def test_split_needs_one_pair(data):
    with pytest.raises(ValueError, match="4 pairs"):
        data.split("folds:subject/4")


@pytest.mark.parametrize("text, says", [
    ("{", "not a protocol file"), ("[]", "must hold"), ('{"train": ["c0"]}', "must hold"), ('{"train": ["c0"], "test": []}', "must hold"),
    ('{"train": ["c0"], "test": ["zz"]}', "no clip named 'zz'"), ('{"train": ["c0"], "test": ["c0"]}', "both sides")])
def test_a_damaged_protocol_file_is_refused(data, tmp_path, text, says):
    file = tmp_path / "p.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=says):
        data.splits(str(file))
    with pytest.raises(FileNotFoundError, match="no such protocol file"):
        data.splits(str(tmp_path / "q.json"))


# on disk

def test_a_set_comes_back_as_it_was(data, tmp_path):
    data.left_out = {"no frames": 2}
    back = SkeletonSet.open(data.save(tmp_path / "toy.skel"))
    assert isinstance(back.joints, np.memmap) and not back.joints.flags.writeable
    assert back.table.equals(data.table) and back.fingerprint == data.fingerprint and back.skeleton == KINECT20
    for k in ("classes", "name", "protocols", "units", "source", "left_out"):
        assert getattr(back, k) == getattr(data, k)
    for k in ("joints", "valid", "moving", "frame_labels"):
        assert np.array_equal(getattr(back, k), getattr(data, k))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["toy.skel"]


def test_a_part_is_saved_alone(data, tmp_path):
    part = SkeletonSet.open(data.select([6, 2, 3]).save(tmp_path / "part.skel"))
    assert len(part.joints) == 4 + 1 + 7 and part.batch().joints.equal(data.batch([6, 2, 3]).joints)
    assert part.fingerprint == data.select([6, 2, 3]).fingerprint != data.fingerprint
    assert part.frame_labels.tolist() == [0, 1, 2, 3, 0, 0, 1, 2, 3, 4, 5, 6]
    SkeletonSet.open(part.select([1]).save(tmp_path / "part.skel", overwrite=True))  # over the very files that are mapped
    assert len(SkeletonSet.open(tmp_path / "part.skel")) == 1 and sorted(p.name for p in tmp_path.iterdir()) == ["part.skel"]


def test_names_that_look_like_missing_values_stay_names(tmp_path):
    clips = make_clips([2, 2, 2])
    for clip, name in zip(clips, ("NA", "nan", 'a,"b"')):
        clip |= {"name": name, "scene": name, "fps": None}
    back = SkeletonSet.open(SkeletonSet.from_clips(clips, KINECT20, ["a", "b", "c"], "x").save(tmp_path / "x.skel"))
    assert back.table["name"].tolist() == ["NA", "nan", 'a,"b"'] and back.table["fps"].isna().all()


def test_nothing_is_overwritten_and_nothing_is_left(data, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    (home / "letter.txt").write_text("dear")
    for overwrite in (False, True):
        with pytest.raises(FileExistsError, match="exists already"):
            data.save(home, overwrite)
    data.save(tmp_path / "a.skel")
    with pytest.raises(FileExistsError):
        data.save(tmp_path / "a.skel")
    with pytest.raises(FileExistsError, match="is a file"):
        data.save(home / "letter.txt" / "a.skel")
    with pytest.raises(ValueError, match="no clips"):
        data.select([]).save(tmp_path / "b.skel")
    monkeypatch.setattr(pd.DataFrame, "to_csv", lambda *a, **k: (_ for _ in ()).throw(KeyboardInterrupt))
    for overwrite, name in ((False, "b.skel"), (True, "a.skel")):
        with pytest.raises(KeyboardInterrupt):
            data.select([0]).save(tmp_path / name, overwrite)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.skel", "home"] and (home / "letter.txt").read_text() == "dear"
    assert len(SkeletonSet.open(tmp_path / "a.skel")) == 8


def test_a_rename_that_fails_brings_the_old_back(tmp_path, monkeypatch):
    place = tmp_path / "a"
    with beside(place) as partial:
        (partial / "set.json").write_text("old")
    rename = type(place).rename
    def fail(self, target):
        if "partial" in self.name:
            raise OSError("disk gone")
        return rename(self, target)
    monkeypatch.setattr(type(place), "rename", fail)
    with pytest.raises(OSError, match="disk gone"), beside(place, overwrite=True) as partial:
        (partial / "set.json").write_text("new")
    assert (place / "set.json").read_text() == "old" and [p.name for p in tmp_path.iterdir()] == ["a"]


def spoil(folder, what):
    "Damages a saved set in one way."
    about = json.loads((folder / "set.json").read_text())
    joints, table = np.load(folder / "joints.npy"), (folder / "clips.csv").read_text()
    def save(values, name="joints.npy"):
        np.save(folder / name, values)
    def write(**changes):
        (folder / "set.json").write_text(json.dumps(about | changes))
    {"no set.json": lambda: (folder / "set.json").unlink(),
     "cut set.json": lambda: (folder / "set.json").write_text("{"),
     "another format": lambda: write(format="photographs"),
     "newer": lambda: write(version=2),
     "no version": lambda: write(version=None),
     "no classes": lambda: write(classes=None),
     "no skeleton": lambda: write(skeleton={"name": "x"}),
     "another skeleton": lambda: write(skeleton=NTU25.to_dict()),
     "few classes": lambda: write(classes=["a"]),
     "bad rule": lambda: write(protocols={"xview": 3}),
     "no table": lambda: (folder / "clips.csv").unlink(),
     "cut table": lambda: (folder / "clips.csv").write_text(table[:len(table) // 2]),
     "words in the table": lambda: (folder / "clips.csv").write_text(table.replace(",30.0", ",fast")),
     "no column": lambda: (folder / "clips.csv").write_text(table.replace("content", "hash")),
     "no joints": lambda: (folder / "joints.npy").unlink(),
     "no valid": lambda: (folder / "valid.npy").unlink(),
     "few frames": lambda: save(joints[:-1]),
     "cut joints": lambda: (folder / "joints.npy").write_bytes((folder / "joints.npy").read_bytes()[:-7]),
     "empty joints": lambda: (folder / "joints.npy").write_bytes(b""),
     "pickled joints": lambda: save(np.array([{"a": 1}], object)),
     "pickled moving": lambda: save(np.array([{"a": 1}], object), "moving.npy"),
     "doubles": lambda: save(joints.astype(np.float64)),
     "two people in valid": lambda: save(np.ones((len(joints), 3, 20), bool), "valid.npy")}[what]()


@pytest.mark.parametrize("what, says", [
    ("no set.json", "not a set"), ("cut set.json", "set.json is damaged"), ("another format", "not a set"), ("newer", "newer"),
    ("no version", "version"),
    ("no classes", "classes"), ("no skeleton", "skeleton"), ("another skeleton", "joints.npy"), ("few classes", "label"),
    ("bad rule", "xview"),
    ("no table", "clips.csv"), ("cut table", "clips.csv|joints.npy"), ("words in the table", "clips.csv"),
    ("no column", "content"), ("no joints", "joints.npy is missing"),
    ("no valid", "valid.npy is missing"), ("few frames", "joints.npy"), ("cut joints", "joints.npy"), ("empty joints", "joints.npy"),
    ("pickled joints", "never read"), ("pickled moving", "never read"), ("doubles", "float32"), ("two people in valid", "valid")])
def test_a_damaged_set_says_what_is_wrong(data, tmp_path, what, says):
    folder = data.save(tmp_path / "toy.skel")
    spoil(folder, what)
    with pytest.raises(ValueError, match=says) as caught:
        SkeletonSet.open(folder)
    assert "\n" not in str(caught.value) and "toy.skel" in str(caught.value)


def test_no_such_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="no such folder"):
        SkeletonSet.open(tmp_path / "nothing")
    (tmp_path / "file").write_text("x")
    with pytest.raises(ValueError, match="not a set"):
        SkeletonSet.open(tmp_path / "file")


def test_a_large_set_opens_without_being_read(data, tmp_path):
    "100,000 clips, 10 million frames, 4.8 GB of joints as a hole in a file: reading them would take far longer, and show in memory."
    folder, N, T = data.select([0]).save(tmp_path / "large.skel"), 100_000, 100
    i = np.arange(N)
    columns = {"name": [f"clip{n}" for n in i], "label": i % 3, "subject": i % 40, "camera": i % 3, "setup": 0,
               "scene": [f"s{n // 3}" for n in i], "frames": T, "people": 2, "fps": 30., "content": [f"{n:020x}" for n in i]}
    pd.DataFrame(columns).to_csv(folder / "clips.csv", index=False)
    for name, kind, shape in (("joints", np.float32, (N * T, 2, 20, 3)), ("valid", bool, (N * T, 2, 20)), ("moving", bool, (N * T, 2, 20)),
                              ("frame_labels", np.int64, (N * T,))):
        np.lib.format.open_memmap(folder / f"{name}.npy", "w+", kind, shape)
    code = """if True:
        import resource, sys, time
        from skelbench.clips import SkeletonSet
        def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        before, began, cpu = peak(), time.perf_counter(), time.process_time()
        data = SkeletonSet.open(sys.argv[1])
        print(len(data), time.process_time() - cpu, peak() - before)"""
    root = __file__.rsplit("/", 2)[0]
    out = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True, cwd=root).stdout.split()
    assert int(out[0]) == N
    assert float(out[1]) < 1.5, f"{out[1]} s of processor time"
    assert float(out[2]) < 400, f"{out[2]} MB more memory"
    many = SkeletonSet.open(folder)
    assert many.clip(N - 1).joints.shape == (1, 2, T, 20, 3)


def test_a_batch_of_many_clips_is_one_gather():
    data = SkeletonSet.from_clips(make_clips(np.random.default_rng(0).integers(1, 40, 400)), KINECT20, ["a", "b", "c"], "toy")
    def seconds(f):
        spent = []
        for _ in range(3):
            began = time.process_time()
            f()
            spent.append(time.process_time() - began)
        return min(spent)
    assert seconds(data.batch) * 5 < seconds(lambda: [data.batch([i]) for i in range(400)])
