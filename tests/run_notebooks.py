"""Runs notebooks, each in a process of its own, and says how long each took.

    python tests/run_notebooks.py nbs/00_skeleton.ipynb nbs/companion/*.ipynb [--in-place] [--quick]
"""
import argparse
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError


def skipped(cell, marks) -> bool:
    "Whether a directive of the cell is one of these."
    return cell.cell_type == "code" and any(line.startswith(marks) for line in cell.source.splitlines())


def passing(output) -> bool:
    "Whether an output means nothing once the run is over: messages, and bars of progress."
    bar = "widget-view" in str(list(output.get("data", {}))) and "%|" in output["data"].get("text/plain", "")
    return bar or output.output_type == "stream" and output.name == "stderr"


def run(path: Path, in_place: bool = False, skip_slow: bool = False, timeout: int = 900) -> float:
    "Seconds that the notebook took; raises `CellExecutionError` or `CellTimeoutError` with the failing cell. Widget state is never saved."
    notebook = nbformat.read(path, as_version=4)
    marks = ("#| eval: false", "#| slow", "#| notest") if skip_slow else ("#| eval: false",)  # as nbdev_test leaves them out
    sources = {cell.id: cell.source for cell in notebook.cells}
    for cell in notebook.cells:
        if skipped(cell, marks):
            cell.source = ""
    started = time.perf_counter()
    NotebookClient(notebook, timeout=timeout, kernel_name="python3", resources={"metadata": {"path": str(path.resolve().parent)}}).execute()
    seconds = time.perf_counter() - started
    if in_place:
        for cell in notebook.cells:
            cell.source = sources[cell.id]
            cell.metadata.pop("execution", None)
            if cell.cell_type == "code":
                cell.execution_count = None
                cell.outputs = [o for o in cell.outputs if not passing(o)]
                for output in cell.outputs:
                    if "execution_count" in output:
                        output["execution_count"] = None
                    output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
        notebook.metadata.pop("widgets", None)
        notebook.metadata.pop("language_info", None)
        nbformat.write(notebook, path)
    return seconds


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="+", type=Path)
    parser.add_argument("--in-place", action="store_true", help="keep the outputs in the notebooks")
    parser.add_argument("--quick", action="store_true", help="set SKELBENCH_QUICK, at which companions train for seconds only")
    arguments = parser.parse_args()
    if arguments.quick:
        os.environ["SKELBENCH_QUICK"] = "1"
    failed = 0
    for path in arguments.notebooks:
        try:
            print(f"{path}: {run(path, in_place=arguments.in_place):.1f} s", flush=True)
        except (CellExecutionError, CellTimeoutError) as error:
            failed += 1
            print(f"{path}: FAILED\n{error}", file=sys.stderr, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
