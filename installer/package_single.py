"""Packs the frozen folder as one executable file that needs no installation and no rights.

It is a shell archive, not an AppImage of type 2: it unpacks itself once into the user's cache folder, checks what it
unpacked by its digest, and from then on starts from there. It needs sh, tail, tar, xz and sha256sum, and no FUSE.
"""

from __future__ import annotations

import hashlib
import platform
from pathlib import Path

import frozen_tools

HEADER = r"""#!/bin/sh
# Negatoscope @VERSION@ (@VARIANT@), research use only. One file: unpacks itself once, then starts. No network.
#   --extract DIR   unpack into DIR and do not start       --remove   delete what was unpacked
set -eu
cache="${NEGATOSCOPE_UNPACK:-${XDG_CACHE_HOME:-$HOME/.cache}/negatoscope/unpacked}"
place="$cache/@VERSION@-@VARIANT@-@DIGEST@"
unpack() {
  for tool in tail tar xz sha256sum; do
    command -v "$tool" >/dev/null || { echo "Negatoscope: expected the tool $tool, found none; install it and start again." >&2; exit 2; }
  done
  free=$(df -Pk "$(dirname "$1")" | awk 'NR==2{print $4}')
  [ "$free" -ge @NEED_KB@ ] || { echo "Negatoscope: expected @NEED_KB@ kB free for unpacking into $1, found $free kB; free the disk or name another folder in NEGATOSCOPE_UNPACK." >&2; exit 2; }
  echo "Negatoscope: unpacking once into $1 ..." >&2
  [ "$(tail -c +@OFFSET@ "$0" | sha256sum | cut -c1-64)" = "@SHA256@" ] || { echo "Negatoscope: this file is damaged or cut off (its digest is not the one it was made with); copy it again." >&2; exit 2; }
  mkdir -p "$1"
  tail -c +@OFFSET@ "$0" | tar -x@FORM@ -C "$1" --no-same-owner
}
case "${1:-}" in
  --extract) mkdir -p "$(dirname "$2")"; unpack "$2"; exit 0 ;;
  --remove)  # only what this kind of file unpacked: the folder may be one that the user named
    for one in "$cache"/*; do
      if [ -x "$one/bin/negatoscope" ] && [ -e "$one/.complete" ]; then rm -rf "$one"; fi
    done
    rm -rf "$place".part.*
    rmdir "$cache" 2>/dev/null || true
    exit 0 ;;
esac
if [ ! -e "$place/.complete" ]; then
  mkdir -p "$cache"
  part="$place.part.$$"
  trap 'rm -rf "$part"' EXIT INT TERM
  unpack "$part"
  : > "$part/.complete"
  mv -T "$part" "$place" 2>/dev/null || [ -e "$place/.complete" ]
  rm -rf "$part"; trap - EXIT INT TERM
fi
[ $# -gt 0 ] || set -- start
exec "$place/bin/negatoscope" "$@"
"""


def header(*, version: str, variant: str, digest: str, need_kb: int, packed: bool = True) -> bytes:
    """Return the shell part; its own length is written into it as the place where the archive begins."""
    text = HEADER
    for name, value in (
        ("VERSION", version),
        ("VARIANT", variant),
        ("DIGEST", digest[:12]),
        ("SHA256", digest),
        ("NEED_KB", str(need_kb)),
        ("FORM", "J" if packed else ""),
    ):
        text = text.replace(f"@{name}@", value)
    offset = 0
    while True:  # the number's own digits count
        made = text.replace("@OFFSET@", str(offset)).encode()
        if len(made) + 1 == offset:
            return made
        offset = len(made) + 1


def make_single(folder: Path, out: Path, *, version: str, variant: str, fast: bool = False) -> Path:
    """Make the file; the archive is sorted and owned by nobody in particular, so that equal folders give equal files."""
    frozen_tools.say("single file")
    archive = out / f"single-{variant}.tar"
    tar = ("tar", "-C", str(folder), "--sort=name", "--owner=0", "--group=0", "--numeric-owner", "-cf")
    frozen_tools.run(*tar, archive, ".")
    if not fast:
        frozen_tools.run("xz", "-4", "-T1", archive)
        archive = archive.with_suffix(".tar.xz")
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    target = out / f"Negatoscope-{version}-{variant}-{platform.machine()}.run"
    need_kb = frozen_tools.size_of(folder) // 1024 + 50_000
    with target.open("wb") as file:
        file.write(header(version=version, variant=variant, digest=digest, need_kb=need_kb, packed=not fast))
        with archive.open("rb") as part:
            while chunk := part.read(1 << 22):
                file.write(chunk)
    target.chmod(0o755)
    archive.unlink()
    return target
