"""Ray clusters: connecting to one, or starting one on this machine, and running pieces of work there."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from subtrain._version import __version__
from subtrain.errors import InputError, SubtrainError
from subtrain.system.machine import cores

# Tasks that wait for a place beside those that have one: enough to keep every place busy, never a whole study.
AHEAD = 2


class LostError(SubtrainError):
    """A task died with its process or node, more often than Ray may try it again."""


@dataclass(frozen=True)
class RayOptions:
    """address: HOST:PORT of a cluster's head, by default that of RAY_ADDRESS; without either a cluster of this machine
    is started, and ended afterwards. workers: tasks at a time at most. num_cpus, num_gpus: what a task takes, fractions
    too. max_retries: how often a task is tried again whose process or node died."""

    address: str | None = None
    workers: int | None = None
    num_cpus: float = 1.0
    num_gpus: float = 0.0
    max_retries: int = 3

    def __post_init__(self) -> None:
        for name, least in (("workers", 1), ("num_cpus", 0), ("num_gpus", 0), ("max_retries", 0)):
            value = getattr(self, name)
            if value is not None and not value >= least:
                raise InputError(f"{name} must be {least} or more, got {value}")
        if not self.num_cpus + self.num_gpus > 0:
            raise InputError("a task must take some of a CPU or of a GPU: num_cpus and num_gpus are both 0")
        if (self.address or "").startswith("ray://"):
            raise InputError("ray:// (Ray Client) is not supported: run this on a node of the cluster, with HOST:PORT")

    @property
    def location(self) -> str | None:
        """The address, None if a cluster is to be started here."""
        return self.address or os.environ.get("RAY_ADDRESS") or None

    def __str__(self) -> str:
        gpus = f" and {self.num_gpus:g} GPU" if self.num_gpus else ""
        return (
            f"Ray {f'at {self.location}' if self.location else 'on this machine'}, {self.num_cpus:g} CPU{gpus} a task"
        )


class RayCluster:
    """A cluster that this process is connected to; stays: also after the work."""

    def __init__(self, api: Any, options: RayOptions, stays: bool = False) -> None:
        self.api, self.options, self.stays = api, options, stays

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """The nodes that are alive, as Ray describes them."""
        return [node for node in self.api.nodes() if node["Alive"]]

    @property
    def slots(self) -> int:
        """How many tasks it has room for; 0 if no node has room for a single one."""
        wanted = (("CPU", self.options.num_cpus), ("GPU", self.options.num_gpus))
        room = sum(
            min(int(node["Resources"].get(kind, 0.0) / some + 1e-6) for kind, some in wanted if some)
            for node in self.nodes
        )
        return min(room, self.options.workers or room)

    def share(self, value: Any) -> Any:
        """A reference to the value, which travels to each node once."""
        return self.api.put(value)

    def submit(self, function: Callable[..., Any], *given: Any) -> Any:
        """A reference to function(*given), computed somewhere; references among `given` arrive as their values."""
        how = self.options
        remote = self.api.remote(_run).options(
            num_cpus=how.num_cpus, num_gpus=how.num_gpus, max_retries=how.max_retries, name=function.__name__
        )
        return remote.remote(__version__, function, *given)

    def finished(self, references: Sequence[Any], seconds: float) -> list[Any]:
        """Those that are over, after at most so many seconds."""
        done: list[Any] = self.api.wait(list(references), num_returns=len(references), timeout=0.0)[0]
        return done or self.api.wait(list(references), timeout=seconds)[0]

    def get(self, reference: Any) -> Any:
        """What the task returned; raises what it raised, and LostError when it was lost."""
        errors = self.api.exceptions
        try:
            return self.api.get(reference)
        except errors.RayTaskError as error:
            if isinstance(error.cause, SubtrainError):
                raise error.cause from None
            raise SubtrainError(f"a Ray task failed: {_last_line(error)}") from error
        except errors.RayError as error:
            raise LostError(f"its Ray task was lost: {type(error).__name__}: {_first_line(error)}") from error

    def cancel(self, references: Sequence[Any]) -> None:
        """End these tasks, running or not.

        Where the connection ends with the work, so do its tasks: a cancellation that meets the end of its task can
        abort this process (seen with Ray 2.60).
        """
        for reference in references if self.stays else ():
            self.api.cancel(reference)


class RayMapper:
    """A `Mapper` of pieces of a fit over a cluster."""

    def __init__(self, cluster: RayCluster) -> None:
        self.cluster, self.slots = cluster, max(cluster.slots, 1)

    def map(self, function: Callable[..., Any], items: Sequence[Any], shared: Sequence[Any] = ()) -> Iterator[Any]:
        """As `Mapper` says; only a few pieces a slot wait at a time."""
        held = [self.cluster.share(value) for value in shared] if items else []
        waiting = deque(items)
        under_way: deque[Any] = deque()
        try:
            while waiting or under_way:
                while waiting and len(under_way) < AHEAD * self.slots:
                    under_way.append(self.cluster.submit(function, waiting.popleft(), *held))
                found = self.cluster.get(under_way[0])
                under_way.popleft()
                yield found
        finally:
            self.cluster.cancel(list(under_way))


def _run(version: str, function: Callable[..., Any], *given: Any) -> Any:
    """A task: the function with one BLAS thread."""
    from threadpoolctl import threadpool_limits

    if version != __version__:
        raise InputError(f"a node of the Ray cluster has subtrain {__version__}, this machine {version}: install one")
    with threadpool_limits(1):
        return function(*given)


@contextmanager
def connected(options: RayOptions) -> Iterator[RayCluster]:
    """The cluster of these options, for as long as it is needed; one that this process is in already is left as is."""
    api = _api()
    if api.is_initialized():
        yield RayCluster(api, options, stays=True)
        return
    _connect(api, options)
    try:
        cluster = RayCluster(api, options)
        if not cluster.slots and not options.location:
            raise InputError(
                f"this machine has no room for a Ray task of {options.num_cpus:g} CPU and {options.num_gpus:g} GPU"
            )
        yield cluster
    finally:
        api.shutdown()


def _connect(api: Any, options: RayOptions) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        if options.location:
            _check_answers(options.location)
            api.init(address=options.location, **quiet)
            return
        # Nothing is reported to anybody from a cluster that was only started for this.
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        count = options.workers or cores()
        api.init(address="local", num_cpus=count * max(options.num_cpus, 1.0), include_dashboard=False, **quiet)
    except InputError:
        raise
    except Exception as error:
        if not options.location:
            raise InputError(f"no Ray cluster could be started on this machine: {_first_line(error)}") from error
        raise InputError(
            f"the Ray cluster at {options.location} cannot be joined: {_first_line(error)}; this must be one of its "
            "nodes, with its version of Ray and its token (RAY_AUTH_TOKEN_PATH)"
        ) from error


def _check_answers(address: str) -> None:
    """Ray itself would try an address for minutes at which there is nobody."""
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdigit():
        raise InputError(f"the address of a Ray cluster is HOST:PORT, for example 10.0.0.1:6379, got {address!r}")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=10).close()
    except OSError as error:
        raise InputError(f"no Ray cluster answers at {address}: {error.strerror or error}") from error


def _api() -> Any:
    # A warning of Ray's own that is of no use here.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    try:
        import ray as api
    except ImportError as error:
        raise InputError("the engine ray needs Ray: pip install 'subtrain[ray]'") from error
    return api


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _last_line(error: Exception) -> str:
    return next((line.strip() for line in reversed(str(error).splitlines()) if line.strip()), type(error).__name__)
