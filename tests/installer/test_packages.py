"""The packages are made from a folder in miniature and then really used: dpkg reads the one, sh runs the other."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
needs_linux_tools = pytest.mark.skipif(
    not all(map(shutil.which, ("dpkg-deb", "xz", "readelf"))), reason="not run: no Debian tools here"
)


@pytest.fixture
def single(tiny_folder: Path, tmp_path: Path) -> Path:
    import package_single

    return package_single.make_single(tiny_folder, tmp_path, version="9.9", variant="cpu")


def start(file: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **more}
    return subprocess.run([str(file), *words], env=env, capture_output=True, text=True, check=False)


@needs_linux_tools
def test_the_single_file_unpacks_once_and_then_starts_from_there(single: Path, tmp_path: Path) -> None:
    place = str(tmp_path / "with space" / "unpacked")
    first = start(single, "demo", "--no-display", NEGATOSCOPE_UNPACK=place)
    assert first.stdout == "started with: demo --no-display\n"
    assert "unpacking once" in first.stderr
    second = start(single, NEGATOSCOPE_UNPACK=place)
    assert (second.stdout, second.stderr) == ("started with: start\n", "")
    assert len(list(Path(place).iterdir())) == 1
    (Path(place) / "study.sqlite").write_text("somebody's own")
    start(single, "--remove", NEGATOSCOPE_UNPACK=place)
    assert [path.name for path in Path(place).iterdir()] == ["study.sqlite"]
    (Path(place) / "study.sqlite").unlink()
    Path(place).rmdir()
    assert not Path(place).exists()


@needs_linux_tools
def test_a_damaged_single_file_says_so_and_leaves_nothing(single: Path, tmp_path: Path) -> None:
    data = bytearray(single.read_bytes())
    data[-20] ^= 0xFF
    single.write_bytes(data)
    place = tmp_path / "unpacked"
    done = start(single, "demo", NEGATOSCOPE_UNPACK=str(place))
    assert done.returncode == 2
    assert "damaged or cut off" in done.stderr
    assert list(place.iterdir()) == []


@needs_linux_tools
def test_a_full_disk_is_said_before_anything_is_unpacked(tiny_folder: Path, tmp_path: Path) -> None:
    import package_single

    head = package_single.header(version="9", variant="cpu", digest="0" * 64, need_kb=10**15)
    file = tmp_path / "full.run"
    file.write_bytes(head)
    file.chmod(0o755)
    done = start(file, NEGATOSCOPE_UNPACK=str(tmp_path / "unpacked"))
    assert done.returncode == 2
    assert "free the disk" in done.stderr


@needs_linux_tools
def test_the_single_files_archive_begins_where_its_head_says(single: Path) -> None:
    data = single.read_bytes()
    offset = int(data.split(b"tail -c +")[1].split()[0])
    assert data[offset - 1 : offset + 5] == b"\xfd7zXZ\x00"


@needs_linux_tools
def test_the_debian_package_has_what_a_desktop_needs_and_no_scripts(
    tiny_folder: Path, tmp_path: Path
) -> None:
    import package_deb

    deb = package_deb.make_deb(
        tiny_folder, tmp_path, version="9.9", variant="cpu", linux=ROOT / "installer" / "linux"
    )
    told = subprocess.run(["dpkg-deb", "--info", str(deb)], capture_output=True, text=True, check=True).stdout
    for line in ("Package: negatoscope", "Version: 9.9", "Depends: libc6 (>=", "Conflicts: negatoscope-cuda"):
        assert line in told
    assert not [name for name in ("postinst", "preinst", "prerm", "postrm") if name in told]
    listed = subprocess.run(
        ["dpkg-deb", "--contents", str(deb)], capture_output=True, text=True, check=True
    ).stdout
    for path in (
        "./opt/negatoscope/bin/negatoscope",
        "./usr/bin/negatoscope -> /opt/negatoscope/bin/negatoscope",
        "./usr/share/applications/negatoscope.desktop",
        "./usr/share/icons/hicolor/scalable/apps/negatoscope.svg",
        "./usr/share/man/man1/negatoscope.1.gz",
        "./usr/share/doc/negatoscope/copyright",
    ):
        assert path in listed
    assert "root/root" in listed


@needs_linux_tools
def test_a_package_depends_on_what_its_binaries_are_linked_to(tmp_path: Path) -> None:
    import frozen_libraries
    import package_deb

    (tmp_path / "bin").mkdir()
    shutil.copy("/usr/bin/xz", tmp_path / "bin" / "xz")  # linked to liblzma and libc
    if b"liblzma" not in Path("/usr/bin/xz").read_bytes():
        pytest.skip("not run: xz is built otherwise here")
    assert package_deb.depends(tmp_path) == ["liblzma5"]
    assert tuple(map(int, frozen_libraries.glibc_needed(tmp_path).split("."))) >= (2, 17)


def test_a_build_is_not_called_what_it_is_not(tmp_path: Path) -> None:
    import build_linux
    import frozen_folder
    import frozen_tools

    (tmp_path / "torch").mkdir()
    version = tmp_path / "torch" / "version.py"
    env = frozen_folder.Environment(
        python=tmp_path, base=tmp_path, version="3.11", site=tmp_path, shared=None
    )
    version.write_text("__version__ = '2.13.0+cpu'\ncuda: Optional[str] = None\n", encoding="utf-8")
    build_linux.check_variant(env, "cpu")
    with pytest.raises(frozen_tools.BuildError, match="cuda build for --variant cuda"):
        build_linux.check_variant(env, "cuda")
    version.write_text("cuda: Optional[str] = '13.0'\n", encoding="utf-8")
    build_linux.check_variant(env, "cuda")


def test_what_is_left_out_has_a_reason_and_what_is_needed_stays() -> None:
    import frozen_trim

    kept = (
        "torch/lib/libtorch_cpu.so", "torch/testing/_comparison.py", "numpy/testing/__init__.py", "numpy/f2py/__init__.py",
        "PySide6/QtWidgets.abi3.so", "PySide6/Qt/plugins/platforms/libqxcb.so", "scipy/stats/_stats.cpython-311.so",
        "torch/bin/torch_shm_manager", "cv2/config.py", "PySide6/Qt/translations/qtbase_zh_CN.qm",
    )  # fmt: skip
    gone = (
        "scipy/stats/tests/test_stats.py", "torch/include/ATen/ATen.h", "torch/test/test_jit", "PySide6/QtQml.abi3.so",
        "PySide6/Qt/qml/QtQuick/qmldir", "PySide6/designer", "PySide6/Qt/plugins/sqldrivers/libqsqlite.so",
        "torchvision/_C.so", "PySide6/QtCore.pyi", "huggingface_hub/__init__.py",
    )  # fmt: skip
    assert [name for name in kept if frozen_trim.is_left_out(name, cpu=True)] == []
    assert [name for name in gone if not frozen_trim.is_left_out(name, cpu=True)] == []
    assert frozen_trim.is_left_out("torchvision/_C.so", cpu=False) is None


def test_every_codec_that_the_program_calls_stays_in_the_build() -> None:
    import frozen_trim

    sources = [path for room in ("app", "inference") for path in (ROOT / room).rglob("*.py")]
    modules = frozen_trim.imagecodecs_modules(frozen_trim.imagecodecs_used(sources))
    assert modules >= {"_jpeg8", "_jpegls", "_jpeg2k", "_htj2k", "_png", "_deflate", "_imcd"}
    import imagecodecs

    folder = Path(str(imagecodecs.__file__)).parent
    there = {path.name.partition(".")[0] for path in folder.glob("_*.so")}
    assert modules - {"_dicomrle"} <= there


def test_the_trial_of_sockets_tells_loopback_from_the_network() -> None:
    import smoke_linux

    local = [
        "socket(AF_INET6, SOCK_STREAM|SOCK_CLOEXEC, IPPROTO_IP) = 3",
        'bind(3, {sa_family=AF_INET6, sin6_port=htons(0), inet_pton(AF_INET6, "::1", &sin6_addr)}, 28) = 0',
        'connect(3, {sa_family=AF_INET, sin_port=htons(5432), sin_addr=inet_addr("127.0.0.1")}, 16) = 0',
        'connect(3, {sa_family=AF_UNIX, sun_path="/tmp/.X11-unix/X0"}, 20) = 0',
    ]
    outward = (
        'connect(3, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("151.101.0.223")}, 16) = 0'
    )
    assert smoke_linux.beyond_this_machine([*local, outward]) == [outward]
