#!/usr/bin/env bash
# Takes caprl to a machine with a GPU and checks it there.
#   tools/gpu_check.sh bundle [OUT.tar.gz|.xz|.zst]      here: builds preset cuda and packs what such a machine needs
#   tools/gpu_check.sh dry-run [BUNDLE]                  here, without a GPU: does the bundle start everything that it brings?
#   ./gpu_check.sh run [--out DIR] [--quick] [--only PART…]
#                                                        there, in the unpacked bundle: tests, sanitizers, benchmarks; under ten
#                                                        minutes; DIR/gpu_results.json and gpu_results.md
# The bundle is the release, too: it needs PyTorch 2.11 for CUDA 13 and nothing else. CAPRL_JOBS: jobs of the build.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
limit_mib=64

say() { echo "gpu_check: $*" >&2; }
die() { say "$*"; exit 1; }
usage() { sed -n '2,8s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2; exit 2; }

in_bundle() { [[ -d "$here/lib/caprl" ]]; }

# The wheels of other projects that the loss head is measured beside.
fetch_peers() {
  local lock="$1/tools/deps/gpu_peers.txt" peers="$1/.deps/gpu-peers"
  cmp -s "$lock" "$peers/lock.txt" && return
  say "downloading $(grep -vc '^#' "$lock") wheels of peers"
  rm -rf "$peers"
  python3 -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes --only-binary=:all: --python-version 3.12 \
    --dest "$peers" -r "$lock"
  cp "$lock" "$peers/lock.txt"
}

# The licences of the libraries that travel along: the distribution's, and Arrow.
add_licences() {
  local library package
  for library in "$1"/lib/*.so*; do
    if [[ "$(basename "$library")" =~ ^lib(arrow|parquet)\. ]]; then
      install -D -m 644 -t "$1/share/caprl/licences/arrow" "$root"/.deps/wheels-arrow/pyarrow-*/licenses/*
      continue
    fi
    package="$(dpkg -S "*/$(basename "$library")" 2>/dev/null | head -n 1 | cut -d: -f1)" || true
    [[ -n "$package" && -r "/usr/share/doc/$package/copyright" ]] || die "found no licence of $(basename "$library")"
    install -D -m 644 "/usr/share/doc/$package/copyright" "$1/share/caprl/licences/$package"
  done
}

pack() {
  local folder="$1" name="$2" out="$3" compress
  case "$out" in
    *.tar.gz) compress=(gzip -9n) ;;
    *.tar.xz) compress=(xz -6 -T0) ;;  # a quarter smaller than gzip's
    *.tar.zst) compress=(zstd -q -19 -T0) ;;
    *) die "expected OUT.tar.gz, OUT.tar.xz or OUT.tar.zst, got $out" ;;
  esac
  mkdir -p "$(dirname "$out")"
  tar -C "$folder" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@${SOURCE_DATE_EPOCH:-0}" -cf - "$name" |
    "${compress[@]}" >"$out"
  local bytes
  bytes="$(stat -c %s "$out")"
  say "$out: $((bytes >> 20)) MiB"
  ((bytes <= limit_mib << 20)) || die "the bundle is larger than $limit_mib MiB; the largest parts: $(
    du -m -d 2 "$folder/$name" | sort -rn | head -n 8 | tr '\t\n' ' ;')"
}

