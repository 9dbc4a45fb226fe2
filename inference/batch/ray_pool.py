"""Workers on a Ray cluster: the same units and products as on this machine, one actor a GPU or core.

Ray is imported here only, when asked for. It is told to send no usage statistics. A unit is never retried by Ray itself:
the run decides (``inference.batch.run``).
"""

from __future__ import annotations

import importlib.util
import logging
import os
import socket
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from inference.batch.passing import NotNow
from inference.batch.pool import Died, Event, Finished, answer_to, put_off_or_hopeless
from inference.batch.run_folder import BatchError
from inference.batch.units import Unit
from inference.batch.work import Analyst, EngineNotMade, Product, WorkSpec, broken
from resources import log_lines

_LOG = logging.getLogger(__name__)
LOCAL = "local"
_ANSWER_S = 10.0
_START_S = 600.0  # a cluster may have to start machines first
_STARTS = 4
_STORE_BYTES = 256 << 20  # of a local cluster; a product is a few MB


class RayWorker:
    """What lives on the cluster: an analyst and who it is."""

    def __init__(self, spec: WorkSpec, threads: int) -> None:
        log_lines.start_child("batch")
        os.environ["OMP_NUM_THREADS"] = str(threads)
        self._analyst = Analyst(spec)

    def who(self) -> str:
        """Name this worker: its machine and process."""
        return f"{socket.gethostname()}:{os.getpid()}"

    def analyse(self, unit: Unit) -> tuple[str, Product | str]:
        """Analyse one unit: ("product", it), or what ``answer_to`` says, or ("hopeless", why)."""
        try:
            return "product", self._analyst.analyse(unit)
        except EngineNotMade as error:
            return "hopeless", str(error)
        except NotNow as error:
            return answer_to(error)
        except Exception as error:  # noqa: BLE001 - one exam's trouble must not end an archive's run
            _LOG.exception("a unit of the batch failed")
            return "product", broken(unit, error)


@dataclass(slots=True)
class _Lane:
    actor: Any = None
    name: str = ""
    starting: Any = None  # reference to the answer of ``who``
    answer: Any = None
    unit: Unit | None = None


class RayPool:
    """A ``Pool`` on a Ray cluster.

    Parameters
    ----------
    address : "local" = a cluster of this machine for as long as the run lasts; else that of a running cluster
    workers : how many actors; None = one a GPU of the cluster where the device may be one, else one a core

    Raises
    ------
    BatchError
        Ray is not installed, or the cluster does not answer.
    """

    def __init__(self, spec: WorkSpec, address: str, *, workers: int | None = None, threads: int = 1) -> None:
        if importlib.util.find_spec("ray") is None:
            raise BatchError(
                "--ray: expected the package ray, found none; install it with: pip install 'negatoscope[cluster]'."
            )
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        self._ray: Any = ray
        self._connect(address, workers)
        resources = self._ray.cluster_resources()
        gpus = int(resources.get("GPU", 0)) if spec.engine.device != "cpu" else 0
        count = workers or max(1, gpus or int(resources.get("CPU", 1)))
        share = {"num_gpus": gpus / count if count > gpus else 1} if gpus else {"num_cpus": 1}
        device = None if spec.engine.device in {None, "auto", "cuda"} and gpus else "cpu"
        self._spec = replace(spec, engine=replace(spec.engine, device=device))
        self._threads = threads
        options = {**share, "max_restarts": 0, "max_task_retries": 0}
        self._maker = self._ray.remote(**options)(RayWorker)
        self._lanes = [_Lane() for _ in range(count)]
        self._unborn, self._since_s = 0, time.monotonic()

    @property
    def idle(self) -> int:
        self._tend()
        return sum(bool(lane.name) and lane.unit is None for lane in self._lanes)

    def give(self, unit: Unit) -> None:
        lane = next(lane for lane in self._lanes if lane.name and lane.unit is None)
        lane.unit, lane.answer = unit, lane.actor.analyse.remote(unit)

    def events(self, timeout_s: float) -> Sequence[Event]:
        busy = [lane for lane in self._lanes if lane.unit is not None]
        if not busy:
            time.sleep(timeout_s)
            return []
        answers = [lane.answer for lane in busy]
        ready, _ = self._ray.wait(answers, num_returns=len(answers), timeout=timeout_s)
        return [self._event(lane) for lane in busy if lane.answer in ready]

    def _tend(self) -> None:
        """Make lost actors anew and see which are up; the cluster may have no room for some of them any more.

        Raises
        ------
        BatchError
            Not one actor came up in time, or they fail to start.
        """
        for lane in self._lanes:
            if lane.actor is None:
                lane.actor = self._maker.remote(self._spec, self._threads)
                lane.name, lane.starting = "", lane.actor.who.remote()
            if not lane.name and self._ray.wait([lane.starting], timeout=0)[0]:
                try:
                    lane.name, self._unborn = str(self._ray.get(lane.starting)), 0
                except self._ray.exceptions.RayError as error:
                    lane.actor = None
                    self._unborn += 1
                    if self._unborn >= _STARTS:
                        raise BatchError(
                            f"--ray: expected workers that start, found {type(error).__name__} {_STARTS} times in a row; "
                            "every node needs this version of the program."
                        ) from error
        if any(lane.name for lane in self._lanes):
            self._since_s = time.monotonic()
        elif time.monotonic() - self._since_s > _START_S:
            raise BatchError(
                f"--ray: expected a free core or GPU within {_START_S:.0f} s, found none; look at: ray status."
            )

    def stop(self) -> None:
        """An actor cannot be asked in the middle of an exam: it is ended, and its exam is given up."""
        for lane in self._lanes:
            if lane.actor is not None and lane.unit is not None:
                self._ray.kill(lane.actor, no_restart=True)

    def close(self) -> None:
        for lane in self._lanes:
            if lane.actor is not None:
                self._ray.kill(lane.actor, no_restart=True)
        self._ray.shutdown()

    def _event(self, lane: _Lane) -> Event:
        unit, lane.unit = lane.unit, None
        assert unit is not None
        try:
            kind, content = self._ray.get(lane.answer)
        except self._ray.exceptions.RayError as error:  # the actor, its machine, or the way to it is gone
            lane.actor, lane.answer, lane.name = None, None, ""
            return Died(unit=unit, reason=f"the cluster lost it: {type(error).__name__}")
        if kind == "product":
            return Finished(product=content, worker=lane.name)
        return put_off_or_hopeless(kind, unit, content)

    def _connect(self, address: str, workers: int | None) -> None:
        quiet = {"log_to_driver": False, "logging_level": logging.WARNING, "configure_logging": False}
        try:
            if address == LOCAL:
                # its workers find the program where this process finds it
                env = {"env_vars": {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}}
                self._ray.init(
                    address="local", num_cpus=workers, object_store_memory=_STORE_BYTES, include_dashboard=False,
                    runtime_env=env, **quiet,
                )  # fmt: skip
            else:
                _must_answer(address)  # Ray itself ends the whole process where nobody answers
                self._ray.init(address=address, **quiet)
        except (ConnectionError, RuntimeError, ValueError, OSError) as error:
            said = (str(error).splitlines() or [type(error).__name__])[0]
            raise BatchError(
                f"--ray {address}: expected a Ray cluster that answers, found: {said}; "
                "start one with 'ray start --head', or use --ray local."
            ) from error


def _must_answer(address: str) -> None:
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if not port.isdigit():
        if address == "auto":
            return
        raise ValueError("an address without a port (expected HOST:PORT, auto or local)")
    socket.create_connection((host, int(port)), timeout=_ANSWER_S).close()
