"""PKU-MMD: recordings, labels and split files, cut or whole, good or spoiled."""
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from made_pku_mmd import ACTIONS, labels, recording, release, split, text
from reading import Held, fuzzed, gather

from skelbench.clips import SkeletonSet
from skelbench.pku_mmd import PKU_MMD_CLASSES, Segment, _clips, frame_labels, parse_labels, parse_pku_mmd, parse_split, read_pku_mmd
from skelbench.segmentation import recordings_of
from skelbench.skeleton import NTU25
from skelbench.sources import Unit, Unusable


def plain(data):
    "The same as `parse_pku_mmd`, line by line; None where something is wrong."
    try:
        lines = [[float(x.replace(b"_", b"x")) for x in line.split()] for line in data.removeprefix(b"\xef\xbb\xbf").strip().splitlines()]
    except ValueError:
        return None
    if not lines or any(len(line) != 150 for line in lines) or (np.abs(joints := np.array(lines)) > 100).any():
        return None
    joints = joints.astype(np.float32).reshape(-1, 2, 25, 3)
    joints[(joints == 0).all(-1) | ~np.isfinite(joints).all(-1)] = np.nan
    return joints


# one recording

@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_a_recording(newline):
    joints = recording(7, ((2, 4),))
    got = parse_pku_mmd(text(joints, newline))
    assert got.shape == (7, 2, 25, 3) and np.array_equal(np.nan_to_num(got), joints.astype(np.float32))
    assert np.isfinite(got[..., 0]).all((0, 2)).tolist() == [True, False] and np.isfinite(got[:, 1, 0, 0]).tolist() == [False] * 2 + [True] * 2 + [False] * 3


def test_faults_have_reasons_with_a_line():
    lines = text(recording(4)).split(b"\n")
    def spoilt(line, new): return b"\n".join(new if i == line else old for i, old in enumerate(lines))
    for data, reason in {
        b"": "empty", b" \r\n": "empty", b"abc": "not 150 numbers a line: line 1 of 1 has 1", spoilt(1, b""): "not 150 numbers a line: line 2 of 4 has 0",
        spoilt(2, b"1 " + lines[2]): "not 150 numbers a line: line 3 of 4 has 151", text(recording(4))[:-30]: "not 150 numbers a line: line 4 of 4 has 147",
        spoilt(2, b" x" + lines[2][1:]): "a coordinate is not a number: line 3", spoilt(0, b"1,5" + lines[0][8:]): "a coordinate is not a number: line 1",
        spoilt(3, b"1-2" + lines[3][lines[3].index(b" ", 2):]): "a coordinate is not a number: line 4",
        spoilt(3, b"1e308" + lines[3][lines[3].index(b" ", 2):]): "a coordinate beyond 100 m: line 4",
        spoilt(3, b"-inf" + lines[3][lines[3].index(b" ", 2):]): "a coordinate beyond 100 m: line 4",
    }.items():
        with pytest.raises(Unusable) as caught:
            parse_pku_mmd(data)
        assert str(caught.value) == reason and plain(data) is None


def test_not_a_number_was_not_observed():
    data = text(recording(4)).replace(b"0.000000 0.000000", b"NaN 0.000000", 1)
    joints = parse_pku_mmd(data)
    assert np.array_equal(joints, plain(data), equal_nan=True) and np.isnan(joints).all(-1).sum() == 100


# labels and splits

def test_labels():
    want = [Segment(a - 1, s, e, c) for a, s, e, c in ACTIONS]
    assert parse_labels(labels()) == want == parse_labels(b"\xef\xbb\xbf\r\n" + labels(newline="\r\n") + b"\r\n\r\n")
    assert parse_labels(b" 1, 2 ,3.0,1 ,\n") == [(0, 2, 3, 1)]
    for data, reason in ((b"", "no labels"), (b" \n", "no labels"), (b"1,2,3", "action,start,end,confidence: line 1"), (b"1,2,3,1\n1,2,3,1,5", "line 2"),
                         (b"0,2,3,1", "the action is not 1 to 51: line 1 has 0"), (b"52,2,3,1", "has 52"), (b"1,-2,3,1", "before the recording: line 1"),
                         (b"1,inf,3,1", "line 1"), (b"1,1e30,3,1", "line 1"), (b"1,2.5,3,1", "line 1"), (b"\x00\xff", "line 1"), (b"1 2 3 1", "line 1")):
        with pytest.raises(Unusable, match=reason):
            parse_labels(data)


def test_frame_labels_by_a_loop():
    rng = np.random.default_rng(0)
    for _ in range(50):
        segments = [Segment(int(rng.integers(51)), int(a), int(a + rng.integers(1, 9)), int(rng.integers(1, 3))) for a in rng.integers(0, 30, 5)]
        for least in (1, 2):
            want = [51] * 25
            for sure in (False, True):
                for s in segments:
                    for t in range(s.start, min(s.end, 25)):
                        if (s.confidence >= least) == sure:
                            want[t] = s.label if sure else -1
            assert frame_labels(25, segments, 51, least).tolist() == want


