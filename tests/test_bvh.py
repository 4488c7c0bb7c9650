"BVH of any kind in, against recursions by hand and what was counted; and out again."

import time
import tracemalloc

import made_mocap as made
import numpy as np
import pytest
from reading import AT_LENGTH, Held, fuzzed, gather, written

from skelbench.bvh import _resampled, guess_skeleton, parse_bvh, positions, read_bvh, to_bvh, write_bvh
from skelbench.clips import SkeletonSet
from skelbench.geometry import forward_kinematics
from skelbench.readers import read_nw_ucla
from skelbench.skeleton import NTU25, SKELETONS
from skelbench.sources import Unit, Unusable

NO_END = [j for j, row in enumerate(made.TREE) if row[3] is not None]


# forward kinematics


@pytest.mark.parametrize("seed", range(3))
def test_positions_are_those_of_a_plain_recursion(seed):
    values = made.bvh_values(seed=seed)
    bvh = parse_bvh(made.bvh(values))
    assert np.allclose(bvh.values, values) and bvh.frame_time == 0.0333333 and bvh.joints[4:6] == ("LeftFoot_end", "RightUpLeg")
    want = np.array([made.bvh_positions(values, t) for t in range(len(values))])
    assert np.abs(positions(bvh, ends=True) - want).max() < 1e-6
    assert np.abs(positions(bvh) - want[:, NO_END]).max() < 1e-6 and np.shape(positions(bvh)) == (9, len(NO_END), 3)


@pytest.mark.parametrize("order", ["XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX", "XYX", "ZXZ", "YZ", "X", ""])
def test_every_order_of_channels(order):
    turns = " ".join(f"{axis}rotation" for axis in order)
    tree = [
        ("a", None, (0, 0, 0), f"Yposition {turns} Xposition"),
        ("b", "a", (0.3, 0.1, 0), turns),
        ("c", "b", (0, 0.4, 0.2), f"{turns} Zposition"),
        ("e", "c", (0.1, 0.1, 0.1), None),
    ]
    values = made.bvh_values(tree, frames=4, seed=len(order))
    want = [made.bvh_positions(values, t, tree) for t in range(4)]
    assert np.abs(positions(parse_bvh(made.bvh(values, tree)), ends=True) - want).max() < 1e-6


def test_by_hand():
    tree = [("hip", None, (1, 2, 3), "Zrotation Xrotation Yrotation"), ("knee", "hip", (0, -1, 0), "Xrotation"), ("end", "knee", (0, -1, 0), None)]
    got = positions(parse_bvh(made.bvh(np.array([[0, 0, 0, 0], [90, 0, 0, 0], [0, 0, 0, 90], [90, 90, 0, 0.0]]), tree)), ends=True)
    assert np.allclose(got[:, 0], [1, 2, 3]), "no position channels: the root stays at its offset"
    assert np.allclose(
        got[:, 2] - got[:, 0], [[0, -2, 0], [2, 0, 0], [0, -1, -1], [0, 0, -2]], atol=1e-6
    )  # the last: x about its own x takes -y to -z, which z leaves


def test_places_that_are_added_and_places_that_replace():
    tree = [("hip", None, (0, 1, 0), "Xposition Yposition Zposition Yrotation"), ("knee", "hip", (0, -0.5, 0.1), "Zposition Yposition")]
    want = np.array([[[3, 1.1, 0], [3, 0.65, 0.12]], [[5, 0.9, 1], [5, 0.5, 1.1]]])
    for hip, knee in (((0, 0, 0), (0, 0)), ((0, 1, 0), (0, 0)), ((0, 0, 0), (0.1, -0.5)), ((0, 1, 0), (0.1, -0.5))):  # added, or as they are
        values = [[3, 0.1 + hip[1], 0, 0, 0.02 + knee[0], 0.05 + knee[1]], [5, -0.1 + hip[1], 1, 0, 0 + knee[0], 0.1 + knee[1]]]
        assert np.allclose(positions(parse_bvh(made.bvh(np.array(values), tree))), want)


