"""What the pages do with thousands of models, done with few: the commands and snippets with smaller numbers."""

from __future__ import annotations

import re

SMALLER = [
    (r"(?<!guess\(study, )models=\d+\b(?!, heldout)", "models=240, heldout=20"),
    (r"models=\d+(?=, heldout=0)", "models=800"),
    (r"models=\d+, heldout=[1-9]\d*", "models=240, heldout=20"),
    (
        r"(?<!guess runs/digits )(?<!create runs/plan --task digits -p init=own )--models \d+",
        "--models 240 --heldout 20",
    ),
    (r"runs=\d+", "runs=2"),
    (r"--runs \d+", "--runs 2"),
    (r"--verify 10\b", "--verify 2"),
    (r"(--pairs |pairs=)\d+", r"\g<1>4"),
    (r"(--pilot |pilot=)\d+", r"\g<1>60"),
    (r"--targets 0-(99|59)", "--targets 0-9"),
    (r"targets=range\((100|60)\)", "targets=range(10)"),
    (r"--estimator shared-prior", "--estimator shared-prior -o sweeps=12"),
    (r"SharedPrior\(pairs=known\)", "SharedPrior(pairs=known, sweeps=12)"),
]


def smaller(text: str) -> str:
    """The same command or snippet with fewer models, runs and targets."""
    for pattern, replacement in SMALLER:
        text = re.sub(pattern, replacement, text)
    return text


NUMBER = re.compile(r"(?<![A-Za-z_])[-+−]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")


def skeleton(line: str) -> str:
    """A line's words: what is left when numbers, units of time and size, and the width of columns are not looked at."""
    line = NUMBER.sub("#", line)
    line = re.sub(r"# ?(µs|ms|s|min|h|B|kB|MB|GB)\b", "#", line)
    line = re.sub(r"(# ?)+", "# ", line)
    line = re.sub(r"\b(nan|True|False)\b", "#", line)
    return re.sub(r"[\s─━…]+", " ", line).strip()
