"Motion capture of CMU and HDM05, against recursions by hand and what was counted."

import time
import tracemalloc

import made_mocap as made
import numpy as np
import pytest
from reading import Held, fuzzed, gather, written

from skelbench.asfamc import frame_labels, parse_amc, parse_asf, positions, read_asfamc, read_cmu_annotations, read_cmu_index, resampled
from skelbench.clips import SkeletonSet
from skelbench.sources import Member, Unit, Unusable

METRE = 0.0254 / 0.45


def worked_out(columns, bones, body=made.BODY, order=made.DEFAULT["order"], metre=METRE):
    frames = len(columns["root"])
    return np.array([[made.asf_positions(columns, t, body, order)[name] for name in bones.skeleton.joints] for t in range(frames)]) * metre


# forward kinematics


@pytest.mark.parametrize("order", ["TX TY TZ RX RY RZ", "RZ RY RX TZ TY TX", "tz rx ty rz tx ry", "RY TX TY TZ RZ", "TX TY TZ"])
def test_positions_are_those_of_a_plain_recursion(order):
    bones, columns = parse_asf(made.asf(order=order)), made.angles(order=order, frames=2)
    values = parse_amc(made.amc(columns), bones)
    assert values.shape == (2, sum(c.shape[1] for c in columns.values()))
    assert np.abs(positions(values, bones) - worked_out(columns, bones, order=order)).max() < 2e-6


