"The swap lab's slider: from the key that moves it to the changed picture."
from laboratory import until

NOTEBOOK = ["""
from skelbench.swap_lab import swaps
from skelbench.swapclr import SwapCLR
from skelbench.synthetic import make_synthetic
from skelbench.training import fit, seed_everything
seed_everything(0)
data = make_synthetic(clips=96, seed=0)
model = SwapCLR(data.skeleton, preset="small")  # trained a little: what an untrained one decodes hardly depends on its halves
run = fit(model, data, model.recipe(epochs=6, batch_size=32, probes=0, seed=0), progress=False)
lab = swaps(run, data)
lab.player.playing = False
lab
"""]
WATCH = """([key, count]) => new Promise(done => {
  const player = document.querySelector(".sb-player").player, spec = () => player.spec, times = [];
  const handle = [...document.querySelectorAll(".widget-slider [role=slider], .widget-slider .noUi-handle")][0];
  const one = () => {
    const before = spec(), start = performance.now();
    handle.dispatchEvent(new KeyboardEvent("keydown", { key, code: key, bubbles: true, cancelable: true }));
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


def drag(page):
    "Milliseconds of 30 steps of lambda, by keyboard."
    page.locator(".widget-slider").first.wait_for()
    until(lambda: page.locator(".sb-player").first.evaluate("e => Boolean(e.player)"))
    page.evaluate(WATCH, ["ArrowRight", 3])
    return page.evaluate(WATCH, ["ArrowRight", 30])


STEPS = {"swap lab: slider to changed picture": drag}
