"""README.md from index.ipynb: prose as it is, code as code, outputs of cells marked `#| echo: false` as they are."""
import argparse
import json
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def readme(notebook: dict) -> str:
    "The text of README.md for this notebook."
    parts = ["<!-- made from index.ipynb by `make readme`: edit the notebook -->"]
    for cell in notebook["cells"]:
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        if source.startswith("#| hide"):
            continue
        if not source.startswith("#| echo: false"):
            code = "\n".join(line for line in source.splitlines() if not line.startswith("#|"))
            parts.append(f"```python\n{code.strip()}\n```")
            continue
        for output in cell["outputs"]:
            data = output.get("data", {})
            parts.append("".join(data.get("text/markdown", data.get("text/plain", ""))).strip())
    return "\n\n".join(part for part in parts if part) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="only say whether README.md is up to date")
    arguments = parser.parse_args()
    text = readme(json.loads((ROOT / "index.ipynb").read_text(encoding="utf-8")))
    target = ROOT / "README.md"
    if arguments.check:
        raise SystemExit(0 if target.read_text(encoding="utf-8") == text else "README.md is not index.ipynb's: run `make readme`")
    target.write_text(text, encoding="utf-8")
