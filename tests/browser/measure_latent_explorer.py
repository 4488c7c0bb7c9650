"""How fast the map is: milliseconds between frames while 60,000 points pan and zoom, and from a click to a playing clip.

    python tests/browser/measure_latent_explorer.py      (prints one JSON object; `NOTEBOOK` and `STEPS` are for a benchmark of all instruments)
"""
import json
import statistics
import tempfile
from pathlib import Path

NOTEBOOK = ["""\
import numpy as np, torch
from skelbench.atlas import Atlas
from skelbench.latent_explorer import explore
from skelbench.swapclr import SwapCLR
from skelbench.synthetic import make_synthetic
generator, groups = np.random.default_rng(0), np.arange(60_000) % 60
places = 3 * generator.normal(size=(60, 3))[groups] + .4 * generator.normal(size=(60_000, 3))
atlas = Atlas(places[:, :2], groups, [f"class {k}" for k in range(60)], label="flat")
atlas""", """\
deep = Atlas(places, groups, [f"class {k}" for k in range(60)], label="deep")
deep""", """\
data = make_synthetic(clips=480, seed=0)
train, test = data.split("xview")
torch.manual_seed(0)
model = SwapCLR(data.skeleton, preset="small", blocks=((8, 2), (16, 2)), width=32, latent=8)
model.prepare(train)
explorer = explore(model, test, train=train, kind="pca")
explorer""", "print('ready', 'done')"]
READY = ".sb-map-above >> nth=2"

FRAMES = """(e, move) => new Promise((done) => { const map = e.atlas, times = []; map.wake();
  const step = (now) => { times.push(now); const t = times.length;
    if (t > 70) { map.view.zoom = 1; map.view.x = map.view.y = 0; map.wake(); return done(times.slice(9).map((b, k) => b - times[8 + k])); }
    if (move === "pan") map.view.x = 0.5 * Math.sin(t / 8); else if (move === "zoom") map.view.zoom = 1 + 3 * Math.sin(t / 20) ** 2; else map.view.yaw += 0.03;
    map.wake(); requestAnimationFrame(step); };
  requestAnimationFrame(step); })"""
CLICK = """(e, i) => new Promise((done, fail) => { const map = e.atlas, above = e.querySelector(".sb-map-above"), box = above.getBoundingClientRect();
  const player = [...document.querySelectorAll(".sb-player:not(.sb-map)")].at(-1).player, before = player.spec, start = performance.now();
  const at = { bubbles: true, pointerId: 1, clientX: box.left + map.at[3 * i] / map.ratio, clientY: box.top + map.at[3 * i + 1] / map.ratio };
  above.setPointerCapture = () => {};
  above.dispatchEvent(new PointerEvent("pointerdown", { ...at, buttons: 1 })); above.dispatchEvent(new PointerEvent("pointerup", at));
  let draws = -1;
  const look = () => {
    if (performance.now() - start > 20000) return fail(new Error("no clip plays"));
    if (draws < 0 && player.spec !== before) draws = player.draws;
    if (draws >= 0 && player.draws > draws && player.playing) return done(performance.now() - start);
    requestAnimationFrame(look);
  };
  look(); })"""


def _frames(nth, move):
    def measure(page):
        root = page.locator(".sb-map").nth(nth)
        root.scroll_into_view_if_needed()
        root.evaluate(FRAMES, move)  # warm
        return root.evaluate(FRAMES, move)
    return measure


def click(page, repeats=30):
    "Milliseconds from a click on a point to the clip and its nearest playing, in the player beside the map."
    root = page.locator(".sb-map").nth(2)
    root.scroll_into_view_if_needed()
    count = root.evaluate("e => e.atlas.n")
    times = []
    for k in range(repeats + 3):
        times.append(root.evaluate(CLICK, (7 * k + 1) % count))
        page.wait_for_timeout(150)  # the player's report in between, as in use
    return times[3:]


STEPS = {"map_60000_pan": _frames(0, "pan"), "map_60000_zoom": _frames(0, "zoom"), "map_60000_turn": _frames(1, "turn"), "click_to_playing_clip": click}


def summary(times):
    "Median and 95th percentile."
    return {"median_ms": round(statistics.median(times), 1), "p95_ms": round(sorted(times)[int(.95 * len(times))], 1), "count": len(times)}


def main():
    from conftest import launch
    from laboratory import idle, run_all, serve, write_notebook
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        folder, home = Path(place) / "lab", Path(place) / "home"
        folder.mkdir(), home.mkdir()
        arguments = ["jupyterlab", "--ip=127.0.0.1", "--IdentityProvider.token=", "--ServerApp.password=", "--allow-root", f"--ServerApp.root_dir={folder}",
                     "--LabApp.news_url=None", "--LabApp.expose_app_in_browser=True", "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
        write_notebook(folder / "measure.ipynb", *NOTEBOOK)
        for address in serve(arguments, folder, home, "/api"):
            browser = launch(playwright)
            page = browser.new_page(viewport={"width": 1200, "height": 900})
            run_all(page, f"{address}/lab/tree/measure.ipynb", there=READY)
            idle(page)
            page.wait_for_function("() => [...document.querySelectorAll('.sb-map')].every((e) => e.atlas?.draws > 0)")
            print(json.dumps({name: summary(step(page)) for name, step in STEPS.items()}))
            browser.close()


if __name__ == "__main__":
    main()
