"""Looks at the machine: screens, memory, disk, clocks. Writes a scratch file into the data folder and removes it."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from app.control.decoded import MACHINE_SHARE, machine_bytes
from app.doctor import HealthLine, fault, in_a_process, ok, warning
from app.settings_store import JsonSettings
from app.state.calibration import Monitor, problems_of
from reader_study.clock import SystemClock, from_utc_text
from resources.translation import translate

FREE_WARN, FREE_FAULT = 10e9, 1e9  # bytes
MEMORY_WARN = 8e9
WRITE_WARN_MB_S = 50.0
SYNC_WARN_MS = 50.0  # a locked answer waits for one of these
DRIFT_WARN_S = 0.05
_TRIAL_BYTES = 32 * 2**20
_NETWORK = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "fuse.sshfs", "9p"})
_OLDEST_UTC = "2026-01-01"


def _tr(text: str) -> str:
    return translate("doctor", text)


def display() -> Iterator[HealthLine]:
    """Every monitor: pixels, bits, scaling, calibration."""
    title = _tr("Display")
    if sys.platform.startswith("linux") and not {"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ):
        remedy = _tr("Windows need a display; commands and `demo --no-display` work without.")
        yield warning(
            "display", title, _tr("no display (neither DISPLAY nor WAYLAND_DISPLAY is set)"), remedy
        )
        return
    from app.views import display_probe

    facts = in_a_process(display_probe.probe, seconds=30.0)
    if facts is None:
        remedy = _tr(
            "Install the system libraries that docs/installing.md lists, check DISPLAY, and try again."
        )
        yield fault("display", title, _tr("Qt could not open the display and ended"), remedy)
        return
    settings = JsonSettings().current
    for plain in facts["screens"]:
        monitor = Monitor(**plain)
        words = _tr("{0}: {1} × {2} pixels, {3} bit surface, scaling {4:g} (Qt {5}, {6})")
        text = words.format(
            monitor.title, monitor.width_px, monitor.height_px, monitor.surface_bits, monitor.ratio, facts["qt"],
            facts["platform"],
        )  # fmt: skip
        problems = problems_of(
            monitor, settings.record_of(monitor.key), SystemClock().utc_now()[:10], translate
        )
        if problems:
            remedy = _tr("{0}. Settings (Ctrl+,), Monitors and calibration.").format(
                "; ".join((problems[0][:1].upper() + problems[0][1:], *problems[1:]))
            )
            yield warning("display", title, text, remedy)
        else:
            yield ok("display", title, text)


def memory() -> Iterator[HealthLine]:
    """The machine's memory."""
    found = machine_bytes()
    title = _tr("Memory")
    if found is None:
        yield warning("memory", title, _tr("the system does not tell"), _tr("8 GB or more are recommended."))
    elif found / MACHINE_SHARE < MEMORY_WARN:
        yield warning(
            "memory",
            title,
            _gb(found / MACHINE_SHARE),
            _tr("8 GB or more are recommended; large exams may hang slowly."),
        )
    else:
        words = _tr("{0}, of which decoded exams may take {1}")
        yield ok("memory", title, words.format(_gb(found / MACHINE_SHARE), _gb(found)))


