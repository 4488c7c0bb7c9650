"The focal lens: from a click on a pair to the two clips in the player, and from the temperature's key to the changed matrix."
from laboratory import key_on, timed, until

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
PLAYER = """document.querySelector(".sb-player:not(.sb-matrix):not(.sb-curves)").player"""
MATRIX = """document.querySelector(".sb-matrix")"""
CLICK = f"""k => {{
  const canvas = {MATRIX}.querySelector("canvas"), box = canvas.getBoundingClientRect();
  const at = {{ clientX: box.right - 16 - 11 * (k % 7), clientY: box.top + 10 + 11 * (k % 20), bubbles: true }};
  canvas.dispatchEvent(new PointerEvent("pointermove", at));
  canvas.dispatchEvent(new MouseEvent("click", at));
}}"""


def ready(page):
    page.locator(".widget-slider").first.wait_for()
    until(lambda: page.evaluate("() => Boolean(document.querySelector('.sb-matrix')?.matrix?.draws)"))


def click(page):
    "Milliseconds of 30 clicks on pairs."
    ready(page)
    return timed(page, CLICK, f"() => {PLAYER}.spec", drawn=f"() => {PLAYER}.draws")


def slide(page):
    "Milliseconds of 30 steps of the temperature, by keyboard."
    ready(page)
    keys = ["ArrowLeft"] * 17 + ["ArrowRight"] * 17  # and where it was in the end, so that it can be done again
    return timed(page, key_on("""document.querySelector(".widget-slider [role=slider]")""", *keys), f"() => {MATRIX}.matrix.draws", warm=4)


STEPS = {"focal lens: click to both clips": click, "focal lens: slider to changed matrix": slide}
