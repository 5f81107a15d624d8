"""`subtrain cancel`: end the jobs that a study has in a queue."""

from __future__ import annotations

from subtrain.cli.shared.app import StudyPath, app, out


@app.command()
def cancel(study: StudyPath) -> None:
    """Cancel the study's Slurm jobs, whoever submitted them. What they committed is kept; collect again to go on."""
    from subtrain.collection.engines.slurm.executor import cancel as end
    from subtrain.study import Study

    arrays = end(Study.open(study))
    out.print(f"Cancelled {arrays} Slurm array{'s' * (arrays != 1)}" if arrays else "No Slurm jobs are left")