def test_a_file_may_have_more_joints_than_the_set(tmp_path):
    more = [
        ("World", None, (0, 0, 0), "Xposition Yposition Zposition"),
        *((n, p or "World", o, c) for n, p, o, c in made.TREE[:9]),
        ("Twist", "Hips", (0, 0.1, 0), "Xrotation"),
        ("Spine", "Twist", (0, 0.1, 0), made.TREE[9][3]),
        *made.TREE[10:],
    ]
    files = {f"{i}.bvh": made.bvh(made.bvh_values(seed=i)) for i in range(2)} | {f"m{i}.bvh": made.bvh(made.bvh_values(more, seed=i), more) for i in range(3)}
    found = read_bvh(written(tmp_path, files), up="y", unit="m")
    clips, left_out = gather(found)
    assert len(clips) == 5 and left_out == {} and "Twist" not in found.skeleton.joints
    want = made.bvh_positions(made.bvh_values(more, seed=1), 3, more)
    at = [[n for n, *_ in more].index(n) for n in found.skeleton.joints]
    assert np.abs(clips[3]["joints"][3, 0] - np.array(want)[at]).max() < 1e-5


def test_layouts_of_text():
    values = made.bvh_values()
    want = positions(parse_bvh(made.bvh(values)))
    for data in (
        made.bvh(values, newline="\r\n"),
        made.bvh(values, newline="\r"),
        made.bvh(values, brace=" "),
        b"\xef\xbb\xbf" + made.bvh(values),
        made.bvh(values) + b"\n\n \n",
        made.bvh(values).replace(b"JOINT", b"Joint").replace(b"Frames:", b"FRAMES :"),
        made.bvh(values).replace(b"    ", b"\t"),
    ):
        assert np.allclose(positions(parse_bvh(data)), want)
    names = parse_bvh(made.bvh(values).replace(b"LeftLeg", b"Left Leg").replace(b"JOINT Head", b"JOINT Chest")).joints
    assert names[2] == "Left_Leg" and names[11:13] == ("Chest_11", "Chest_11_end") or names[11:13] == ("Chest_11", "Chest_end"), (
        "blanks, and a name that comes twice"
    )


def test_another_frame_rate():
    joints = np.random.default_rng(0).normal(size=(13, 4, 3))
    assert np.array_equal(_resampled(joints, 30, None), joints) and np.array_equal(_resampled(joints, 120.00005, 30), joints[::4])
    assert np.array_equal(_resampled(joints, 1 / 0.0333333, 30), joints) or np.allclose(_resampled(joints, 1 / 0.0333333, 30), joints, atol=1e-3)
    assert np.allclose(_resampled(joints, 30, 60)[1], joints[:2].mean(0)) and len(_resampled(joints, 30, 60)) == 25 and len(_resampled(joints[:1], 30, 7)) == 1
    with pytest.raises(Unusable, match="million"):
        _resampled(joints, 0.02, 1e4)


# what names tell


def test_a_skeleton_from_names():
    values = made.bvh_values()
    bvh = parse_bvh(made.bvh(values))
    names = tuple(bvh.joints[j] for j in NO_END)
    s = guess_skeleton(names, tuple(NO_END.index(bvh.parents[j]) for j in NO_END), bvh.offsets[NO_END])

    def called(joints):
        return [s.joints[j] for j in joints]

    assert {(s.joints[a], s.joints[b]) for a, b in s.pairs} == {(n, n.replace("Left", "Right")) for n in names if n.startswith("Left")}
    assert called(s.hips) == ["LeftUpLeg", "RightUpLeg"] and called(s.shoulders) == ["LeftArm", "RightArm"] and called((s.pelvis, s.neck)) == ["Hips", "Chest"]
    assert (
        called(s.limbs["left_leg"]) == ["LeftUpLeg", "LeftLeg", "LeftFoot"]
        and called(s.limbs["head"]) == ["Head"]
        and called(s.limbs["torso"]) == ["Hips", "Spine", "Chest"]
    )


