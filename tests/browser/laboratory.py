"JupyterLab in a real browser: a server, notebooks to open in it, and a hand on the kernel."
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parents[2]


def until(ask, seconds=40, what="waited in vain"):
    "Waits for an answer that is true -> the answer."
    end = time.monotonic() + seconds
    while not (answer := ask()):
        assert time.monotonic() < end, what
        time.sleep(.05)
    return answer


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def answers(url):
    try:
        return urllib.request.urlopen(url, timeout=2).status == 200
    except urllib.error.HTTPError as error:
        return error.code < 500  # somebody is there
    except OSError:
        return False


def own_home(home):
    "Surroundings in which no setting of this machine counts."
    own = {f"JUPYTER_{name}": str(home / name) for name in ("CONFIG_DIR", "DATA_DIR", "RUNTIME_DIR")} | {"IPYTHONDIR": str(home)}
    paths = [str(ROOT), str(ROOT / "tests" / "browser"), os.environ.get("PYTHONPATH", "")]
    return os.environ | own | {"JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
                               "PYTHONPATH": os.pathsep.join(paths), "SKELBENCH_QUICK": "1", "SKELBENCH_RUNS": str(home / "runs"),
                               "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}


def serve(arguments, folder, home, path):
    "Starts a server of `python -m ...` and yields its address once `path` answers; ends it afterwards."
    port = free_port()
    with open(home / "log", "w") as log:
        server = subprocess.Popen([sys.executable, "-m", *arguments, "--no-browser", f"--port={port}"], cwd=folder, env=own_home(home),
                                  stdout=log, stderr=log, start_new_session=True)
    try:
        until(lambda: server.poll() is not None or answers(f"http://127.0.0.1:{port}{path}"), 90)
        assert server.poll() is None, (home / "log").read_text()[-2000:]
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(server.pid, signal.SIGKILL)


def write_notebook(path, *cells):
    "A notebook of code cells."
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell.strip()) for cell in cells])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "python3", "language": "python"}
    nbformat.write(notebook, path)


def run_in_kernel(page, code, seconds=40):
    "Runs lines in the notebook's kernel, in its last cell; they print `done` at last -> the text they print"
    page.locator(".jp-Notebook .jp-CodeCell").last.locator(".cm-content").click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(code)
    page.locator(".jp-Notebook .jp-CodeCell").last.locator(".jp-OutputArea-output").evaluate_all("all => all.forEach(e => e.textContent = '')")
    page.keyboard.press("Control+Enter")
    output = page.locator(".jp-Notebook .jp-CodeCell").last.locator(".jp-OutputArea-output pre")
    return until(lambda: (texts := output.all_inner_texts()) and "\x04" not in texts[-1] and texts[-1].rstrip().endswith("done") and texts[-1], seconds)


def idle(page, seconds=90):
    "Waits until the kernel has nothing to do."
    until(lambda: page.locator(".jp-Notebook-ExecutionIndicator").first.get_attribute("data-status") == "idle", seconds)


def run_all(page, url, there=".sb-player canvas", seconds=120):
    "Opens a notebook, and no other that was open before, runs all its cells and waits until something of this kind is there."
    page.goto(url if "?" in url else f"{url}?reset", wait_until="commit")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.locator(".jp-Toolbar-kernelName", has_text="Python 3").first.wait_for()
    idle(page)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def shown():
        accept = page.locator(".jp-Dialog .jp-mod-accept")  # a slow machine asks which kernel, if it was asked to run too soon
        if accept.count():
            accept.first.click()
        return page.locator(there).count()

    until(shown, seconds)


def theme(page, name):
    "JupyterLab in its `Light` or `Dark` theme."
    page.evaluate("name => jupyterapp.commands.execute('apputils:change-theme', {theme: `JupyterLab ${name}`})", name)


def of_ours(complaints):
    "What the console says of this package's widgets."
    return [text for text in complaints if re.search(r"sb-|anywidget|Player|blob:|skelbench|[Ww]idget", text)]
