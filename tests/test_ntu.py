"""NTU RGB+D: read to the last bit, whatever is wrong with a file; the right bodies, names, protocols and lists."""
import time
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from made_ntu import FIRST, chair, crowd, interleave, person, release, text
from reading import fuzzed, gather

from skelbench import ntu
from skelbench.clips import SkeletonSet
from skelbench.labels import name_ntu
from skelbench.ntu import (
    FARTHEST,
    LONGEST,
    NTU60_TRAIN,
    NTU120_TRAIN,
    NTU_CLASSES,
    NTU_PROTOCOLS,
    clip_ntu,
    most_motion,
    parse_ntu,
    read_ntu,
    tracks_of,
)
from skelbench.skeleton import NTU25
from skelbench.sources import Member, Unusable

NAME = "S001C002P003R001A050"
LISTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "ntu"


def plain(data):
    "The same as `parse_ntu`, line by line; None where something is wrong."
    try:
        lines, at, found = data.removeprefix(b"\xef\xbb\xbf").rstrip().splitlines(), 1, []
        frames = int(lines[0])
        if not 0 < frames <= LONGEST:
            return None
        for t in range(frames):
            bodies, at = int(lines[at]), at + 1
            if bodies < 0:
                return None
            for _ in range(bodies):
                who, joints = lines[at].split(), [line.split() for line in lines[at + 2:at + 27]]
                if len(who) != 10 or int(lines[at + 1]) != 25 or [len(j) for j in joints] != [12] * 25:
                    return None
                joints = np.array([[float(x.replace(b"_", b"x")) for x in j[:3]] for j in joints])
                if (np.abs(joints) > FARTHEST).any():
                    return None
                found.append((t, int(who[0]), joints))
                at += 27
        if at != len(lines):
            return None
    except (ValueError, IndexError, OverflowError):
        return None
    return frames, [f[0] for f in found], [f[1] for f in found], np.array([f[2] for f in found]).reshape(-1, 25, 3).astype(np.float32)


def same(data):
    "Whether both readers say the same of a file, and what the fast one says."
    want = plain(data)
    try:
        got = parse_ntu(data)
    except Unusable as reason:
        assert want is None, f"{reason}, but it can be read"
        assert "\n" not in str(reason) and len(str(reason)) < 200
        return None
    assert want is not None, "the plain reader refuses it"
    assert got[0] == want[0] and list(got[1]) == want[1] and list(got[2]) == want[2] and np.array_equal(got[3], want[3], equal_nan=True)
    return got


# one file

