"""A worker process: reads segments as JSON lines, trains them, answers with JSON lines.

`python -m subtrain.collection.workers.worker STUDY` is what the local executor starts. It dies with its parent: when
its input closes, it stops at once.
"""

from __future__ import annotations

import json
import os
import queue
import resource
import signal
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from subtrain.collection.workers import task_message
from subtrain.collection.workers.train_segment import ModelsFailedError, ShortOfMemoryError, train_segment
from subtrain.errors import StorageError, SubtrainError
from subtrain.outputs import SchemaError
from subtrain.store import atomic_files
from subtrain.store.addresses import local_folder, open_store
from subtrain.store.folder import inside
from subtrain.studies.manifest import MANIFEST
from subtrain.studies.stored_study import LOGS, StoredStudy
from subtrain.system.machine import NoDeviceError, host, proc_bytes
from subtrain.trainers.kit.out_of_memory import release_memory

# Of 1000: how readily the system kills a worker.
SACRIFICE = 500


def main(path: str) -> None:
    """Serve until told to stop."""
    del sys.argv[1:]  # training code that reads its arguments has none
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    inbox = _follow_parent()
    _die_first()
    try:
        store = open_store(path)
        if not store.exists(MANIFEST):
            raise StorageError(f"{store.location()} is gone, or its {MANIFEST}: it was moved, deleted or unmounted")
        _log_output(inside(local_folder(store), LOGS))
        study = _open(path, inbox.get())
    except SubtrainError as error:
        _say(answers, event="fatal", error=str(error), exit_code=error.exit_code)
        return
    except Exception as error:
        _say(answers, event="fatal", error=f"the task could not be made: {type(error).__name__}: {error}")
        raise
    _say(answers, event="ready")
    while (message := inbox.get()) is not None:
        _serve(study, message, answers)


def _serve(study: StoredStudy, message: dict[str, Any], answers: TextIO) -> None:
    short = False
    try:
        won = train_segment(
            study,
            (message["start"], message["stop"]),
            report=lambda models: _say(answers, event="models", count=models, memory=peak_memory()),
            starting=lambda rows: _say(answers, event="starting", rows=rows),
            failing=lambda row, why: _say(answers, event="failing", row=row, why=why),
            careful=message["careful"],
            last_try=message["last_try"],
            skip=message["skip"],
            worn=message.get("worn"),
        )
        _say(answers, event="committed", won=won, held=held_memory())
    except ShortOfMemoryError as error:
        short = True
        _say(answers, event="short of memory", error=str(error))
    except ModelsFailedError as error:
        _say(answers, event="failed", models={str(row): why for row, why in error.failed.items()})
    except SchemaError as error:
        _say(answers, event="fatal", error=str(error))
    except NoDeviceError as error:
        _say(answers, event="fatal", error=str(error), no_device=True)
    except SubtrainError as error:
        _say(answers, event="fatal", error=str(error), exit_code=error.exit_code)
    if short:
        # The others on the device need it now, and the parent may take its time to end this process.
        release_memory()


def _open(path: str, hello: dict[str, Any]) -> StoredStudy:
    return task_message.open_study(path, hello, StoredStudy)


def _follow_parent() -> queue.Queue[Any]:
    """Messages from the parent; a closed pipe without a goodbye means the parent died, and so do we."""
    inbox: queue.Queue[Any] = queue.Queue()
    orders = _own_input()

    def follow() -> None:
        for line in orders:
            message = json.loads(line)
            inbox.put(message)
            if message is None:
                return
        end_process_group()

    threading.Thread(target=follow, daemon=True).start()
    return inbox


def end_process_group() -> None:
    """End this process at once, with the subprocesses of user code if they are in a group of its own."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def peak_memory() -> int:
    """Most bytes that this process has held at a time, and the largest of its finished subprocesses with it."""
    mine, largest = (resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    # Until it has become another program, a subprocess counts as large as this one.
    held = mine + largest if largest > mine else mine
    return held * (1 if sys.platform == "darwin" else 1024)


def held_memory() -> int:
    """Bytes that this process holds for itself now, without files that it only maps; 0 if the system does not say."""
    return proc_bytes("/proc/self/status", "RssAnon", "VmRSS") or 0


def _die_first() -> None:
    """A system that is short of memory ends a worker, and neither the process that replaces it nor others."""
    with suppress(OSError), open("/proc/self/oom_score_adj", "r+", encoding="utf-8") as file:
        if int(file.read()) < SACRIFICE:
            file.write(str(SACRIFICE))


def _own_input() -> TextIO:
    """The real standard input, for orders only; user code and its subprocesses find theirs empty."""
    orders = os.fdopen(os.dup(0), encoding="utf-8")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    return orders


def _log_output(folder: Path) -> None:
    """Standard output is for answers only: whatever user code prints goes to a log file from here on."""
    with atomic_files.storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        log = os.open(folder / log_name(os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)


def log_name(pid: int) -> str:
    """File name of this machine's worker `pid` below logs/."""
    return f"worker-{host()}-{pid}.log"


def _say(answers: TextIO, **message: Any) -> None:
    answers.write(json.dumps(message) + "\n")
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