def test_every_order_of_axes_and_turns():
    orders = ["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX"]
    body = [
        (
            f"b{i}",
            "root" if i == 0 else f"b{i - 1}",
            (1.0, 0.2 * i, -0.3),
            1 + 0.1 * i,
            (20 * i, -35, 50 + i),
            orders[i % 6],
            " ".join("r" + c.lower() for c in orders[::-1][(i + i // 6) % 6]),
        )
        for i in range(24)
    ]
    bones, columns = parse_asf(made.asf(body)), made.angles(body, frames=3, seed=4)
    assert np.abs(positions(parse_amc(made.amc(columns), bones), bones) - worked_out(columns, bones, body)).max() < 5e-6


def test_small_skeletons_by_hand():
    "One bone of length 2 along x; its own axes turned by 90 degrees about z, so that its x is the world's y."
    body = [("lfemur", "root", (1, 0, 0), 2, (0, 0, 90), "XYZ", "rx")]
    bones = parse_asf(made.asf(body, length=1.0))
    amc = made.amc({"root": np.array([[0, 0, 0, 0, 0, 0], [1, 2, 3, 0, 0, 90.0]]), "lfemur": np.array([[90.0], [0.0]])})
    got = positions(parse_amc(amc, bones), bones) / 0.0254
    assert np.allclose(got[0], [[0, 0, 0], [0, 0, -2]], atol=1e-5)  # a quarter turn about y takes x to -z
    assert np.allclose(got[1], [[1, 2, 3], [1, 4, 3]], atol=1e-5)  # the root's quarter turn about z takes x to y
    # root turned about x, then y, both about axes that stay: z -> -y by x, which y leaves where it is
    bones = parse_asf(made.asf([("head", "root", (0, 0, 1), 1, (0, 0, 0), "XYZ", "")], length=1.0))
    got = positions(parse_amc(made.amc({"root": np.array([[0, 0, 0, 90, 90, 0.0]])}), bones), bones)
    assert np.allclose(got[0, 1] / 0.0254, [0, -1, 0], atol=1e-6)
    # and y first, then x: z -> x by y, which x leaves
    bones = parse_asf(made.asf([("head", "root", (0, 0, 1), 1, (0, 0, 0), "XYZ", "")], length=1.0, order="TX TY TZ RY RX RZ"))
    got = positions(parse_amc(made.amc({"root": np.array([[0, 0, 0, 90, 90, 0.0]])}), bones), bones)
    assert np.allclose(got[0, 1] / 0.0254, [1, 0, 0], atol=1e-6)


def test_units_of_length_and_angle():
    columns = made.angles(frames=2)
    want = worked_out(columns, parse_asf(made.asf()), metre=1.0)
    for about, unit, metre in (({"length": 1.0}, None, 0.0254), ({"length": 0.45}, None, METRE), ({}, 0.01, 0.01)):
        bones = parse_asf(made.asf(**about), unit)
        assert np.abs(positions(parse_amc(made.amc(columns), bones), bones) - want * metre).max() < 2e-6
    radians = {name: np.radians(c) for name, c in columns.items()}
    radians["root"][:, :3] = columns["root"][:, :3]
    body = [(*b[:4], tuple(np.radians(b[4]).tolist()), *b[5:]) for b in made.BODY]
    bones = parse_asf(made.asf(body, angle="rad"))
    amc = made.amc(radians, head=":FULLY-SPECIFIED\n:RADIANS\n")
    assert np.abs(positions(parse_amc(amc, bones), bones) - want * METRE).max() < 2e-6
    with pytest.raises(Unusable, match="angles in another unit"):
        parse_amc(amc, parse_asf(made.asf()))


def test_lines_of_any_ending_and_bones_of_any_order():
    bones, columns = parse_asf(made.asf()), made.angles()
    want = parse_amc(made.amc(columns), bones)
    mixed = dict(reversed(columns.items()))
    for data in (
        made.amc(columns, newline="\r\n"),
        made.amc(columns, newline="\r"),
        made.amc(columns, first=0),
        made.amc(columns, first=311),
        made.amc(mixed),
        made.amc(columns, head=""),
        made.amc(columns) + b"\r\n  \n",
    ):
        assert np.array_equal(parse_amc(data, bones), want)
    assert np.array_equal(made.each_line(made.amc(columns), bones.counts), want)
    other = parse_asf(made.asf().replace(b"\n", b"\r\n"))
    assert other.skeleton == bones.skeleton and np.array_equal(other.lengths, bones.lengths)


def test_a_long_file_is_read_in_pieces():
    bones, columns = parse_asf(made.asf()), made.angles(frames=2500)
    data = made.amc(columns)
    assert len(data) > 1 << 21
    assert np.array_equal(parse_amc(data, bones), made.each_line(data, bones.counts))


def test_another_frame_rate():
    bones, columns = parse_asf(made.asf()), made.angles(frames=13)
    values = parse_amc(made.amc(columns), bones)
    whole = positions(values, bones)
    assert np.allclose(resampled(values, bones, 120, None), whole) and np.allclose(resampled(values, bones, 120, 120), whole)
    assert np.allclose(resampled(values, bones, 120, 30), whole[::4])
    mixed = resampled(values, bones, 120, 80)  # every 1.5 frames: 0, 1.5, 3, ...
    assert len(mixed) == 9 and np.allclose(mixed[::2], whole[::3]) and np.allclose(mixed[1], (whole[1] + whole[2]) / 2)
    assert np.allclose(resampled(values, bones, 60, 120)[1], (whole[0] + whole[1]) / 2) and len(resampled(values[:1], bones, 120, 30)) == 1
    with pytest.raises(Unusable, match="million positions"):
        resampled(values, bones, 0.1, 1e4)


# releases


def cmu(frames=24, trials=3):
    "CMU's folders and names; the second subject is larger."
    files = {}
    for s in (1, 2, 13):
        body = [(*b[:3], b[3] * (1 + s / 50), *b[4:]) for b in made.BODY]
        files[f"subjects/{s:02}/{s:02}.asf"] = made.asf(body)
        files |= {f"subjects/{s:02}/{s:02}_{t:02}.amc": made.amc(made.angles(frames=frames + t, seed=s * t)) for t in range(1, trials + 1)}
    return files


@pytest.mark.parametrize("zipped", [True, False])
def test_cmu_names(tmp_path, zipped):
    found = read_asfamc(written(tmp_path, cmu(), zipped))
    assert found.classes == ["unlabelled"] and found.left_out == {} and "CMU" in found.source and found.metric == "metres"
    clips, left_out = gather(found)
    data = SkeletonSet.from_clips(clips, found.skeleton, found.classes, "made")
    assert left_out == {} and len(data) == 9 and sorted(set(data.table["subject"])) == [1, 2, 13] and (data.table["fps"] == 30).all()
    assert data.table["name"].tolist()[:2] == ["01_01", "01_02"] and data.table["frames"].tolist()[:3] == [7, 7, 7]
    assert [len(test) for _, _, test in data.splits("folds:subject/3")] == [3, 3, 3]
    lengths = [np.linalg.norm(data.joints[r.start, 0, 2] - data.joints[r.start, 0, 1]) for r in data.table.itertuples()]
    assert np.allclose(lengths[3] / lengths[0], 1.04 / 1.02, atol=1e-4), "each person's own bones"


INDEX = (
    'Subject,Trial #,Motion Description,framerate\n1,1,Walk001,120\n1,2,"walk, turn",120\n2,1, walk ,60\n2,2,,120\n2,3,WALK 2,120\n13,1,run,60\n13,9,swim,60\n'
)
FRAMES = (
    'file,time, ,1 - check watch,2 - walk,3 - throw oh,\n01_01,0:00:23,,,"1 - 3,5-5",,\n01_02,0:00:22,late,2 - 4,1 - 5,,"a, b"\n'
    "02_01,0:00:03,,,,,\n13_03,0:00:03,,90 - 99,,,\n"
)


def test_cmu_index(tmp_path):
    (tmp_path / "index.csv").write_text(INDEX)
    found = read_asfamc(written(tmp_path, cmu()), index=tmp_path / "index.csv")
    assert found.classes == ["run", "walk", "walk, turn"] and len(found.left_out["no description in the index"]) == 4
    clips, _ = gather(found)
    assert [(c["name"], found.classes[c["label"]]) for c in clips] == [
        ("01_01", "walk"),
        ("01_02", "walk, turn"),
        ("02_01", "walk"),
        ("02_03", "walk"),
        ("13_01", "run"),
    ]
    assert [len(c["joints"]) for c in clips] == [7, 7, 13, 7, 13], "60 a second: every second frame"
    for text, says in (
        (INDEX.replace("framerate", "rate"), "lacks framerate"),
        (INDEX.replace("2,3,", "x,3,"), "damaged"),
        ("", "damaged"),
        (INDEX.replace(",60", ",0"), "framerate of"),
    ):
        (tmp_path / "index.csv").write_text(text)
        with pytest.raises(ValueError, match=says):
            read_asfamc(tmp_path / "release", index=tmp_path / "index.csv")
    with pytest.raises(ValueError, match="is missing"):
        read_asfamc(tmp_path / "release", index=tmp_path / "nowhere.csv")


def test_cmu_annotations(tmp_path):
    (tmp_path / "frames.csv").write_text(FRAMES)
    found = read_asfamc(written(tmp_path, cmu()), annotations=tmp_path / "frames.csv", fps=24)
    assert found.classes == ["check watch", "walk", "throw oh"] and len(found.left_out["no annotated frames"]) == 6
    clips, left_out = gather(found)
    assert left_out["no annotated frames"][6:] == ["13_03"], "its pieces lie past its end"
    assert [c["frame_labels"].tolist() for c in clips] == [[1, 1, 1, -1, 1], [1, 0, 0, 0, 1, -1][:6]]
    assert [c["label"] for c in clips] == [1, 0], "the most frequent"
    data = SkeletonSet.from_clips(clips, found.skeleton, found.classes, "made")
    assert data.frame_labels.tolist() == [1, 1, 1, -1, 1, 1, 0, 0, 0, 1, -1]
    assert frame_labels([(4, 1, 2)], 6, 48).tolist() == [4, 4, 4, 4, -1, -1] and frame_labels([], 2, 30).tolist() == [-1, -1]
    for text in (FRAMES.replace(" - ", " to ", 99), FRAMES.replace("01_01", "walk"), "file\n01_01\n"):
        (tmp_path / "frames.csv").write_text(text)
        with pytest.raises(ValueError, match="expected columns"):
            read_asfamc(tmp_path / "release", annotations=tmp_path / "frames.csv")


def test_cmu_tables_as_published(shared_data):
    index = read_cmu_index(shared_data / "cmu" / "cmu_index_2435_trials.csv")
    assert len(index) == 2435 and sum(bool(what) for what, _ in index.values()) == 2345 and {rate for _, rate in index.values()} == {60, 120}
    actions, pieces = read_cmu_annotations(shared_data / "cmu" / "cmu-annotation-24fps.csv")
    assert len(actions) == 15 and actions[5:7] == ["turn", "walk"] and len(pieces) == 2000 and sum(map(bool, pieces.values())) == 1143
    assert pieces[1, 1] == [(5, 208, 248), (5, 384, 428)] and pieces[1, 8] == [(6, 1, 144)] and pieces[1, 14] == []


def test_names_that_say_nothing_and_asf_elsewhere(tmp_path):
    body = made.asf()
    motion = made.amc(made.angles())
    files = {
        "me.asf": body,
        "me_dance.amc": motion,
        "deep/me_jump_high.amc": motion,
        "other/b.asf": body,
        "other/b.amc": motion,
        "you.amc": motion,
        "again/me_dance.amc": motion,
        "MIXED/C.ASF": body,
        "MIXED/c_1.AMC": motion,
    }
    found = read_asfamc(written(tmp_path, files))
    assert [u.name for u in found.units] == ["c_1", "me_dance", "me_jump_high", "b"] or sorted(u.name for u in found.units) == [
        "b",
        "c_1",
        "me_dance",
        "me_jump_high",
    ]
    assert found.left_out == {"a second file of this name": ["me_dance.amc"], "no .asf whose name it begins with": ["you.amc"]}
    assert {c["subject"] for c in gather(found)[0]} == {0} and found.source == ""


def test_the_most_common_hierarchy(tmp_path):
    files = cmu(trials=2)
    other = made.BODY[:-1]
    shuffled = [made.BODY[i] for i in np.random.default_rng(0).permutation(len(made.BODY))]
    files |= {
        "x/77.asf": made.asf(other),
        "x/77_01.amc": made.amc(made.angles(other)),
        "x/78.asf": made.asf()[:300],
        "x/78_01.amc": b"",
        "x/79.asf": made.asf(shuffled),
        "x/79_01.amc": made.amc(made.angles(shuffled)),
    }
    source = written(tmp_path, files)
    found = read_asfamc(source)
    assert found.left_out["another hierarchy than most"] == ["x/77_01.amc"] and len(found.units) == 7
    assert sum("78_01" in names[0] for names in found.left_out.values()) == 1
    clip = found.clips(next(u for u in found.units if u.name == "79_01"))[0]
    want = made.asf_positions(made.angles(shuffled), 0, made.BODY)
    assert np.abs(clip["joints"][0, 0] - [want[name] * METRE for name in found.skeleton.joints]).max() < 1e-5, "the same bones in another order"
    asf, amc = (Member(str(source), f"x/77{end}", 10**5) for end in (".asf", "_01.amc"))
    with pytest.raises(Unusable, match="another hierarchy"):
        found.clips(Unit("77_01", (asf, amc), found.units[0].about))


def test_settings_and_nothing_usable(tmp_path):
    source = written(tmp_path, {"a.asf": made.asf(), "b_1.amc": b"1\n"})
    for options in ({"fps": 0}, {"fps": float("nan")}, {"fps": "fast"}, {"rate": -1}, {"rate": None}, {"unit": 0}, {"unit": "cm"}):
        with pytest.raises(ValueError, match="expected fps and rate"):
            read_asfamc(source, **options)
    with pytest.raises(ValueError, match="nothing usable; no .asf whose name"):
        read_asfamc(source)
    with pytest.raises(FileNotFoundError):
        read_asfamc(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no .amc files"):
        read_asfamc(written(tmp_path / "x", {"a.asf": made.asf()}))


# bad input


@pytest.mark.parametrize(
    "change,says",
    [
        (lambda t: t.replace(b":root", b":rot"), "no :root"),
        (lambda t: t.replace(b":hierarchy", b":tree"), "no :hierarchy"),
        (lambda t: t.replace(b"length 7.3", b"length"), "line 33: a bone without length"),
        (lambda t: t.replace(b"length 7.3", b"length nan"), "line 27: expected 1 numbers, got 'nan'"),
        (lambda t: t.replace(b"length 0.45", b"length 0"), "unit of length"),
        (lambda t: t.replace(b"length 0.45", b"length -3"), "unit of length"),
        (lambda t: t.replace(b"dof rx ry rz", b"dof rx rx", 1), "at most once"),
        (lambda t: t.replace(b"dof rx ry rz", b"dof rx ry rz l", 1), "at most once"),
        (lambda t: t.replace(b"  XYZ", b"  XYX", 1), "order as XYZ"),
        (lambda t: t.replace(b"name rfemur", b"name lfemur"), "a second bone 'lfemur'"),
        (lambda t: t.replace(b"position 0 0 0", b"position 0 1 0"), "not supported"),
        (lambda t: t.replace(b"orientation 0 0 0", b"orientation 0 0 90"), "not supported"),
        (lambda t: t.replace(b"lhumerus lradius", b"lhumerus lhumerus"), "has a parent already"),
        (lambda t: t.replace(b"    lhumerus lradius\n", b""), "1 bones outside"),
        (lambda t: t.replace(b"lhumerus lradius", b"lhumerus nose"), "is no bone"),
        (lambda t: t.replace(b"     id 3", b"     weight 3"), "nothing that a bone has"),
        (lambda t: t[:2000], "no :hierarchy|no end"),
        (lambda t: t.replace(b":bonedata", b":bonedata\n:hierarchy"), "no bones|:"),
        (lambda t: b"", "no :root"),
        (lambda t: t.replace(b"TX TY TZ", b"TX TY TQ"), "expected each of tx"),
        (lambda t: t.replace(b"direction 0.34", b"direction 1e308", 1), "expected 3 numbers"),
    ],
)
def test_a_skeleton_that_is_not_whole(change, says):
    assert change(made.asf()) != made.asf()
    with pytest.raises(Unusable, match=says):
        parse_asf(change(made.asf()))


@pytest.mark.parametrize(
    "change,says",
    [
        (lambda t: t[:-25], r"line \d+: expected a bone|lacks"),
        (lambda t: t.replace(b"\n5\n", b"\n6\n"), "frame 6 follows frame 4"),
        (lambda t: t.replace(b"\n5\n", b"\n"), "expected a bone"),
        (lambda t: t.replace(b"ltibia ", b"ltibia nan ", 1), "line 7: expected a bone"),
        (lambda t: t.replace(b"ltibia ", b"tibia ", 1), "line 7: expected a bone"),
        (lambda t: b"\n".join(t.splitlines()[:-3]), "line 154: the frame before it lacks"),
        (lambda t: b"", "no frames"),
        (lambda t: b":DEGREES\n", "no frames"),
        (lambda t: t[: t.find(b"1\n") + 2], "lacks"),
        (lambda t: t.replace(b"ltibia ", b"ltibia 9e999\n#", 1), "expected a bone"),
        (lambda t: t.replace(b"\nroot ", b"\nroot x", 1), "line 5: expected a bone"),
        (lambda t: t.replace(b"\nltibia", b"\nlfoot 1 2\nltibia", 1), "once a frame"),
        (lambda t: t.replace(b"\n2\n", b"\n# two\n2\n"), "expected a bone"),
    ],
)
def test_a_motion_that_does_not_belong(change, says):
    bones = parse_asf(made.asf())
    with pytest.raises(Unusable, match=says):
        parse_amc(change(made.amc(made.angles())), bones)


def test_beyond_all_measure(tmp_path):
    columns = made.angles()
    columns["root"][4, 1] = 1e300
    found = read_asfamc(written(tmp_path, {"1.asf": made.asf(), "1_1.amc": made.amc(columns), "1_2.amc": made.amc(made.angles())}))
    clips, left_out = gather(found)
    assert len(clips) == 1 and left_out == {"coordinates beyond all measure": ["1_1"]}


def test_counts_that_are_not_believed():
    "A skeleton of thousands of bones, and a recording of a root alone that would become gigabytes, cost little more than their text."
    many = made.asf([(f"b{i}", "root", (1, 0, 0), 1, (0, 0, 0), "XYZ", "") for i in range(1000)])
    long = b":DEGREES\n" + b"".join(b"%d\nroot 0 0 0 0 0 0\n" % i for i in range(30_000))
    bones = parse_asf(made.asf([(f"b{i}", "root", (1, 0, 0), 1, (0, 0, 0), "XYZ", "") for i in range(290)]))
    tracemalloc.start()
    with pytest.raises(Unusable, match="more than 300 bones"):
        parse_asf(many)
    with pytest.raises(Unusable, match="million positions"):
        resampled(parse_amc(long, bones), bones, 120, 30)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6, f"{peak / 1e6:.0f} MB"


def fuzz(times, folder):
    "Every outcome is a set or a reason, whichever of the two files is damaged."
    body, motion = made.asf(), made.amc(made.angles(frames=4))
    good = read_asfamc(written(folder, {"1.asf": body, "1_1.amc": motion}))

    def clips(asf, amc):
        return good.clips(Unit("1_1", (Held("1.asf", asf), Held("1_1.amc", amc)), good.units[0].about))

    for name, text, read in (("asf", body, lambda data: clips(data, motion)), ("amc", motion, lambda data: clips(body, data))):
        usable, why = fuzzed([text, text.replace(b"\n", b"\r\n")], read, good.skeleton, good.classes, times // 2, seed=1)
        assert usable > times / 60 and why, (name, usable, why)


def test_fuzz(tmp_path):
    fuzz(300, tmp_path)


@pytest.mark.slow
def test_fuzz_at_length(tmp_path):
    fuzz(10_000, tmp_path)


# genuine recordings


def test_hdm05_is_what_was_counted(shared_data):
    found = read_asfamc(shared_data / "hdm05" / "hdm05_subset.zip")
    assert len(found.units) == 110 and len(found.classes) == 11 and found.left_out == {} and found.skeleton.name == "cmu31" and "HDM05" in found.source
    start = time.process_time()
    clips, left_out = gather(found)
    seconds = time.process_time() - start
    data = SkeletonSet.from_clips(clips, found.skeleton, found.classes, "hdm05", units=found.metric)
    assert left_out == {} and len(data) == 110 and sorted(set(data.table["subject"])) == [1, 2, 3, 4, 5] and set(data.table["label"]) == set(range(11))
    assert [len(test) for _, _, test in data.splits("folds:subject/5")] == [22] * 5 and (data.table["fps"] == 30).all()
    s, joints = found.skeleton, data.joints[:, 0]
    assert s.joints[:3] == ("root", "lhipjoint", "lfemur") and s.joints[30] == "rthumb" and len(s.pairs) == 12
    legs = sum(np.linalg.norm(joints[:, s.index(a)] - joints[:, s.index(b)], axis=-1) for a, b in (("ltibia", "lfemur"), ("lfemur", "lhipjoint")))
    assert 0.75 < legs.min() and legs.max() < 1.0, "metres"
    upright = [r.start for r in data.table.itertuples() if data.classes[r.label].startswith("squat")]
    head, toes = joints[upright][:, s.index("head"), 1], joints[upright][:, s.index("ltoes"), 1]
    assert (1.4 < head - toes).all() and (head - toes < 2).all() and (abs(toes) < 0.15).all(), "y is up, and the floor is at 0"
    print(f"HDM05 subset: 110 clips, {data.table['frames'].sum()} frames at 30 a second in {seconds:.2f} s")


def test_hdm05_by_the_plain_recursion(shared_data):
    "Positions of genuine files by the recursion that shares no code, each from its own .asf as lines."
    source = shared_data / "hdm05" / "hdm05_subset.zip"
    found = read_asfamc(source, fps=None)
    for unit in found.units[::40]:
        asf, amc = (m.read() for m in unit.members)
        lines = [line.strip().split() for line in asf.decode("latin-1").splitlines()]
        parent = {child: row[0] for row in lines[[r[:1] for r in lines].index([":hierarchy"]) + 2 : -1] if row for child in row[1:]}
        body, own = [], {}
        for row in lines:
            own |= {row[0]: row[1:]} if row and row[0] in ("name", "direction", "length", "axis", "dof") else {}
            if row == ["end"] and "name" in own:
                body.append(
                    (
                        own["name"][0],
                        parent[own["name"][0]],
                        tuple(map(float, own["direction"])),
                        float(own["length"][0]),
                        tuple(map(float, own["axis"][:3])),
                        own["axis"][3],
                        " ".join(own.get("dof", [])),
                    )
                )
                own = {}
        counts = {"root": 6} | {b[0]: len(b[6].split()) for b in body if b[6]}
        plain, columns, at = made.each_line(amc, counts), {}, 0
        for name, n in counts.items():
            columns[name], at = plain[:, at : at + n], at + n
        clip = found.clips(unit)[0]
        assert len(clip["joints"]) == len(plain)
        for t in (0, len(plain) // 2, len(plain) - 1):
            want = made.asf_positions(columns, t, body)
            assert np.abs(clip["joints"][t, 0] - [want[name] * METRE for name in found.skeleton.joints]).max() < 1e-5


def test_faster_than_the_plain_reading(shared_data):
    found = read_asfamc(shared_data / "hdm05" / "hdm05_subset.zip")
    texts = [unit.members[1].read() for unit in found.units[:6]]
    bones = [parse_asf(unit.members[0].read()) for unit in found.units[:6]]
    seconds = []
    for parse in (parse_amc, lambda text, b: made.each_line(text, b.counts)):
        start = time.process_time()
        got = [parse(text, b) for text, b in zip(texts, bones)]
        seconds.append(time.process_time() - start)
    assert np.array_equal(got[0], parse_amc(texts[0], bones[0]))
    print(f"6 .amc: {seconds[0]:.2f} s, plain reading {seconds[1]:.2f} s")
    assert seconds[0] < seconds[1]