@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("end", [True, False])
def test_reads_what_the_plain_reader_reads(newline, end):
    for frames in (crowd(), interleave([(FIRST, 0, person(3))], 3), interleave([(FIRST, 2, person(3))], 9)):
        got = same(text(frames, newline, end))
        assert got[0] == len(frames) and len(got[1]) == sum(map(len, frames))
        joints = [joints for bodies in frames for _, joints in bodies]
        assert np.allclose(got[3], joints, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("written", """0.5 -0.5 0.12345678 -9.1 0 -0 5 -5 5. .5 -.5 10.25 -10.25 1E-05 -1.5e-7 0.123456789 0.012345678 99.999999999999999999999
    0.00000000000000000001 NaN -nan +1.5 0.1e1 00.25 -0.0 0.30000000 3.14159265 7.450581E-09 1e-400""".split())
def test_every_way_to_write_a_number(written):
    data = text(interleave([(FIRST, 0, person(2))], 2)).split(b"\n")
    for line in (4, 17, 56):
        values = data[line].split()
        data[line] = b" ".join([written.encode(), values[1], written.encode(), *values[3:]])
    got = same(b"\n".join(data))
    assert np.array_equal(got[3][0, 0, [0, 2]], np.float32([float(written)] * 2), equal_nan=True)


def test_random_numbers_to_the_last_bit():
    rng, lines = np.random.default_rng(0), ["8"]
    for _ in range(8):
        lines += ["1", "1 0 0 0 0 0 0 0 0 2", "25"]
        for _ in range(25):
            xyz = [f"{x:.{rng.integers(0, 12)}{rng.choice(list('gf'))}}" for x in rng.normal(size=3) * 10.0 ** rng.integers(-6, 2)]
            lines.append(" ".join([*xyz, *"345678901"]))
    assert same("\n".join(lines).encode()) is not None


@pytest.mark.parametrize("change", [
    lambda lines: lines[:4] + [lines[4].replace(b" ", b"\t")] + lines[5:],
    lambda lines: lines[:4] + [lines[4].replace(b" ", b"  ", 1)] + lines[5:],
    lambda lines: lines[:4] + [b" " + lines[4] + b" "] + lines[5:],
    lambda lines: [b"\xef\xbb\xbf" + lines[0] + b" ", *lines[1:], b"", b" \r", b""]])
def test_other_gaps_are_gaps(change):
    lines = text(interleave([(FIRST, 0, person(2))], 2)).rstrip().split(b"\n")
    assert np.array_equal(same(b"\n".join(change(lines)))[3], parse_ntu(b"\n".join(lines))[3])


def test_faults_have_reasons_with_a_line():
    good = text(interleave([(FIRST, 0, person(2))], 2)).rstrip().split(b"\n")  # 1 + 2 * 28 lines
    def spoilt(line, new): return b"\n".join(new if i == line else old for i, old in enumerate(good))
    for data, reason in {
        b"": "empty", b" \r\n\t": "empty", b"\x00\x01\x02": "the number of frames is not a whole number: line 1",
        spoilt(0, b"-2"): "the number of frames is not 1 to 10000: -2", spoilt(0, b"3"): "ends before its counts do: frame 3 of 3, line 58 of 57",
        spoilt(0, b"1"): "goes on after its last frame: line 30", spoilt(1, b"2"): "the number of joints is not a whole number: line 31",
        spoilt(1, b"-1"): "a negative number of bodies: line 2", spoilt(1, b"999999999999"): "ends before its counts do: frame 1 of 2, line 2 of 57",
        spoilt(1, b"many"): "the number of bodies is not a whole number: line 2", spoilt(3, b"24"): "not 25 joints: line 4",
        spoilt(2, good[2].replace(b" 2", b"")): "a body is not 10 values: line 3", spoilt(2, b"x" + good[2]): "a body's id is not a whole number: line 3",
        spoilt(9, good[9] + b" 2"): "a joint is not 12 values: line 10", spoilt(9, b"x" + good[9]): "a coordinate is not a number: line 10",
        spoilt(9, b"\tx" + good[9]): "a coordinate is not a number: line 10", spoilt(9, b"1_0" + good[9]): "a coordinate is not a number: line 10",
        spoilt(56, b"1e308 " + good[56].split(b" ", 1)[1]): "a coordinate beyond 100 m: line 57",
        spoilt(9, b"-inf " + good[9].split(b" ", 1)[1]): "a coordinate beyond 100 m: line 10",
    }.items():
        with pytest.raises(Unusable) as caught:
            parse_ntu(data)
        assert str(caught.value) == reason
        assert plain(data) is None


def test_a_file_cut_anywhere():
    data = text(interleave([(FIRST, 0, person(2)), (FIRST + 1, 1, person(1))], 2), "\r\n")
    whole = len(data.rstrip()) - 1  # the last value, cut, is a value: that of a tracking state, which nobody reads
    for cut in range(0, whole, 7):
        assert same(data[:cut]) is None
    assert same(data[:-1]) is not None


# clips

def test_names():
    assert name_ntu("s032C003p106r002A120") == {"setup": 32, "camera": 3, "subject": 106, "replication": 2, "action": 120,
                                               "name": "S032C003P106R002A120", "scene": "S032P106R002A120"}
    assert all(name_ntu(name) is None for name in ("", "S001C002P003R001", "S01C002P003R001A050", "S001C002P003R001A050 ", "S001C002P003R001A050_rgb"))


def test_bodies_that_move_most():
    clip = clip_ntu(text(crowd()), NAME)
    frames = crowd()
    by_id = {who: [joints for bodies in frames for w, joints in bodies if w == who] for who in range(FIRST, FIRST + 6)}
    kept = [who for who in by_id if any(np.allclose(clip["joints"][clip["valid"][:, m, 0], m][0], by_id[who][0], atol=1e-6) for m in (0, 1))]
    assert FIRST not in kept and FIRST + 4 not in kept and len(kept) == 2, "neither the chair nor the ghost"
    assert clip["joints"].shape == (40, 2, 25, 3) and clip["label"] == 49 and clip["fps"] == 30
    assert not clip["joints"][~clip["valid"]].any()
    everyone = clip_ntu(text(crowd()), NAME, people=9, bodies="file", join=False)
    assert everyone["joints"].shape[1] == 6 and np.allclose(everyone["joints"][:, 0], chair(40), atol=1e-6)
    assert clip_ntu(text(crowd()), NAME, people=1)["joints"].shape[1] == 1


def test_denoising_by_hand():
    still, mover = person(40, swing=.1), person(40, (1, 0, 3), .1) + np.linspace(0, 3, 40)[:, None, None]
    assert most_motion([still, mover]) == [1, 0] and most_motion([mover[:11], still]) == [1] and most_motion([mover[:12], still]) in ([0, 1], [1, 0])
    assert most_motion([chair(40), still]) == [1] and most_motion([chair(40)]) == [0] and most_motion([mover[:3], still[:4]]) in ([0, 1], [1, 0])
    mixed = np.concatenate([chair(27), still[:13]])  # 67.5 % of the frames are doubtful: kept, and they do not count as motion
    shaken = np.concatenate([chair(28), still[:12]])  # 70 %
    assert set(most_motion([mixed, mover])) == {0, 1} and most_motion([shaken, mover]) == [1]
    assert most_motion([np.full((40, 25, 3), np.nan), still])[0] == 1


def test_motion_is_the_spread_of_the_joints():
    joints = person(30)
    slow = sum(np.var([joint[c] for pose in joints for joint in pose]) for c in range(3))
    assert ntu._motion(joints.astype(np.float32)) == pytest.approx(slow, rel=1e-5)


def test_tracks():
    frame, body = np.array([0, 0, 0, 1, 2, 2]), [7, 9, 7, 7, 9, 7]
    assert [list(t) for t in tracks_of(frame, body)] == [[0, 3, 5], [1, 4], [2]]
    comes = interleave([(FIRST, 0, person(20)), (FIRST + 1, 5, person(15, (1, 0, 3)))], 40)
    clip = clip_ntu(text(comes), NAME, bodies="file")  # they overlap
    assert clip["valid"][:, 0].all(-1).tolist() == [True] * 20 + [False] * 20 and clip["valid"][:, 1].all(-1).sum() == 15 and len(clip["joints"]) == 40


def test_a_person_who_changes_ids():
    half = interleave([(FIRST, 0, person(20)), (FIRST + 1, 20, person(20)), (FIRST + 2, 0, person(40, (1, 0, 3)))], 40)
    def seen(**options): return clip_ntu(text(half), NAME, bodies="file", **options)["valid"].all(-1).sum(0).tolist()
    assert seen() == [40, 40] == seen(people=3) and seen(join=False) == [20, 40] and seen(join=False, people=3) == [20, 40, 20]


def test_what_was_not_observed():
    joints = person(15)
    joints[3, 4], joints[5, 6, 1] = 0, np.nan
    clip = clip_ntu(text(interleave([(FIRST, 0, joints)], 15)), NAME)
    assert (~clip["valid"]).sum() == 2 and not clip["valid"][3, 0, 4] and not clip["valid"][5, 0, 6] and np.isfinite(clip["joints"]).all()
    for nobody in (interleave([], 1), interleave([], 3), interleave([(FIRST, 0, np.zeros((3, 25, 3)))], 3)):
        with pytest.raises(Unusable, match="^no body in any frame$"):
            clip_ntu(text(nobody), NAME)


# releases

def test_a_release(tmp_path):
    names = release(tmp_path / "loose")
    found = read_ntu(tmp_path / "loose")
    clips, left_out = gather(found)
    assert sorted(c["name"] for c in clips) == sorted(names) and not left_out and len(found.classes) == 120
    data = SkeletonSet.from_clips(clips, NTU25, found.classes, "ntu", found.protocols)
    assert data.table.groupby("scene")["camera"].nunique().eq(2).all() and data.people == 2
    assert [len(x) for x in data.split("xsub")] == [8, 8] and [len(x) for x in data.split("xset")] == [8, 8]  # subjects 1 and 45 train, setup 18 trains
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for path in (tmp_path / "loose").rglob("*.skeleton"):
            archive.write(path, path.relative_to(tmp_path / "loose"))
    zipped = gather(read_ntu(tmp_path / "all.zip"))[0]
    for one, other in zip(clips, zipped):
        assert one["name"] == other["name"] and np.array_equal(one["joints"], other["joints"]) and np.array_equal(one["valid"], other["valid"])
    sixty = read_ntu(tmp_path / "loose", part=60)
    few, left_out = gather(sixty)
    assert len(few) == 8 and {k: len(v) for k, v in left_out.items()} == {"not of NTU RGB+D 60": 8} and len(sixty.classes) == 60
    small = SkeletonSet.from_clips(few, NTU25, sixty.classes, "ntu", sixty.protocols)
    assert [len(x) for x in small.split("xsub")] == [4, 4] and [len(x) for x in small.split("xview")] == [4, 4]
    assert list(read_ntu(tmp_path / "loose" / "nturgb+d_skeletons").protocols) == ["xsub", "xview"], "only clips of the 60"


def test_files_that_are_left_out_unread(tmp_path):
    release(tmp_path)
    (tmp_path / "other").mkdir()
    for name in ("kitchen", "S001C001P001R001A000", "S001C001P001R001A121", "s001c001p001r001a001"):
        (tmp_path / "other" / f"{name}.skeleton").write_bytes(b"1\n0\n")
    (tmp_path / "NTU_RGBD_samples_with_missing_skeletons.txt").write_bytes(b"1 of the\r\nplease\r\n\r\nS001C001P001R001A060\r\nS009C001P001R001A060\r\n")
    clips, left_out = gather(read_ntu(tmp_path))
    assert {k: len(v) for k, v in left_out.items()} == {
        "the name is not SsssCcccPpppRrrrAaaa": 1, "the action is not 1 to 120": 2, "a second file of this name": 1, "on the list of missing skeletons": 1}
    assert len(clips) == 15


def test_lists(tmp_path):
    release(tmp_path / "a")
    names = tmp_path / "names.txt"
    names.write_text("S001C001P001R001A060\n")
    assert len(read_ntu(tmp_path / "a", missing=names).units) == 15
    names.write_text("heading\n\n\n")
    with pytest.raises(ValueError, match="names no clip"):
        read_ntu(tmp_path / "a", missing=names)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_ntu(tmp_path / "a", missing=tmp_path / "nowhere.txt")


@pytest.mark.skipif(not LISTS.exists(), reason="no official lists at ../shared/data/ntu, relative to the repository")
def test_official_lists(tmp_path):
    counts = {file.name: len(ntu._missing([], file)) for file in LISTS.glob("*.txt")}
    assert counts == {"NTU_RGBD_samples_with_missing_skeletons.txt": 302, "NTU_RGBD120_samples_with_missing_skeletons.txt": 535}
    few, many = (ntu._missing([], LISTS / name) for name in sorted(counts, key=counts.get))
    assert few < many, "the second list holds the first"
    release(tmp_path)
    (tmp_path / "nturgb+d_skeletons" / f"{min(few)}.skeleton").write_bytes(b"1\n0\n")
    assert read_ntu(tmp_path, missing=next(LISTS.glob("*120*"))).left_out == {"on the list of missing skeletons": [f"nturgb+d_skeletons/{min(few)}.skeleton"]}


def test_bad_options(tmp_path):
    release(tmp_path / "a")
    for options in ({"people": 0}, {"people": "2"}, {"bodies": "best"}, {"join": "no"}, {"part": 61}):
        with pytest.raises(ValueError, match=f"{next(iter(options))} must be"):
            read_ntu(tmp_path / "a", **options)
    with pytest.raises(FileNotFoundError):
        read_ntu(tmp_path / "nowhere")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "missing.txt").write_text("S001C001P001R001A060\n")
    with pytest.raises(ValueError, match="holds no .skeleton files"):
        read_ntu(tmp_path / "b")