@pytest.mark.parametrize(
    "joints,parents",
    [
        (("a",), (0,)),
        (("a", "b"), (0, 0)),
        (tuple(f"bone{i}" for i in range(900)), (0, *range(899))),
        (("x", "left", "right", "Left", "LeftRight"), (0, 0, 0, 1, 2)),
        (("l", "r", "ll", "rl", "lr"), (0, 0, 0, 0, 0)),
    ],
)
def test_a_skeleton_from_any_names(joints, parents):
    s = guess_skeleton(joints, parents, np.zeros((len(joints), 3)))
    assert s.joints == joints and s.parents == parents


# releases


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("up", ["y", "z", "-z", "x", "-x", "-y"])
@pytest.mark.parametrize("unit,metre", [("cm", 0.01), ("in", 0.0254), ("m", 1.0)])
def test_unit_and_up_are_guessed(tmp_path, zipped, up, unit, metre):
    "One motion, written in every way that programs write it, is the same set."
    to = {"y": "XYZ", "z": "XZY", "-z": "XZY", "x": "YXZ", "-x": "YXZ", "-y": "XYZ"}[up]
    flip = {"y": (1, 1, 1), "z": (1, 1, -1), "-z": (1, -1, 1), "x": (-1, 1, 1), "-x": (1, -1, 1), "-y": (1, -1, -1)}[up]

    def turned(v):
        return tuple({c: s * x for c, s, x in zip(to, flip, v)}[axis] for axis in "XYZ")  # y up to this up, the inverse of what the reader does

    plain = [
        (name, parent, offset, channels and " ".join("Xposition Yposition Zposition" if parent is None else "" for _ in "1").strip())
        for name, parent, offset, channels in made.TREE
    ]
    plain = [(name, parent, offset, None if made.TREE[i][3] is None else channels) for i, (name, parent, offset, channels) in enumerate(plain)]
    place = np.array([[0.1, 1.0, 0.2], [0.2, 1.05, 0.1]])
    tree = [(name, parent, turned(offset), channels) for name, parent, offset, channels in plain]
    data = made.bvh(np.array([turned(p) for p in place]) / metre, tree, scale=1 / metre)
    found = read_bvh(written(tmp_path, {"7_1.bvh": data}, zipped))
    assert f"with {up} up" in found.source and f"{metre:.6g} m" in found.source and found.metric == "metres"
    (clip,), _ = gather(found)
    rest = np.zeros((len(plain), 3))
    for j, (_, parent, offset, _) in enumerate(plain):
        rest[j] = (rest[[p[0] for p in plain].index(parent)] if parent else 0) + np.array(offset)
    assert np.abs(clip["joints"][:, 0] - (place[:, None] + rest[NO_END])).max() < 1e-4 * max(1, metre * 100)
    assert clip["subject"] == 7 and clip["label"] == 0 and clip["fps"] == 30


