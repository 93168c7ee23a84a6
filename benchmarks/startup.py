"""How long a stage takes before its work begins, as a multiple of `import torch`.

    python benchmarks/startup.py

Run in a project whose params.yaml is composed. A stage's start-up is a fresh interpreter that
imports what the stage imports and reads its parameters. Lightning alone takes three times `import
torch`; the stages that train import it when they begin to train: it is shown on a line of its own.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time

READ = "from medgraft.config import stage_params; stage_params({stage!r}, key={key!r})"
STAGES = {
    "compose": "import medgraft.stages.compose",
    "preprocess": "import medgraft.stages.preprocess; " + READ.format(stage="preprocess", key=""),
    "pretrain": "import medgraft.stages.pretrain, medgraft.training.pretrain; "
    + READ.format(stage="pretrain", key=""),
    "finetune": "import medgraft.stages.finetune, medgraft.training.finetune; "
    + READ.format(stage="finetune", key="scratch"),
    "evaluate": "import medgraft.stages.evaluate; " + READ.format(stage="evaluate", key=""),
    "track": "import medgraft.stages.track; " + READ.format(stage="track", key=""),
    "(Lightning, when training begins)": "import pytorch_lightning",
}


def seconds(code: str) -> float:
    """Wall time of a fresh interpreter running ``code``."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def main() -> None:
    """Print one line a stage: median ratio over five pairs, taken in turn."""
    seconds("import torch")
    for name, code in STAGES.items():
        seconds(code)
        pairs = [(seconds(code), seconds("import torch")) for _ in range(5)]
        ratio = statistics.median(ours / torch for ours, torch in pairs)
        own = statistics.median(ours for ours, _ in pairs)
        print(f"{name}: {ratio:.2f} x `import torch` ({own:.2f} s), goal <= 2")


if __name__ == "__main__":
    main()
