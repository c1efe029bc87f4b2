#!/usr/bin/env bash
# Cross-compiles lathe-probe for 64-bit Arm on Debian 12 (x86-64), after
# third_party/setup.sh: fetches what is missing, builds build-arm64/lathe-probe,
# puts the runtime's library beside it. Copy both to the board.
#
#   bash third_party/cross-arm64.sh
#
# LATHE_DOWNLOADS=DIR   where setup.sh keeps its downloads
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "cross-arm64: $*" >&2; }
fail() {
  echo "cross-arm64: error: $*" >&2
  exit 1
}

downloads=${LATHE_DOWNLOADS:-${XDG_CACHE_HOME:-$HOME/.cache}/lathe/downloads}
# As pinned in setup.sh: it holds the libraries of both architectures.
archive=onnxruntime-node-1.30.0.tgz
library=package/bin/napi-v6/linux/arm64/libonnxruntime.so.1
root=.deps/arm64

if ! command -v aarch64-linux-gnu-g++ >/dev/null; then
  say "installing g++-aarch64-linux-gnu"
  as_root=
  [ "$(id -u)" = 0 ] || as_root=sudo
  $as_root apt-get update -q >&2
  $as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -q --no-install-recommends g++-aarch64-linux-gnu >&2
fi

# Debian's arm64 packages, unpacked and not installed; apt checks their
# signatures. Its lists go to a folder of their own, so that this machine's
# architectures stay as they are.
if [ ! -f $root/stamp ]; then
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  chmod 755 "$work"
  mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/debs"
  apt=(apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache"
    -o Dir::State::status=/dev/null -o APT::Sandbox::User="$(id -un)")
  say "fetching libprotobuf-dev and libssl-dev for arm64"
  "${apt[@]}" update >&2
  (cd "$work/debs" && "${apt[@]}" download libprotobuf-dev libssl-dev >&2)
  rm -rf $root
  mkdir -p $root
  for package in "$work"/debs/*.deb; do dpkg-deb -x "$package" $root; done

  [ -f "$downloads/$archive" ] ||
    fail "$archive is not in $downloads; run third_party/setup.sh first"
  tar xzf "$downloads/$archive" -C "$work" "$library"
  mkdir -p $root/onnxruntime/lib
  cp "$work/$library" $root/onnxruntime/lib/
  ln -s libonnxruntime.so.1 $root/onnxruntime/lib/libonnxruntime.so
  touch $root/stamp
fi

cmake -G Ninja -S . -B build-arm64 -DCMAKE_BUILD_TYPE=Release \
  -DCMAKE_TOOLCHAIN_FILE="$PWD/third_party/toolchain-aarch64.cmake" \
  -DLATHE_PROBE_ONLY=ON \
  -DONNXRuntime_INCLUDE_DIR="$PWD/.deps/onnxruntime/include" \
  -DONNXRuntime_LIBRARY="$PWD/$root/onnxruntime/lib/libonnxruntime.so" >&2
cmake --build build-arm64 --target lathe-probe >&2
cp $root/onnxruntime/lib/libonnxruntime.so.1 build-arm64/
say "build-arm64/lathe-probe and build-arm64/libonnxruntime.so.1 are ready"
