"The studios' sliders: from the key that moves one to the changed picture."
from laboratory import until

NOTEBOOK = ["""
from skelbench.generation_studio import generate_motions
from skelbench.inpainting_studio import paint
from skelbench.swapclr import SwapCLR
from skelbench.synthetic import make_synthetic
from skelbench.training import seed_everything
seed_everything(0)
data = make_synthetic(clips=96, seed=0)
model = SwapCLR(data.skeleton, preset="small")
studio = paint(model, data, row=9)
studio.player.playing = False
studio
""", """
wall = generate_motions(model, data, row=9, train=data, walk=.5)
wall._thread.join()
wall.player.playing = False
wall
"""]
WATCH = """([nth, label, which, keys, count]) => new Promise(done => {
  const panel = document.querySelectorAll(".sb-panel")[nth], player = panel.querySelector(".sb-player:not(.sb-sheet)").player, times = [];
  const slider = [...panel.querySelectorAll(".widget-slider")].find(e => e.querySelector(".widget-label").textContent.trim() === label);
  const handle = slider.querySelectorAll(".noUi-handle")[which];
  const one = () => {
    const before = player.spec, start = performance.now(), key = keys[times.length % 2];  // there and back
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
PAINT = """(count) => new Promise(done => {
  const panel = document.querySelectorAll(".sb-panel")[0], player = panel.querySelector(".sb-player:not(.sb-sheet)").player, times = [];
  const canvas = panel.querySelector(".sb-sheet-canvas"), box = canvas.getBoundingClientRect();
  const tell = (type, x, y, buttons) => canvas.dispatchEvent(new PointerEvent(type, { clientX: x, clientY: y, buttons, button: 0, pointerId: 1,
    isPrimary: true, bubbles: true, cancelable: true }));
  canvas.setPointerCapture = () => {};
  const one = () => {
    const before = player.spec, start = performance.now(), k = times.length;
    const x = box.left + box.width * (.75 + .2 * (k % 10) / 10), y = box.top + 12 + 30 * Math.floor(k / 10);
    tell("pointerdown", x, y, 1); tell("pointerup", x, y, 0);
    const look = () => {
      if (player.spec === before && performance.now() - start < 5000) { requestAnimationFrame(look); return; }
      times.push(performance.now() - start); if (times.length < count) setTimeout(one, 150); else done(times);
    };
    requestAnimationFrame(look);
  };
  one();
})"""


def steps(nth, label, which=0):
    "A function that gives milliseconds of 30 steps of a slider, by keyboard."
    def drag(page):
        page.locator(".sb-panel").nth(nth).scroll_into_view_if_needed()
        until(lambda: page.locator(".sb-panel").nth(nth).locator(".sb-player:not(.sb-sheet)").evaluate("e => Boolean(e.player)"))
        page.evaluate(WATCH, [nth, label, which, ["ArrowLeft", "ArrowRight"], 4])
        return page.evaluate(WATCH, [nth, label, which, ["ArrowLeft", "ArrowRight"], 30])
    return drag


def paint(page):
    "Milliseconds of 30 cells painted in the map, by pointer."
    page.locator(".sb-sheet-canvas").scroll_into_view_if_needed()
    page.evaluate(PAINT, 3)
    return page.evaluate(PAINT, 30)


STEPS = {
    "in-painting: time line to changed picture": steps(0, "frames removed", 1),
    "in-painting: painted cell to changed picture": paint,
    "generation: temperature to changed picture": steps(1, "temperature"),
    "generation: walk to changed picture": steps(1, "walk"),
}
