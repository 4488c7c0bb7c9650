"Still pictures, animations and pages: what is drawn is what was given, and what cannot be drawn is refused."
import base64
import html
import re

import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.figure import Figure
from PIL import Image

from skelbench.clips import SkeletonBatch
from skelbench.figures import CLASSES, animate, canvas, compare, curves, draw_pose, heat_strip, latent_map, still, strip
from skelbench.page import as_table, write_page
from skelbench.player import player_html
from skelbench.scene import ABSENT, GUESSED, MODEL, OBSERVED, TRUTH, as_motions, bone_unit, facing, project, viewpoint
from skelbench.skeleton import BODY17, KINECT20, NTU25

SKELETONS = (NTU25, KINECT20, BODY17)


def standing(skeleton=BODY17, frames=12, seed=0):
    "(frames, V, 3): the rest pose, a metre up, every joint trembling a little."
    place = np.zeros((len(skeleton), 3), dtype=np.float32)
    for j in skeleton.order:
        parent = skeleton.parents[j]
        place[j] = [0, 1, 0] if parent == j else place[parent] + .25 * np.array(skeleton.rest[j])
    return (place + np.random.default_rng(seed).normal(0, .01, (frames, *place.shape))).astype(np.float32)


def test_every_form_of_motions_is_the_same_motion():
    one = standing()
    batch = SkeletonBatch(*(torch.tensor(x) for x in (one[None, None], np.ones((1, 1, 12, 17), bool))), *[torch.zeros(1, dtype=torch.long)] * 6)
    for given in (one, one[None], [one], one[None, None], torch.tensor(one), [torch.tensor(one[None])], batch, [batch], one.tolist() and [one.tolist()]):
        motions = as_motions(given, BODY17)
        assert len(motions) == 1 and np.array_equal(motions[0].joints, one[None]) and (motions[0].state == OBSERVED).all()
    assert len(as_motions([one, batch, one[None]], BODY17)) == 3


@pytest.mark.parametrize("given, options, said", [
    ([], {}, "no motions"),
    (np.zeros((0, 1, 5, 17, 3)), {}, "no motions"),
    (standing(NTU25), {}, "25 joints, but skeleton body17 has 17"),
    ([standing(), standing()[:, :4]], {"names": ["a", "wave"]}, r"motion 1 \(wave\) has 4 joints"),
    (np.zeros((0, 17, 3)), {}, "nothing empty"),
    ([np.zeros((5, 17))], {}, r"shape \(5, 17\)"),
    (standing(), {"valid": np.ones((3, 17), bool)}, r"valid of motion 0 has shape \(1, 3, 17\), expected \(1, 12, 17\)"),
    (standing(), {"heat": np.full((12, 17), 2.)}, r"heat of motion 0 must lie in \[0, 1\]"),
    ([standing()] * 2, {"names": ["a"]}, "1 names for 2 motions"),
    ([standing()] * 2, {"heat": [None]}, "1 heat for 2 motions"),
])
def test_what_cannot_be_drawn_is_refused_in_one_line(given, options, said):
    with pytest.raises(ValueError, match=said) as caught:
        strip(given, BODY17, **options)
    assert "\n" not in str(caught.value)


def test_nan_and_zero_are_missing_and_guessed_relative_to_the_parent():
    x = standing(frames=10)
    x += np.linspace(0, 3, 10, dtype=np.float32)[:, None, None] ** 2  # the whole body is carried off, ever faster
    j, p = BODY17.index("left_wrist"), BODY17.index("left_elbow")
    for hole in (np.nan, 0., np.inf):
        holed, valid = x.copy(), np.ones((10, 17), bool)
        holed[3:7, j], valid[3:7, j] = hole, False
        m = as_motions(holed, BODY17, valid)[0]
        assert (m.state[0, :, j] == GUESSED).tolist() == [3 <= t < 7 for t in range(10)] and np.isfinite(m.joints).all()
        for t in range(3, 7):
            u = (t - 2) / 5
            slow = x[t, p] + (1 - u) * (x[2, j] - x[2, p]) + u * (x[7, j] - x[7, p])
            assert np.allclose(m.joints[0, t, j], slow, atol=1e-5)
    given = x.copy()
    m = as_motions(given, BODY17, valid)[0]
    assert np.array_equal(m.joints[0], x) and (m.state[0, 3:7, j] == GUESSED).all()  # a place that was given is kept, hollow


