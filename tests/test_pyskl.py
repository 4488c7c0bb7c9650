"PYSKL's pickles: every protocol and both numpys, splits, what is left out, and pickles that mean harm, which do nothing."
import builtins
import collections
import functools
import os
import pickle
import struct
import time
import tracemalloc
import types

import numpy as np
import pytest
from reading import AT_LENGTH, fuzzed, gather

from skelbench.clips import SkeletonSet
from skelbench.pyskl import outline, read_pyskl
from skelbench.skeleton import BODY17, COCO17, KINECT20, NITE15, NTU25
from skelbench.sources import Unusable

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


def annotation(k, joints=25, space=True, people=1, frames=4, **changes):
    "One clip in PYSKL's words."
    rng = np.random.default_rng(k)
    shape = (people, frames + k % 3, joints)
    one = {"frame_dir": f"S001C00{1 + k % 3}P00{1 + k % 4}R00{1 + k // 12}A0{10 + k}", "label": k % 5, "total_frames": shape[1],
           "keypoint": rng.normal(size=(*shape, 3)).astype(np.float32)}
    if not space:
        one |= {"keypoint": rng.uniform(1, 400, (*shape, 2)).astype(np.float16), "keypoint_score": rng.uniform(.1, 1, shape).astype(np.float16),
                "img_shape": (480, 640), "original_shape": (480, 640)}
    return one | changes


def whole(count=12, **options):
    annotations = [annotation(k, **options) for k in range(count)]
    names = [a["frame_dir"] for a in annotations]
    return {"split": {"xsub_train": names[:8], "xsub_val": names[8:], "xview_train": names[::2], "xview_val": names[1::2]}, "annotations": annotations}


def written(tmp_path, value, protocol=2, name="made.pkl"):
    path = tmp_path / name
    path.write_bytes(value if isinstance(value, bytes) else pickle.dumps(value, protocol))
    return path


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("space", [True, False])
@pytest.mark.parametrize("old", [True, False])
def test_every_protocol_gives_the_same_clips(tmp_path, protocol, space, old):
    made = whole(joints=25 if space else 17, space=space, people=2)
    raw = pickle.dumps(made, protocol)
    if old:  # as numpy 1 spells it
        raw = raw.replace(b"\x16numpy._core.multiarray", b"\x15numpy.core.multiarray").replace(b"\x13numpy._core.numeric", b"\x12numpy.core.numeric")
        raw = raw.replace(b"cnumpy._core.", b"cnumpy.core.")
        assert b"_core" not in raw and b"numpy.core" in raw
    release = read_pyskl(written(tmp_path, raw))
    clips, left_out = gather(release)
    assert left_out == {} and len(clips) == 12 and release.skeleton == (NTU25 if space else COCO17)
    for clip, said in zip(clips, made["annotations"]):
        want = said["keypoint"].astype(np.float32).swapaxes(0, 1)
        assert np.array_equal(clip["joints"][..., 0], want[..., 0]) and (clip["name"], clip["label"]) == (said["frame_dir"], said["label"])
        assert np.array_equal(clip["joints"][..., 1:], want[..., 1:] if space else np.stack([480 - want[..., 1], 0 * want[..., 0]], -1))
        assert clip["valid"].all() and clip["camera"] == int(said["frame_dir"][7]) and clip["subject"] == int(said["frame_dir"][11])
    data = SkeletonSet.from_clips(clips, release.skeleton, release.classes, "made", release.protocols, units=release.metric)
    assert [len(side) for name in ("xsub", "xview") for side in data.split(name)] == [8, 4, 6, 6] and list(data.protocols) == ["xsub", "xview"]
    assert data.units == ("metres" if space else "pixels") and data.classes == [f"class {k}" for k in range(5)]


def test_numbers_of_every_kind(tmp_path):
    for kind in ("f2", "f4", "f8", ">f4", ">i2", "i4", "u1", "i8"):
        for order in "CF":
            array = np.asarray(np.random.default_rng(0).integers(1, 99, (1, 90, 17, 2)), kind, order=order)
            for protocol in PROTOCOLS:
                path = written(tmp_path, [annotation(0, keypoint=array, label=np.int64(3))], protocol)
                (clip,), left_out = gather(read_pyskl(path))
                assert np.array_equal(clip["joints"][:, 0, :, 0], array[0, :, :, 0]) and left_out == {} and clip["label"] == 3, (kind, order, protocol)


