"Fixtures that several test files share."
import os
from pathlib import Path

import pytest

NO_RECORDINGS = "no real recordings at ../shared/data, relative to the repository"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    "Where the real recordings lie; skips without them: they belong to their authors and are no part of the project."
    folder = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not (folder / "nw_ucla" / "all_sqe.zip").is_file():
        pytest.skip(NO_RECORDINGS)
    return folder


@pytest.fixture(scope="session")
def nw_ucla(shared_data, tmp_path_factory) -> Path:
    "Folder of a set imported once from the NW-UCLA release."
    from skelbench.datasets import import_set
    folder = tmp_path_factory.mktemp("sets") / "nw_ucla.skel"
    import_set("nw_ucla", shared_data / "nw_ucla" / "all_sqe.zip", folder, progress=False)
    return folder


@pytest.fixture(scope="session")
def synthetic():
    "A small synthetic set of 96 clips."
    from skelbench.synthetic import make_synthetic
    return make_synthetic(clips=96, seed=0)


@pytest.fixture(scope="session")
def data():
    "A smaller one of 48 clips, enough for an instrument."
    from skelbench.synthetic import make_synthetic
    return make_synthetic(clips=48, seed=0)


@pytest.fixture(scope="module")
def sides(synthetic):
    "Training and test part of the small synthetic set."
    return synthetic.split("xview")


@pytest.fixture(scope="module")
def run(sides):
    "A CRRL of one epoch, trained on the first of `sides`; files that need another run have their own."
    import torch

    from skelbench.crrl import CRRL
    from skelbench.training import fit
    torch.manual_seed(0)
    method = CRRL(sides[0].skeleton, preset="small", fusion="cml", people=2, width=6, queue=8)
    return fit(method, sides[0], method.recipe(epochs=1, batch_size=16, frames=8), device="cpu", progress=False, protocol="xview")


def pytest_sessionfinish(session):
    "Where SKELBENCH_NO_SKIP is set (.ci/run), a skipped test is a failed session: that machine has all that the tests need, but for recordings."
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    skipped = [report for report in reporter.stats.get("skipped", []) if NO_RECORDINGS not in str(report.longrepr)] if reporter else []
    if os.environ.get("SKELBENCH_NO_SKIP") and skipped:
        reporter.write_line(f"{len(skipped)} tests were skipped where none should be: " + ", ".join(report.nodeid for report in skipped[:5]), red=True)
        session.exitstatus = 1