def test_facts():
    assert len(NTU_CLASSES) == len(set(NTU_CLASSES)) == 120 and NTU_CLASSES[0] == "drink water" and NTU_CLASSES[59] == "walking apart from each other"
    assert NTU_CLASSES[60] == "put on headphone" and NTU_CLASSES[119].startswith("finger-guessing")
    assert len(NTU60_TRAIN) == 20 and len(set(NTU120_TRAIN)) == 53 and set(NTU60_TRAIN) == {s for s in NTU120_TRAIN if s <= 40}
    for rules, last in ((NTU_PROTOCOLS[60], 40), (NTU_PROTOCOLS[120], 106)):
        assert sorted(rules["xsub"]["train"] + rules["xsub"]["test"]) == list(range(1, last + 1))
    assert NTU_PROTOCOLS[60]["xview"] == {"column": "camera", "train": [2, 3], "test": [1]}
    assert NTU_PROTOCOLS[120]["xset"]["train"] == list(range(2, 33, 2)) and NTU_PROTOCOLS[120]["xset"]["test"] == list(range(1, 33, 2))


# size and speed

def test_listing_is_quick(monkeypatch):
    found = [Member("x", f"{n}/S{1 + k % 32:03}C{1 + k // 32 % 3:03}P{1 + k // 96 % 106:03}R{n:03}A{1 + k // 10176:03}.skeleton", 1)
             for n in (1, 2) for k in range(57_240)]
    monkeypatch.setattr(ntu, "members", lambda *_: found)
    begin = time.process_time()
    assert len(read_ntu("x").units) == 114_480
    assert time.process_time() - begin < 10


