"A real browser, and motions to show it."
import os
import shutil

import pytest
import torch
from laboratory import ROOT, serve_lab

from skelbench.geometry import forward_kinematics
from skelbench.skeleton import NTU25

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
         "--disable-sync"]


def hand_made(kind="walk", skeleton=NTU25, frames=45, phase=0.):
    "(frames, V, 3): someone who walks or waves, joint angles that are sines of time."
    t = 2 * torch.pi * torch.arange(frames) / 30 + phase
    angles, lengths = torch.zeros(frames, len(skeleton), 3), torch.full((len(skeleton),), .24)

    def bend(joint, x=0., z=0.):
        angles[:, skeleton.index(joint)] += torch.stack([x + 0 * t, 0 * t, z + 0 * t], -1)

    if kind == "walk":
        for side, sign in (("left", 1), ("right", -1)):
            swing = sign * torch.sin(t)
            bend(f"{side}_knee", x=-.5 * swing), bend(f"{side}_ankle", x=.45 * (1 + sign * torch.cos(t)))
            bend(f"{side}_elbow", x=.45 * swing), bend(f"{side}_wrist", x=-.3 + .1 * swing)
    else:
        bend("right_elbow", z=-1.9), bend("right_wrist", z=-.7 + .5 * torch.sin(2 * t))
    lengths[[j for j, name in enumerate(skeleton.joints) if name.endswith(("hand", "tip", "thumb", "foot", "hip", "neck"))]] = .12
    lengths[[skeleton.index(f"{side}_{joint}") for side in ("left", "right") for joint in ("knee", "ankle")]] = .42
    root = torch.stack([0 * t, 1.4 + .02 * torch.cos(2 * t), .022 * torch.arange(frames) * (kind == "walk")], -1)
    return forward_kinematics(angles, lengths.expand(frames, -1), root, skeleton)


def launch(playwright):
    "A headless chromium: the system's where there is one."
    return playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)


@pytest.fixture(scope="session")
def browser():
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        sync_playwright = None
    if sync_playwright is None or not shutil.which("chromium"):
        why = "no chromium or no playwright here"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(why)
    with sync_playwright() as playwright:
        opened = launch(playwright)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def shots():
    "Where screenshots go, to be looked at; not kept in git."
    folder = ROOT / "screenshots"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.fixture
def watched(browser):
    "Opens a page -> page; everything it complains of is in `page.complaints`."
    pages = []

    def open_page(url=None, **options):
        page = browser.new_page(**{"viewport": {"width": 900, "height": 800}, **options})
        page.set_default_timeout(120_000)  # a machine that does other things as well
        page.complaints = []
        page.on("console", lambda m: page.complaints.append(m.text) if m.type in ("error", "warning") else None)
        page.on("pageerror", lambda e: page.complaints.append(str(e)))
        page.on("request", lambda r: page.complaints.append(f"loads {r.url}") if url and not r.url.startswith(("data:", url)) else None)
        pages.append(page)
        if url:
            page.goto(url)
        return page

    yield open_page
    for page in pages:
        page.close()


@pytest.fixture(scope="session")
def lab(tmp_path_factory):
    "JupyterLab on a folder of its own -> its address, the folder: write a notebook there and open {address}/lab/tree/{name}"
    folder, home = tmp_path_factory.mktemp("lab"), tmp_path_factory.mktemp("home")
    for address in serve_lab(folder, home):
        yield address, folder
