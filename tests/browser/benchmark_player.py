"""How many frames a second the player draws: python tests/browser/benchmark_player.py [skeletons] [seconds]

Opens a page from disk in a headless chromium without a GPU, lets it play and reads the time between animation frames, beside an empty
page in the same browser (what the machine can do at all) and the milliseconds that one drawing takes: the median of 200 drawings one
after the other, each followed by reading a pixel back, so that painting is done when the clock is read.
"""
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from conftest import hand_made, launch
from playwright.sync_api import sync_playwright

from skelbench.page import write_page
from skelbench.player import player_html
from skelbench.skeleton import NTU25

INTERVALS = """seconds => new Promise(done => { const times = [], end = performance.now() + 1000 * seconds;
  const tick = now => { times.push(now); if (now < end) requestAnimationFrame(tick); else done(times); }; requestAnimationFrame(tick); })"""


PAINTED = """() => { const root = document.querySelector(".sb-player"), { player } = root, times = [];
  player.set({ playing: false }); const ctx = root.querySelector("canvas").getContext("2d");
  for (let i = 0; i < 200; i++) { const start = performance.now(); player.position = i % 90; player.draw(); ctx.getImageData(0, 0, 1, 1);
    times.push(performance.now() - start); } return times; }"""


def measure(page, seconds):
    "-> frames a second, the median and the 95th percentile of the milliseconds between two"
    times = page.evaluate(INTERVALS, seconds)
    gaps = [b - a for a, b in zip(times, times[1:])]
    return {"frames_per_second": round(1000 * len(gaps) / (times[-1] - times[0]), 1), "median_ms": round(statistics.median(gaps), 1),
            "p95_ms": round(sorted(gaps)[int(.95 * len(gaps))], 1)}


def benchmark(skeletons=16, seconds=4.):
    motions = [hand_made("walk" if i % 2 else "wave", frames=90, phase=.3 * i) for i in range(skeletons)]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        url = write_page(Path(folder) / "page.html", "benchmark", [("", player_html(motions, NTU25, names=[f"clip {i}" for i in range(skeletons)]))])
        browser = launch(playwright)
        page = browser.new_page(viewport={"width": 1000, "height": 800})
        empty = measure(page, seconds)
        page.goto(url.as_uri())
        time.sleep(1)
        page.evaluate("() => { const p = document.querySelector('.sb-player').player; p.draws = 0; }")
        playing = measure(page, seconds)
        draws = page.evaluate("() => document.querySelector('.sb-player').player.draws")
        painted = page.evaluate(PAINTED)
        size = page.evaluate("() => { const c = document.querySelector('.sb-player canvas'); return [c.width, c.height]; }")
        browser.close()
    return {"skeletons": skeletons, "joints": 25 * skeletons, "canvas": size, "playing": playing, "empty_page": empty,
            "draws_per_second": round(draws / seconds, 1), "painted_ms": {"median": round(statistics.median(painted), 2), "fastest": round(min(painted), 2)}}


if __name__ == "__main__":
    numbers = [float(a) for a in sys.argv[1:3]]
    print(json.dumps(benchmark(int(numbers[0]) if numbers else 16, numbers[1] if len(numbers) > 1 else 4.)))
