"Files as UWA3D Multiview Activity II has them, made: the recordings may not be carried."
import numpy as np

STYLES = [(",", "\n"), ("\t", "\r\n"), (" ", "\n"), (", ", "\r\n"), (",\t", "\r")]  # between numbers, at the end of a line


def text(joints, style=0, digits=3, last=True, trailing=False, blank=False):
    "(T, 15, 3) metres as the text of one file, in millimetres."
    between, end = STYLES[style % len(STYLES)]
    lines = [between.join(f"{1000 * x:.{digits}f}" if i % 7 else f"{1000 * x:.9e}" for i, x in enumerate(frame.ravel())) for frame in joints]
    return end.join(line + between * trailing + (end if blank and i % 3 == 0 else "") for i, line in enumerate(lines)) + end * last


def release(subjects=2, episodes=1, actions=30, seed=0):
    "Name -> (T, 15, 3) metres, and path -> text: every activity from every viewpoint, with all the habits that text has; some joints lost."
    generator, truth, files = np.random.default_rng(seed), {}, {}
    for k, (a, s, e, v) in enumerate(np.ndindex(actions, subjects, episodes, 4)):
        joints = generator.uniform([-1, -1, 2], [1, 1, 4], (int(generator.integers(1, 6)), 15, 3)).round(5)
        if k % 5 == 0:
            joints[0, k % 15] = 0  # lost
        name = f"a{a + 1:02}_s{s + 1:02}_e{e + 1:02}_v{v + 1:02}"
        other = f"A{a + 1:02}_S{s + 1:02}_V{v + 1:02}_E{e + 1:02}"  # some copies name them in this order
        path = f"UWA3DII/ActionsSkeleton/{other if k % 11 == 3 else name}.{('txt', 'TXT', 'csv')[k % 3]}"
        truth[name], files[path] = joints, text(joints, k, last=k % 2, trailing=k % 3 == 1, blank=k % 4 == 2)
    return truth, files
