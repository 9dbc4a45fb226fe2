#!/bin/sh
# UNTESTED: written on Linux and never run. Makes Negatoscope.app and a disk image on macOS 13 or newer.
#
#   python3.11 installer/launch.py run doctor && sh installer/macos/build_macos.sh
#
# Expects a Python that can be moved (python-build-standalone, as `uv python install 3.11` brings), not python.org's
# framework. Signs and notarises nothing: on another Mac it opens after "Open Anyway".
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
venv="${NEGATOSCOPE_VENV:-$root/.venv}"
version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/pyproject.toml")
base=$("$venv/bin/python" -c 'import sys; print(sys.base_prefix)')
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
app="$root/dist/Negatoscope.app"
case "$base" in */Python.framework/*) echo "expected a Python that can be moved, found a framework: $base" >&2; exit 2 ;; esac
rm -rf "$app"
mkdir -p "$app/Contents/MacOS" "$app/Contents/Resources"
cp -R "$base" "$app/Contents/Resources/runtime"
own="$app/Contents/Resources/runtime/lib/python3.11/site-packages"
mkdir -p "$own"
cp -R "$site/." "$own/"
rm -rf "$own"/__editable__* "$own"/negatoscope-*.dist-info "$own"/pytest* "$own"/mypy* "$own"/ruff* \
  "$own"/PySide6/Qt/qml "$own"/PySide6/*.app "$own"/torch/include "$own"/torch/test
find "$own" -type d -name tests -prune -exec rm -rf {} +
for room in app inference reader_study resources; do cp -R "$root/$room" "$own/"; done
printf 'Metadata-Version: 2.1\nName: negatoscope\nVersion: %s\n' "$version" > /tmp/METADATA
mkdir -p "$own/negatoscope-$version.dist-info" && mv /tmp/METADATA "$own/negatoscope-$version.dist-info/METADATA"
cat > "$app/Contents/MacOS/negatoscope" <<'LAUNCHER'
#!/bin/sh
here=$(cd "$(dirname "$0")/../Resources/runtime/bin" && pwd)
[ $# -gt 0 ] || set -- start
exec "$here/python3.11" -I -X utf8 -m app "$@"
LAUNCHER
chmod 755 "$app/Contents/MacOS/negatoscope"
cat > "$app/Contents/Info.plist" <<PLIST
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0"><dict>
<key>CFBundleName</key><string>Negatoscope</string>
<key>CFBundleIdentifier</key><string>org.negatoscope.workstation</string>
<key>CFBundleVersion</key><string>$version</string>
<key>CFBundleShortVersionString</key><string>$version</string>
<key>CFBundleExecutable</key><string>negatoscope</string>
<key>NSHighResolutionCapable</key><true/>
<key>LSMinimumSystemVersion</key><string>13.0</string>
</dict></plist>
PLIST
"$app/Contents/Resources/runtime/bin/python3.11" -I -m compileall -q --invalidation-mode unchecked-hash "$own" || true
"$app/Contents/MacOS/negatoscope" doctor
hdiutil create -volname Negatoscope -srcfolder "$app" -ov -format UDZO "$root/dist/Negatoscope-$version-macos.dmg"
