#!/usr/bin/env bash
# tools/demo --full at sizes of seconds: every stage works, and none that is finished runs again.
#   full_test.sh FOLDER OF BUILT PROGRAMS
set -euo pipefail
demo="$(dirname "${BASH_SOURCE[0]}")/../demo"
dir="$(mktemp -d)"
trap 'rm -rf "$dir"' EXIT
run() { "$demo" --full --quick --bin "$1" --dir "$dir" "${@:2}" 2> "$dir/said" || { cat "$dir/said"; return 1; }; }
expect() { # FILE PATTERN: the file has such a line
  grep -q -- "$2" "$1" || { echo "expected '$2' in $1:"; cat "$1"; exit 1; }
}

run "$1" > "$dir/table"
[[ "$(wc -l < "$dir/table")" == 4 ]] || { cat "$dir/table"; exit 1; }
expect "$dir/table" '^filtered > leaky questions '
# Whatever the writer wrote is read, but for the questions without an answer.
for flaw in none told wrong_key; do
  expect "$dir/full/qa/flaws_questions.json" "\"$flaw\":{\"written\":\([1-9][0-9]*\),\"kept\":\1}"
done
expect "$dir/full/qa/flaws_questions.json" '"no_answer":{"written":[1-9][0-9]*,"kept":0}'
# Both new captioners begin with the same weights, and learn from captions of the same images.
cmp "$dir/full/new_captioner_base/model.safetensors" "$dir/full/new_captioner_trained/model.safetensors"
for captions in base trained; do
  [[ "$(wc -l < "$dir/full/annotate_$captions/rows.jsonl")" == 16 ]]
done

rm "$dir/full/stages/eval_judge"
run "$1" > "$dir/again"
cmp "$dir/table" "$dir/again"
[[ "$(grep -c ': done before$' "$dir/said")" == 17 ]] || { cat "$dir/said"; exit 1; }
expect "$dir/said" '^demo: eval_judge: caprl eval'

if run "$1" --seed 2 > "$dir/refused"; then
  echo "expected another seed to be refused in the same folder"
  exit 1
fi
expect "$dir/refused" 'holds the stages of another run (seed 1, quick true)'
