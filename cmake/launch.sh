#!/bin/sh
# Starts the program of the same name in lib/caprl with the libraries of the installed PyTorch.
self="$(readlink -f "$0")"
root="$(dirname "$(dirname "$self")")"
paths="$("$root/lib/caprl/torch_libs.sh")" || exit 1
export LD_LIBRARY_PATH="$paths${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
exec "$root/lib/caprl/$(basename "$self")" "$@"
