"UWA3D Multiview Activity II, on made files: names, numbers, protocols, and everything that can be wrong with a text."
import numpy as np
import pytest
from made_uwa3d import release as made
from made_uwa3d import text
from reading import AT_LENGTH, fuzzed, gather, written

from skelbench.clips import SkeletonSet
from skelbench.skeleton import NITE15
from skelbench.sources import Unusable
from skelbench.uwa3d import CLASSES, PROTOCOLS, read_uwa3d, uwa3d_joints


@pytest.mark.parametrize("zipped", [True, False])
def test_a_release_is_read_as_it_was_written(tmp_path, zipped):
    truth, files = made()
    release = read_uwa3d(written(tmp_path, files, zipped))
    clips, left_out = gather(release)
    assert left_out == {} and {c["name"] for c in clips} == set(truth) and len(clips) == 240
    for clip in clips:
        name, want = clip["name"], truth[clip["name"]]
        assert np.abs(clip["joints"][:, 0] - want).max() < 2e-6 and np.array_equal(clip["valid"][:, 0], (want != 0).any(-1))
        assert (clip["label"] + 1, clip["subject"], clip["camera"]) == tuple(int(name[i:i + 2]) for i in (1, 5, 13))
    data = SkeletonSet.from_clips(clips, release.skeleton, release.classes, "made", release.protocols)
    assert len(data.classes) == 30 and data.table["scene"].nunique() == 240 and not data.valid.all() and release.metric == "metres"
    for name in PROTOCOLS:
        train, test = data.split(name)
        assert (len(train), len(test)) == (120, 60) and f"{name[5:7]}" == "".join(map(str, sorted(train.table["camera"].unique())))
        assert set(test.table["camera"]) == {int(name[-1])}
    assert len(PROTOCOLS) == 12 and "xview12-3" in PROTOCOLS and "xview34-1" in PROTOCOLS


def test_what_a_name_gives_away_is_said_before_reading(tmp_path):
    _, files = made(subjects=1, actions=1)
    odd = {"notes.txt": "x", "a31_s01_e01_v01.txt": "x", "a00_s01_e01_v01.txt": "x", "a01_s01_e01_v05.txt": "x", "a1_s1_e1_v1.txt": "x",
           "again/a01_s01_e01_v01.txt": "x"}
    release = read_uwa3d(written(tmp_path, files | odd))
    assert {why: len(names) for why, names in release.left_out.items()} == {
        "file name is not aAA_sSS_eEE_vVV.txt": 2, "no activity or viewpoint of this data set": 3, "a second file of this name": 1}
    assert len(gather(release)[0]) == 4


@pytest.mark.parametrize("content, says", [
    ("", "no frames"), ("\n \r\n", "no frames"), ("1 2 3", "a line is not 15 joints of 3 numbers: line 1"),
    ("0 " * 45 + "\n\n" + "0 " * 46, "a line is not 15 joints of 3 numbers: line 3"), ("x " * 45, "a line is not 15 joints of 3 numbers: "),
    ("0 " * 44 + "nan", "coordinates are not finite"), ("0 " * 44 + "1e308", "coordinates are not finite"), ("0 " * 44 + "-inf", "coordinates are not finite"),
    ("é " * 45, "not text"), (b"\x00\xff" * 50, "not text"), (b"\x00" * 50, "a line is not 15 joints"), ("0x1 " * 45, "a line is not 15 joints"),
    ("1_0 " * 45, "a line is not 15 joints"), ("# " + "0 " * 44, "a line is not 15 joints")])
def test_a_bad_file_says_why(tmp_path, content, says):
    clips, left_out = gather(read_uwa3d(written(tmp_path, {"a01_s01_e01_v01.txt": content, "a01_s01_e01_v02.txt": "0 " * 45})))
    (reason, names), = left_out.items()
    assert reason.startswith(says) and "\n" not in reason and names == ["a01_s01_e01_v01.txt"] and len(clips) == 1


def test_other_units_and_other_sources(tmp_path):
    joints = np.random.default_rng(0).uniform(1, 2, (3, 15, 3))
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "a05_s10_e02_v04.csv").write_text(text(joints / 10))
    (clip,), _ = gather(read_uwa3d(tmp_path / "here", scale=.01))
    assert np.abs(clip["joints"][:, 0] - joints).max() < 1e-4 and clip["name"] == "a05_s10_e02_v04" and CLASSES[clip["label"]] == "sitting down"
    for scale in (0, -1, "mm", float("nan")):
        with pytest.raises(ValueError, match="scale must be above 0"):
            read_uwa3d(tmp_path / "here", scale=scale)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_uwa3d(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no .txt or .csv"):
        read_uwa3d(tmp_path / "empty")


def test_a_large_file_is_refused_unread(tmp_path):
    _, left_out = gather(read_uwa3d(written(tmp_path, {"a01_s01_e01_v01.txt": "0" * 20_000_001})))
    assert left_out == {"larger than 20 MB": ["a01_s01_e01_v01.txt"]}


@AT_LENGTH
def test_fuzz(times):
    _, files = made(subjects=1)
    good = [content.encode() for content in files.values()]
    read, why = fuzzed(good, lambda data: [{"joints": uwa3d_joints(data)[:, None], "name": "x", "label": 0}], NITE15, CLASSES, times)
    assert read > times / 20 and len(why) >= 3, (read, why)


def test_unusable_is_the_only_error():
    for data in (b"", b"\x00", b"1," * 1_000_000, b"\n" * 1_000_000, b"1 " * 45 + b"\n" + b"9" * 100_000):
        with pytest.raises(Unusable):
            uwa3d_joints(data)
