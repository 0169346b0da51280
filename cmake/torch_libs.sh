#!/bin/sh
# Prints the folders with the libraries of an installed PyTorch 2.11 for CUDA 13, as LD_LIBRARY_PATH takes them: CAPRL_TORCH_LIB
# (PyTorch's lib folder), or that of the PyTorch that python3 imports; with it the CUDA libraries of its wheels and of the toolkit.
needed="PyTorch 2.11 for CUDA 13"
fail() {
  echo "caprl: $*" >&2
  exit 1
}

lib="${CAPRL_TORCH_LIB:-}"
if [ -z "$lib" ]; then
  lib="$(python3 -c 'import importlib.util as u; s = u.find_spec("torch"); print(s.submodule_search_locations[0] + "/lib" if s else "")' 2>/dev/null)"
  [ -n "$lib" ] || fail "found no PyTorch for python3; install $needed (pip install torch==2.11.0), or name its lib folder in CAPRL_TORCH_LIB"
fi
[ -e "$lib/libtorch_cuda.so" ] || fail "expected $needed, found no libtorch_cuda.so in $lib"

torch="${lib%/}"
torch="${torch%/lib}"
version=unknown
header="$torch/include/torch/headeronly/version.h"
if [ -r "$torch/version.py" ]; then
  version="$(sed -n "s/^__version__ = '\(.*\)'/\1/p" "$torch/version.py")"
elif [ -r "$header" ]; then
  version="$(sed -n 's/^#define TORCH_VERSION_\(MAJOR\|MINOR\|PATCH\) //p' "$header" | tr '\n' '.')"
fi
case "$version" in
  2.11.*+cu13* | 2.11.0 | 2.11.0.) ;;
  *) fail "expected $needed, found PyTorch $version in $lib" ;;
esac

found="$lib"
for folder in "$torch"/../nvidia/*/lib /usr/local/cuda/lib64; do
  [ -d "$folder" ] && found="$found:$folder"
done
echo "$found"