def test_who_is_never_seen_is_not_drawn():
    x = np.stack([standing(), standing()])
    valid = np.ones((2, 12, 17), bool)
    valid[1] = False
    m = as_motions(x * valid[..., None], BODY17, valid)[0]
    assert (m.state[1] == ABSENT).all()
    nobody = as_motions(np.full((4, 17, 3), np.nan), BODY17)[0]
    assert (nobody.state == ABSENT).all() and bone_unit([nobody], BODY17) == 1 and facing(nobody, BODY17) == 0
    assert isinstance(strip(np.full((4, 17, 3), np.nan), BODY17), Figure)
    assert len(draw_pose(canvas(1, 1, 1)[1], nobody, 0, BODY17)) == 2


@pytest.mark.parametrize("skeleton", SKELETONS, ids=lambda s: s.name)
def test_nothing_is_mirrored_or_upside_down(skeleton):
    m = as_motions(standing(skeleton), skeleton)[0]
    assert abs(facing(m, skeleton)) < .1
    flat = project(m.joints[0, 0], 0., 0.)
    for left, right in skeleton.pairs:
        assert flat[left, 0] > flat[right, 0]  # they face us: their left is on our right
    assert flat[skeleton.index("head"), 1] > flat[skeleton.pelvis, 1]
    behind = project(m.joints[0, 0], np.pi, 0.)
    assert all(behind[left, 0] < behind[right, 0] for left, right in skeleton.pairs)
    above = project(m.joints[0, 0], 0., np.pi / 2)
    assert above[skeleton.index("head"), 2] > above[skeleton.pelvis, 2]  # from above, the head is nearest


def test_two_people_are_seen_side_by_side():
    first, second = standing(), standing() + np.array([.3, 0, 1.5], dtype=np.float32)
    m = as_motions(np.stack([first, second]), BODY17)[0]
    flat = project(m.joints[:, 0], viewpoint(m, BODY17), 0.)
    assert abs(flat[0, :, 0].mean() - flat[1, :, 0].mean()) > 1.4 and abs(flat[0, :, 2].mean() - flat[1, :, 2].mean()) < .2


def test_a_pose_is_its_bones_in_order_of_depth_with_hollow_guesses():
    x, valid = standing(), np.ones((12, 17), bool)
    valid[5, 3:6] = False
    m = as_motions(x, BODY17, valid)[0]
    bodies, joints = draw_pose(canvas(2, 2, 1)[1], m, 5, BODY17, yaw=.6, tilt=.2)
    flat = project(m.joints[0, 5], .6, .2)
    far_to_near = sorted(BODY17.bones, key=lambda bone: flat[list(bone), 2].sum())
    for k, (j, p) in enumerate(far_to_near):
        assert np.allclose(bodies.get_segments()[2 * k + 1], flat[[j, p], :2], atol=1e-6)
    assert (joints.get_facecolors()[:, :3] == 1).all(1).tolist() == [j in (3, 4, 5) for j in range(17)]
    last = draw_pose(canvas(2, 2, 1)[1], m, 99, BODY17)[0].get_segments()
    assert np.allclose(last, draw_pose(canvas(2, 2, 1)[1], m, 11, BODY17)[0].get_segments())  # a motion that has ended keeps its last frame


def ink(figure, colour):
    "How many pixels of a figure are nearer to a colour than 60 of 255."
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import to_rgb

    paper = FigureCanvasAgg(figure)
    paper.draw()
    return (np.abs(np.asarray(paper.buffer_rgba())[..., :3].astype(float) - 255 * np.array(to_rgb(colour))).max(-1) < 60).sum()


def test_truth_is_blue_and_model_vermilion():
    x = standing()
    alone, both = still(x, BODY17), compare(x, x + .3, BODY17, frames=6, labels=("<b>", "model"))
    assert ink(alone, TRUTH) > 500 and ink(alone, MODEL) == 0 and ink(both, TRUTH) > 500 and ink(both, MODEL) > 500
    with pytest.raises(ValueError, match="1 motions to lay over 2"):
        compare([x, x], [x], BODY17)
    with pytest.raises(ValueError, match="one motion"):
        still([x, x], BODY17)


def test_a_motion_laid_over_nothing_is_as_large_as_alone():
    x = standing() + np.array([5, 0, 0], dtype=np.float32)
    alone, over = still(x, BODY17), compare(x * np.nan, x, BODY17, frames=6)
    assert abs(over.get_figwidth() - alone.get_figwidth()) < .2 and ink(over, MODEL) > 500


def test_heat_changes_the_colour_and_frames_are_chosen():
    x = standing()
    assert ink(heat_strip(x, np.zeros((12, 17)), BODY17), "#1b068d") > 500 > ink(heat_strip(x, np.ones((12, 17)), BODY17), "#1b068d")
    texts = [t.get_text() for t in strip(x, BODY17, frames=[0, 7, 3], names=["$x$"]).axes[0].texts]
    assert texts == ["$x$", "0", "3", "7"]
    for wrong in ([12], [-1], []):
        with pytest.raises(ValueError, match="which has 12 frames"):
            strip(x, BODY17, frames=wrong)
    assert isinstance(strip(x[:1], BODY17, frames=6), Figure)


