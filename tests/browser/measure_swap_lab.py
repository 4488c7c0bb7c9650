"The swap lab's slider: from the key that moves it to the changed picture."
from laboratory import key_on, timed, until

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
PLAYER = """document.querySelector(".sb-player").player"""
HANDLE = """document.querySelector(".widget-slider [role=slider], .widget-slider .noUi-handle")"""


def drag(page):
    "Milliseconds of 30 steps of lambda, by keyboard."
    page.locator(".widget-slider").first.wait_for()
    until(lambda: page.locator(".sb-player").first.evaluate("e => Boolean(e.player)"))
    keys = ["ArrowRight"] * 17 + ["ArrowLeft"] * 17  # and where it was in the end, so that it can be done again
    return timed(page, key_on(HANDLE, *keys), f"() => {PLAYER}.spec", warm=4, drawn=f"() => {PLAYER}.draws")


STEPS = {"swap lab: slider to changed picture": drag}
