"""How fast the instruments are, in JupyterLab in a headless chromium: python tests/browser/benchmark_workbench.py [name ...] [--interactions 200]

Each `measure_*.py` beside this file has a `NOTEBOOK` that opens an instrument, and `STEPS`, each of which does something thirty times and
says how many milliseconds passed until the picture had changed. For every instrument this prints one JSON line: median and 95th percentile
of each step; the milliseconds from the end of its cell to the first picture; the largest state of one of its widgets; and by how much the
page's and the kernel's memory grew over some 200 interactions, the steps having been done once before.
"""
import argparse
import importlib
import json
import re
import statistics
import tempfile
from pathlib import Path

from conftest import launch
from laboratory import idle, run_all, run_in_kernel, serve_lab, write_notebook
from playwright.sync_api import sync_playwright

HERE = Path(__file__).parent
PAINTED = """() => { window.paintedAt = 0;
  const cell = jupyterapp.shell.currentWidget.content.widgets.filter(c => c.model.type === "code").at(-1).node;
  const draws = e => [e.player, e.atlas, e.sheet, e.matrix, e.curves].some(part => part?.draws > 0);
  const look = () => { if ([...cell.querySelectorAll(".jp-OutputArea *")].some(draws)) window.paintedAt = Date.now(); else requestAnimationFrame(look); };
  look(); }"""
STATE = """
import ipywidgets, json, os
def heaviest():
    def size(value):
        return len(value) if isinstance(value, (bytes, memoryview)) else len(json.dumps(value, default=lambda v: "x" * len(bytes(v))))
    found = list(ipywidgets.widgets.widget._instances.values())
    return max(sum(size(v) for v in w.get_state().values()) for w in found)
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
print(heaviest(), "done")
"""


def summary(times):
    return {"median_ms": round(statistics.median(times), 1), "p95_ms": round(sorted(times)[int(.95 * (len(times) - 1))], 1), "count": len(times)}


def opening(notebook):
    "The line that opens the instrument: what the name that is shown last was set to."
    name = notebook[-1].strip().splitlines()[-1].strip()
    found = re.findall(rf"^{re.escape(name)} = (.+)$", "\n".join(notebook), re.M)
    return found[-1] if found else None


def memory(page, session):
    session.send("HeapProfiler.collectGarbage")
    page_bytes = page.evaluate("performance.memory.usedJSHeapSize")
    return page_bytes, int(run_in_kernel(page, "import gc; gc.collect(); print(resident(), 'done')", 60).split()[0])


def measure(page, module, interactions):
    out = {name: summary(step(page)) for name, step in module.STEPS.items()}
    state = int(run_in_kernel(page, STATE.strip(), 60).split()[0])
    session = page.context.new_cdp_session(page)
    before, done = memory(page, session), 0
    while done < interactions:
        for step in module.STEPS.values():
            done += len(step(page))
    after = memory(page, session)
    out |= {"largest_state_kB": round(state / 1e3, 1), "interactions": done, "page_grew_MB": round((after[0] - before[0]) / 1e6, 1),
            "kernel_grew_MB": round((after[1] - before[1]) / 1e6, 1)}
    call = opening(module.NOTEBOOK)
    if call:
        run_in_kernel(page, "print('done')")
        page.evaluate(PAINTED)
        lines = ["import time", "began = time.time()", f"fresh = {call}", "display(fresh)", "print(began * 1000, time.time() * 1000, 'done')"]
        told = run_in_kernel(page, "\n".join(lines), 60).split()
        page.wait_for_function("() => window.paintedAt > 0")
        painted = page.evaluate("window.paintedAt")
        out |= {"cell_ms": round(float(told[-2]) - float(told[-3])), "first_picture_after_cell_ms": max(0, round(painted - float(told[-2])))}
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="as in measure_NAME.py (default: all)")
    parser.add_argument("--interactions", type=int, default=200)
    a = parser.parse_args()
    names = a.names or sorted(path.stem.removeprefix("measure_") for path in HERE.glob("measure_*.py"))
    with tempfile.TemporaryDirectory() as place, sync_playwright() as playwright:
        folder, home = Path(place) / "lab", Path(place) / "home"
        folder.mkdir(), home.mkdir()
        for address in serve_lab(folder, home):
            browser = launch(playwright)
            for name in names:
                module = importlib.import_module(f"measure_{name}")
                write_notebook(folder / f"{name}.ipynb", *module.NOTEBOOK, "print('done')")
                page = browser.new_page(viewport={"width": 1200, "height": 900})
                page.set_default_timeout(120_000)
                run_all(page, f"{address}/lab/tree/{name}.ipynb?reset", there=getattr(module, "READY", ".sb-player canvas"), seconds=300)
                idle(page, 300)
                print(json.dumps({"instrument": name, **measure(page, module, a.interactions)}), flush=True)
                page.evaluate("jupyterapp.shell.currentWidget.sessionContext.shutdown()")
                page.close()
            browser.close()


if __name__ == "__main__":
    main()