HUGE = [b"999999999\n" * 100_000, b"1\n999999999999999999999\n", b"9999\n" + b"0\n" * 9999 + b"1\n", b"9" * 5000, b"9" * 4000 + b"\n0\n",
        b"10000\n" + b"0\n" * 10_000, b"1\n" * 5_000_000, b" " * 1_000_000, b"\n" * 1_000_000, b"-" * 1_000_000, b"1\n1\n" + b"1 " * 500_000]


@pytest.mark.parametrize("data", HUGE, ids=range(len(HUGE)))
def test_huge_counts_do_not_allocate(data):
    tracemalloc.start()
    begin = time.process_time()
    try:
        with pytest.raises(Unusable):
            clip_ntu(data, NAME)
        assert tracemalloc.get_traced_memory()[1] < 20 * len(data) + 20_000_000
    finally:
        tracemalloc.stop()
    assert time.process_time() - begin < 5


@pytest.mark.parametrize("ids", ["equal", "different"])
def test_thousands_of_bodies_in_a_frame(ids):
    body = b"\n25\n" + b"\n".join([b"1 1 1 1 1 1 1 1 1 1 1 1"] * 25) + b"\n"
    data = b"1\n3000\n" + b"".join(str(0 if ids == "equal" else i).encode() + b" 0 0 0 0 0 0 0 0 2" + body for i in range(3000))
    begin = time.process_time()
    assert clip_ntu(data, NAME)["joints"].shape == (1, 2, 25, 3)
    assert time.process_time() - begin < 10


# spoiled files

def fuzz(times, seed):
    "Read as the plain reader does, bit for bit, or left out for a reason."
    good, seen = [text(interleave([(FIRST, 0, person(4)), (FIRST + 1, 1, person(3, (1, 0, 3)))], 5), newline) for newline in ("\n", "\r\n")], []

    def clips(data):
        seen.append(same(data) is not None)
        return [clip_ntu(data, NAME, bodies=("motion", "file")[len(seen) // 2 % 2], join=len(seen) % 3 == 0)]
    usable, reasons = fuzzed(good, clips, NTU25, NTU_CLASSES[:60], times, seed)
    assert usable > times / 15 and sum(reasons.values()) > times / 3 and len(reasons) >= 7, (usable, reasons)


def test_spoiled_files():
    fuzz(300, 0)


@pytest.mark.slow
def test_many_spoiled_files():
    fuzz(5000, 1)
