"How long the actionlet lens takes from a hand to the changed picture; collected by a benchmark."

NOTEBOOK = ["""\
import torch
from skelbench.actclr import ActCLR
from skelbench.actionlet_lens import actionlets
from skelbench.synthetic import make_synthetic
data = make_synthetic(clips=48, seed=0)
torch.manual_seed(0)
model = ActCLR(data.skeleton, preset="small", queue=32)
model.prepare(data)
""", "lens = actionlets(model, data, row=9)\nlens"]

WATCH = """([run, what]) => new Promise((done) => {
  const player = document.querySelector(".sb-player:not(.sb-sheet)").player, sheet = document.querySelector(".sb-sheet").sheet;
  const state = () => (what === "frame" ? Math.floor(player.position) : `${player.spec.motions.length} ${what === "mask" ? sheet.mask.join("") : ""}`);
  const before = state(), spec = player.spec, draws = [player.draws, sheet.draws], start = performance.now();
  const look = () => {
    const drawn = player.draws > draws[0] && sheet.draws > draws[1], changed = what === "frame" ? state() !== before : player.spec !== spec;
    if (drawn && changed) done(performance.now() - start); else if (performance.now() - start > 5000) done(-1); else requestAnimationFrame(look);
  };
  run = new Function("return " + run)(); run(); look();
})"""


def _timed(page, act, what, repeats=30, warm=5):
    "Milliseconds from a call in the page to the changed picture, of so many repeats."
    times = [page.wait_for_timeout(120) or page.evaluate(WATCH, [act(k), what]) for k in range(warm + repeats)]
    assert min(times) >= 0, "the picture never changed"
    return times[warm:]


def _key(name, k):
    "Presses an arrow on a slider's handle, to and fro."
    key = ["ArrowRight", "ArrowLeft"][k % 2]
    return f"""() => {{ const named = (e) => e.querySelector(":scope > .widget-label")?.textContent === "{name}";
        const box = [...document.querySelectorAll(".jupyter-widgets")].find(named);
        const handle = box.querySelector(".noUi-handle"); handle.focus();
        handle.dispatchEvent(new KeyboardEvent("keydown", {{ key: "{key}", bubbles: true, cancelable: true }})); }}"""


def _cell(k):
    "Clicks a cell of the sheet."
    return f"""() => {{ const canvas = document.querySelector(".sb-sheet canvas"), sheet = document.querySelector(".sb-sheet").sheet;
        const [x, y] = sheet.place({k % 12}, {3 + 7 * (k % 4)}), box = canvas.getBoundingClientRect();
        for (const type of ["pointerdown", "pointerup"]) canvas.dispatchEvent(new PointerEvent(type, {{ clientX: box.x + x, clientY: box.y + y, pointerId: 1,
          bubbles: true, isPrimary: true }})); }}"""


def threshold(page):
    "From a key on the threshold slider to the changed figure and map."
    return _timed(page, lambda k: _key("threshold", k), "mask")


def smoothing(page):
    "From a key on the smoothing slider to the changed figure and map."
    return _timed(page, lambda k: _key("smoothing", k), "mask")


def cell(page):
    "From a click on a cell to the player's picture of that frame."
    return _timed(page, _cell, "frame")


STEPS = {"actionlet: threshold to picture": threshold, "actionlet: smoothing to picture": smoothing, "actionlet: cell to frame": cell}