@pytest.mark.parametrize("second", ["Validataion videos: ", "Validation videos:", "Testing videos:", "Test videos:"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_split_files(second, newline):
    want = {"train": ["0291-L", "0003-M"], "test": ["A01N02-R"]}
    assert parse_split(split(want["train"], want["test"], second, newline)) == want
    assert parse_split(b"Training videos: 0291-L.txt,0003-m ,\n\nnothing\nValidation videos: 0005-L\nTesting videos: A01N02-R") == want
    assert parse_split(b"\xff\x00 0291-L") == {"train": [], "test": []}


# releases

@pytest.mark.parametrize("part", [1, 2])
def test_cut_into_segments(part, tmp_path):
    videos = release(tmp_path, part)
    found = read_pku_mmd(tmp_path)
    clips = gather(found)[0]
    assert not found.left_out and len(clips) == 27 and len(found.classes) == 51 and [u.name for u in found.units] == sorted(videos)
    data = SkeletonSet.from_clips(clips, NTU25, found.classes, "pku_mmd", found.protocols)
    assert [len(x) for x in data.split("xsub")] == [18, 9] and [len(x) for x in data.split("xview")] == [18, 9]
    assert data.table.groupby("scene")["camera"].apply(sorted).tolist() == [[1, 2, 3]] * 9 and data.table["fps"].eq(30).all()
    for clip in clips:
        video, k = clip["name"].split("_")
        action, start, end, _ = ACTIONS[int(k)]
        truth = recording(shift=videos.index(video) / 10)[start:end]
        assert clip["label"] == action - 1 and np.array_equal(clip["joints"], truth[:, :clip["joints"].shape[1]].astype(np.float32))
        assert clip["joints"].shape[1] == (2 if k == "1" else 1) and clip["camera"] == "LMR".index(video[-1]) + 1


@pytest.mark.parametrize("background", [True, False])
def test_whole_recordings_are_what_segmentation_takes(background, tmp_path):
    release(tmp_path)
    found = read_pku_mmd(tmp_path, whole=True, background=background, min_confidence=2)
    clips = gather(found)[0]
    data = SkeletonSet.from_clips(clips, NTU25, found.classes, "pku_mmd", found.protocols)
    assert len(data) == 9 and [len(x) for x in data.split("xview")] == [6, 3] and len(found.classes) == 51 + background
    rest = 51 if background else -1
    assert clips[0]["frame_labels"].tolist() == [rest] * 40 + [7] * 50 + [rest] * 20 + [-1] * 50 + [rest] * 20 + [21] * 20 + [rest] * 20
    assert clips[0]["label"] == 7 and data.table["scene"].tolist()[:3] == ["0002"] * 3
    recordings = recordings_of(data)
    assert len(recordings) == 9 and recordings.labels[0].tolist() == clips[0]["frame_labels"].tolist()


def test_zip_endings_and_folders(tmp_path):
    release(tmp_path / "a")
    release(tmp_path / "b", folders=("x", "y"))  # only the sizes tell
    release(tmp_path / "c", folders=("all", "all"), endings=(".skeleton", ".label"))
    with zipfile.ZipFile(tmp_path / "d.zip", "w") as archive:
        for path in (tmp_path / "a").rglob("*.txt"):
            archive.write(path, path.relative_to(tmp_path))
    first = gather(read_pku_mmd(tmp_path / "a"))[0]
    for other in ("b", "c", "d.zip"):
        again = gather(read_pku_mmd(tmp_path / other))[0]
        assert [c["name"] for c in again] == [c["name"] for c in first] and all(np.array_equal(a["joints"], b["joints"]) for a, b in zip(again, first))


def test_what_is_left_out(tmp_path):
    release(tmp_path, frames=220)
    skeletons, there = tmp_path / "PKU_Skeleton_Renew", tmp_path / "Train_Label_PKU_final"
    (there / "0002-L.txt").unlink()
    (skeletons / "0002-M.txt").unlink()
    (there / "0002-R.txt").write_bytes(b"99,1,2,1")
    (there / "0003-L.txt").write_bytes(b"5,60,50,2\n8,100,180,2\n")
    (there / "0003-M.txt").write_bytes(b"8,100,180,1\n")
    (there / "0291-L.txt").write_bytes(labels() + b"\n3,220,240,2")
    (skeletons / "kitchen.txt").write_bytes(b"")
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / "0291-R.txt").write_bytes(b"")
    found = read_pku_mmd(tmp_path, min_confidence=2)
    assert found.left_out == {
        "no label file of this name": ["PKU_Skeleton_Renew/0002-L.txt"], "no skeleton file of this name": ["Train_Label_PKU_final/0002-M.txt"],
        "the action is not 1 to 51": ["Train_Label_PKU_final/0002-R.txt: line 1 has 99"], "a segment ends before it begins": ["0003-L_0"],
        "confidence below 2": ["0003-M_0", "0003-R_1", "0291-L_1", "0291-M_1", "0291-R_1"],
        "not the name of a recording": ["PKU_Skeleton_Renew/kitchen.txt"], "a second file of this name": ["again/0291-R.txt"]}
    assert [u.name for u in found.units] == ["0003-L", "0003-R", "0291-L", "0291-M", "0291-R"]
    clips = {c["name"]: c for u in found.units if u.name != "0291-L" for c in found.clips(u)}
    assert sorted(clips) == ["0003-L_1", "0003-R_0", "0003-R_2", "0291-M_0", "0291-M_2", "0291-R_0", "0291-R_2"]
    assert clips["0003-L_1"]["scene"] == "0003-L_1", "the cameras disagree"
    with pytest.raises(Unusable, match="^ends before its labels do: 220 frames, segment 3$"):
        found.clips(found.units[2])
    data = SkeletonSet.from_clips(list(clips.values()), NTU25, found.classes, "pku_mmd", found.protocols)
    assert [len(x) for x in data.split("xsub")] == [3, 4], "a protocol's clip may be missing"


def test_both_parts(tmp_path):
    release(tmp_path, 1)
    release(tmp_path, 2)
    with pytest.raises(ValueError, match="holds both parts of PKU-MMD: say part=1 or part=2"):
        read_pku_mmd(tmp_path)
    for part, name in ((1, "0002-L"), (2, "A01N01-L")):
        found = read_pku_mmd(tmp_path, part=part)
        assert found.units[0].name == name and {k: len(v) for k, v in found.left_out.items()} == {"of the other part": 18}
        assert len(found.protocols["xsub"]["train"]) == 18 and found.protocols["xsub"]["train"][0].startswith(name[:4])


def test_without_split_files(tmp_path):
    release(tmp_path)
    for file in tmp_path.glob("cross*"):
        file.unlink()
    assert read_pku_mmd(tmp_path).protocols == {}


def test_a_split_file_that_cannot_be_read(tmp_path):
    release(tmp_path)
    (tmp_path / "cross-view.txt").write_bytes(b"1" * 20_000_001)
    with pytest.raises(ValueError, match="^cross-view.txt: larger than 20 MB$"):
        read_pku_mmd(tmp_path)


def test_bad_options(tmp_path):
    release(tmp_path / "a")
    for options in ({"part": 3}, {"min_confidence": 0}, {"whole": "no"}):
        with pytest.raises(ValueError, match=f"^{next(iter(options))}.* must be"):
            read_pku_mmd(tmp_path / "a", **options)
    with pytest.raises(ValueError, match="holds part 1 of PKU-MMD, not part 2"):
        read_pku_mmd(tmp_path / "a", part=2)
    with pytest.raises(FileNotFoundError):
        read_pku_mmd(tmp_path / "nowhere")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("x")
    with pytest.raises(ValueError, match="holds no files with names as"):
        read_pku_mmd(tmp_path / "b")


def test_classes():
    assert len(PKU_MMD_CLASSES) == len(set(PKU_MMD_CLASSES)) == 51
    assert (PKU_MMD_CLASSES[0], PKU_MMD_CLASSES[7], PKU_MMD_CLASSES[13], PKU_MMD_CLASSES[50]) == ("bow", "drink water", "handshaking", "writing")


# spoiled files

def test_rubbish_does_not_allocate():
    for data in (b"1 " * 1_000_000, b"\n" * 1_000_000, b"1\n" * 500_000, b"x" * 2_000_000, (b"1 " * 150 + b"\n") * 3000 + b"1"):
        tracemalloc.start()
        begin = time.process_time()
        with pytest.raises(Unusable):
            parse_pku_mmd(data)
        assert tracemalloc.get_traced_memory()[1] < 30 * len(data) + 20_000_000
        tracemalloc.stop()
        assert time.process_time() - begin < 5
    assert len(frame_labels(10, [Segment(0, 0, 10 ** 9, 1)], -1)) == 10


def fuzz(times, seed):
    "Recordings that are damaged are read as the plain reader does, bit for bit, or left out for a reason; so are their labels."
    skeleton, label, seen = text(recording(12, ((3, 8),))), labels(((8, 1, 5, 2), (14, 3, 9, 1))), []

    def clips(data, marks):
        seen.append(data)
        segments = {i: s for i, s in enumerate(parse_labels(marks)) if s.end > s.start}
        if not segments:
            raise Unusable("no segment")
        unit = Unit("0002-L", (Held("0002-L.txt", data),), {"segments": segments, "scenes": True})
        return _clips(unit, whole=len(seen) % 4 < 2, background=51, min_confidence=1)

    def recorded(data):
        want = plain(data)
        try:
            got = parse_pku_mmd(data)
        except Unusable:
            assert want is None, "the plain reader takes it"
            raise
        assert want is not None, "the plain reader refuses it"
        assert np.array_equal(got, want, equal_nan=True)
        return clips(data, label)

    for good, read, gap in ((skeleton, recorded, b" "), (label, lambda marks: clips(skeleton, marks), b",")):
        usable, reasons = fuzzed([good], read, NTU25, [*PKU_MMD_CLASSES, "background"], times // 2, seed, gap=gap)
        assert usable > times / 30 and sum(reasons.values()) > times / 6 and len(reasons) >= 3, (usable, reasons)


def test_spoiled_files():
    fuzz(300, 0)


@pytest.mark.slow
def test_many_spoiled_files():
    fuzz(10_000, 1)