def test_animation_moves_fits_and_leaves_nothing_behind(tmp_path):
    x = standing(frames=30) + np.linspace(0, .5, 30, dtype=np.float32)[:, None, None]
    path = animate([x, x[:7]], BODY17, tmp_path / "a.gif", overlay=[x + .05, x], names=["a", "b"], width=320, turn=.5)
    with Image.open(path) as gif:
        assert gif.n_frames == 15 and gif.size[0] == 320 and gif.info["duration"] in (60, 70)
        first = np.asarray(gif.convert("RGB")).astype(int)
        gif.seek(10)
        assert (np.abs(np.asarray(gif.convert("RGB")).astype(int) - first).max(-1) > 60).sum() > 200
    size = path.stat().st_size
    with pytest.raises(ValueError, match="more than 900"):
        animate(x, BODY17, path, width=320, limit=900)
    assert [p.name for p in tmp_path.iterdir()] == ["a.gif"] and path.stat().st_size == size
    animate(x[:1], BODY17, tmp_path / "one.gif", width=100)


def test_curves_and_maps():
    metrics = pd.DataFrame({"epoch": range(5), "contrast": [4., 3, 2, 1, 1], "chance_contrast": 4.5, "seconds": 1.})
    axes = curves(metrics).axes
    assert len(axes) == 1 and len(axes[0].lines) == 2 and set(axes[0].lines[1].get_ydata()) == {4.5}
    assert len(curves(metrics, ["contrast", "seconds"], chance={"seconds": 2.}).axes[1].lines) == 2
    for wrong in (lambda: curves(metrics, ["kl"]), lambda: curves(metrics[:0]), lambda: latent_map(np.zeros((4, 3)), [0] * 4),
                  lambda: latent_map(np.zeros((4, 2)), [0] * 3)):
        with pytest.raises(ValueError):
            wrong()
    ax = latent_map(np.random.rand(30, 2), np.arange(30) % 15, [f"c{i}" for i in range(15)]).axes[0]
    looks = {(tuple(c.get_facecolor()[0]), c.get_paths()[0].vertices.tobytes()) for c in ax.collections}
    assert len(looks) == 15 > len(CLASSES)  # no two classes look the same


TRAP = "<script>document.title='caught'</script>"


def test_page_holds_everything_and_shows_text_as_text(tmp_path):
    x = standing()
    table = pd.DataFrame({"name": [TRAP, "b"], "official": [72.4113, np.nan], "n": [3, 4]}, index=pd.Index(["&", "y"], name=TRAP))
    path = write_page(tmp_path / "new" / "page.html", TRAP, [
        (None, TRAP + "\n\nsecond"), (TRAP, [table, strip(x, BODY17)]), ("players", [player_html(x, BODY17, names=[TRAP])] * 2),
        ("map", latent_map(np.random.rand(9000, 2), np.zeros(9000, int)))])
    text = path.read_text(encoding="utf-8")
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]
    assert TRAP not in text and text.count(html.escape(TRAP)) >= 5
    assert re.findall(r"<script([^>]*)>", text) == [' type="application/json"', ' type="module"'] * 2
    loads = re.findall(r"""\b(?:src|href|url|action|poster)\s*[=(]\s*["']?([^"'\s)>]{1,30})""", text)
    assert loads and all(place.startswith(("data:", "#section-")) for place in loads)
    assert not re.search(r"@import|fetch\(|XMLHttpRequest|WebSocket|import\s*\(", text)
    assert "72.41<" in text and text.count("data:image/svg+xml") == 1 and text.count("data:image/png") == 1
    svg = base64.b64decode(re.search(r"data:image/svg\+xml;base64,([^\"]+)", text)[1]).decode()
    assert "<svg" in svg and "<image" not in svg


def test_table_and_page_refuse_what_they_cannot_show(tmp_path):
    assert as_table(pd.DataFrame({"a": [1], "b": [1]}).set_axis(["a", "a"], axis=1)).count("<th>a</th>") == 2
    for sections, said in (([("x", 3)], "cannot show a int"), (["text"], "expected .heading, items."), ([("x", [None])], "NoneType")):
        with pytest.raises(ValueError, match=said):
            write_page(tmp_path / "p.html", "t", sections)
    with pytest.raises(ValueError, match="is a folder"):
        write_page(tmp_path, "t", [])
    assert not list(tmp_path.iterdir())