bundle() {
  local root out="${1:-}" version folder name
  root="$(dirname "$here")"
  [[ -z "$out" || "$out" == /* ]] || out="$PWD/$out"
  cd "$root"
  tools/setup
  fetch_peers "$root"
  { cmake --preset cuda && cmake --build --preset cuda --target bundle-programs ${CAPRL_JOBS:+-j "$CAPRL_JOBS"}; } >&2
  version="$(sed -n 's/^CMAKE_PROJECT_VERSION:STATIC=//p' build/cuda/CMakeCache.txt)"
  name="caprl-$version-cuda" folder="$root/build/cuda/bundle"
  rm -rf "$folder"
  cmake --install build/cuda --strip --prefix "$folder/$name" >/dev/null
  add_licences "$folder/$name"
  pack "$folder" "$name" "${out:-$root/build/cuda/$name.tar.gz}"
}

run() {
  in_bundle || die "run is for an unpacked bundle: make one with tools/gpu_check.sh bundle"
  local paths
  paths="$("$here/lib/caprl/torch_libs.sh")"
  export LD_LIBRARY_PATH="$paths${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
  exec python3 "$here/share/caprl/gpu/check.py" --root "$here" "$@"
}

# Starts a launcher in a way that asks for no GPU.
start() {
  case "$(basename "$1")" in
    test_*) "$1" --gtest_list_tests | grep '^  ' ;;  # one at least
    caprl-bench-kernels) "$1" --list ;;
    *) "$1" --help ;;
  esac
}

# expect_refusal TEXT LIBRARY_FOLDER LAUNCHER: exit code 1 and one line with TEXT.
expect_refusal() {
  local said
  if said="$(CAPRL_TORCH_LIB="$2" "$3" --help 2>&1)"; then die "$3 started with PyTorch in $2"; fi
  [[ "$said" == caprl:*"$1"* && "$(wc -l <<<"$said")" == 1 ]] || die "expected one line with \"$1\", got: $said"
}

# strays_of LDD FOLDERS: of the libraries that ldd found, those that are in none of the folders (a:b:c) and that not every machine has.
strays_of() {
  local path folder everywhere='/(ld-linux|lib(c|m|dl|rt|util|pthread|resolv|stdc\+\+|gcc_s)\.so)'
  local -a folders
  IFS=: read -ra folders <<<"$2"
  while read -r path; do
    [[ "$path" =~ $everywhere ]] && continue
    for folder in "${folders[@]}"; do
      [[ -n "$folder" && "$(realpath "$(dirname "$path")")" == "$(realpath "$folder")" ]] && continue 2
    done
    echo "$path"
  done < <(sed -n 's|.* => \(/.*\) (0x.*|\1|p' <<<"$1")
}

dry_run() {
  local bundle="${1:-}" work root launcher program paths libraries missing strays
  if [[ -z "$bundle" ]] && ! in_bundle; then
    bundle="$(ls -t "$here"/../build/cuda/caprl-*-cuda.tar.* 2>/dev/null | head -n 1)"
    [[ -n "$bundle" ]] || die "there is no bundle yet: make one with tools/gpu_check.sh bundle"
  fi
  work="$(mktemp -d)"
  trap "rm -rf '$work'" EXIT
  root="$here"
  if [[ -n "$bundle" ]]; then
    mkdir "$work/a folder"
    tar -C "$work/a folder" -xf "$bundle"
    root="$(echo "$work/a folder"/caprl-*)"
  fi
  # PyTorch as tools/setup brings it, if python3 has none.
  local deps="$here/../.deps"
  if [[ -z "${CAPRL_TORCH_LIB:-}" && -d "$deps/wheels-cpu/torch/lib" ]]; then
    export CAPRL_TORCH_LIB="$deps/wheels-cpu/torch/lib"
    LD_LIBRARY_PATH="$(printf '%s:' "$deps"/wheels-cuda/nvidia/*/lib)${LD_LIBRARY_PATH:-}"
    export LD_LIBRARY_PATH
  fi
  paths="$("$root/lib/caprl/torch_libs.sh")"
  for launcher in "$root"/bin/*; do
    program="$root/lib/caprl/$(basename "$launcher")"
    if grep -q "$(dirname "$here")" <<<"$(readelf -d "$program" 2>/dev/null | grep -E 'R(UN)?PATH')"; then
      die "$(basename "$program") remembers the folders of the machine that built it"
    fi
    libraries="$(LD_LIBRARY_PATH="$paths:${LD_LIBRARY_PATH:-}" ldd "$program")"
    missing="$(grep 'not found' <<<"$libraries" || true)"
    [[ -z "$missing" ]] || die "$(basename "$program") lacks $missing"
    strays="$(strays_of "$libraries" "$root/lib:$paths:${LD_LIBRARY_PATH:-}")"
    [[ -z "$strays" ]] || die "$(basename "$program") uses libraries of this machine that the bundle does not bring: $strays"
    start "$launcher" >"$work/said" 2>&1 </dev/null || die "$(basename "$launcher") does not start: $(tail -n 3 "$work/said")"
    say "$(basename "$launcher") starts"
  done
  launcher="$root/bin/caprl"
  expect_refusal "no libtorch_cuda.so" "$work" "$launcher"
  mkdir -p "$work/other/lib" && touch "$work/other/lib/libtorch_cuda.so"
  echo "__version__ = '2.10.0+cu128'" >"$work/other/version.py"
  expect_refusal "found PyTorch 2.10.0+cu128" "$work/other/lib" "$launcher"
  export PYTHONDONTWRITEBYTECODE=1
  local scripts="$root/share/caprl/gpu" script
  for script in "$scripts"/*.py; do
    python3 -c 'import ast, sys; ast.parse(open(sys.argv[1]).read())' "$script" || die "$script does not parse"
  done
  python3 "$scripts/check.py" --help >/dev/null
  python3 "$scripts/peer_loss.py" --help >/dev/null
  [[ "$(ls "$root"/share/caprl/peers/*.whl | wc -l)" -gt 0 ]] || die "the bundle has no wheels of peers"
  python3 -m unittest discover --quiet --start-directory "$scripts" --pattern '*_test.py' || die "the tests of the results failed"
  say "dry run passed: $(ls "$root/bin" | wc -l) programs, $(ls "$root"/lib/*.so* | wc -l) libraries"
}

verb="${1:-}"
(($#)) && shift
case "$verb" in
  bundle) (($# <= 1)) || usage; bundle "$@" ;;
  run) run "$@" ;;
  dry-run) (($# <= 1)) || usage; dry_run "$@" ;;
  *) usage ;;
esac
