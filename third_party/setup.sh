#!/usr/bin/env bash
# Sets up what Lathe builds with on Debian 12 and 13, and, on request, builds,
# tests or runs it. Idempotent: what is there is left alone.
#
#   bash third_party/setup.sh          install and fetch the dependencies
#   bash third_party/setup.sh build    … and build into build/
#   bash third_party/setup.sh test     … and run all tests
#   bash third_party/setup.sh demo     … and run `lathe demo`
#
# LATHE_ONNXRUNTIME=DIR   use the ONNX Runtime in DIR (include/ and lib/, as in
#                         the official archives) instead of fetching one
# LATHE_DOWNLOADS=DIR     where downloads are kept
#                         (default: ~/.cache/lathe/downloads)
set -euo pipefail
cd "$(dirname "$0")/.."

verb=${1:-setup}
case $verb in
  setup | build | test | demo) ;;
  *)
    echo "setup.sh: '$verb' is not one of setup, build, test, demo" >&2
    exit 2
    ;;
esac

say() { echo "setup: $*" >&2; }
fail() {
  echo "setup: error: $*" >&2
  exit 1
}

# --- Debian packages ---------------------------------------------------------

packages=(
  g++ cmake ninja-build ccache ca-certificates
  libtorch-dev libgloo-dev libopenblas0-openmp libopenblas-openmp-dev
  libonnx-dev libprotobuf-dev protobuf-compiler
  libcli11-dev nlohmann-json3-dev libtbb-dev libeigen3-dev doctest-dev
  libfmt-dev libssl-dev
  libarchive-dev zlib1g-dev
  libopencv-core-dev libopencv-imgproc-dev libopencv-imgcodecs-dev
  libonnx-testdata
)

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo "$@"
  else
    fail "needs root to run: $* (log in as root or install sudo)"
  fi
}

apt_updated=
apt_update() {
  [ -n "$apt_updated" ] && return
  as_root apt-get update -q >&2
  apt_updated=1
}

install_packages() {
  local missing=() name
  for name in "$@"; do
    dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null |
      grep -q '^installed$' || missing+=("$name")
  done
  [ ${#missing[@]} = 0 ] && return
  say "installing: ${missing[*]}"
  apt_update
  as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends "${missing[@]}" >&2
}

command -v apt-get >/dev/null || fail "this script is for Debian 12 and 13;" \
  "elsewhere install the packages that third_party/README.md lists"
. /etc/os-release
case ${VERSION_ID:-} in
  12 | 13) ;;
  *) say "tested on Debian 12 and 13, this is ${PRETTY_NAME:-unknown}" ;;
esac

# --- ONNX Runtime ------------------------------------------------------------
# Debian 13 packages it. On Debian 12: the headers of Debian 13's package
# (1.21.0, unpacked and not installed) and the shared library inside the npm
# package onnxruntime-node 1.30.0. Both are pinned by checksum.

headers_pool=pool/main/o/onnxruntime/libonnxruntime-dev_1.21.0+dfsg-1_amd64.deb
headers_sha256=14f7d959d5deacbcf1504830d4189f91fc67382b399ed9ae9d3aa9c4050ced08
library_package=onnxruntime-node@1.30.0
library_archive=onnxruntime-node-1.30.0.tgz
library_sha512=b7086cd42d82fc1164cf5c9ce4e634288536194aba0d444eee10f86f1e50d90cb79c0309c115d6f31537355733136f5503d96894b3987a9a03f1f8d318e7c8ab

downloads=${LATHE_DOWNLOADS:-${XDG_CACHE_HOME:-$HOME/.cache}/lathe/downloads}
runtime=.deps/onnxruntime
gone="set LATHE_ONNXRUNTIME to a folder with include/ and lib/ of ONNX Runtime \
1.21 or newer (an unpacked official archive) and run this again"