def test_options(tmp_path):
    values = made.bvh_values(frames=31)
    source = written(
        tmp_path, {"walk/S1_a.bvh": made.bvh(values), "walk/S2_a.bvh": made.bvh(values), "run/S1_a.bvh": made.bvh(values[:12]), "top.bvh": made.bvh(values)}
    )
    found = read_bvh(source, fps=10, ends=True, pattern=r"(?P<label>[^/]+)/(?P<subject>S\d+)_", up="y", unit=0.5)
    assert found.classes == ["run", "walk"] and found.left_out == {"its name does not fit the pattern": ["top.bvh"]} and len(found.skeleton) == len(made.TREE)
    clips, _ = gather(found)
    data = SkeletonSet.from_clips(clips, found.skeleton, found.classes, "made")
    assert (
        data.table["name"].tolist() == ["run/S1_a", "walk/S1_a", "walk/S2_a"]
        and data.table["subject"].tolist() == [1, 1, 2]
        and data.table["frames"].tolist() == [4, 11, 11]
    )
    want = [made.bvh_positions(values, t) for t in range(0, 31, 3)]
    assert np.abs(clips[1]["joints"][:, 0] - 0.5 * np.array(want)).max() < 1e-4
    assert [len(test) for _, _, test in data.splits("folds:subject/2")] == [2, 1]
    for options, says in (
        ({"fps": 0}, "fps of"),
        ({"fps": "30"}, "fps of"),
        ({"ends": "no"}, "ends must be"),
        ({"pattern": 3}, "no regular expression"),
        ({"up": "w"}, "unknown axis"),
        ({"unit": "yd"}, "unknown unit"),
        ({"unit": -1}, "unknown unit"),
        ({"pattern": "("}, "no regular expression"),
        ({"pattern": "(?P<age>.)"}, "names age"),
        ({"pattern": "zzz"}, "no name fits"),
    ):
        with pytest.raises(ValueError, match=says):
            read_bvh(source, **options)
    for bad in ({"a.txt": b""}, {"a.bvh": b"HIERARCHY"}):
        with pytest.raises(ValueError, match="holds no .bvh|nothing usable"):
            read_bvh(written(tmp_path / str(len(bad["a.txt"] if "a.txt" in bad else "x")), bad))
    with pytest.raises(FileNotFoundError):
        read_bvh(tmp_path / "nowhere")


def test_the_most_common_hierarchy(tmp_path):
    other = made.TREE[:5]
    files = {f"{i}.bvh": made.bvh(made.bvh_values(seed=i)) for i in range(40)}
    files |= {f"x{i}.bvh": made.bvh(made.bvh_values(other), other) for i in range(3)} | {"y.bvh": made.bvh(made.bvh_values(), frames=4), "z.bvh": b""}
    clips, left_out = gather(read_bvh(written(tmp_path, files)), details=False)
    assert len(clips) == 40 and {k: len(v) for k, v in left_out.items()} == {
        "another hierarchy than most": 3,
        "other frames than it says": 1,
        "no MOTION with Frames and Frame Time": 1,
    }


def test_a_thing_without_legs_keeps_its_unit(tmp_path):
    tree = [("base", None, (0, 0, 0), "Xrotation"), ("arm", "base", (0, 7, 0), "Xrotation")]
    found = read_bvh(written(tmp_path, {"robot.bvh": made.bvh(np.zeros((2, 2)), tree)}))
    assert found.metric == "unknown" and gather(found)[0][0]["joints"][0, 0, 1, 1] == 7


# bad input


@pytest.mark.parametrize(
    "change,says",
    [
        (lambda t: b"", "no MOTION"),
        (lambda t: t[:200], "no MOTION"),
        (lambda t: t[:-30], "line 9[0-9]: |line 1[0-9][0-9]: "),
        (lambda t: t.replace(b"Frames: 9", b"Frames: 10"), "other frames than it says: 9 for 10"),
        (lambda t: t.replace(b"Frames: 9", b"Frames: 99999999999999"), "no number of frames"),
        (lambda t: t.replace(b"Frames: 9", b"Frames: -9"), "no number of frames"),
        (lambda t: t.replace(b"Frames: 9", b"Frames: 0"), "no number of frames"),
        (lambda t: t.replace(b"0.0333333", b"0"), "no frame time"),
        (lambda t: t.replace(b"0.0333333", b"nan"), "no frame time"),
        (lambda t: t.replace(b"CHANNELS 6", b"CHANNELS 5", 1), "line 5: expected CHANNELS"),
        (lambda t: t.replace(b"CHANNELS 6", b"CHANNELS 999999999", 1), "expected CHANNELS"),
        (lambda t: t.replace(b"Xposition Yposition", b"Xposition Xposition", 1), "a channel twice"),
        (lambda t: t.replace(b"Zrotation Xrotation", b"Xrotation Xrotation", 1), "a channel twice"),
        (lambda t: t.replace(b"OFFSET 0.1", b"OFFSET x", 1), "line 8: expected OFFSET"),
        (lambda t: t.replace(b"{", b"", 1), "line 4: expected OFFSET"),
        (lambda t: t.replace(b"}", b"", 1), "not closed"),
        (lambda t: t.replace(b"ROOT", b"JOINT", 1), "line 2: JOINT where none can be"),
        (lambda t: t.replace(b"JOINT", b"ROOT", 1), "ROOT where none can be"),
        (lambda t: t.replace(b"JOINT", b"BONE", 1), "expected ROOT"),
        (lambda t: t.replace(b"OFFSET 0.1", b"OFFSET 1e30", 1), "beyond all measure"),
        (lambda t: t.replace(b"OFFSET", b"# OFFSET", 1), "expected ROOT"),
    ],
)
def test_a_file_that_is_not_whole(change, says):
    text = made.bvh(made.bvh_values())
    with pytest.raises(Unusable, match=says):
        parse_bvh(change(text))