def test_what_was_not_seen(tmp_path):
    made = [annotation(k, 17, space=False, people=2) for k in range(3)]
    made[0]["keypoint_score"][0, 1] = 0  # no score
    made[1]["keypoint"][1, 0, 3] = np.nan
    del made[1]["keypoint_score"], made[1]["img_shape"]
    made[1]["keypoint"][0, 2] = 0
    made[2]["keypoint_score"][:] = .3
    first, second, third = gather(read_pyskl(written(tmp_path, made)))[0]
    assert not first["valid"][1, 0].any() and first["valid"].sum() == first["valid"].size - 17
    assert not second["valid"][0, 1, 3] and not second["valid"][2, 0].any() and second["valid"].sum() == second["valid"].size - 18
    assert (second["joints"][second["valid"]][:, 1] < 0).all(), "without a height up is minus"
    assert third["valid"].all()
    clips, left_out = gather(read_pyskl(written(tmp_path, made), limit=.5))
    assert left_out == {"no joint was seen": [made[2]["frame_dir"]]} and len(clips) == 2


BAD = {
    "no dictionary": 3, "frame_dir": {"frame_dir": 7}, "frame_dir ": {"frame_dir": ""}, "frame_dir  ": {"frame_dir": "a\nb"},
    "label": {"label": -1}, "label ": {"label": "1"}, "label  ": {"label": True}, "label   ": {"label": 10_000}, "label    ": {"label": [1]},
    "keypoint is": {"keypoint": [[1, 2]]}, "keypoint is ": {"keypoint": np.zeros((1, 4, 24, 3))}, "keypoint is  ": {"keypoint": np.zeros((4, 25, 3))},
    "keypoint is   ": {"keypoint": np.zeros((1, 4, 25, 2))}, "keypoint is    ": {"keypoint": np.zeros((0, 4, 25, 3))},
    "second": {"frame_dir": annotation(1)["frame_dir"]},
}


@pytest.mark.parametrize("says", BAD)
def test_one_bad_annotation_is_left_out(tmp_path, says):
    bad = BAD[says] if says == "no dictionary" else annotation(99) | BAD[says]
    release = read_pyskl(written(tmp_path, [annotation(0), annotation(1), bad, annotation(2)]))
    clips, left_out = gather(release)
    (reason, where), = left_out.items()
    assert says.strip() in reason and where == ["annotations[2]"] and len(clips) == 3
    assert release.classes == ["class 0", "class 1", "class 2"]


def test_not_finite_and_no_joint(tmp_path):
    far, gone = annotation(1), annotation(2)
    far["keypoint"][0, 0, 0, 0] = np.inf
    gone["keypoint"][:] = np.nan
    huge = annotation(3, keypoint=np.full((1, 1, 25, 3), 1e300))
    clips, left_out = gather(read_pyskl(written(tmp_path, [annotation(0), far, gone, huge])))
    assert len(clips) == 1 and {k: len(v) for k, v in left_out.items()} == {"coordinates are not finite": 2, "no joint was seen": 1}


def test_splits(tmp_path):
    made = whole()
    names = [a["frame_dir"] for a in made["annotations"]]
    made["split"] = {"train": names[:4] + ["nobody"] + names[:1], "val": names[4:8], "test": names[8:], "train1": names[:6], "test1": names[6:],
                     "xset_train": names, "xset_val": ["nobody"], "sub_train": 3, "sub_val": names, "alone_train": names}
    release = read_pyskl(written(tmp_path, made))
    assert {name: (len(rule["train"]), len(rule["test"])) for name, rule in release.protocols.items()} == {
        "official-val": (4, 4), "official-test": (4, 4), "split1": (6, 6)}
    data = SkeletonSet.from_clips(gather(release)[0], release.skeleton, release.classes, "made", release.protocols)
    assert [len(side) for side in data.split("official-val")] == [4, 4]