def disk(folder: Path) -> Iterator[HealthLine]:
    """Space, kind, speed and sync time of the disk under a folder."""
    title = _tr("Disk")
    free = shutil.disk_usage(folder).free
    kind = _file_system(folder)
    try:
        speed, sync_ms = _write_trial(folder)
    except OSError as error:
        words = _tr("{0} cannot be written ({1})")
        yield fault(
            "disk",
            title,
            words.format(folder, error.strerror),
            _tr("Free the disk or give rights to the folder."),
        )
        return
    words = _tr("{0} free, {1:.0f} MB/s, {2:.2g} ms a sync ({3}, {4})")
    text = words.format(_gb(free), speed, sync_ms, kind or "?", folder)
    remedies = []
    if free < FREE_WARN:
        remedies.append(_tr("Less than 10 GB are free: make room, or move the data with NEGATOSCOPE_HOME."))
    if kind in _NETWORK:
        remedies.append(
            _tr("The data lies on a network share: keep SQLite studies on a local disk, or use PostgreSQL.")
        )
    if kind == "tmpfs":
        remedies.append(
            _tr("The data lies in memory and is lost at the next start: set NEGATOSCOPE_HOME to a disk.")
        )
    if speed < WRITE_WARN_MB_S or sync_ms > SYNC_WARN_MS:
        remedies.append(
            _tr("The disk is slow: readers wait for every locked answer; use a solid-state disk.")
        )
    if free < FREE_FAULT:
        yield fault("disk", title, text, " ".join(remedies))
    elif remedies:
        yield warning("disk", title, text, " ".join(remedies))
    else:
        yield ok("disk", title, text)


def _write_trial(folder: Path) -> tuple[float, float]:
    """MB/s of one large synced write, and the median ms of small synced ones, as a locked answer needs."""
    file = folder / ".negatoscope-doctor.tmp"
    block = os.urandom(2**20)
    try:
        with file.open("wb", buffering=0) as out:
            start = time.perf_counter()
            for _ in range(_TRIAL_BYTES // len(block)):
                out.write(block)
            os.fsync(out.fileno())
            speed = _TRIAL_BYTES / 1e6 / (time.perf_counter() - start)
            times = []
            for _ in range(15):
                start = time.perf_counter()
                out.write(block[:4096])
                os.fsync(out.fileno())
                times.append(1e3 * (time.perf_counter() - start))
    finally:
        file.unlink(missing_ok=True)
    return speed, statistics.median(times)


def _file_system(folder: Path) -> str:
    """Kind of the file system under a folder by /proc/mounts; '' where that is not told."""
    try:
        lines = Path("/proc/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    place, best = folder.resolve(), ("", "")
    for line in lines:
        _, at, kind, *_rest = line.split(" ")
        at = at.replace("\\040", " ")
        if place.is_relative_to(at) and len(at) >= len(best[0]):
            best = (at, kind)
    return best[1]


def clocks() -> Iterator[HealthLine]:
    """Whether the calendar runs as fast as the steady clock, the time zone, and whether the network sets it."""
    title = _tr("Clocks")
    clock = SystemClock()
    utc, mono = clock.utc_now(), clock.monotonic_ns()
    time.sleep(0.5)
    later, end = clock.utc_now(), clock.monotonic_ns()
    drift = (from_utc_text(later) - from_utc_text(utc)).total_seconds() - (end - mono) / 1e9
    tick = time.get_clock_info("monotonic").resolution
    zone = time.strftime("%Z %z")
    synced = _network_time()
    told = {
        True: _tr("set by the network"),
        False: _tr("not set by the network"),
        None: _tr("network time unknown"),
    }
    text = f"{later}, {zone}; {told[synced]}; {1e3 * drift:+.1f} ms / 0.5 s; {1e9 * tick:.0f} ns"
    remedies = []
    if later < _OLDEST_UTC:
        remedies.append(_tr("The calendar is wrong: set date and time; washout periods depend on it."))
    if abs(drift) > DRIFT_WARN_S:
        remedies.append(_tr("The calendar moved against the steady clock: let one time service set it. Reading times are not affected."))  # fmt: skip
    if synced is False:
        remedies.append(_tr("Switch network time on (timedatectl set-ntp true), so that stations agree."))
    if remedies:
        yield warning("clocks", title, text, " ".join(remedies))
    else:
        yield ok("clocks", title, text)


def _network_time() -> bool | None:
    tool = shutil.which("timedatectl")
    if tool is None:
        return None
    try:
        done = subprocess.run(
            [tool, "show", "-p", "NTPSynchronized", "--value"],
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"yes": True, "no": False}.get(done.stdout.strip())


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB"
