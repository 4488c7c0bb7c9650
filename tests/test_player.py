"What a player is told: nothing is lost on the way, nothing is sent twice, and what cannot be shown is refused."
import base64
import json
import re

import numpy as np
import pytest
import torch

from skelbench.canvas import CANVAS
from skelbench.clips import SkeletonBatch
from skelbench.player import MODULE, STYLE, Html, Player, player_html
from skelbench.scene import ABSENT, GUESSED, OBSERVED
from skelbench.skeleton import BODY17, KINECT20, NTU25


def wandering(frames=12, people=1, V=17, seed=0):
    "(M, T, V, 3) metres: a cloud of joints that wanders off."
    g = np.random.default_rng(seed)
    return (g.normal(0, .5, (people, 1, V, 3)) + np.cumsum(g.normal(0, .05, (people, frames, V, 3)), 1) + [[[0, 1, 0]]]).astype(np.float32)


def told(player):
    "What a browser reads from the description and the bytes, motion by motion -> [(joints, state, heat)]"
    V, out = len(player.spec["joints"]), []
    for row in player.spec["motions"]:
        shape, n = (row["people"], row["frames"], V), row["people"] * row["frames"] * V
        steps = np.frombuffer(player.data, "<i2", 3 * n, row["positions"]).reshape(*shape, 3)
        heat = None if row["heat"] < 0 else np.frombuffer(player.data, np.uint8, n, row["heat"]).reshape(shape)
        out.append((steps * row["step"] + row["middle"], np.frombuffer(player.data, np.uint8, n, row["states"]).reshape(shape), heat))
    return out


