"How long the training cockpit takes from an input to a changed picture: `NOTEBOOK` is opened in JupyterLab, then each of `STEPS` is called with the page."
import time

NOTEBOOK = ["""\
import tempfile, time
from pathlib import Path
from skelbench.datasets import open_set
from skelbench.swapclr import SwapCLR
from skelbench.synthetic import make_synthetic
from skelbench.training import fit
from skelbench.training_cockpit import watch
place = Path(tempfile.mkdtemp())
make_synthetic(clips=96, seed=0).save(place / "set.skel")
train = open_set(place / "set.skel").splits("xview")[0][1]
model = SwapCLR(train.skeleton, preset="small", streams=("joint",), blocks=[[16, 2], [32, 2]])
run = fit(model, train, model.recipe(epochs=8, frames=16, batch_size=32, probes=40, snapshot_every=1), to=place / "run", protocol="xview", progress=False)
""", """\
cockpit = watch(run)
cockpit
"""]
WARM, REPEATS = 6, 30  # together a whole number of rounds of the keys
WAIT = """([root, drawn]) => new Promise((done, fail) => {
  const e = document.querySelector(root), late = setTimeout(() => fail(new Error("no change")), 20000);
  const draws = () => e.atlas?.draws ?? e.player?.draws ?? e.curves.draws;
  const look = () => { if (draws() > drawn) { clearTimeout(late); done(); } else requestAnimationFrame(look); };
  look();
})"""


def timed(page, root, act):
    "Milliseconds from an input to the next drawing of one of the pictures, and then until nothing is drawn."
    drawn = page.evaluate("root => { const e = document.querySelector(root); return e.atlas?.draws ?? e.player?.draws ?? e.curves.draws; }", root)
    started = time.perf_counter()
    act()
    page.evaluate(WAIT, [root, drawn])
    passed = 1000 * (time.perf_counter() - started)
    time.sleep(.8)  # the map glides for 0.6 s
    return passed


def epoch_slider(page):
    "Arrow keys on the epoch slider, until the map is drawn anew."
    page.locator(".widget-inline-hbox .noUi-handle").first.focus()
    keys = ["ArrowLeft"] * 6 + ["ArrowRight"] * 6
    return [timed(page, ".sb-map", lambda i=i: page.keyboard.press(keys[i % len(keys)])) for i in range(WARM + REPEATS)][WARM:]


def point_at_curve(page):
    "The cursor a little further on the curves, until they are drawn anew."
    box = page.locator(".sb-curves-canvas").bounding_box()
    return [timed(page, ".sb-curves", lambda i=i: page.mouse.move(box["x"] + 60 + 4 * i, box["y"] + 80)) for i in range(WARM + REPEATS)][WARM:]


STEPS = {"epoch slider to changed map": epoch_slider, "pointer to values at the cursor": point_at_curve}
