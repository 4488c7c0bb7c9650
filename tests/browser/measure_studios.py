"The studios' sliders: from the key that moves one to the changed picture."
from laboratory import key_on, timed, until

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
PANEL = """document.querySelectorAll(".sb-panel")[NTH]"""
PLAYER = f"""{PANEL}.querySelector(".sb-player:not(.sb-sheet)").player"""
HANDLE = f"""[...{PANEL}.querySelectorAll(".widget-slider")].find(e => e.querySelector(".widget-label").textContent.trim() === "LABEL")
  .querySelectorAll(".noUi-handle")[WHICH]"""
PAINT = """k => {
  const canvas = document.querySelector(".sb-sheet-canvas"), box = canvas.getBoundingClientRect();
  const at = { clientX: box.left + box.width * (.75 + .2 * (k % 10) / 10), clientY: box.top + 12 + 30 * Math.floor(k / 10), button: 0, pointerId: 1,
    isPrimary: true, bubbles: true, cancelable: true };
  canvas.setPointerCapture = () => {};
  canvas.dispatchEvent(new PointerEvent("pointerdown", { ...at, buttons: 1 })); canvas.dispatchEvent(new PointerEvent("pointerup", { ...at, buttons: 0 }));
}"""


def steps(nth, label, which=0):
    "A function that gives milliseconds of 30 steps of a slider, by keyboard, there and back."
    player = PLAYER.replace("NTH", str(nth))
    handle = HANDLE.replace("NTH", str(nth)).replace("LABEL", label).replace("WHICH", str(which))

    def drag(page):
        page.locator(".sb-panel").nth(nth).scroll_into_view_if_needed()
        until(lambda: page.locator(".sb-panel").nth(nth).locator(".sb-player:not(.sb-sheet)").evaluate("e => Boolean(e.player)"))
        return timed(page, key_on(handle, "ArrowLeft", "ArrowRight"), f"() => {player}.spec", warm=4, drawn=f"() => {player}.draws")
    return drag


def paint(page):
    "Milliseconds of 30 cells painted in the map, by pointer."
    page.locator(".sb-sheet-canvas").scroll_into_view_if_needed()
    return timed(page, PAINT, f"() => {PLAYER.replace('NTH', '0')}.spec", pause=150)


STEPS = {
    "in-painting: time line to changed picture": steps(0, "frames removed", 1),
    "in-painting: painted cell to changed picture": paint,
    "generation: temperature to changed picture": steps(1, "temperature"),
    "generation: walk to changed picture": steps(1, "walk"),
}
