"""`subtrain cancel`: end the jobs that a study has in a queue."""

from __future__ import annotations

from subtrain.cli.shared.app import app, out
from subtrain.cli.shared.options import StudyPath


@app.command()
def cancel(study: StudyPath) -> None:
    """Cancel the study's Slurm jobs, whoever submitted them. Committed models stay; collect again to continue."""
    from subtrain.collection.engines.slurm.engine import cancel as end
    from subtrain.study import Study

    arrays = end(Study.open(study))
    out.print(f"Canceled {arrays} Slurm array{'s' * (arrays != 1)}" if arrays else "No Slurm jobs are left")