def test_skeletons_and_classes(tmp_path):
    for joints, skeleton in ((25, NTU25), (20, KINECT20), (17, COCO17), (15, NITE15)):
        assert read_pyskl(written(tmp_path, whole(joints=joints))).skeleton == skeleton
    path = written(tmp_path, whole(joints=17))
    assert read_pyskl(path, skeleton=BODY17).skeleton == BODY17 == read_pyskl(path, skeleton="body17").skeleton
    for options, says in (({"skeleton": "body18"}, "unknown skeleton 'body18': there are"), ({"skeleton": 17}, "unknown skeleton"),
                          ({"limit": "low"}, "limit must be")):
        with pytest.raises(ValueError, match=says):
            read_pyskl(path, **options)
    (tmp_path / "names.txt").write_text("run\nwalk\r\n jump\n\nsit\nstand up\n")
    release = read_pyskl(path, classes=tmp_path / "names.txt")
    assert release.classes == ["run", "walk", "jump", "sit", "stand up"] and release.left_out == {}
    few = read_pyskl(path, classes=["a", "b", "c"])
    assert few.left_out == {"label is not 0 to 2": ["annotations[3]", "annotations[4]", "annotations[8]", "annotations[9]"]}
    with pytest.raises(ValueError, match="19 joints; a skeleton must be given"):
        read_pyskl(written(tmp_path, whole(joints=19)))


def test_a_source_that_is_none_is_one_line(tmp_path):
    for value, says in ((b"", "not a pickle"), (b"PK\x03\x04", "not a pickle"), ([], "no list 'annotations'"), ({"annotations": 3}, "no list"),
                        ({"split": {}}, "no list"), ("text", "no list"), ([1, 2], "no annotation with a keypoint"),
                        (pickle.dumps(whole())[:-900], "not a pickle"), (np.zeros(3), "no list"),
                        ([annotation(0, label=-1)], "nothing usable; label is not 0 to 9999: 1")):
        with pytest.raises(ValueError, match=says) as caught:
            read_pyskl(written(tmp_path, value))
        assert "\n" not in str(caught.value) and "made.pkl" in str(caught.value)
    with pytest.raises(FileNotFoundError, match="no such file"):
        read_pyskl(tmp_path / "nowhere.pkl")
    written(tmp_path, whole())
    assert len(read_pyskl(tmp_path).units) == 12, "a folder with one"
    written(tmp_path, whole(), name="other.pickle")
    with pytest.raises(ValueError, match="holds 2 pickles"):
        read_pyskl(tmp_path)


def test_a_file_that_changed_after_the_look(tmp_path):
    path = written(tmp_path, [annotation(k, frames=50) for k in range(3)], 4)
    release = read_pyskl(path)
    path.write_bytes(path.read_bytes()[:3000])
    clips, left_out = gather(release)
    assert clips == [] and set(left_out) == {"an array whose size is not that of its bytes"}
    path.unlink()
    assert set(gather(release)[1]) == {"cannot be read"}


# pickles that mean harm

class Wish:
    "Asks for a call when it is unpickled."
    def __init__(self, function, *given, state=None):
        self.wish = (function, given, state) if state is not None else (function, given)

    def __reduce__(self):
        return self.wish


