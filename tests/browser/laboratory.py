"JupyterLab in a real browser: a server, notebooks to open in it, and a hand on the kernel."
import json
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


def serve_lab(folder, home):
    "Serves JupyterLab on a folder, which asks nobody for news; yields its address."
    quiet = home / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
    quiet.parent.mkdir(parents=True)
    quiet.write_text('{"fetchNews": "false", "checkForUpdates": false}')
    arguments = ["jupyterlab", "--ip=127.0.0.1", "--IdentityProvider.token=", "--ServerApp.password=", "--allow-root",
                 f"--ServerApp.root_dir={folder}", "--LabApp.news_url=None", "--LabApp.expose_app_in_browser=True",
                 "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate"]
    yield from serve(arguments, folder, home, "/api")


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


def told(page, expression, seconds=40):
    "What an expression is in the notebook's kernel."
    return json.loads(run_in_kernel(page, f"import json; print(json.dumps({expression}), 'done')", seconds).rstrip().removesuffix("done"))


def idle(page, seconds=90):
    "Waits until the kernel has nothing to do."
    until(lambda: page.locator(".jp-Notebook-ExecutionIndicator").first.get_attribute("data-status") == "idle", seconds)


HEED = """jupyterapp.shell.currentWidget.sessionContext.iopubMessage.connect((_, { header, parent_header, content }) => {
  if (header.msg_type === "error" && parent_header.msg_type === "comm_msg") console.error(`a widget in the kernel: ${content.ename}: ${content.evalue}`); })"""


def heed(page):
    "Errors that a widget makes in the kernel, which JupyterLab tells nobody, are complaints in the console from now on."
    page.evaluate(f"void {HEED}")


def run_all(page, url, there=".sb-player canvas", seconds=120):
    "Opens a notebook, and no other that was open before, runs all its cells and waits until something of this kind is there."
    page.goto(url if "?" in url else f"{url}?reset", wait_until="commit")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    page.locator(".jp-Toolbar-kernelName", has_text="Python 3").first.wait_for()
    idle(page)
    heed(page)
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()

    def shown():
        accept = page.locator(".jp-Dialog .jp-mod-accept")  # a slow machine asks which kernel, if it was asked to run too soon
        if accept.count():
            accept.first.click()
        return page.locator(there).count()

    until(shown, seconds)


def opened(watched, lab, name, cells, there=".sb-player canvas", size=(1100, 1000)):
    "A page on a new notebook of these cells, and a last one to ask things in; all have run, and the kernel has nothing to do."
    address, folder = lab
    write_notebook(folder / f"{name}.ipynb", *cells, "print('ready', 'done')")
    page = watched(viewport={"width": size[0], "height": size[1]})
    run_all(page, f"{address}/lab/tree/{name}.ipynb", there)
    idle(page)
    return page


def command(page, name, **arguments):
    "One of JupyterLab's commands, to its end."
    page.evaluate("([name, arguments]) => jupyterapp.commands.execute(name, arguments)", [name, arguments])


def theme(page, name):
    "JupyterLab in its `Light` or `Dark` theme."
    command(page, "apputils:change-theme", theme=f"JupyterLab {name}")


def reload(page):
    "Saves the notebook and loads the page again, until its cells are there."
    command(page, "docmanager:save")
    until(lambda: not page.locator(".lm-TabBar-tab.jp-mod-dirty").count())
    page.reload(wait_until="commit")
    page.wait_for_selector(".jp-Notebook .jp-CodeCell")
    until(lambda: not page.locator("#jupyterlab-splash").count())


def restart(page):
    "Begins a new kernel and runs all cells again; does not wait for them."
    page.evaluate("void jupyterapp.commands.execute('notebook:restart-run-all')")  # comes to its end when the dialog is answered
    page.locator(".jp-Dialog .jp-mod-accept").first.click()
    until(lambda: not page.locator(".jp-Dialog").count())


def pixels(canvas):
    "The picture on a canvas, as text; taken after its next drawing."
    return canvas.evaluate("e => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(e.toDataURL()))))")


def fits(panel):
    "Whether nothing sticks out at the side."
    return panel.evaluate("e => e.scrollWidth <= e.clientWidth + 1")


LOOP = """async ({ act, now, changed, drawn, count, pause, limit }) => {
  const times = [];
  for (let k = 0; k < count; k++) {
    const before = now(), start = performance.now();
    const until = async (there) => { do {
      if (performance.now() - start > limit) throw new Error(`the picture never changed (time ${k} of ${count})`);
      await new Promise(requestAnimationFrame);
    } while (!there()); };
    act(k);
    await until(() => changed(before, now()));
    if (drawn) { const already = drawn(); await until(() => drawn() > already); }
    times.push(performance.now() - start);
    await new Promise(done => setTimeout(done, pause));
  }
  return times;
}"""


def timed(page, act, now, repeats=30, warm=3, changed="(before, now) => now !== before", drawn=None, pause=60, limit=5):
    """Milliseconds from something done in the page to its changed picture, so many times, after some that do not count.

    Functions in JavaScript: `act(k)` does it; `now()` is what is seen; `changed(before, now)` says that it is another; `drawn()` counts drawings,
    one more of which is waited for after the change. Raises playwright's Error if that takes more than `limit` seconds.
    """
    numbers = f"count: {warm + repeats}, pause: {pause}, limit: {1000 * limit}"
    return page.evaluate(f"() => ({LOOP})({{ act: {act}, now: {now}, changed: {changed}, drawn: {drawn or 'null'}, {numbers} }})")[warm:]


def key_on(element, *keys):
    "JavaScript, to be timed: presses these keys in turn on what an expression finds."
    return f"""k => {{ const key = {json.dumps(keys)}[k % {len(keys)}];
        ({element}).dispatchEvent(new KeyboardEvent("keydown", {{ key, code: key, bubbles: true, cancelable: true }})); }}"""


def of_ours(complaints):
    "What the console says of this package's widgets."
    return [text for text in complaints if re.search(r"sb-|anywidget|Player|blob:|skelbench|[Ww]idget", text)]
