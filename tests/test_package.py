"""What a stranger gets: a wheel that works alone, notebooks that run alone."""
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest
from run_notebooks import run

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = sorted((ROOT / "nbs").glob("[0-9][0-9]_*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("path", LIBRARY, ids=lambda p: p.stem)
def test_library_notebook_in_a_process_of_its_own(path, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")     # two notebooks run at once: with two threads each they wait for one another
    run(path, skip_slow=True, timeout=300)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_wheel_in_an_empty_environment(tmp_path):
    subprocess.run([sys.executable, "-m", "build", "-q", "--outdir", str(tmp_path / "dist"), str(ROOT)], check=True)
    wheels, sources = list((tmp_path / "dist").glob("*.whl")), list((tmp_path / "dist").glob("*.tar.gz"))
    assert len(wheels) == 1 and len(sources) == 1
    venv.create(tmp_path / "empty", with_pip=True)
    python = str(tmp_path / "empty" / "bin" / "python")
    environment = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    install = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-c", str(ROOT / "constraints.txt")]
    subprocess.run([*install, "torch"], check=True, cwd=tmp_path, env=environment)
    subprocess.run([*install, str(wheels[0])], check=True, cwd=tmp_path, env=environment)
    imported = subprocess.run([python, "-c", "import skelbench.swapclr, skelbench.cli; print(skelbench.__file__)"],
                              capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert str(tmp_path) in imported.stdout
    said = subprocess.run([str(tmp_path / "empty" / "bin" / "skelbench"), "--help"], capture_output=True, text=True, check=True, cwd=tmp_path, env=environment)
    assert "pretrain" in said.stdout