def harm(marker):
    "Pickles each of which, unpickled, would write a file or look for a way to."
    write = f"open({str(marker)!r}, 'w').write('x')"
    wishes = {
        "system": Wish(os.system, f"touch {marker}"), "popen": Wish(os.popen, f"touch {marker}"),
        "eval": Wish(eval, write), "exec": Wish(exec, write),
        "import": Wish(__import__, "os"), "getattr": Wish(getattr, Wish(__import__, "os"), "system"), "nested": Wish(eval, Wish(str, write)),
        "partial": Wish(functools.partial, eval, write), "compile": Wish(compile, write, "x", "exec"), "open": Wish(open, str(marker), "w"),
        "code": Wish(types.SimpleNamespace, state={"x": 1}), "map": Wish(map, eval, [write]), "ordered": collections.OrderedDict(a=1), "set": {1, 2},
        "load": Wish(np.load, str(marker)), "fromfile": Wish(np.fromfile, str(marker)), "memmap": Wish(np.memmap, str(marker)),
        "save": Wish(np.save, str(marker), 3),
        "ctypes": Wish(np.ctypeslib.load_library, "libc", "/"), "object array": np.array([Wish(eval, write)]), "object": object(), "complex": 3j,
        "structured": np.zeros(3, [("a", "f4")]), "text array": np.array(["a"]), "dates": np.zeros(3, "M8[s]"), "class": Wish, "function": eval,
    }
    for name, wish in wishes.items():
        for protocol in PROTOCOLS:
            yield f"{name} {protocol}", pickle.dumps({"split": {}, "annotations": [annotation(0), {"label": wish}]}, protocol)
    yield "persistent", b"\x80\x02}X\x0b\x00\x00\x00annotationsPos.system\ns."
    yield "binary persistent", b"\x80\x02X\x01\x00\x00\x00aQ."
    yield "inst", b"(S'touch %b'\nios\nsystem\n." % str(marker).encode()
    yield "obj", b"(cos\nsystem\nS'touch %b'\no." % str(marker).encode()
    yield "newobj", b"\x80\x02cos\nsystem\nX\x01\x00\x00\x00a\x85\x81."
    yield "ext", b"\x80\x02\x82\x01."
    yield "build on a list", b"\x80\x02]}b."
    yield "call of a text", b"\x80\x02X\x06\x00\x00\x00encode(tR."
    yield "call of a known name with rubbish", b"\x80\x02cnumpy\ndtype\n]R."
    yield "f2py", b"\x80\x02cnumpy.f2py\ncompile\nX\x01\x00\x00\x00a\x85R."
    yield "runstring", b"\x80\x02cnumpy.testing._private.utils\nrunstring\nX\x01\x00\x00\x00a}\x86R."
    yield "dotted", b"\x80\x04\x8c\x05numpy\x8c\x15ndarray.__class__.mro\x93."
    yield "multiarray's others", b"\x80\x02cnumpy.core.multiarray\nfromfile\nX\x01\x00\x00\x00a\x85R."
    yield "known name, other module", b"\x80\x02cnumpy.f2py\n_reconstruct\n)R."
    yield "latin", b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x06\x00\x00\x00base64\x86R."


def test_harm_does_nothing(tmp_path, monkeypatch):
    marker, cases = tmp_path / "marker", 0
    pickles = list(harm(marker))
    for function in ("eval", "exec"):
        monkeypatch.setattr(builtins, function, lambda *a: pytest.fail("something was run"))
    monkeypatch.setattr(os, "system", lambda *a: pytest.fail("os.system was called"))
    monkeypatch.setattr(pickle, "Unpickler", lambda *a, **k: pytest.fail("something was unpickled"))
    monkeypatch.setattr(pickle, "loads", lambda *a, **k: pytest.fail("something was unpickled"))
    for name, raw in pickles:
        with pytest.raises(Unusable) as caught:
            outline(raw)
        assert "\n" not in str(caught.value) and len(str(caught.value)) < 120, name
        cases += 1
        with pytest.raises(ValueError, match="is no pickle of skeletons"):
            read_pyskl(written(tmp_path, raw))
    assert not marker.exists() and cases > 150


def sized(kind=b"f4", shape=(1, 4, 25, 3), size=8):
    "A pickle whose array says it is so large, with so many bytes."
    return (b"\x80\x04cnumpy._core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85C\x01b\x87R(K\x01(" +
            b"".join(b"\x8a\x08" + struct.pack("<q", n) for n in shape) + b"tcnumpy\ndtype\nX\x02\x00\x00\x00" + kind +
            b"\x89\x88\x87R(K\x03X\x01\x00\x00\x00<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89C" + bytes([size]) + bytes(size) + b"tb.")


