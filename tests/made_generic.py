"Recordings as strangers have them: one known motion, written in many layouts."
import io
import json
import warnings
from functools import cache
from pathlib import Path

import c3d
import numpy as np

from skelbench.layouts import BODIES, read_parts

PLACES = {("", "pelvis"): (0, .95, 0), ("", "spine"): (0, 1.05, -.01), ("", "chest"): (0, 1.3, -.02), ("", "shoulder_centre"): (0, 1.42, 0),
          ("", "neck"): (0, 1.47, .01), ("", "head"): (0, 1.6, .02), ("", "top"): (0, 1.75, 0), ("", "nose"): (0, 1.6, .1), ("s", "eye"): (.03, 1.63, .08),
          ("s", "ear"): (.07, 1.6, .01), ("s", "mouth"): (.02, 1.55, .09), ("s", "clavicle"): (.05, 1.42, 0), ("s", "shoulder"): (.18, 1.4, 0),
          ("s", "elbow"): (.25, 1.15, .01), ("s", "wrist"): (.27, .92, .05), ("s", "hand"): (.27, .85, .06), ("s", "thumb"): (.25, .84, .1),
          ("s", "tip"): (.28, .78, .08), ("s", "hip"): (.1, .92, 0), ("s", "knee"): (.11, .5, .02), ("s", "ankle"): (.11, .1, -.02),
          ("s", "heel"): (.11, .04, -.06), ("s", "foot"): (.12, .05, .08), ("s", "toe"): (.12, .03, .15)}
KINECT = ("SpineBase SpineMid Neck Head ShoulderLeft ElbowLeft WristLeft HandLeft ShoulderRight ElbowRight WristRight HandRight HipLeft KneeLeft "
          "AnkleLeft FootLeft HipRight KneeRight AnkleRight FootRight SpineShoulder HandTipLeft ThumbLeft HandTipRight ThumbRight").split()
MIXAMO = ("Hips Spine Spine1 Spine2 Neck Head LeftShoulder LeftArm LeftForeArm LeftHand RightShoulder RightArm RightForeArm RightHand "
          "LeftUpLeg LeftLeg LeftFoot LeftToeBase RightUpLeg RightLeg RightFoot RightToeBase").split()
ACTIONS, PEOPLE = ("wave", "walk"), ("anna", "ben", "cleo")


def motion(names, frames=30, seed=0):
    "(T, V, 3) metres, y up: a rigid body that turns and walks, and swings its left arm."
    return _motion(tuple(names), frames, seed).copy()


@cache
def _motion(names, frames, seed):
    rng, T = np.random.default_rng(seed), np.arange(frames)[:, None]
    parts = read_parts(list(names))
    pose = np.array([np.array(PLACES["s" if side else "", part]) * (-1 if side == "right" else 1, 1, 1)
                     + (0, .04 * order if part in ("spine", "neck") else 0, 0) for side, part, order in parts], float)
    out = np.repeat(pose[None], frames, 0)
    arm = [i for i, (side, part, _) in enumerate(parts) if side == "left" and part in ("elbow", "wrist", "hand", "thumb", "tip")]
    turn, at = .8 * np.sin(T / 5 + rng.uniform(0, 6)), np.array(PLACES["s", "shoulder"])
    own = out[:, arm] - at
    c, s = np.cos(turn), np.sin(turn)
    out[:, arm] = at + np.stack([own[..., 0], c * own[..., 1] - s * own[..., 2], s * own[..., 1] + c * own[..., 2]], -1)
    yaw = .5 * np.sin(T / 9 + rng.uniform(0, 6))
    x, z = out[..., 0].copy(), out[..., 2].copy()
    out[..., 0], out[..., 2] = np.cos(yaw) * x + np.sin(yaw) * z + .01 * T, np.cos(yaw) * z - np.sin(yaw) * x + 2.5
    return out


def clips(names, frames=8):
    "(action, person, repetition, (T, V, 3)) of 12 clips that differ in length."
    return [(a, p, r, motion(names, frames + 3 * k + r, 10 * i + 3 * k + r)) for i, a in enumerate(ACTIONS) for k, p in enumerate(PEOPLE) for r in (1, 2)]


def pixels(joints):
    "(T, V, 2) a picture of 640 x 480, y down, of a body 2.5 m away."
    return np.stack([320 + 200 * joints[..., 0], 440 - 200 * joints[..., 1]], -1)