fetch_headers() { # to $1
  [ -f "$1" ] && echo "$headers_sha256  $1" | sha256sum -c --status && return
  local mirror
  mirror=$(apt-get indextargets --format '$(REPO_URI)' \
    'Created-By: Packages' 'Origin: Debian' 'Label: Debian' | sort -u | head -1)
  if [ -z "$mirror" ]; then
    apt_update
    mirror=$(apt-get indextargets --format '$(REPO_URI)' \
      'Created-By: Packages' 'Origin: Debian' 'Label: Debian' |
      sort -u | head -1)
  fi
  [ -n "$mirror" ] || fail "apt names no Debian mirror to fetch" \
    "$(basename "$headers_pool") from; $gone"
  say "fetching $(basename "$headers_pool")"
  /usr/lib/apt/apt-helper -o APT::Sandbox::User=root download-file \
    "${mirror%/}/$headers_pool" "$1" \
    "SHA256:$headers_sha256" >&2 ||
    fail "the mirror no longer has $(basename "$headers_pool"); $gone"
}

fetch_library() { # to $1
  [ -f "$1" ] && echo "$library_sha512  $1" | sha512sum -c --status && return
  command -v npm >/dev/null || install_packages npm
  say "fetching $library_package"
  (cd "$(dirname "$1")" && npm pack --loglevel=error "$library_package" >/dev/null) ||
    fail "npm could not fetch $library_package; $gone"
  echo "$library_sha512  $1" | sha512sum -c --status ||
    fail "$library_archive does not have the pinned checksum; $gone"
}

setup_runtime() {
  if [ -n "${LATHE_ONNXRUNTIME:-}" ]; then
    [ -d "$LATHE_ONNXRUNTIME/include" ] && [ -d "$LATHE_ONNXRUNTIME/lib" ] ||
      fail "LATHE_ONNXRUNTIME=$LATHE_ONNXRUNTIME has no include/ and lib/"
    mkdir -p .deps
    rm -rf "$runtime"
    ln -s "$(realpath "$LATHE_ONNXRUNTIME")" "$runtime"
    return
  fi
  if [ "${VERSION_ID:-}" = 13 ]; then
    install_packages libonnxruntime-dev
    return
  fi
  local stamp="$headers_sha256 $library_sha512" arch
  [ -f $runtime/stamp ] && [ "$(cat $runtime/stamp)" = "$stamp" ] && return
  case $(uname -m) in
    x86_64) arch=x64 ;;
    aarch64) arch=arm64 ;;
    *) fail "no pinned ONNX Runtime for $(uname -m); $gone" ;;
  esac
  mkdir -p "$downloads"
  fetch_headers "$downloads/$(basename $headers_pool)"
  fetch_library "$downloads/$library_archive"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  dpkg-deb -x "$downloads/$(basename $headers_pool)" "$work/headers"
  tar xzf "$downloads/$library_archive" -C "$work" \
    "package/bin/napi-v6/linux/$arch/libonnxruntime.so.1"
  rm -rf $runtime
  mkdir -p $runtime/lib
  cp -r "$work/headers/usr/include/onnxruntime" $runtime/include
  cp "$work/package/bin/napi-v6/linux/$arch/libonnxruntime.so.1" $runtime/lib/
  ln -s libonnxruntime.so.1 $runtime/lib/libonnxruntime.so
  echo "$stamp" >$runtime/stamp
  say "ONNX Runtime 1.30.0 is in $runtime"
}

# --- Build, test, demo -------------------------------------------------------

build() { # [--target NAME]
  cmake -G Ninja -S . -B build -DCMAKE_BUILD_TYPE=Release >&2
  cmake --build build "$@" >&2
}

install_packages "${packages[@]}"
setup_runtime
case $verb in
  build) build ;;
  test)
    build
    ctest --test-dir build --output-on-failure
    ;;
  demo)
    build --target lathe
    build/lathe demo -o lathe-demo
    ;;
esac
