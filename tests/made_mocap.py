"""Motion capture that was never captured: small bodies as ASF/AMC and BVH text with every oddity of the formats, and their positions by plain
recursions with 4 x 4 matrices that share no code with the readers."""

import math

import numpy as np

DEFAULT = {"order": "TX TY TZ RX RY RZ", "length": 0.45, "angle": "deg", "position": "0 0 0", "orientation": "0 0 0"}
BODY = [  # name, parent, direction, length, axis, its order, dof
    ("lhipjoint", "root", (0.57, -0.78, 0.25), 2.3, (0, 0, 0), "XYZ", ""),
    ("lfemur", "lhipjoint", (0.34, -0.94, 0), 7.3, (0, 0, 20), "XYZ", "rx ry rz"),
    ("ltibia", "lfemur", (0.34, -0.94, 0), 7.0, (0, 0, 20), "XYZ", "rx"),
    ("lfoot", "ltibia", (0.14, -0.38, 0.92), 2.3, (-90, 0, 20), "XYZ", "rx rz"),
    ("rhipjoint", "root", (-0.6, -0.76, 0.25), 2.3, (0, 0, 0), "XYZ", ""),
    ("rfemur", "rhipjoint", (-0.34, -0.94, 0), 7.4, (0, 0, -20), "XYZ", "rx ry rz"),
    ("rtibia", "rfemur", (-0.34, -0.94, 0), 7.1, (0, 0, -20), "XYZ", "rx"),
    ("rfoot", "rtibia", (-0.13, -0.36, 0.92), 2.5, (-90, 0, -20), "XYZ", "rz rx"),
    ("lowerback", "root", (0.02, 1, -0.04), 4.4, (0, 0, 0), "XYZ", "rx ry rz"),
    ("thorax", "lowerback", (0, 1, -0.06), 2.2, (10, 20, 30), "ZYX", "rz ry rx"),
    ("head", "thorax", (0, 1, 0.1), 4.5, (0, 0, 0), "XYZ", "ry rx rz"),
    ("lclavicle", "thorax", (0.95, 0.24, -0.2), 3.8, (0, 0, 0), "XYZ", "ry rz"),
    ("lhumerus", "lclavicle", (1, 0, 0), 4.8, (180, -30, -90), "XYZ", "rx ry rz"),
    ("lradius", "lhumerus", (1, 0, 0), 4.5, (180, -30, -90), "XYZ", "rx"),
    ("rclavicle", "thorax", (-0.98, 0.19, 0), 3.7, (0, 0, 0), "XYZ", "ry rz"),
    ("rhumerus", "rclavicle", (-1, 0, 0), 4.6, (180, 30, 90), "YZX", "rz rx ry"),
    ("rradius", "rhumerus", (-1, 0, 0), 4.4, (180, 30, 90), "XYZ", "rx"),
]


def asf(body=BODY, hierarchy=None, **about):
    "The text of an .asf; limits over several lines, comments, commas and tabs included."
    about = DEFAULT | about
    text = (
        f"# made\n:version 1.10\n:name MADE\n:units\n  mass 1.0\n  length {about['length']}\n  angle {about['angle']}\n:documentation\n  begin of nothing\n"
        f":root\n   order {about['order']}\n   axis XYZ\n   position {about['position']}\n   orientation {about['orientation']}\n:bonedata\n"
    )
    for i, (name, _, direction, length, axis, order, dof) in enumerate(body, 1):
        text += f"  begin\n     id {i}\n     name {name}\n     direction {' '.join(map(str, direction))}  # where to\n     length {length}\t\n"
        text += f"     axis {', '.join(map(str, axis))}  {order}\n"
        if dof:
            text += f"    dof {dof}\n    limits " + "\n           ".join("(-160.0 20.0)" for _ in dof.split()) + "\n"
        text += "  end\n"
    lines = hierarchy or [f"{parent} {' '.join(b[0] for b in body if b[1] == parent)}" for parent in dict.fromkeys(b[1] for b in body)]
    return (text + ":hierarchy\n  begin\n" + "".join(f"    {line}\n" for line in lines) + "  end\n").encode()


def angles(body=BODY, frames=9, seed=0, order=DEFAULT["order"]):
    "Bone -> (frames, columns) in degrees; the root's places in the file's units."
    rng, columns = np.random.default_rng(seed), {}
    for name, dof in [("root", order), *((b[0], b[6]) for b in body)]:
        if dof:
            columns[name] = rng.uniform(-170, 170, (1, len(dof.split()))) + np.cumsum(rng.normal(0, 4, (frames, len(dof.split()))), 0)
    for c, token in enumerate(order.split()):
        if token[0].upper() == "T":
            columns["root"][:, c] = rng.uniform(-9, 20) + np.arange(frames) * 0.1
    return columns


