"""What to cite: the paper, and the data that its authors published."""

from __future__ import annotations

_AUTHORS = "Andrew Ilyas and Sung Min Park and Logan Engstrom and Guillaume Leclerc and Aleksander Madry"

PAPER = f"""\
@inproceedings{{ilyas2022datamodels,
  title = {{Datamodels: Predicting Predictions from Training Data}},
  author = {{{_AUTHORS}}},
  booktitle = {{International Conference on Machine Learning (ICML)}},
  year = {{2022}},
  eprint = {{2202.00622}},
  archivePrefix = {{arXiv}}
}}
"""
DATA = f"""\
@misc{{ilyas2022datamodelsdata,
  title = {{Data from "Datamodels: Predicting Predictions from Training Data"}},
  author = {{{_AUTHORS}}},
  year = {{2022}},
  howpublished = {{\\url{{https://github.com/MadryLab/datamodels-data}}}},
  note = {{s3://madrylab-datamodels. The data's page asks to cite the paper, arXiv:2202.00622}}
}}
"""


def bibtex() -> str:
    """BibTeX of the paper and of its data."""
    return f"{PAPER}\n{DATA}"