def z_up(joints):
    return np.stack([joints[..., 0], -joints[..., 2], joints[..., 1]], -1)


def write(folder, name, data):
    path = Path(folder, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return path


def wide_csv(folder):
    "A folder a class; a time column; Kinect's names; metres; a joint that is lost in one frame."
    for a, p, r, x in clips(KINECT):
        rows = [[f"{t / 30:.4f}", *(f"{v:.5f}" for v in frame.ravel())] for t, frame in enumerate(x)]
        rows[4][1 + 3 * 6:4 + 3 * 6] = ["", "", ""]
        write(folder, f"{a}/{p}_{r}.csv", "\n".join([",".join(["time", *(f"{j}_{k}" for j in KINECT for k in "XYZ")]), *map(",".join, rows)]) + "\n")
    write(folder, "README.txt", "recorded in spring\n")


def long_csv(folder):
    "A row a joint, two people, millimetres, z up, semicolons and decimal commas, CRLF; class and person in the name."
    for a, p, r, x in clips(MIXAMO):
        lines = ["Frame;Timestamp (ms);Body;Joint;X (mm);Y (mm);Z (mm)"]
        for t in range(len(x)):
            for body in (1, 2) if t > 4 else (1,):
                for j, v in zip(MIXAMO, z_up(x[t] + (0, 0, body - 1)) * 1000):
                    lines.append(f"{t + 100};{t * 20};{body};{j};" + ";".join(f"{c:.2f}".replace(".", ",") for c in v))
        write(folder, f"{a}_{p}_{r}.csv", "\r\n".join(lines) + "\r\n")


def deeplabcut(folder):
    "Three header lines, pixels, likelihood; some joints lost."
    names = [n.replace("_", "") for n in BODIES["coco17"]]
    for a, p, r, x in clips(BODIES["coco17"]):
        flat, lines = pixels(x), [",".join(row) for row in (["scorer"] + ["net"] * 51, ["bodyparts", *(n for n in names for _ in range(3))],
                                                             ["coords"] + ["x", "y", "likelihood"] * 17)]
        for t, frame in enumerate(flat):
            lines.append(",".join([str(t), *(f"{v:.2f}" for j, (u, w) in enumerate(frame) for v in ((0, 0, 0) if (t + j) % 11 == 0 else (u, w, .9)))]))
        write(folder, f"{p}-{a}-{r}DLC.csv", "\n".join(lines) + "\n")


def openpose(folder):
    "A file a frame, a folder a clip, BODY_25; nobody in one frame, two people in some."
    for a, p, r, x in clips(BODIES["body25"], 6):
        flat = pixels(x)
        for t, frame in enumerate(flat):
            people = [] if t == 3 else [frame, frame + (100, 0)] if t % 2 else [frame]
            row = [{"person_id": [-1], "pose_keypoints_2d": [round(float(v), 3) for u, w in body for v in (u, w, .8)], "face_keypoints_2d": []}
                   for body in people]
            write(folder, f"{a}/{p}_{r}/{p}_{r}_{t:012d}_keypoints.json", json.dumps({"version": 1.3, "people": row}))


def mediapipe(folder):
    "A file a clip, pictures and world landmarks, y down, visibility."
    for a, p, r, x in clips(BODIES["mediapipe33"]):
        frames = [{"timestamp_ms": t * 40, "pose_landmarks": [{"x": (u / 640), "y": w / 480, "z": 0.1, "visibility": .9} for u, w in f2],
                   "pose_world_landmarks": [{"x": v[0], "y": 1 - v[1], "z": 2.5 - v[2], "visibility": .9} for v in f]}
                  for t, (f, f2) in enumerate(zip(x, pixels(x)))]
        write(folder, f"{a}_{p}_{r}.json", json.dumps({"fps": 25, "frames": frames}))


def alphapose(folder):
    "COCO-style results: a list of people, each with the picture it is in."
    for a, p, r, x in clips(BODIES["coco17"]):
        rows = [{"image_id": f"{t:06d}.jpg", "category_id": 1, "keypoints": [round(float(v), 2) for u, w in pixels(f) + (150 * k, 0) for v in (u, w, .7)],
                 "score": 2.5 - k, "idx": k + 1} for t, f in enumerate(x) for k in ((0, 1) if t > 5 else (0,))]
        write(folder, f"{a}/{p}_{r}.json", json.dumps(rows))


def one_npz(folder):
    "One archive of all clips, cut to one length, with labels and names."
    data = clips(KINECT)
    file = io.BytesIO()
    np.savez_compressed(file, x=np.stack([d[3][:8] for d in data]).astype("f4"), y=np.array([ACTIONS.index(d[0]) for d in data]),
                        joint_names=np.array(KINECT), fps=30)
    write(folder, "train.npz", file.getvalue())


def npy(folder):
    "(C, T, V, M) as ST-GCN has them, NTU's order, no names; a table of labels beside them."
    lines = ["file,label,subject,camera"]
    for i, (a, p, r, x) in enumerate(clips(KINECT)):
        file = io.BytesIO()
        np.save(file, np.stack([x, np.zeros_like(x)], 3).transpose(2, 0, 1, 3).astype("f4"))
        write(folder, f"{i:03d}.npy", file.getvalue())
        lines.append(f"{i:03d}.npy,{a},{p},{1 + r}")
    write(folder, "labels.csv", "\n".join(lines) + "\n")


def matlab(folder):
    "A structure with a matrix of frames by joints by coordinates, centimetres, and a cell of names."
    from scipy.io import savemat

    for a, p, r, x in clips(MIXAMO):
        file = io.BytesIO()
        savemat(file, {"rec": {"pos": x * 100, "rate": 50., "names": np.array(MIXAMO, object)}, "note": "made"}, do_compression=r == 2)
        write(folder, f"{a}_{p}_{r}.mat", file.getvalue())


def nested_json(folder):
    "Frames of named joints, inches, a label inside."
    for i, (a, p, r, x) in enumerate(clips(MIXAMO)):
        frames = [{"t": f"2024-05-01T10:00:{t / 20:09.6f}", "joints": {j: dict(zip("xyz", (v / .0254).round(4).tolist())) for j, v in zip(MIXAMO, f)}}
                  for t, f in enumerate(x)]
        write(folder, f"{i}.json", json.dumps({"action": a, "data": {"frames": frames}}))


def c3d_points(folder):
    "Centres of joints as a motion capture program writes them, under the person's name: millimetres, z up; a point without a name, one unseen frame."
    for a, p, r, x in clips(MIXAMO):
        points = np.zeros((len(x), len(MIXAMO) + 1, 5), np.float32)
        points[:, :-1, :3], points[2, 3, 3] = 1000 * z_up(x), -1
        writer = c3d.Writer(point_rate=100)
        writer.add_frames([(frame, np.zeros((0, 0), np.float32)) for frame in points])
        writer.set_point_labels([*(f"{p}:{name}" for name in MIXAMO), "*1"])
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that there is no force plate
            writer.write(file)
        write(folder, f"{p}_{a}_{r}.c3d", file.getvalue())


LAYOUTS = {f.__name__: f for f in (wide_csv, long_csv, deeplabcut, openpose, mediapipe, alphapose, one_npz, npy, matlab, nested_json, c3d_points)}


# layouts of programs, written without looking at the reader

ROKOKO = ("hips spine spine2 spine4 neck head left_shoulder left_upper_arm left_lower_arm left_hand right_shoulder right_upper_arm right_lower_arm right_hand "
          "left_up_leg left_leg left_foot left_toe right_up_leg right_leg right_foot right_toe").split()
XSENS = ("Pelvis;L5;L3;T12;T8;Neck;Head;Right Shoulder;Right Upper Arm;Right Forearm;Right Hand;Left Shoulder;Left Upper Arm;Left Forearm;Left Hand;"
         "Right Upper Leg;Right Lower Leg;Right Foot;Right Toe;Left Upper Leg;Left Lower Leg;Left Foot;Left Toe").split(";")
AZURE = [name.upper() for name in BODIES["azure32"]]


def some(names):
    "Four clips of two people and both actions."
    return clips(names)[::3]


def numbers(frame, digits=5):
    return [f"{v:.{digits}f}" for v in np.ravel(frame)]


def kinect_studio(folder):
    "SpineBase.X, .Y, .Z and .State, which is a word; a clock; a joint that was not tracked; a second that ends while one records."
    for a, p, r, x in some(KINECT):
        lines = ["Timestamp,TrackingId," + ",".join(f"{j}.{k}" for j in KINECT for k in ("X", "Y", "Z", "State"))]
        for t, f in enumerate(x):
            state = ["NotTracked" if (t, j) == (2, 6) else "Inferred" if (t + j) % 7 == 0 else "Tracked" for j in range(25)]
            lines.append(f"14:02:{10.8 + t / 30:06.3f},72057594037929986," + ",".join(f"{','.join(numbers(v))},{s}" for v, s in zip(f, state)))
        write(folder, f"{p}/{a}_{r}.csv", "\r\n".join(lines) + "\r\n")


def qualisys(folder, header=True):
    "Ten lines of what was recorded, names in one of them; millimetres, z up; older programs write no header below."
    for a, p, r, x in some(MIXAMO):
        lines = [f"NO_OF_FRAMES\t{len(x)}", "NO_OF_CAMERAS\t8", f"NO_OF_MARKERS\t{len(MIXAMO)}", "FREQUENCY\t100", "NO_OF_ANALOG\t0", "ANALOG_FREQUENCY\t0",
                 "DESCRIPTION\t--", "TIME_STAMP\t2023-05-04, 11:06:32.123\t40.1234", "DATA_INCLUDED\t3D", "MARKER_NAMES\t" + "\t".join(MIXAMO)]
        lines += ["Frame\tTime\t" + "\t".join(f"{j} {k}" for j in MIXAMO for k in "XYZ")] * header
        lines += ["\t".join(([str(t + 1), f"{t / 100:.5f}"] if header else []) + numbers(f * 1000, 3)) for t, f in enumerate(z_up(x))]
        write(folder, f"{p}_{a}_{r:04d}.tsv", "\r\n".join(lines) + "\r\n")


def qualisys_without_header(folder):
    qualisys(folder, header=False)


def trc_as_txt(folder):
    "OpenSim's .trc under another ending."
    for a, p, r, x in some(MIXAMO):
        lines = [f"PathFileType\t4\t(X/Y/Z)\t{a}.trc", "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
                 f"60.00\t60.00\t{len(x)}\t{len(MIXAMO)}\tm\t60.00\t1\t{len(x)}", "Frame#\tTime\t" + "\t\t\t".join(MIXAMO) + "\t\t",
                 "\t\t" + "\t".join(f"{k}{i + 1}" for i in range(len(MIXAMO)) for k in "XYZ"), ""]
        lines += ["\t".join([str(t + 1), f"{t / 60:.4f}", *numbers(f, 6)]) for t, f in enumerate(x)]
        write(folder, f"{a}-{p}-{r}.txt", "\n".join(lines) + "\n")


def rokoko(folder):
    "hips_pos_x beside hips_rot_w; centimetres."
    for a, p, r, x in some(ROKOKO):
        lines = ["timestamp," + ",".join(f"{j}_{w}_{k}" for j in ROKOKO for w, ks in (("pos", "xyz"), ("rot", "wxyz")) for k in ks)]
        lines += [f"{t / 50:.3f}," + ",".join(",".join([*numbers(v), ".9", ".1", f"{.01 * t:.2f}", ".2"]) for v in f) for t, f in enumerate(x * 100)]
        write(folder, f"{a}/{p}-take{r}.csv", "\n".join(lines) + "\n")


def xsens(folder):
    "Segments by their vertebrae; z up."
    plain = [{"L5": "Spine", "L3": "Spine1", "T12": "Spine2", "T8": "Spine3"}.get(n, n) for n in XSENS]
    for a, p, r, x in some(plain):
        lines = ["Frame," + ",".join(f"{j} {k}" for j in XSENS for k in "xyz"), *(",".join([str(t), *numbers(f)]) for t, f in enumerate(z_up(x)))]
        write(folder, f"{p}_{a}-00{r}.csv", "\n".join(lines) + "\n")


def unity(folder):
    "Frames of bones with a position and a rotation each; left-handed."
    for a, p, r, x in some(MIXAMO):
        turn = {"x": .1, "y": .2, "z": .3, "w": .9}
        frames = [{"time": round(t / 30, 4), "bones": {j: {"position": dict(zip("xyz", (v * (-1, 1, 1)).round(5).tolist())), "rotation": turn}
                                                       for j, v in zip(MIXAMO, f)}} for t, f in enumerate(x)]
        write(folder, f"{p}/{a}_{r}.json", json.dumps(frames))


def azure(folder):
    "Azure Kinect's body tracking: orientations before positions, millimetres, y down, nobody in one frame."
    for a, p, r, x in some(AZURE):
        frames = [{"frame_id": t, "timestamp_usec": 33333 * t, "num_bodies": int(t != 5), "bodies": [] if t == 5 else [
            {"body_id": 3, "joint_orientations": [[.7, .1, .2, .6]] * 32, "joint_positions": (f * (1000, -1000, -1000)).round(2).tolist()}]}
            for t, f in enumerate(x)]
        write(folder, f"{a}_{p}_{r}.json", json.dumps({"bone_list": [["SPINE_CHEST", "SPINE_NAVEL"]] * 31, "frames": frames, "joint_names": AZURE}))


def one_table(folder):
    "All clips in one table; trials are counted for every person anew."
    lines = ["subject,trial,activity,frame," + ",".join(f"{j}_{k}" for j in KINECT for k in "xyz")]
    for a, p, r, x in some(KINECT):
        lines += [",".join([p, str(ACTIONS.index(a) + 1), a, str(t), *numbers(f)]) for t, f in enumerate(x)]
    write(folder, "dataset.csv", "\n".join(lines) + "\n")


def vicon(folder):
    "Trajectories: names above three columns each, empty cells; millimetres, z up."
    for a, p, r, x in some(MIXAMO):
        lines = ["Trajectories", "120", ",," + ",,,".join(f"subj:{j}" for j in MIXAMO) + ",,", "Frame,Sub Frame," + ",".join(["X,Y,Z"] * len(MIXAMO)),
                 ",," + ",".join(["mm"] * 3 * len(MIXAMO))]
        lines += [f"{t + 1},0," + ",".join("" if (t, i // 3) == (3, 7) else v for i, v in enumerate(numbers(f * 1000, 3))) for t, f in enumerate(z_up(x))]
        write(folder, f"{a}_{p}_{r}.csv", "\n".join(lines) + "\n")


def rows_of_numbers(folder):
    "(T, V x 3)."
    for a, p, r, x in some(KINECT):
        file = io.BytesIO()
        np.save(file, x.reshape(len(x), -1))
        write(folder, f"{p}_{a}_{r}.npy", file.getvalue())


def time_restarts(folder):
    "Several takes one after another; only the time tells."
    for action in ACTIONS:
        lines = ["time," + ",".join(f"{j}_{k}" for j in KINECT for k in "xyz")]
        for a, p, r, x in some(KINECT):
            lines += [",".join([f"{t / 30:.4f}", *numbers(f)]) for t, f in enumerate(x) if a == action]
        write(folder, f"{action}.csv", "\n".join(lines) + "\n")


STRANGE = {f.__name__: f for f in (kinect_studio, qualisys, qualisys_without_header, trc_as_txt, rokoko, xsens, unity, azure, one_table, vicon,
                                   rows_of_numbers, time_restarts)}


# layouts that were imported by the command line alone

def german_tsv(folder):
    "Tabs, decimal commas, units in the headers, an empty last column; the time has a name that nobody expects."
    for a, p, r, x in some(MIXAMO):
        lines = ["Zeit [ms]\t" + "\t".join(f"{j} {k} [mm]" for j in MIXAMO for k in "XYZ") + "\t"]
        lines += ["\t".join([f"{t * 20:.1f}", *numbers(f * 1000, 2)]).replace(".", ",") + "\t" for t, f in enumerate(x)]
        write(folder, f"{a}_{p}_{r}.tsv", "\r\n".join(lines) + "\r\n")


def side_by_side(folder):
    "Two people in one row."
    for a, p, r, x in some(MIXAMO):
        lines = [",".join(["frame", *(f"{who}_{j}_{k}" for who in ("P1", "P2") for j in MIXAMO for k in "xyz")])]
        lines += [",".join([str(t), *numbers(f), *numbers(f + (1, 0, 0))]) for t, f in enumerate(x)]
        write(folder, f"{a}_{p}_{r}.csv", "\n".join(lines) + "\n")


def blender(folder):
    "Head and tail of each bone, a row a bone."
    for a, p, r, x in some(MIXAMO):
        lines = ["frame,bone,head_x,head_y,head_z,tail_x,tail_y,tail_z"]
        lines += [",".join([str(t), j, *numbers(v), *numbers(v + (0, 0, .1))]) for t, f in enumerate(z_up(x)) for j, v in zip(MIXAMO, f)]
        write(folder, f"{a}_{p}_{r}.csv", "\n".join(lines) + "\n")


def json_frames(folder):
    "A folder a person, in it a folder a clip, in it a JSON a frame; centimetres, z up; numbers without leading zeros."
    for a, p, r, x in some(MIXAMO):
        for t, f in enumerate(z_up(x) * 100, 1):
            write(folder, f"{p}/{a}_{r}/{t}.json", json.dumps({"frame": t, "device": "cam", "skeleton": dict(zip(MIXAMO, f.round(3).tolist()))}))


def one_after_another(folder):
    "All clips in one array, and where each begins."
    data, file = some(KINECT), io.BytesIO()
    np.savez(file, positions=np.concatenate([d[3] for d in data]), offsets=np.cumsum([0] + [len(d[3]) for d in data]), labels=np.array([0, 0, 1, 1]))
    write(folder, "all.npz", file.getvalue())


def rows_with_lengths(folder):
    "The same as rows of numbers, and how long each is."
    data, file = some(KINECT), io.BytesIO()
    np.savez(file, x=np.concatenate([d[3].reshape(len(d[3]), -1) for d in data]), lengths=np.array([len(d[3]) for d in data]), y=np.array([0, 0, 1, 1]))
    write(folder, "all.npz", file.getvalue())


def array_a_clip(folder):
    "One archive, an array a clip, whose name says what it is."
    file = io.BytesIO()
    np.savez(file, **{f"{a}_{p}_{r}": x for a, p, r, x in some(KINECT)})
    write(folder, "recordings.npz", file.getvalue())


def nested_clips(folder):
    "One JSON: clips by name, each frames of points."
    write(folder, "all.json", json.dumps({f"{a}_{p}_{r}": x.round(4).tolist() for a, p, r, x in some(KINECT)}))


def changing_places(folder):
    "OpenPose's files of three people whose order changes from frame to frame, with faces and hands."
    for a, p, r, x in some(BODIES["body25"]):
        for t, f in enumerate(pixels(x)):
            people = [{"person_id": [-1], "pose_keypoints_2d": np.insert(f + (140 * ((k + t) % 3), 0), 2, .8, 1).round(2).ravel().tolist(),
                       "face_keypoints_2d": [1., 2., .5] * 70, "hand_right_keypoints_2d": []} for k in range(3)]
            write(folder, f"{a}/{p}{r}/video_{t:012d}_keypoints.json", json.dumps({"version": 1.3, "people": people}))


def blocks(folder):
    "A block of lines a frame, a joint a line."
    for a, p, r, x in some(KINECT):
        write(folder, f"{a}_{p}_{r}.csv", "\n".join(line for t, f in enumerate(x)
                                                    for line in (f"Frame,{t}", *(f"{j},{','.join(numbers(v))}" for j, v in zip(KINECT, f)), "")))


def kinect_dump(folder):
    "What a small program prints: frames, bodies, joints, each in lines of their own length."
    for a, p, r, x in some(KINECT):
        lines = []
        for t, f in enumerate(x):
            lines += [f"Frame {t} RelativeTime 00:00:{t / 30:09.6f}", "Body 72057594037929986 IsTracked True LeanTrackingState Tracked"]
            lines += [f"{j} Tracked {' '.join(numbers(v))}" for j, v in zip(KINECT, f)]
        write(folder, f"{p}_{a}{r}.txt", "\r\n".join(lines) + "\r\n")


def file_a_joint(folder):
    "A folder a clip, in it a table a joint."
    for a, p, r, x in some(KINECT)[:2]:
        for i, j in enumerate(KINECT):
            write(folder, f"{a}/{p}_{r}/{j}.csv", "t,x,y,z\n" + "".join(f"{t / 30:.3f},{','.join(numbers(v))}\n" for t, v in enumerate(x[:, i])))


def column_a_frame(folder):
    "A row a coordinate."
    for a, p, r, x in some(KINECT):
        lines = ["joint,axis," + ",".join(f"f{t}" for t in range(len(x)))]
        lines += [f"{j},{'xyz'[k]},{','.join(numbers(x[:, i, k]))}" for i, j in enumerate(KINECT) for k in range(3)]
        write(folder, f"{a}_{p}_{r}.csv", "\n".join(lines) + "\n")


UNPLANNED = {f.__name__: f for f in (german_tsv, side_by_side, blender, json_frames, one_after_another, rows_with_lengths, array_a_clip, nested_clips,
                                     changing_places, blocks, kinect_dump, file_a_joint, column_a_frame)}