def test_what_is_sent_is_what_was_given():
    motions, over = [wandering(12), wandering(30, 2, seed=1)], [wandering(7, seed=2), wandering(30, seed=3)]
    heat = [None, np.random.default_rng(0).random((2, 30, 17))]
    player = Player(motions, BODY17, names=["a", "b"], overlay=over, heat=heat, fps=25)
    sent, given = told(player), [motions[0], over[0], motions[1], over[1]]
    assert [(r["cell"], r["layer"], r["frames"]) for r in player.spec["motions"]] == [(0, 0, 12), (0, 1, 7), (1, 0, 30), (1, 1, 30)]
    for (joints, state, _), x in zip(sent, given):
        assert np.abs(joints - x).max() < 1e-4 and (state == OBSERVED).all()  # a tenth of a millimetre
    assert np.array_equal(sent[2][2], np.round(heat[1] * 254)) and sent[0][2] is sent[1][2] is None
    assert len(player.data) == sum(7 * x.size // 3 for x in given) + heat[1].size  # every byte belongs to someone
    assert player.spec["frames"] == 30 and player.spec["fps"] == 25 and [c["name"] for c in player.spec["cells"]] == ["a", "b"]
    assert json.loads(json.dumps(player.spec, allow_nan=False)) == player.spec


@pytest.mark.parametrize("skeleton", (NTU25, KINECT20, BODY17), ids=lambda s: s.name)
def test_every_skeleton_sides_and_bones(skeleton):
    spec = Player(wandering(V=len(skeleton)), skeleton).spec
    assert [tuple(b) for b in spec["bones"]] == list(skeleton.bones) and spec["joints"][spec["head"]] == "head"
    assert all(spec["sides"][left] == 1 and spec["sides"][right] == -1 for left, right in skeleton.pairs)
    assert sum(map(abs, spec["sides"])) == 2 * len(skeleton.pairs)


def test_a_batch_with_absent_people_and_padding():
    joints, valid = torch.zeros(2, 2, 20, 17, 3), torch.zeros(2, 2, 20, 17, dtype=torch.bool)
    joints[0, 0, :9], valid[0, 0, :9] = torch.tensor(wandering(9)[0]), True
    joints[1], valid[1] = torch.tensor(wandering(20, 2)), True
    valid[1, 0, 4:8, 5], joints[1, 0, 4:8, 5] = False, 0
    batch = SkeletonBatch(joints, valid, *[torch.zeros(2, dtype=torch.long)] * 6)
    first, second = told(Player(batch, BODY17))
    assert first[0].shape == (2, 9, 17, 3) and (first[1][1] == ABSENT).all() and (first[1][0] == OBSERVED).all()
    assert np.argwhere(second[1] == GUESSED).tolist() == [[0, t, 5] for t in range(4, 8)] and (second[1] != ABSENT).all()


@pytest.mark.parametrize("given, options, said", [
    ([], {}, "no motions to show"),
    (wandering(V=16), {}, "16 joints, but skeleton body17 has 17"),
    (np.zeros((3, 0, 17, 3)), {}, "nothing empty"),
    ([wandering(), wandering()], {"overlay": [wandering()]}, "1 motions to lay over 2"),
    ([wandering()], {"overlay": [wandering(V=4)]}, "4 joints"),
    (wandering(), {"fps": 0}, "fps must be positive, not 0"),
    (wandering(), {"fps": float("nan")}, "fps must be positive"),
    (wandering(), {"heat": wandering()[..., 0] - 9}, r"must lie in \[0, 1\]"),
    ([["a"]], {}, "could not convert|setting an array|shape"),
])
def test_bad_input_is_one_clear_line(given, options, said):
    for make in (Player, player_html):
        with pytest.raises(ValueError, match=said) as caught:
            make(given, BODY17, **options)
        assert "\n" not in str(caught.value)


def test_nothing_observed_one_frame_and_a_thousand():
    nobody = Player(np.full((5, 17, 3), np.nan), BODY17)
    assert (told(nobody)[0][1] == ABSENT).all() and nobody.spec["frames"] == 1 and json.dumps(nobody.spec, allow_nan=False)
    one = Player(wandering(1), BODY17)
    assert one.spec["frames"] == 1 and np.abs(told(one)[0][0] - wandering(1)).max() < 1e-4
    long = wandering(1000)
    long[0, 100:900:3, 4] = np.nan
    joints, state, _ = told(Player(long, BODY17))[0]
    assert joints.shape == (1, 1000, 17, 3) and (state == GUESSED).sum() == len(range(100, 900, 3))
    still = Player(np.zeros((3, 17, 3)), BODY17)  # all joints in one point: no size to go by
    assert np.array_equal(told(still)[0][0], np.zeros((1, 3, 17, 3))) and json.dumps(still.spec, allow_nan=False)


def test_cells_share_a_scale_and_the_camera_follows_those_who_walk():
    near, far = wandering(30), wandering(30)
    far = far + np.linspace(0, 6, 30, dtype=np.float32)[None, :, None, None] * [1, 0, 0]
    assert not Player(near, BODY17).spec["follow"] and Player([near, far], BODY17).spec["follow"]
    assert Player(far, BODY17, follow=False).spec["follow"] is False
    spec = Player([near, far], BODY17).spec
    assert spec["reach"] == max(c["reach"] for c in spec["cells"]) > 3 > spec["near"] == max(c["near"] for c in spec["cells"])


def test_state_of_a_player_and_of_its_page():
    player = Player(wandering(), BODY17, playing=False, speed=.5, loop=False, frame=3)
    assert (player.playing, player.speed, player.loop, player.frame) == (False, .5, False, 3)
    spec = json.loads(re.search(r'<script type="application/json">(.*?)</script>', player.to_html(), re.S)[1])["spec"]
    assert (spec["playing"], spec["speed"], spec["loop"], spec["frame"]) == (False, .5, False, 3)


def test_a_late_report_does_not_undo_a_wish():
    player, sent = Player(wandering(30), BODY17), []
    player.send = sent.append

    def report(**shown):
        player._heed(player, {"frame": 0, "playing": True, "speed": 1., "loop": True, "count": 0} | shown, [])

    before = player._wish
    report(frame=5)
    assert player.frame == 5 and player._wish == before and sent == [{"heard": 0}]  # what it reports is not sent back to it
    player.frame = 17
    assert player._wish["seek"] == [17, 1] and player._wish["count"] == 1
    report(frame=6)  # was on its way when the wish was made
    assert player.frame == 17 and sent[-1] == {"heard": 0}
    report(frame=18, count=1, playing=False, loop=False)
    assert (player.frame, player.playing, player.loop) == (18, False, False) and player._wish["count"] == 1
    player.speed = 2.
    assert player._wish == {"playing": False, "speed": 2., "loop": False, "seek": [17, 1], "count": 2}  # not sought again
    player.frame = 99
    assert player.frame == 29 and player._wish["seek"] == [29, 2]
    assert Player(wandering(30), BODY17, frame=7, playing=False)._wish | {"count": 0} == before | {"seek": [7, 1], "playing": False}


def test_fragment_is_self_contained_and_a_name_is_no_markup():
    trap = "</script><script>alert(1)</script><!--"
    page = player_html([wandering()], BODY17, names=[trap], overlay=[wandering()], labels=(trap, trap), heat=[wandering()[..., 0] * 0], heat_label=trap)
    assert isinstance(page, Html) and page._repr_html_() == page and not isinstance(page + "", Html)
    assert trap not in page and page.count("<script") == page.count("</script>") == 2 and "<!--" not in page
    inside = json.loads(re.search(r'<script type="application/json">(.*?)</script>', page, re.S)[1])
    assert inside["spec"]["cells"][0]["name"] == trap and len(base64.b64decode(inside["data"]["base64"])) == 12 * 17 * 15
    assert not re.search(r"\b(?:src|href)\s*=|@import|url\(", page)


def test_module_is_small_and_never_makes_markup_from_data():
    assert MODULE.startswith(CANVAS) and len(MODULE.encode()) < 34_000 and MODULE.count("\n") < 500
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|fetch\(|import\s*\(|XMLHttp|WebSocket",
                         MODULE)
    assert re.findall(r"\w+://[^\"'`\s]+", MODULE + STYLE) == ["http://www.w3.org/2000/svg"]  # the name of SVG; nothing is loaded
