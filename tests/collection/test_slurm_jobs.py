"""What the Slurm engine makes of jobs that end, and of a Slurm that is silent; its commands are played by scripts.

tests/services/test_slurm.py does the rest with a real Slurm.
"""

from __future__ import annotations

import json
import os

import pytest

import worlds
from subtrain import Design, Study
from subtrain.collection.engines.slurm import engine, submitted_jobs
from subtrain.collection.engines.slurm.submitted_jobs import open_batches
from subtrain.errors import CollectError, InputError

SCRIPTS = {
    "sbatch": """
        echo "$2" >> "$FAKE/submitted"
        if [ -e "$FAKE/down-soon" ]; then mv "$FAKE/down-soon" "$FAKE/down"; fi
        wc -l < "$FAKE/submitted"
    """,
    # No job is known: each has ended at once. `down` holds how often it is not going to answer.
    "squeue": """
        left=$(cat "$FAKE/down" 2>/dev/null || echo 0)
        if [ "$left" -gt 0 ]; then echo $((left - 1)) > "$FAKE/down"; echo "Unable to contact" >&2; exit 1; fi
    """,
    "scancel": "",
}


@pytest.fixture
def fake(tmp_path, monkeypatch):
    """The folder of a Slurm whose jobs end at once and bring nothing."""
    folder = tmp_path / "fake"
    folder.mkdir()
    for name, text in SCRIPTS.items():
        (folder / name).write_text(f"#!/bin/bash\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("FAKE", str(folder))
    for name in ("SOON", "LATE", "GRACE"):
        monkeypatch.setattr(engine, name, 0.01)
    return folder


def submitted(fake) -> int:
    path = fake / "submitted"
    return len(path.read_text().splitlines()) if path.exists() else 0


def notes(study) -> list[str]:
    [path] = (study.path / "runners").iterdir()
    return json.loads(path.read_text())["notes"]


def test_attempts_are_counted_across_detached_collections(fake, unruly_study):
    study = unruly_study()
    options = {"engine": "slurm", "detach": True, "progress": False}
    for count in (1, 2, 3):
        assert study.collect(**options).done == 0
        assert submitted(fake) == count
    with pytest.raises(CollectError, match=r"16 of 16 models are missing .*Slurm job 3_0 ended without them; see"):
        study.collect(**options)
    assert submitted(fake) == 3
    assert open_batches(study) == []
    study.collect(**options)
    assert submitted(fake) == 4, "once it was said, collecting again tries again"


def test_jobs_that_brought_something_are_no_attempts(fake, unruly_study):
    from subtrain.collection import train_segment

    study = unruly_study()
    options = {"engine": "slurm", "detach": True, "progress": False, "per_job": 2}
    study.collect(**options)
    [batch] = open_batches(study)
    first, shared = batch.jobs[0]
    train_segment(study, study.segments[first])
    for _ in range(2):
        study.collect(**options)
    with pytest.raises(CollectError):
        study.collect(**options)
    start, stop = study.segments[first]
    assert study.models_done() == stop - start
    assert open_batches(study)[-1].jobs == ((shared,),), "it shared its first job with one that landed: a try is left"


def test_a_folder_for_the_logs_is_there_before_the_jobs(fake, unruly_study):
    study = unruly_study()
    study.collect(engine="slurm", detach=True, progress=False)
    [batch] = open_batches(study)
    assert batch.log(0).parent.is_dir()
    assert f"--output={batch.log(0).parent}/slurm-%A_%a.log" in (batch.folder / "script.sh").read_text()


def test_a_silent_squeue_is_said_and_waited_for(fake, unruly_study):
    study = unruly_study()
    (fake / "down-soon").write_text("4")
    with pytest.raises(CollectError, match="ended without them"):
        study.collect(engine="slurm", progress=False)
    said = [note for note in notes(study) if note.startswith("squeue")]
    assert said == [
        "squeue does not answer: waiting for it, and counting what is committed meanwhile",
        "squeue answers again",
    ]


def test_a_squeue_that_stays_silent_is_one_sentence_and_the_jobs_are_kept(fake, unruly_study, monkeypatch):
    study = unruly_study()
    monkeypatch.setattr(submitted_jobs, "MOST", 0.5)
    (fake / "down-soon").write_text("1000000")
    with pytest.raises(CollectError, match=r"squeue has not answered for .* minutes, and nothing was committed"):
        study.collect(engine="slurm", progress=False)
    assert len(open_batches(study)) == 1
    assert any(note.startswith("squeue does not answer") for note in notes(study))
    with pytest.raises(CollectError, match="squeue does not answer, so the jobs that are running already are unknown"):
        study.collect(engine="slurm", progress=False)


def test_commits_are_a_sign_of_life():
    quiet = submitted_jobs.Silence("here", [])
    quiet.last -= 2 * submitted_jobs.MOST
    quiet.heard(answered=False, landed=True)
    for _ in range(submitted_jobs.SAID_AFTER - 1):
        quiet.heard(answered=False, landed=False)
    quiet.last -= 2 * submitted_jobs.MOST
    with pytest.raises(CollectError, match="the jobs of here may go on"):
        quiet.heard(answered=False, landed=False)


def test_what_is_no_array_of_ours_is_not_asked_for(fake, unruly_study):
    study = unruly_study()
    study.collect(engine="slurm", detach=True, progress=False)
    for name in ("000001-abcdef,root", "x-y"):
        (study.path / "slurm" / name).mkdir()
        (study.path / "slurm" / name / "segments.txt").write_text("0\n")
    assert len(open_batches(study)) == 1


def test_a_study_in_a_bucket_cannot_go_to_slurm(fake):
    from obstore.store import MemoryStore

    from subtrain.store.bucket import Bucket

    study = Study.create(Bucket(MemoryStore(), "s3://memory/study"), worlds.linear(), Design(models=4, heldout=0))
    with pytest.raises(
        InputError, match=r"s3://memory/study lies in a bucket: there, collect with --engine local or ray"
    ):
        study.collect(engine="slurm", progress=False)


def test_models_of_a_segment_that_ran_out_of_time_are_progress(fake, unruly_study):
    from subtrain.collection import train_segment
    from subtrain.collection.workers import checkpoint

    study = unruly_study()
    first, *others = study.segments
    for where in others:
        train_segment(study, where)
    options = {"engine": "slurm", "detach": True, "progress": False}
    masks, seeds = study.design.masks([0]), study.design.seeds([0])
    outputs = {name: array[0] for name, array in study.task.train(masks.unpack(), seeds).items()}
    for row in range(*first):
        study.collect(**options)
        # One more model was saved before the job ended.
        checkpoint.save(study, first, [row], {row: outputs})
    for _ in range(3):
        study.collect(**options)
    assert submitted(fake) == 7, "four jobs, each with a model more, were no attempts"
    with pytest.raises(CollectError, match="are missing after repeated failures"):
        study.collect(**options)


@pytest.mark.parametrize(
    ("options", "jobs"),
    [
        ({"max_jobs": 2}, [3, 2]),
        ({"max_jobs": 2, "per_job": 1}, [1, 1]),
        ({"per_job": 3}, [3, 2]),
        ({"max_jobs": 1, "per_job": 3}, [3]),
        ({}, [1, 1, 1, 1, 1]),
    ],
)
def test_how_many_jobs_are_submitted_and_how_long_they_are(fake, unruly_study, options, jobs):
    study = unruly_study()
    study.collect(engine="slurm", detach=True, progress=False, **options)
    [batch] = open_batches(study)
    assert [len(job) for job in batch.jobs] == jobs
    if options == {"per_job": 3}:
        study.collect(engine="slurm", detach=True, progress=False, **options)
        assert [len(job) for job in open_batches(study)[-1].jobs] == jobs, "also of segments that are tried again"


@pytest.mark.parametrize(
    ("said", "way_out"),
    [
        ("Batch job submission failed: Invalid job array specification", r"MaxArraySize is 11\): say --max-jobs"),
        ("Batch job submission failed: Job violates accounting/QOS policy (job submit limit)", "--max-jobs bounds"),
        ("Batch job submission failed: Requested node configuration is not available", "available$"),
    ],
)
def test_an_array_that_is_refused_names_the_way_out(fake, unruly_study, said, way_out):
    (fake / "sbatch").write_text(f'#!/bin/bash\necho "sbatch: error: {said}" >&2; exit 1\n')
    (fake / "scontrol").write_text('#!/bin/bash\necho "MaxArraySize            = 11"\n')
    (fake / "scontrol").chmod(0o755)
    with pytest.raises(InputError, match=way_out):
        unruly_study().collect(engine="slurm", progress=False)


def test_the_job_around_us_does_not_shape_those_submitted(fake, unruly_study, monkeypatch):
    (fake / "sbatch").write_text('#!/bin/bash\nenv > "$FAKE/env"\necho 1\n')
    around = {"SLURM_CPUS_PER_TASK": "7", "SLURM_MEM_PER_NODE": "9", "SBATCH_ARRAY_INX": "0-3", "SLURM_CONF": "/c"}
    for name, value in (around | {"SBATCH_ACCOUNT": "mine"}).items():
        monkeypatch.setenv(name, value)
    unruly_study().collect(engine="slurm", detach=True, progress=False)
    lines = (fake / "env").read_text().splitlines()
    assert sorted(line for line in lines if line.startswith(("SLURM", "SBATCH"))) == [
        "SBATCH_ACCOUNT=mine",
        "SLURM_CONF=/c",
    ]
