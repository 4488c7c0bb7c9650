"Anyone's files: what is guessed of made ones, what options change, and what broken ones do."
import io
import json
import random
import time
import tracemalloc
import zipfile

import numpy as np
import pytest
from made_generic import ACTIONS, AZURE, KINECT, LAYOUTS, MIXAMO, ROKOKO, STRANGE, UNPLANNED, XSENS, clips, motion, pixels, some, write

from skelbench.clips import SkeletonSet
from skelbench.generic import Mapping, describe, guess, read_generic, read_unit, uncertain
from skelbench.layouts import BODIES, guess_pairs, guess_parents
from skelbench.skeleton import COCO17, KINECT20, NTU25
from skelbench.sources import Unit, Unusable


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    "A folder of each layout."
    folder = tmp_path_factory.mktemp("made")
    for name, make in LAYOUTS.items():
        make(folder / name)
    return folder


RELEASES = {}


def release_of(made, name):
    "A layout's release, understood once."
    if (made, name) not in RELEASES:
        RELEASES[made, name] = read_generic(made / name, **SAID.get(name, {}))
    return RELEASES[made, name]


def read_all(release):
    return [clip for unit in release.units for clip in release.clips(unit)]


def as_set(release, got):
    return SkeletonSet.from_clips(got, release.skeleton, release.classes, "own", release.protocols, release.metric)


# name: body, units, up, fps, people, subjects, number of clips, how far a coordinate may be off
WANT = {"wide_csv": ("ntu25", "m", "y", 30, 1, 3, 12, 1e-5), "long_csv": ("own", "mm", "z", 50, 2, 0, 12, 1e-5),
        "deeplabcut": ("coco17", "px", "-y", None, 1, 0, 12, 1e-2), "openpose": ("body25", "px", "-y", None, 2, 0, 12, 1e-2),
        "mediapipe": ("mediapipe33+2", "m", "-y", 25, 1, 0, 12, 1e-5), "alphapose": ("coco17", "px", "-y", None, 2, 0, 12, 1e-2),
        "one_npz": ("ntu25", "m", "y", 30, 1, 0, 12, 1e-5), "npy": ("ntu25", "m", "y", None, 1, 3, 12, 1e-5),
        "matlab": ("own", "cm", "y", 50, 1, 0, 12, 1e-5), "nested_json": ("own", "in", "y", 20, 1, 0, 12, 1e-4),
        "c3d_points": ("own", "mm", "z", 100, 1, 3, 12, 1e-5)}
SAID = {"npy": {"table": "labels.csv"}, "deeplabcut": {"label": "{subject}-{label}-{anything}"}, "long_csv": {"label": "{label}_{subject}_{anything}"},
        "c3d_points": {"label": "{subject}_{label}_{anything}"}}


@pytest.mark.parametrize("name", WANT)
def test_a_layout_is_understood(made, name):
    body, units, up, fps, people, subjects, count, off = WANT[name]
    release = release_of(made, name)
    m = release.clips.keywords["mapping"]
    assert (m.body, m.units, m.up, m.fps, m.people) == (body, units, up, fps, people), describe(release)
    got = read_all(release)
    assert len(got) == count and len(release.classes) == 2
    truth = {(a, p, r): x for a, p, r, x in clips(m.joints[:m.count], 6 if name == "openpose" else 8)}
    for i, clip in enumerate(got):
        key = int(clip["name"].split(":")[-1]) if name in ("one_npz", "npy", "nested_json") else None
        who = list(truth)[key] if key is not None else next(w for w in truth if w[0] in clip["name"] + str(release.classes[clip["label"]])
                                                            and w[1] in clip["name"] and clip["name"].replace("DLC", "")[-1] == str(w[2]))
        x = truth[who][:len(clip["joints"])]
        x = np.concatenate([pixels(x) * (1, -1), 0 * x[..., :1]], -1) if m.flat else x
        x = x - (0, 1, 2.5) if name == "mediapipe" else x
        valid = clip["valid"][:, 0, :m.count]
        assert valid.mean() > .85 and np.abs(clip["joints"][:, 0, :m.count] - x)[valid].max() < off
        assert clip["label"] == (release.classes.index(who[0]) if who[0] in release.classes else ACTIONS.index(who[0]))
    if subjects or name in SAID:
        assert len({c["subject"] for c in got}) == 3 and release.protocols["by_subject"]["column"] == "subject"
    assert len(as_set(release, got)) == count


