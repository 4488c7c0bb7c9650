"The map: milliseconds between frames while 60,000 points pan, zoom and turn; the explorer: from a click on a point to its clip playing."
from laboratory import timed


def explorer(clips):
    "The cell of an explorer on a set of so many clips."
    return f"""
import torch
from skelbench.latent_explorer import explore
from skelbench.swapclr import SwapCLR
from skelbench.synthetic import make_synthetic
data = make_synthetic(clips={clips}, seed=0)
train, test = data.split("xview")
torch.manual_seed(0)
model = SwapCLR(data.skeleton, preset="small", blocks=((8, 2), (16, 2)), width=32, latent=8)
model.prepare(train)
explorer = explore(model, test, train=train, kind="pca")
explorer
"""


NOTEBOOK = ["""\
import numpy as np
from skelbench.atlas import Atlas
generator, groups = np.random.default_rng(0), np.arange(60_000) % 60
places = 3 * generator.normal(size=(60, 3))[groups] + .4 * generator.normal(size=(60_000, 3))
atlas = Atlas(places[:, :2], groups, [f"class {k}" for k in range(60)], label="flat")
atlas""", """\
deep = Atlas(places, groups, [f"class {k}" for k in range(60)], label="deep")
deep""", explorer(480)]
READY = ".sb-map-above >> nth=2"

FRAMES = """(e, move) => new Promise((done) => { const map = e.atlas, times = []; map.wake();
  const step = (now) => { times.push(now); const t = times.length;
    if (t > 70) { map.view.zoom = 1; map.view.x = map.view.y = 0; map.wake(); return done(times.slice(9).map((b, k) => b - times[8 + k])); }
    if (move === "pan") map.view.x = 0.5 * Math.sin(t / 8); else if (move === "zoom") map.view.zoom = 1 + 3 * Math.sin(t / 20) ** 2; else map.view.yaw += 0.03;
    map.wake(); requestAnimationFrame(step); };
  requestAnimationFrame(step); })"""
MAP = """document.querySelectorAll(".sb-map")[2]"""
PLAYER = """[...document.querySelectorAll(".sb-player:not(.sb-map)")].at(-1).player"""
CLICK = f"""k => {{
  const root = {MAP}, map = root.atlas, above = root.querySelector(".sb-map-above"), box = above.getBoundingClientRect(), i = (7 * k + 1) % map.n;
  const at = {{ bubbles: true, pointerId: 1, clientX: box.left + map.at[3 * i] / map.ratio, clientY: box.top + map.at[3 * i + 1] / map.ratio }};
  above.setPointerCapture = () => {{}};
  above.dispatchEvent(new PointerEvent("pointerdown", {{ ...at, buttons: 1 }})); above.dispatchEvent(new PointerEvent("pointerup", at));
}}"""


def _frames(nth, move):
    def measure(page):
        root = page.locator(".sb-map").nth(nth)
        root.scroll_into_view_if_needed()
        root.evaluate(FRAMES, move)  # warm
        return root.evaluate(FRAMES, move)
    return measure


def click(page):
    "Milliseconds from a click on a point to the clip and its nearest playing, in the player beside the map."
    page.locator(".sb-map").nth(2).scroll_into_view_if_needed()
    changed = f"(before, now) => now !== before && {PLAYER}.playing"  # the pause: the player's report in between, as in use
    return timed(page, CLICK, f"() => {PLAYER}.spec", changed=changed, drawn=f"() => {PLAYER}.draws", pause=150, limit=20)


STEPS = {"60,000 points: pan": _frames(0, "pan"), "60,000 points: zoom": _frames(0, "zoom"), "60,000 points: turn": _frames(1, "turn"),
         "explorer: click to playing clip": click}