GREEDY = {
    "huge shape": sized(shape=(2**40, 25, 3)),
    "negative shape": sized(shape=(-1, 2)),
    "overflowing": sized(shape=(2**62, 2**62, 2**62)),
    "too few bytes": sized(),
    "too many": sized(shape=(1,)),
    "bytes of a petabyte": b"\x80\x04\x8e" + struct.pack("<Q", 2**50) + b"abc.",
    "negative length": b"\x80\x04\x8b\xff\xff\xff\xffab.",
    "text of 4 GB": b"\x80\x02X\xff\xff\xff\xffabc.",
    "long of 2 GB": b"\x80\x02\x8b\xff\xff\xff\x7fabc.",
    "bytearray": b"\x80\x05\x96" + struct.pack("<Q", 2**60) + b".",
    "a million lists": b"\x80\x02" + b"]" * 100_000 + b".",
    "a million marks": b"(" * 100_000 + b".",
    "deep": b"\x80\x02" + b"]" * 100_000 + b"a" * 99_999 + b".",
    "a deep tuple": b"\x80\x02)" + b"\x85" * 100_000 + b".",
    "deep tuple as key": b"\x80\x02})" + b"\x85" * 900 + b"Ns.",
    "memos": b"\x80\x04N" + b"\x94" * 100_000 + b".",
    "digits": b"I" + b"9" * 1_000_000 + b"\n.",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**60) + b"N",
    "stack below": b"\x80\x0200000.",
    "no stop": b"\x80\x02N",
    "memo that is none": b"\x80\x02h\x07.",
    "put of nothing": b"\x80\x02q\x00.",
    "put at -1": b"p-1\n.",
    "a number as key": b"\x80\x02}K\x01Ns.",
    "names of lists": b"\x80\x04]]\x93.",
    "memo far away": b"Np2305843009213693951\n.",
    "a list as key": b"\x80\x02}]Ns.",
}


@pytest.mark.parametrize("what", GREEDY)
def test_greedy_pickles_are_refused_in_little_memory(tmp_path, what):
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(Unusable):
            outline(GREEDY[what])
        assert tracemalloc.get_traced_memory()[1] < 60e6 and time.process_time() - began < 5
    finally:
        tracemalloc.stop()
    with pytest.raises(ValueError, match="is no pickle of skeletons"):
        read_pyskl(written(tmp_path, GREEDY[what]))


def test_laughs(tmp_path):
    "Ten lists of ten times the list before: a billion things for whoever walks through them."
    laugh = ["x"] * 10
    for _ in range(30):
        laugh = [laugh] * 10
    loop = [annotation(0), annotation(1)]
    loop.append(loop)
    release = read_pyskl(written(tmp_path, {"split": {"xsub_train": laugh, "xsub_val": laugh}, "annotations": loop + [laugh]}))
    assert len(release.units) == 2 and {k: len(v) for k, v in release.left_out.items()} == {"an annotation that is no dictionary": 2}


@AT_LENGTH
def test_fuzz(tmp_path, times):
    path = tmp_path / "spoiled.pkl"
    good = [pickle.dumps(whole(3, joints=17, space=space, frames=1), protocol) for protocol in PROTOCOLS for space in (True, False)]

    def clips(data):
        path.write_bytes(data)
        try:
            release = read_pyskl(path)
        except ValueError as error:
            assert str(path) in str(error) and "\n" not in str(error)
            raise Unusable(str(error).split(": ")[1][:60]) from None
        found, left_out = gather(release)
        assert set(left_out) or len(found) == len(release.units)
        if not found:
            raise Unusable(next(iter(left_out)))
        assert all(rule["train"] and rule["test"] for rule in release.protocols.values())
        return found
    read, why = fuzzed(good, clips, COCO17, [f"class {k}" for k in range(10_000)], times)
    assert read > times / 40 and len(why) >= 3, (read, why)


def test_random_opcodes():
    "Not spoiled pickles, but pickles that never were any: rows of opcodes."
    rng, codes = np.random.default_rng(0), b"(]})NRbatuelsd0212\x85\x86\x87\x88\x89\x94K\x01h\x00q\x00\x8c\x01a\x93cnumpy\ndtype\n."
    for _ in range(2000):
        data = b"\x80\x04" + bytes(codes[int(i)] for i in rng.integers(len(codes), size=int(rng.integers(1, 60)))) + b"."
        try:
            outline(data)
        except Unusable:
            pass


def test_a_look_is_cheap(tmp_path):
    "Arrays stay in the file: looking at 60 MB of them takes hardly any memory."
    big = [annotation(k, keypoint=np.ones((1, 20_000, 25, 3), np.float32)) for k in range(10)]
    for protocol, most in ((4, 2e6), (5, 8e6)):  # the newest goes through the memory, an array at a time
        path = written(tmp_path, big, protocol)
        tracemalloc.start()
        try:
            release = read_pyskl(path)
            assert tracemalloc.get_traced_memory()[1] < most and path.stat().st_size > 60e6
        finally:
            tracemalloc.stop()
        assert release.clips(release.units[9])[0]["joints"].shape == (20_000, 1, 25, 3)