@pytest.mark.parametrize("name", WANT)
def test_a_dry_run_can_be_edited_and_used(made, name, tmp_path):
    first = release_of(made, name)
    m = first.clips.keywords["mapping"]
    (tmp_path / "mapping.json").write_text(m.to_json())
    again = read_generic(made / name, mapping=tmp_path / "mapping.json")
    assert again.clips.keywords["mapping"] == m and Mapping.from_json(m.to_json()) == m
    assert again.units == first.units and again.classes == first.classes and again.left_out == first.left_out
    about = json.loads(m.to_json()) | {"fps": 12.5}
    assert (again := read_generic(made / name, mapping=json.dumps(about))).clips(again.units[0])[0]["fps"] == 12.5
    page = describe(first)
    assert "Understood" in page and all(j in page for j in first.skeleton.joints) and max(map(len, page.splitlines())) < 250


def test_a_zip_gives_the_same(made, tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        for path in sorted((made / "wide_csv").rglob("*")):
            if path.is_file(): archive.write(path, path.relative_to(made / "wide_csv"))
    zipped, plain = read_generic(tmp_path / "a.zip"), release_of(made, "wide_csv")
    assert [u.name for u in zipped.units] == [u.name for u in plain.units]
    for a, b in ((zipped.clips(u), plain.clips(v)) for u, v in list(zip(zipped.units, plain.units))[::5]):
        (a,), (b,) = a, b
        assert a["name"] == b["name"] and np.array_equal(a["joints"], b["joints"])


def test_what_is_missing_is_not_valid(made):
    clip = read_all(release_of(made, "wide_csv"))[0]
    lost = np.argwhere(~clip["valid"])
    assert lost.tolist() == [[4, 0, 6]] and (clip["joints"][4, 0, 6] == 0).all()
    release = release_of(made, "openpose")
    clip, = release.clips(release.units[0])
    assert not clip["valid"][3].any(), "a frame without people"
    assert clip["joints"].shape[1] == 2 and not clip["valid"][::2, 1].any()


def test_files_of_other_kinds_are_left_out_with_a_reason(made):
    release = release_of(made, "wide_csv")
    assert release.left_out == {"not .csv, as most files here are": ["README.txt"]}


def test_library_skeletons_are_known(made):
    assert release_of(made, "wide_csv").skeleton == NTU25
    assert release_of(made, "alphapose").skeleton == release_of(made, "deeplabcut").skeleton == COCO17, "as PYSKL's pickles, so that they merge"
    assert guess_parents(list(BODIES["body25"]))[0] == 1 and len(guess_pairs(list(KINECT20.joints))) == 8


def test_left_and_right(made):
    for name in WANT:
        s = release_of(made, name).skeleton
        assert s.pairs and all("l" in s.joints[a].lower() and "r" in s.joints[b].lower() for a, b in s.pairs)
        assert {j for pair in s.pairs for j in pair} == {j for j, n in enumerate(s.joints) if "left" in n.lower() or "right" in n.lower()}


# options

def csv(names, x, form="{}_{}"):
    head = ",".join(form.format(j, k) for j in names for k in "xyz")
    return "\n".join([head, *(",".join(f"{v:.5f}" for v in f.ravel()) for f in x)]) + "\n"


def test_options_change_what_is_guessed(tmp_path):
    write(tmp_path, "a_1.csv", csv(KINECT, motion(KINECT)))
    release = read_generic(tmp_path, fps=60, units="cm", up="z", people=1, label="{label}_{anything}")
    m = release.clips.keywords["mapping"]
    assert (m.fps, m.units, m.up, release.classes) == (60, "cm", "z", ["a"])
    clip, = read_all(release)
    assert np.allclose(clip["joints"][:, 0], (motion(KINECT) * .01)[..., [0, 2, 1]] * (1, 1, -1), atol=1e-6)


def test_an_own_body(tmp_path):
    "Names nobody knows: asked for once, given as lines."
    own = [f"M{chr(65 + i)}" for i in range(len(MIXAMO))]
    write(tmp_path, "a.csv", csv(own, motion(MIXAMO), "{} ({})"))
    with pytest.raises(ValueError, match="joints="):
        read_generic(tmp_path)
    assert len(read_generic(tmp_path, joints=",".join(MIXAMO)).skeleton) == len(MIXAMO)
    lines = "\n".join(f"{n} {MIXAMO[p]}" for n, p in zip(MIXAMO, guess_parents(MIXAMO)))
    write(tmp_path / "tree", "tree.txt", lines)
    for tree in (lines, tmp_path / "tree" / "tree.txt"):
        release = read_generic(tmp_path, parents=tree, joints=MIXAMO)
        assert release.skeleton.joints == tuple(MIXAMO) and len(read_all(release)) == 1
    with pytest.raises(ValueError, match="no line for"):
        read_generic(tmp_path, joints=MIXAMO, parents="Hips Hips\nSpine Hips")
    with pytest.raises(ValueError, match="expected a line"):
        read_generic(tmp_path, joints=MIXAMO, parents="Hips\nSpine Hips\n")


@pytest.mark.parametrize("form", ["{}_{}", "{}.{}", "{} {}", "{}-{}", "{}:{}", "{}_Pos_{}", "{} [{}]", "{}_{} (m)"])
def test_ways_of_naming(tmp_path, form):
    write(tmp_path, "a.csv", csv(MIXAMO, motion(MIXAMO), form))
    assert np.allclose(read_all(read_generic(tmp_path))[0]["joints"][:, 0], motion(MIXAMO), atol=1e-5)


def test_axis_first_upper_case_and_no_names(tmp_path):
    x = motion(KINECT)
    for name, head in (("first", [f"{k}_{j}" for j in KINECT for k in "xyz"]), ("glued", [f"{j}{k}" for j in KINECT for k in "XYZ"]),
                       ("numbers", [f"{k}{j}" for j in range(25) for k in "xyz"]), ("none", None),
                       ("joints", [f"joint{j}_{k}" for j in range(25) for k in "xyz"])):
        rows = [",".join(f"{v:.5f}" for v in f.ravel()) for f in x]
        write(tmp_path / name, "a.csv", "\n".join(([",".join(head)] if head else []) + rows) + "\n")
        release = read_generic(tmp_path / name)
        assert release.skeleton == NTU25, name
        assert np.allclose(read_all(release)[0]["joints"][:, 0], x, atol=1e-5), name


def test_a_body_centred_at_its_pelvis(tmp_path):
    "The origin is observed where it is one joint in every frame; other zeros are not."
    x = motion(KINECT) - motion(KINECT)[:, :1]
    x[3, 5] = 0
    write(tmp_path, "a.csv", csv(KINECT, x))
    valid = read_all(read_generic(tmp_path))[0]["valid"][:, 0]
    assert valid[:, 0].all() and not valid[3, 5] and valid.sum() == valid.size - 1


def test_gaps_in_frame_numbers_stay_gaps(tmp_path):
    rows = csv(KINECT, motion(KINECT)).splitlines()
    write(tmp_path, "a.csv", "\n".join(["frame," + rows[0], *(f"{t * 2}," + r for t, r in enumerate(rows[1:]) if t not in (7, 8))]) + "\n")
    clip = read_all(read_generic(tmp_path))[0]
    assert clip["joints"].shape[0] == 30 and not clip["valid"][7:9].any() and clip["valid"].sum() == 28 * 25


def test_many_clips_in_one_table(tmp_path):
    lines = []
    made = some(KINECT)
    for i, (a, p, r, x) in enumerate(made):
        rows = csv(KINECT, x).splitlines()
        lines += ([f"clip,action,{rows[0]}"] if not i else []) + [f"{i},{a},{row}" for row in rows[1:]]
    write(tmp_path, "all.csv", "\n".join(lines) + "\n")
    release = read_generic(tmp_path)
    got = read_all(release)
    assert release.classes == sorted(ACTIONS) and [len(c["joints"]) for c in got] == [len(x) for *_, x in made]
    assert [release.classes[c["label"]] for c in got] == [a for a, *_ in made]


def test_frames_of_one_camera_are_scenes_of_all(tmp_path):
    for c in (1, 2):
        write(tmp_path, f"walk_P1_c{c}.csv", csv(KINECT, motion(KINECT)))
        write(tmp_path, f"wave_P2_c{c}.csv", csv(KINECT, motion(KINECT)))
    got = read_all(read_generic(tmp_path))
    assert [c["camera"] for c in got] == [1, 2, 1, 2] and len({c["scene"] for c in got}) == 2 and [c["subject"] for c in got] == [1, 1, 2, 2]


# layouts that were written after the reader was finished

def test_a_game_engine(tmp_path):
    "A session a file with many takes, a rotation beside every position, names of that engine."
    names = ("Pelvis Spine_Lower Spine_Upper Neck Head Clavicle_L UpperArm_L LowerArm_L Hand_L Clavicle_R UpperArm_R LowerArm_R Hand_R "
             "Thigh_L Calf_L Foot_L Toe_L Thigh_R Calf_R Foot_R Toe_R").split()
    own = [n for n in MIXAMO if n != "Spine2"]
    head = ["Take", "Gesture", *(f"{n} {w} ({a})" for n in names for w, axes in (("Rotation", "xyzw"), ("Position", "xyz")) for a in axes)]
    lines = ["\t".join(f'"{h}"' for h in head)]
    for take in range(4):
        for f in motion(own, 20, take) * 100:
            lines.append("\t".join([str(take), ACTIONS[take % 2], *(f"{v:.4f}" for j in f for v in (.1, .2, .3, .9, *j))]))
    write(tmp_path, "session_ANNA.txt", "\n".join(lines) + "\n")
    assert "changes within a file" in describe(read_generic(tmp_path))
    release = read_generic(tmp_path, columns="clip=Take", label="column:Gesture", subject="session_{subject}")
    got = read_all(release)
    assert [c["label"] for c in got] == [1, 0, 1, 0] and release.skeleton.joints == tuple(names) and len(release.skeleton.pairs) == 8
    assert np.allclose(got[3]["joints"][:, 0], motion(own, 20, 3), atol=1e-5)


def test_a_log_of_a_service(tmp_path):
    "JSON lines, bodies in a list, joints as numbered objects with a state."
    for i, (a, p, r, x) in enumerate(clips(KINECT)[:4]):
        write(tmp_path, f"{p}/{a}{r}.jsonl", "\n".join(json.dumps({"ts": 1700000000000 + t * 40, "trackedBodies": [{"trackingId": 72057594037927936, "joints": [
            {"jointType": j, "trackingState": 0 if (j, t) == (7, 2) else 2, "cameraSpacePoint": dict(zip("XYZ", v.tolist()))} for j, v in enumerate(f)]}]})
            for t, f in enumerate(x)))
    release = read_generic(tmp_path, label="{subject}/{label}{anything}", columns="time=ts")
    got = read_all(release)
    assert release.skeleton == NTU25 and got[0]["fps"] == 25 and (~got[0]["valid"]).sum() == 1 and {c["subject"] for c in got} == {1, 2}
    assert np.allclose(got[1]["joints"][:, 0][got[1]["valid"][:, 0]], clips(KINECT)[1][3][got[1]["valid"][:, 0]], atol=1e-5)


def test_blocks_of_numbers(tmp_path):
    "Blanks, a line of counts, all x, then all y, then all z; an index beside them."
    made = some(KINECT20.joints)
    for i, (a, p, r, x) in enumerate(made):
        write(tmp_path, f"rec{i}.dat", f"{len(x)} 20\n" + "\n".join("  ".join(f"{v:.1f}" for v in (f * 1000).T.ravel()) for f in x) + "\n")
    write(tmp_path, "index.txt", "\n".join(["name class subject", *(f"rec{i} {a} {p}" for i, (a, p, r, x) in enumerate(made))]))
    release = read_generic(tmp_path, table="index.txt")
    assert release.skeleton == KINECT20 and release.metric == "metres" and len(release.classes) == 2 and "by_subject" in release.protocols
    assert np.allclose(read_all(release)[0]["joints"][:, 0], made[0][3], atol=1e-3)


# name: options, joints, units, up, fps, what is uncertain
TOLD = {
    "kinect_studio": ({"label": "{label}_{anything}", "subject": "folder"}, KINECT, "m", "y", 30, set()),
    "qualisys": ({"label": "{subject}_{label}_{anything}"}, MIXAMO, "mm", "z", 100, set()),
    "qualisys_without_header": ({"label": "{subject}_{label}_{anything}"}, MIXAMO, "mm", "z", None, {"frames a second"}),
    "trc_as_txt": ({"label": "{label}-{subject}-{anything}"}, MIXAMO, "m", "y", 60, set()),
    "rokoko": ({"subject": "{subject}-take{anything}", "label": "folder"}, ROKOKO, "cm", "y", 50, set()),
    "xsens": ({"label": "{subject}_{label}-{anything}"}, XSENS, "m", "z", None, {"frames a second"}),
    "unity": ({"label": "{label}_{anything}", "subject": "folder", "up": "y mirrored"}, MIXAMO, "m", "y mirrored", 30, set()),
    "azure": ({"label": "{label}_{subject}_{anything}"}, AZURE, "mm", "-y", 30, set()),
    "one_table": ({}, KINECT, "m", "y", None, {"frames a second"}),
    "vicon": ({"label": "{label}_{subject}_{anything}", "fps": 120}, MIXAMO, "mm", "z", 120, set()),
    "rows_of_numbers": ({"label": "{subject}_{label}_{anything}", "fps": 30}, KINECT, "m", "y", 30, {"body"}),
    "time_restarts": ({"label": "(?P<label>.+)"}, KINECT, "m", "y", 30, {"clips"}),
}


@pytest.mark.parametrize("name", STRANGE)
def test_a_strange_layout(tmp_path, name):
    options, names, units, up, fps, uncertain = TOLD[name]
    STRANGE[name](tmp_path)
    release = read_generic(tmp_path, **options)
    m, got = release.clips.keywords["mapping"], read_all(release)
    assert (m.units, m.up, m.fps, m.people, len(got), release.classes) == (units, up, fps, 1, 4, ["walk", "wave"]), describe(release)
    assert {what for what, _, sure, _ in m.notes if not sure} == uncertain
    plain = [{"L5": "Spine", "L3": "Spine1", "T12": "Spine2", "T8": "Spine3"}.get(n, n) for n in names]
    truth = {(a, p): x for a, p, r, x in some(plain)}
    for clip in got:
        x, valid = clip["joints"][:, 0, :m.count], clip["valid"][:, 0, :m.count]
        a, p = min((k for k in truth if truth[k].shape == x.shape), key=lambda k: np.abs(truth[k] - x)[valid].max())
        assert np.abs(truth[a, p] - x)[valid].max() < 2e-5 and release.classes[clip["label"]] == a
        assert (~valid).sum() == {"kinect_studio": 1, "vicon": 1, "azure": 32}.get(name, 0)
        assert name == "time_restarts" or clip["subject"] == 1 + (p == "ben")
    assert len(as_set(release, got)) == 4 and Mapping.from_json(m.to_json()) == m


# name: options that have to be said, what is uncertain; or what the one sentence says
CAME = {
    "german_tsv": ({}, {"frames a second", "label"}), "side_by_side": ({}, {"frames a second", "label"}),
    "blender": ({"columns": "joint=bone,x=head_x,y=head_y,z=head_z", "label": "{label}_{subject}_{anything}"}, {"frames a second"}),
    "json_frames": ({}, {"frames a second", "label"}),  # people are taken for classes
    "nested_clips": ({}, {"frames a second", "label", "body", "people"}),  # clips are taken for frames, and frames for people
    "changing_places": ({}, {"frames a second", "body", "people"}),
    "one_after_another": "'offsets' says where each of several clips begins", "rows_with_lengths": "'lengths' says where each of several clips begins",
    "array_a_clip": "several arrays are alike: wave_anna_1, wave_ben_2, walk_anna_1, walk_ben_2", "blocks": "no columns of joints were understood",
    "kinect_dump": "a line has too many cells", "file_a_joint": "no columns of joints were understood",
    "column_a_frame": "no columns of joints were understood",
}


@pytest.mark.parametrize("name", UNPLANNED)
def test_a_layout_that_nobody_planned_for(tmp_path, name):
    "Right, asked about, or refused; never wrong without a word."
    UNPLANNED[name](tmp_path)
    if isinstance(CAME[name], str):
        with pytest.raises(ValueError, match=CAME[name]) as caught:
            read_generic(tmp_path)
        assert "\n" not in str(caught.value)
        return
    options, asked = CAME[name]
    release = read_generic(tmp_path, **options)
    m = release.clips.keywords["mapping"]
    assert {what for what, _, sure, _ in m.notes if not sure} == asked == {line.split("  ")[0] for line in uncertain(release)}
    if name in ("german_tsv", "side_by_side", "blender"):
        truth = {(a, len(x)): x for a, p, r, x in some(MIXAMO)}
        for clip in read_all(release):
            x = truth[release.classes[clip["label"]], len(clip["joints"])]
            assert clip["valid"].all() and all(np.abs(clip["joints"][:, k] - x - (k, 0, 0)).max() < 1e-5 for k in range(m.people))


def test_what_is_not_sure_is_said(tmp_path):
    "Files that look like another thing: none may pass without a word."
    def uncertain(folder, **options):
        return {what for what, _, sure, _ in read_generic(tmp_path / folder, **options).clips.keywords["mapping"].notes if not sure}

    STRANGE["unity"](tmp_path / "unity")
    rows = csv(KINECT, motion(KINECT)).splitlines()
    write(tmp_path, "coarse/a.csv", "\n".join(["time," + rows[0], *(f"10:00:{t // 15:02},{r}" for t, r in enumerate(rows[1:]))]))
    assert "frames a second" in uncertain("coarse") and len(read_all(read_generic(tmp_path / "coarse"))[0]["joints"]) == 30
    write(tmp_path, "two/a.csv", "\n".join(["frame," + rows[0], *(f"{t},{r}" for t, r in enumerate(rows[1:]) for _ in range(2))]))
    assert "people" in uncertain("two")
    assert uncertain("unity", label="{label}_{anything}") == {"left and right"}
    x = motion(BODIES["mediapipe33"])
    rows = [f"{t},{i},{.5 + .3 * v[0]:.4f},{.9 - .4 * v[1]:.4f},{.75 - .3 * v[2]:.4f},.9" for t, f in enumerate(x) for i, v in enumerate(f)]
    write(tmp_path, "picture/a.csv", "\n".join(["frame,landmark,x,y,z,visibility", *rows]) + "\n")
    assert "unit" in uncertain("picture") and read_generic(tmp_path / "picture").metric == "fractions of the image"
    angles = np.random.default_rng(0).uniform(-40, 40, 66) + 20 * np.sin(np.arange(30)[:, None] / 5 + np.arange(66))
    write(tmp_path, "angles/a.csv", csv(MIXAMO, angles.reshape(30, 22, 3), "{}.{}"))
    assert "bones" in uncertain("angles")
    write(tmp_path, "another/a.csv", csv([f"j{i}" for i in range(25)], motion(BODIES["body25"])))
    assert {"bones", "body"} & uncertain("another", skeleton="ntu25") == {"bones"}
    file = io.BytesIO()
    np.savez(file, poses=angles[:, :66] / 60, trans=np.zeros((30, 3)), mocap_framerate=60.)
    write(tmp_path, "smpl/a.npz", file.getvalue())
    with pytest.raises(ValueError, match="angles of joints"):
        read_generic(tmp_path / "smpl")
    write(tmp_path, "turns/a.csv", csv([f"{n}_rot" for n in MIXAMO], angles.reshape(30, 22, 3)))
    with pytest.raises(ValueError, match="no columns of joints"):
        read_generic(tmp_path / "turns")


# what cannot be

def test_one_clear_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    write(tmp_path / "c3d", "a.c3d", b"\x02P")
    write(tmp_path / "text", "a.csv", "hello\nworld\n")
    write(tmp_path / "h5", "a.mat", b"MATLAB 7.3 MAT-file" + bytes(600))
    write(tmp_path / "pickle", "a.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '|O', 'fortran_order': False, 'shape': (1,), }".ljust(128) + b"\x80\x04N.")
    write(tmp_path / "good", "a.csv", csv(KINECT, motion(KINECT)))
    for folder, says in (("empty", "holds no"), ("c3d", "damaged C3D"), ("text", "no table of numbers"), ("h5", "save it with -v7"),
                         ("pickle", "pickled")):
        with pytest.raises(ValueError, match=says) as caught:
            read_generic(tmp_path / folder)
        assert "\n" not in str(caught.value)
    for options, says in (({"units": "parsec"}, "none of m, cm"), ({"up": "w"}, "none of y"), ({"skeleton": "hen"}, "unknown skeleton"),
                          ({"fps": 0}, "above 0"),
                          ({"joints": "a,b"}, "2 different names for 25"), ({"label": "walk"}, "is no rule"), ({"label": "(?P<label>"}, "no regular"),
                          ({"pairs": "a:b"}, "pairs: expected"), ({"columns": "x"}, "columns: expected"), ({"columns": "time=t"}, "no column 't'"),
                          ({"mapping": "{}"}, "not a mapping"), ({"label": "{label}_{anything}"}, "no label by the rule")):
        with pytest.raises(ValueError, match=says) as caught:
            read_generic(tmp_path / "good", **options)
        assert "\n" not in str(caught.value), options
    for options in ({"table": "no.csv"}, {"mapping": "no.json"}):
        with pytest.raises(FileNotFoundError):
            read_generic(tmp_path / "good", **options)
    with pytest.raises(FileNotFoundError):
        guess(tmp_path / "nowhere")


# broken files

class Bytes:
    "A file that is in memory already."
    def __init__(self, path, data): self.path, self.data, self.size = path, data, len(data)
    def read(self, largest=None): return self.data


def broken(data, rng):
    "One mutation of a file."
    lines = data.split(b"\n")
    pick = lambda: rng.randrange(len(lines))
    kind = rng.randrange(14)
    if kind == 0: return data[:rng.randrange(len(data) + 1)]
    if kind == 1: return data[rng.randrange(len(data)):]
    if kind == 2: i, j = pick(), pick(); lines[i], lines[j] = lines[j], lines[i]; return b"\n".join(lines)
    if kind == 3: del lines[pick()]; return b"\n".join(lines)
    if kind == 4: i = pick(); return b"\n".join(lines[:i] + [lines[i]] * 3 + lines[i:])
    if kind == 5:
        i = rng.randrange(len(data))
        return data[:i] + bytes(rng.randrange(256) for _ in range(rng.choice((1, 4, 40)))) + data[i + rng.choice((0, 4, 40)):]
    if kind == 6: return bytes(rng.randrange(256) for _ in range(rng.choice((0, 1, 200, 3000))))
    if kind == 7: return data.decode("latin-1").encode(rng.choice(("utf-16", "utf-32", "utf-8-sig", "cp1252")), "replace")
    if kind == 8: return data.replace(b"\n", rng.choice((b"\r\n", b"\r", b"\n\n", b"\n\r")))
    numbers = [b"nan", b"inf", b"1e308", b"-1", b"99999999999999999999", b"1e999", b"null", b"[]", b"", b"\xff", b"2147483647", b"true", b'"x"']
    import re
    spots = [m.span() for m in re.finditer(rb"-?\d+\.?\d*", data)] or [(0, 1)]
    if kind in (9, 10, 11):
        for a, b in sorted(rng.sample(spots, min(len(spots), rng.choice((1, 5)))), reverse=True): data = data[:a] + rng.choice(numbers) + data[b:]
        return data
    if kind == 12: i = rng.randrange(len(data)); return data[:i] + b"[" * rng.choice((1, 5000)) + data[i:]
    i = rng.randrange(0, max(len(data) - 8, 1)); return data[:i] + rng.choice((b"\xff\xff\xff\x7f", b"\x00" * 8, b"\xff" * 8)) + data[i + 4:]


def fuzz(made, count):
    rng, reasons, read, slowest = random.Random(0), {}, 0, 0.
    for name in LAYOUTS:
        release = release_of(made, name)
        unit, kept = release.units[0], release.units[0].members[:3]
        originals = [m.read() for m in kept]
        for _ in range(count // len(LAYOUTS)):
            files = [Bytes(m.path, broken(d, rng) if rng.random() < .8 else d) for m, d in zip(kept, originals)]
            start = time.process_time()
            try:
                got = release.clips(Unit(unit.name, tuple(files), unit.about))
                SkeletonSet.from_clips(got, release.skeleton, release.classes, "fuzz")
                read += 1
            except Unusable as reason:
                assert "\n" not in str(reason) and len(str(reason)) < 250
                reasons[str(reason).split(": ")[0]] = reasons.get(str(reason).split(": ")[0], 0) + 1
            slowest = max(slowest, time.process_time() - start)
    assert len(reasons) < 60 and read and slowest < 5, reasons
    return read, reasons, slowest


def test_fuzz(made):
    fuzz(made, 150)


@pytest.mark.slow
def test_fuzz_long(made):
    read, reasons, slowest = fuzz(made, 5000)
    print(read, reasons, slowest)


def guess_fuzz(folder, layouts, count, seed):
    "A dry run of spoiled files, and what comes of it: a release whose clips are a set, or one sentence."
    rng, understood, refused = random.Random(seed), 0, 0
    for name, make in layouts.items():
        make(folder / name)
        files = [p for p in sorted((folder / name).rglob("*")) if p.is_file()][:3]
        good = [p.read_bytes() for p in files]
        for k in range(count):
            for p, data in zip(files, good):
                write(folder / f"{name}_{k}", p.relative_to(folder / name), broken(data, rng) if rng.random() < .7 else data)
            try:
                release = read_generic(folder / f"{name}_{k}")
                assert describe(release)
            except ValueError as reason:
                assert "\n" not in str(reason)
                refused += 1
                continue
            understood += 1
            for unit in release.units:
                try:
                    SkeletonSet.from_clips(release.clips(unit), release.skeleton, release.classes, "fuzz")
                except Unusable:
                    pass
    return understood, refused


def test_dry_runs_of_broken_files(tmp_path):
    assert guess_fuzz(tmp_path, {f.__name__: f for f in list(STRANGE.values())[::2]}, 1, seed=0)[0]


@pytest.mark.slow
def test_many_dry_runs_of_broken_files(tmp_path):
    print(guess_fuzz(tmp_path, LAYOUTS | STRANGE, 50, seed=1))


@pytest.mark.parametrize("name, data", [
    ("wide_csv", b"a," * 100_000 + b"\n" + b"1\n" * 100_000),
    ("npy", b"\x93NUMPY\x01\x00\x76\x00{'descr': '<f4', 'fortran_order': False, 'shape': (3, 900000000, 25, 2), }".ljust(128) + bytes(400)),
    ("matlab", b"MATLAB 5.0".ljust(124) + b"\x00\x01IM" + b"\x0e\0\0\0\x38\0\0\0" + b"\x06\0\0\0\x08\0\0\0\x01\0\0\0\0\0\0\0"
     + b"\x05\0\0\0\x08\0\0\0\xff\xff\xff\x7f\xff\xff\xff\x7f" + b"\x01\0\x01\0a\0\0\0" + bytes(24)),
    ("nested_json", json.dumps({"data": {"frames": [{f"k{i}": 1} for i in range(2_500)]}}).encode()),
    ("long_csv", ("Frame;Timestamp (ms);Body;Joint;X (mm);Y (mm);Z (mm)\r\n" + "".join(f"{i};{i};{i};Hips;1,5;2,5;3,5\r\n" for i in range(1_500))).encode()),
])
def test_huge_counts_do_not_allocate(made, name, data):
    release = release_of(made, name)
    tracemalloc.start()
    try:
        try:
            read_unit(Unit("a", (Bytes("a", data),), release.units[0].about), release.clips.keywords["mapping"])
        except Unusable:
            pass
        assert tracemalloc.get_traced_memory()[1] < 120e6
    finally:
        tracemalloc.stop()
