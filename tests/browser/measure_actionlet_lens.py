"How long the actionlet lens takes from a hand to the changed picture; collected by a benchmark."
from laboratory import key_on, timed

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

PLAYER = """document.querySelector(".sb-player:not(.sb-sheet)").player"""
SHEET = """document.querySelector(".sb-sheet")"""
HANDLE = """[...document.querySelectorAll(".jupyter-widgets")].find(e => e.querySelector(":scope > .widget-label")?.textContent === "LABEL")
  .querySelector(".noUi-handle")"""
CELL = f"""k => {{
  const canvas = {SHEET}.querySelector("canvas"), box = canvas.getBoundingClientRect(), [x, y] = {SHEET}.sheet.place(k % 12, 3 + 7 * (k % 4));
  for (const type of ["pointerdown", "pointerup"])
    canvas.dispatchEvent(new PointerEvent(type, {{ clientX: box.x + x, clientY: box.y + y, pointerId: 1, bubbles: true, isPrimary: true }}));
}}"""


def _timed(page, act, what):
    "Milliseconds from a call in the page to another of these in the player, both pictures having been drawn meanwhile."
    changed = "(a, b) => b[0] !== a[0] && b[1] > a[1] && b[2] > a[2]"
    return timed(page, act, f"() => [{what}, {PLAYER}.draws, {SHEET}.sheet.draws]", warm=6, changed=changed, pause=120)


def _slide(page, label):
    "The same, for an arrow on a slider, to and fro."
    return _timed(page, key_on(HANDLE.replace("LABEL", label), "ArrowRight", "ArrowLeft"), f"{PLAYER}.spec")


def threshold(page):
    "From a key on the threshold slider to the changed figure and map."
    return _slide(page, "threshold")


def smoothing(page):
    "From a key on the smoothing slider to the changed figure and map."
    return _slide(page, "smoothing")


def cell(page):
    "From a click on a cell to the player's picture of that frame."
    return _timed(page, CELL, f"Math.floor({PLAYER}.position)")


STEPS = {"actionlet: threshold to picture": threshold, "actionlet: smoothing to picture": smoothing, "actionlet: cell to frame": cell}