def test_numbers_that_are_none():
    values = made.bvh_values()
    for value, says in ((np.nan, "line 104: |line 1?[0-9][0-9]: "), (np.inf, "line")):
        spoiled = values.copy()
        spoiled[3, 7] = value
        with pytest.raises(Unusable, match="not finite|" + says):
            parse_bvh(made.bvh(spoiled))


def test_counts_that_are_not_believed():
    deep = b"HIERARCHY\n" + b"".join(b"%s j%d\n{\nOFFSET 0 1 0\nCHANNELS 1 Xrotation\n" % (b"JOINT" if i else b"ROOT", i) for i in range(60_000))
    still = made.bvh(np.zeros((50_000, 1)), [("a", None, (0, 0, 0), "Xrotation"), *((f"b{i}", "a", (0, 1, 0), "") for i in range(900))])
    tracemalloc.start()
    start = time.process_time()
    with pytest.raises(Unusable, match="more than 1000 joints"):
        parse_bvh(deep + b"}" * 60_000 + b"\nMOTION\nFrames: 1\nFrame Time: 1\n0")
    with pytest.raises(Unusable, match="million positions"):
        positions(parse_bvh(still))
    with pytest.raises(Unusable, match="other frames"):
        parse_bvh(made.bvh(np.zeros((1, 1)), [("a", None, (0, 0, 0), "Xrotation")], frames=99_999_999))
    with pytest.raises(Unusable, match="no MOTION"):
        parse_bvh(b"\n" * 2_000_000 + b" " * 2_000_000 + b"MOTION\nFrames:" * 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6 and time.process_time() - start < 6, f"{peak / 1e6:.0f} MB"


@AT_LENGTH
def test_fuzz(times, tmp_path):
    "Every outcome is a set or a reason; now and then the damaged file is the whole release."
    texts = [made.bvh(made.bvh_values(frames=4)), made.bvh(made.bvh_values(frames=2), newline="\r\n", brace=" ")]
    good, seen = read_bvh(written(tmp_path, {"1.bvh": texts[0]})), []

    def clips(data):
        seen.append(data)
        if len(seen) % 10 == 0:
            try:
                read_bvh(written(tmp_path, {f"{len(seen)}/1.bvh": data}) / str(len(seen)))
            except ValueError as reason:
                assert "\n" not in str(reason)
        return good.clips(Unit("1", (Held("1.bvh", data),), {"label": 0}))

    usable, why = fuzzed(texts, clips, good.skeleton, good.classes, times, seed=2)
    assert usable > times / 40 and len(why) >= 3, (usable, why)


# out again


def motion(skeleton, frames=20, seed=0, big=1.0):
    "A made motion with constant bones: angles that wander, (T, V, 3)."
    import torch

    rng = np.random.default_rng(seed)
    angles = rng.uniform(-big, big, (1, len(skeleton), 3)) + np.cumsum(rng.normal(0, 0.05, (frames, len(skeleton), 3)), 0)
    lengths = rng.uniform(0.1, 0.4, len(skeleton))
    root = np.cumsum(rng.normal(0, 0.02, (frames, 3)), 0) + [0, 1, 0]
    return forward_kinematics(*map(torch.from_numpy, (angles, lengths, root)), skeleton).numpy()


def again(text, skeleton):
    bvh = parse_bvh(text.encode())
    names = [name for name, end in zip(bvh.joints, bvh.ends) if not end]
    return positions(bvh)[:, [names.index(name) for name in skeleton.joints]], bvh


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
@pytest.mark.parametrize("big", [0.3, 3.0])
def test_written_and_read_it_is_the_same_motion(skeleton, big):
    x = motion(skeleton, big=big)
    back, bvh = again(to_bvh(x, skeleton, 30), skeleton)
    assert np.abs(back - x).max() < 1e-4 and abs(1 / bvh.frame_time - 30) < 1e-4
    tree = {name: bvh.joints[p] for name, p in zip(bvh.joints, bvh.parents)}
    assert all(tree[name] == skeleton.joints[p] for name, p in zip(skeleton.joints, skeleton.parents))


def moving(text):
    "How many joints have position channels."
    return text.count("Xposition")


def plainly(text, skeleton, frames=None):
    "(T, V, 3) of a .bvh by a parser and a recursion that share no code with the reader."
    tree, values = made.plain_bvh(text)
    at = [[name for name, *_ in tree].index(name) for name in skeleton.joints]
    return np.array([[made.bvh_positions(values, t, tree)[j] for j in at] for t in (range(len(values)) if frames is None else frames)])


def rigid(skeleton, frames=20):
    "Bones that turn with their parents, also where a joint has several: x_j = x_p + G_p o_j."
    import torch

    from skelbench.geometry import axis_angle_to_matrix

    rng = np.random.default_rng(1)
    turn = axis_angle_to_matrix(torch.from_numpy(np.cumsum(rng.normal(0, 0.2, (frames, len(skeleton), 3)), 0))).numpy()
    x = np.tile(np.cumsum(rng.normal(0, 0.02, (frames, 1, 3)), 0), (1, len(skeleton), 1))
    for j in skeleton.order[1:]:
        p = skeleton.parents[j]
        x[:, j] = x[:, p] + turn[:, p] @ (np.array(skeleton.rest[j]) * (0.1 + 0.01 * j) + rng.normal(0, 0.02, 3))
    return x


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_of_rigid_bones_only_the_root_has_positions(skeleton):
    x = rigid(skeleton)
    text = to_bvh(x, skeleton, 25)
    assert moving(text) == 1 and np.abs(again(text, skeleton)[0] - x).max() < 1e-4
    everything = to_bvh(x, skeleton, 25, tolerance=0)
    assert moving(everything) == len(skeleton) and np.abs(again(everything, skeleton)[0] - x).max() < 1e-4


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_bones_that_stretch_come_back(skeleton):
    x = motion(skeleton) + np.random.default_rng(0).normal(0, 0.02, (20, len(skeleton), 3))
    text = to_bvh(x, skeleton, 30)
    assert moving(text) == len(skeleton)
    assert np.linalg.norm(again(text, skeleton)[0] - x, axis=-1).max() < 1e-4 > np.abs(plainly(text, skeleton, range(0, 20, 4)) - x[::4]).max()


def test_as_many_positions_as_a_tolerance_needs():
    s, counts = NTU25, []
    x = rigid(s) + np.random.default_rng(0).normal(0, 0.002, (20, 25, 3))
    for tolerance in (0, 0.001, 0.005, 0.01, 0.02, np.inf):
        text = to_bvh(x, s, 30, tolerance=tolerance)
        counts.append(moving(text))
        back = again(text, s)[0]
        assert np.linalg.norm(back - x, axis=-1).max() < tolerance + 1e-5 and np.abs(back[[0, 19]] - plainly(text, s, [0, 19])).max() < 1e-6
    assert counts == sorted(counts, reverse=True) and counts[0] == 25 and counts[-1] == 1 and len(set(counts)) > 3
    with pytest.raises(ValueError, match="expected a tolerance"):
        to_bvh(x, s, 30, tolerance=-1)
    with pytest.raises(ValueError, match="expected a tolerance"):
        to_bvh(x, s, 30, tolerance=float("nan"))


def test_where_turns_are_left_open_the_least_is_taken():
    "Two children in one line, and one that does not move: nothing turns about its own bone, and nothing jumps."
    s = guess_skeleton(("a", "b", "c", "d"), (0, 0, 0, 1), np.array([[0, 0, 0], [1, 0, 0], [-2, 0, 0], [1, 0, 0.0]]))
    x = np.tile(np.array([[0, 0, 0], [1, 0, 0], [-2, 0, 0], [2, 0, 0.0]]), (5, 1, 1))
    assert np.abs(parse_bvh(to_bvh(x, s, 30, tolerance=np.inf).encode()).values).max() == 0
    x[3:, :, 1], x[3:, :, 0] = x[3:, :, 0], 0  # a quarter turn about z, and no other
    values = parse_bvh(to_bvh(x, s, 30, tolerance=np.inf).encode()).values[4]
    assert np.allclose(values, [0, 0, 0, 90] + [0] * (len(values) - 4), atol=1e-3)


def test_turns_alone_draw_bones_of_their_mean_length():
    s, x = NTU25, motion(NTU25)
    noisy = x + np.random.default_rng(0).normal(0, 0.005, x.shape)
    text = to_bvh(noisy, s, 30, tolerance=np.inf)
    back, _ = again(text, s)
    assert moving(text) == 1 and np.abs(back - noisy)[:, s.root].max() < 1e-5
    knee, hip = s.index("left_knee"), s.index("left_hip")
    assert np.allclose(np.linalg.norm(back[:, knee] - back[:, hip], axis=-1), np.linalg.norm(noisy[:, knee] - noisy[:, hip], axis=-1).mean(), atol=1e-5)
    for tolerance in (0, 0.001, np.inf):
        assert np.isfinite(again(to_bvh(np.zeros((2, 25, 3)), s, 30, tolerance=tolerance), s)[0]).all(), "no bones at all"


def test_a_file_is_written_whole(tmp_path):
    x = motion(NTU25)
    path = write_bvh(tmp_path / "a.bvh", x, NTU25, 30)
    assert path.read_text() == to_bvh(x, NTU25, 30) and [p.name for p in tmp_path.iterdir()] == ["a.bvh"]
    with pytest.raises(FileExistsError, match="exists already"):
        write_bvh(path, x, NTU25, 30)
    assert moving(write_bvh(path, x[:3], NTU25, 60, overwrite=True, tolerance=np.inf).read_text()) == 1
    for wrong, fps, says in (
        (x[:, :20], 30, "joints must be"),
        (x[0], 30, "joints must be"),
        (x[:0], 30, "joints must be"),
        (x * np.nan, 30, "finite"),
        (x, 0, "fps of"),
    ):
        with pytest.raises(ValueError, match=says):
            write_bvh(tmp_path / "b.bvh", wrong, NTU25, fps)
    assert [p.name for p in tmp_path.iterdir()] == ["a.bvh"]
    found = read_bvh(tmp_path)
    assert "y up and 1 unit as 1 m" in read_bvh(tmp_path, up="y", unit="m").source and found.skeleton.index("left_hip") in found.skeleton.hips


def test_angles_do_not_jump_by_a_turn():
    "An arm that goes round twice."
    s = guess_skeleton(("a", "b", "c"), (0, 0, 1), np.array([[0, 0, 0], [0, 1, 0], [0, 1, 0.0]]))
    angle = np.linspace(0, 4 * np.pi, 60)
    x = np.zeros((60, 3, 3))
    x[:, 1, 1] = 1
    x[:, 2] = np.stack([-np.sin(angle), 1 + np.cos(angle), 0 * angle], -1)
    values = parse_bvh(to_bvh(x, s, 30).encode()).values
    assert np.abs(np.diff(values, axis=0)).max() < 20 and np.ptp(values[:, 6]) > 700


# genuine recordings


def test_cmu_samples_are_what_was_counted(shared_data):
    found = read_bvh(shared_data / "cmu" / "cmu_bvh_samples.zip")
    assert len(found.units) == 9 and found.left_out == {} and "with y up and 1 unit as 0.01 m" in found.source and len(found.skeleton) == 100
    start = time.process_time()
    clips, left_out = gather(found)
    seconds = time.process_time() - start
    data = SkeletonSet.from_clips(clips, found.skeleton, found.classes, "cmu")
    assert left_out == {} and len(data) == 9 and sorted(set(data.table["subject"])) == [2, 3, 6, 7] and (abs(data.table["fps"] - 60) < 0.01).all()
    s, joints = found.skeleton, data.joints[:, 0]

    def called(*numbers):
        return [s.joints[j] for j in numbers]

    assert called(*s.hips, *s.shoulders) == [f"CC_Base_{side}_{part}" for part in ("Thigh", "Upperarm") for side in "LR"] and len(s.pairs) > 35
    tall = joints[:, s.index("CC_Base_Head"), 1] - joints[:, s.index("CC_Base_L_ToeBase"), 1]
    assert 1.2 < np.median(tall) < 1.8, "metres, y up"
    lengths = np.linalg.norm(joints[:, s.index("CC_Base_L_Calf")] - joints[:, s.index("CC_Base_L_Thigh")], axis=-1)
    assert np.ptp(lengths) < 1e-5 and abs(lengths[0] - 0.4767) < 1e-3
    feet = joints[:, s.index("CC_Base_L_ToeBase"), 1]
    assert all(abs(feet[r.start : r.start + r.frames].min()) < 0.35 for r in data.table.itertuples()), (
        "on the floor, also where places are added to the root's offset"
    )
    print(f"CMU as BVH: 9 clips, {data.table['frames'].sum()} frames of {len(s)} joints in {seconds:.2f} s")


def test_cmu_samples_by_the_plain_recursion_and_back(shared_data):
    found = read_bvh(shared_data / "cmu" / "cmu_bvh_samples.zip")
    text = found.units[2].members[0].read()
    bvh = parse_bvh(text)
    tree, values = made.plain_bvh(text.decode())
    assert np.array_equal(values, bvh.values)
    got = positions(bvh, ends=True)
    for t in (0, len(got) // 2, len(got) - 1):
        assert np.abs(got[t] - made.bvh_positions(values, t, tree)).max() < 1e-6
    for unit in found.units[2:4]:
        x = found.clips(unit)[0]["joints"][:, 0]
        back, _ = again(to_bvh(x, found.skeleton, 60), found.skeleton)
        assert np.abs(back - x).max() < 1e-3, "its bones keep their lengths"


def test_nw_ucla_goes_out_and_comes_back(shared_data):
    "Genuine bones that stretch: with positions they are what they were, by this reader and by the plain one; with turns alone they are not."
    found = read_nw_ucla(shared_data / "nw_ucla" / "all_sqe.zip")
    alone = []
    for unit in found.units[::100]:
        x = found.clips(unit)[0]["joints"][:, 0].astype(float)
        text = to_bvh(x, found.skeleton, 30)
        assert np.linalg.norm(again(text, found.skeleton)[0] - x, axis=-1).max() < 1e-3
        some = [0, len(x) - 1]
        assert np.linalg.norm(plainly(text, found.skeleton, some) - x[some], axis=-1).max() < 1e-3
        alone.append(np.linalg.norm(again(to_bvh(x, found.skeleton, 30, tolerance=np.inf), found.skeleton)[0] - x, axis=-1).max())
    assert len(alone) == 15 and np.median(alone) > 0.05