def amc(columns, first=1, head="#!OML:ASF X:\\f\xfcr made\\a.ASF\n:FULLY-SPECIFIED\n:DEGREES\n", newline="\n"):
    "The text of an .amc."
    frames = len(next(iter(columns.values())))
    lines = [line for t in range(frames) for line in (str(first + t), *(f"{name} " + " ".join(repr(float(x)) for x in c[t]) for name, c in columns.items()))]
    return (head + "\n".join(lines) + "\n").replace("\n", newline).encode("latin-1")


# plain recursions, a frame and joint at a time


def about_axis(axis, degrees):
    "4 x 4, right-handed."
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    rows = {"x": [[1, 0, 0], [0, c, -s], [0, s, c]], "y": [[c, 0, s], [0, 1, 0], [-s, 0, c]], "z": [[c, -s, 0], [s, c, 0], [0, 0, 1]]}[axis]
    return [[*row, 0.0] for row in rows] + [[0.0, 0.0, 0.0, 1.0]]


def times(a, b):
    return [[sum(a[i][k] * b[k][j] for k in range(4)) for j in range(4)] for i in range(4)]


def shift(x, y, z):
    return [[1.0, 0.0, 0.0, x], [0.0, 1.0, 0.0, y], [0.0, 0.0, 1.0, z], [0.0, 0.0, 0.0, 1.0]]


def transposed(m):
    "The inverse of a turn."
    return [[m[j][i] for j in range(4)] for i in range(4)]


def fixed(order, values):
    "Turns about axes that stay, one after the other: each new one from the left."
    whole = shift(0, 0, 0)
    for axis, value in zip(order, values):
        whole = times(about_axis(axis, value), whole)
    return whole


def asf_positions(columns, t, body=BODY, order=DEFAULT["order"]):
    "Joint -> (3,) in the file's units at frame t: root, then every bone's end."
    tokens, root = order.lower().split(), columns["root"][t]
    place = [sum(v for token, v in zip(tokens, root) if token == "t" + a) for a in "xyz"]
    turns = [(token[1], v) for token, v in zip(tokens, root) if token[0] == "r"]
    world = {"root": times(shift(*place), fixed([a for a, _ in turns], [v for _, v in turns]))}
    for name, parent, direction, length, axis, axis_order, dof in body:
        C = fixed(axis_order.lower(), axis)
        M = fixed([token[1] for token in dof.split()], columns[name][t]) if dof else shift(0, 0, 0)
        local = times(times(C, M), transposed(C))
        world[name] = times(times(world[parent], local), shift(*(length * d for d in direction)))
    return {name: np.array([row[3] for row in m[:3]]) for name, m in world.items()}


def each_line(data, counts):
    "The plain reading of an .amc that people write first: a line at a time, a float at a time."
    frames, frame = [], None
    for line in data.decode("latin-1").splitlines():
        words = line.split()
        if not words or words[0][0] in "#:":
            continue
        if len(words) == 1:
            frame = {}
            frames.append(frame)
        else:
            frame[words[0]] = [float(w) for w in words[1:]]
    return np.array([[x for name in counts for x in frame[name]] for frame in frames])


# BVH: joint = (name, parent or None, offset, channels); parents first, and in depth-first order

TREE = [
    ("Hips", None, (0.0, 0.0, 0.0), "Xposition Yposition Zposition Zrotation Xrotation Yrotation"),
    ("LeftUpLeg", "Hips", (0.1, -0.05, 0.0), "Zrotation Yrotation Xrotation"),
    ("LeftLeg", "LeftUpLeg", (0.0, -0.45, 0.01), "Xrotation"),
    ("LeftFoot", "LeftLeg", (0.0, -0.43, -0.02), "Yrotation Xrotation"),
    ("end", "LeftFoot", (0.0, -0.05, 0.15), None),
    ("RightUpLeg", "Hips", (-0.1, -0.05, 0.0), "Xrotation Zrotation Yrotation"),
    ("RightLeg", "RightUpLeg", (0.0, -0.45, 0.01), "Xrotation Yrotation Zrotation"),
    ("RightFoot", "RightLeg", (0.0, -0.43, -0.02), "Zrotation Xrotation Zrotation"),
    ("end", "RightFoot", (0.0, -0.05, 0.15), None),
    ("Spine", "Hips", (0.0, 0.2, 0.0), "Yposition Zrotation Xrotation Yrotation"),
    ("Chest", "Spine", (0.0, 0.25, 0.02), "Zrotation Xposition Xrotation Zposition Yrotation Yposition"),
    ("Head", "Chest", (0.0, 0.3, 0.02), "Yrotation Zrotation Xrotation"),
    ("end", "Head", (0.0, 0.12, 0.0), None),
    ("LeftArm", "Chest", (0.18, 0.15, 0.0), "Zrotation Xrotation Yrotation"),
    ("LeftForeArm", "LeftArm", (0.28, 0.0, 0.0), "Yrotation"),
    ("LeftHand", "LeftForeArm", (0.25, 0.0, 0.0), ""),
    ("end", "LeftHand", (0.1, 0.0, 0.0), None),
    ("RightArm", "Chest", (-0.18, 0.15, 0.0), "Zrotation Xrotation Yrotation"),
    ("RightForeArm", "RightArm", (-0.28, 0.0, 0.0), "Yrotation"),
    ("RightHand", "RightForeArm", (-0.25, 0.0, 0.0), "Zrotation Yrotation Xrotation"),
    ("end", "RightHand", (-0.1, 0.0, 0.0), None),
]


