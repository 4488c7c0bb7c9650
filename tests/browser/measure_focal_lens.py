"The focal lens: from a click on a pair to the two clips in the player, and from the temperature's key to the changed matrix."
from laboratory import until

NOTEBOOK = ["""
import tempfile
from skelbench.focal_lens import focal
from skelbench.focovil import FoCoViL
from skelbench.synthetic import make_synthetic
from skelbench.training import fit, seed_everything
seed_everything(0)
data = make_synthetic(clips=240, seed=0)
train, test = data.split("xview")
model = FoCoViL(data.skeleton, preset="small", width=32, layers=2)
recipe = model.recipe(epochs=6, frames=16, batch_size=32, probes=60, snapshot_every=1, seed=0)
run = fit(model, train, recipe, to=tempfile.mkdtemp() + "/run", protocol="xview", progress=False)
lens = focal(run, train)
lens.player.playing = False
lens
"""]
CLICK = """([count, first]) => new Promise(done => {
  const matrix = document.querySelector(".sb-matrix"), canvas = matrix.querySelector("canvas"), times = [];
  const player = document.querySelector(".sb-player:not(.sb-matrix):not(.sb-curves)").player;
  const one = () => {
    const before = player.spec, start = performance.now(), box = canvas.getBoundingClientRect(), k = first + times.length;
    const x = box.right - 16 - 11 * (k % 7), y = box.top + 10 + 11 * (k % 20);
    canvas.dispatchEvent(new PointerEvent("pointermove", { clientX: x, clientY: y, bubbles: true }));
    canvas.dispatchEvent(new MouseEvent("click", { clientX: x, clientY: y, bubbles: true }));
    const look = () => {
      const drawn = player.draws;
      if (player.spec === before && performance.now() - start < 5000) { requestAnimationFrame(look); return; }
      const painted = () => { if (player.draws === drawn && performance.now() - start < 5000) requestAnimationFrame(painted);
        else { times.push(performance.now() - start); if (times.length < count) setTimeout(one, 60); else done(times); } };
      requestAnimationFrame(painted);
    };
    requestAnimationFrame(look);
  };
  one();
})"""
SLIDE = """count => new Promise(done => {
  const matrix = document.querySelector(".sb-matrix").matrix, handle = document.querySelector(".widget-slider [role=slider]"), times = [];
  const one = () => {
    const drawn = matrix.draws, start = performance.now();
    handle.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft", code: "ArrowLeft", bubbles: true, cancelable: true }));
    const look = () => {
      if (matrix.draws === drawn && performance.now() - start < 5000) { requestAnimationFrame(look); return; }
      times.push(performance.now() - start); if (times.length < count) setTimeout(one, 60); else done(times);
    };
    requestAnimationFrame(look);
  };
  one();
})"""


def ready(page):
    page.locator(".widget-slider").first.wait_for()
    until(lambda: page.evaluate("() => Boolean(document.querySelector('.sb-matrix')?.matrix?.draws)"))


def click(page):
    "Milliseconds of 30 clicks on pairs."
    ready(page)
    page.evaluate(CLICK, [3, 100])
    return page.evaluate(CLICK, [30, 0])


def slide(page):
    "Milliseconds of 30 steps of the temperature, by keyboard."
    ready(page)
    page.evaluate(SLIDE, 3)
    return page.evaluate(SLIDE, 30)


STEPS = {"focal lens: click to both clips": click, "focal lens: slider to changed matrix": slide}