def bvh_values(tree=TREE, frames=9, seed=0, scale=1.0):
    "(frames, channels): angles in degrees; places near the offsets of their joints."
    rng, columns = np.random.default_rng(seed), []
    for name, parent, offset, channels in tree:
        for channel in (channels or "").split():
            if channel.endswith("position"):
                columns.append(scale * ((offset["XYZ".index(channel[0])] + (parent is None) * (channel[0] == "Y")) + np.cumsum(rng.normal(0, 0.01, frames))))
            else:
                columns.append(np.cumsum(rng.normal(0, 6, frames)))
    return np.stack(columns, 1)


def bvh(values, tree=TREE, frame_time="0.0333333", scale=1.0, newline="\n", brace="\n", frames=None):
    "The text of a .bvh."
    lines, open_ = ["HIERARCHY"], []
    for name, parent, offset, channels in tree:
        while open_ and open_[-1] != parent:
            lines.append("  " * (len(open_) - 1) + "}")
            open_.pop()
        pad = "  " * len(open_)
        lines += [
            f"{pad}{'End Site' if channels is None else 'JOINT ' + name if parent else 'ROOT ' + name}{brace}{pad}{{",
            f"{pad}  OFFSET " + " ".join(f"{scale * x:.6f}" for x in offset),
        ]
        if channels is not None:
            lines.append(f"{pad}\tCHANNELS {len(channels.split())} {channels}")
        open_.append(name)
    lines += ["  " * k + "}" for k in reversed(range(len(open_)))]
    lines += ["MOTION", f"Frames: {len(values) if frames is None else frames}", f"Frame Time: {frame_time}"]
    return (newline.join("\n".join(lines).split("\n") + [" ".join(repr(float(x)) for x in row) for row in values]) + newline).encode()


def bvh_positions(values, t, tree=TREE, scale=1.0):
    "List of (3,) at frame t, in the tree's order, end sites too; channels turn about axes that move along, in their order."
    at, world, out, column = {}, {}, [], 0
    for k, (name, parent, offset, channels) in enumerate(tree):
        place, turn = [scale * x for x in offset], shift(0, 0, 0)
        for channel in (channels or "").split():
            axis, value = channel[0].lower(), values[t, column]
            column += 1
            if channel.endswith("position"):
                place["xyz".index(axis)] = value
            else:
                turn = times(turn, about_axis(axis, value))
        here = times(times(world[parent] if parent else shift(0, 0, 0), shift(*place)), turn)
        if channels is not None:
            world[name] = here
        at[k] = here
        out.append(np.array([row[3] for row in here[:3]]))
    return out


def plain_bvh(text):
    "(tree, values) of a .bvh, a word after another: for files without oddities; whatever is not as the format says, is an error."
    head, motion = text.split("MOTION")
    tree, open_, words = [], [], iter(head.split())
    assert next(words) == "HIERARCHY"
    for word in words:
        if word in ("ROOT", "JOINT"):
            assert (word == "ROOT") == (not tree)
            row = [next(words), open_[-1] if open_ else None, None, ""]
        elif word == "End":
            assert next(words) == "Site"
            row = ["end", open_[-1], None, None]
        elif word == "{":
            tree.append(row)
            open_.append(row[0])
        elif word == "}":
            open_.pop()
        elif word == "OFFSET":
            row[2] = tuple(float(next(words)) for _ in "xyz")
        else:
            assert word == "CHANNELS"
            row[3] = " ".join(next(words) for _ in range(int(next(words))))
            assert all(channel[0] in "XYZ" and channel[1:] in ("position", "rotation") for channel in row[3].split())
    frames, seconds, *lines = motion.strip().splitlines()
    values = np.array([[float(number) for number in line.split()] for line in lines])
    assert not open_ and frames == f"Frames: {len(lines)}" and seconds.startswith("Frame Time: ") and float(seconds[12:]) > 0
    assert values.shape == (len(lines), sum(len((row[3] or "").split()) for row in tree)) and np.isfinite(values).all()
    return [tuple(row) for row in tree], values
