#!/usr/bin/env bash
# tools/demo --full: the whole pipeline on the demonstration's world, stage by stage (docs/DEMO.md).
#   tools/demo --full [--seed N] [--dir RUN] [--quick] [--bin FOLDER]
# A stage that is finished is not run again; one that was stopped goes on where its command can.
# --quick: sizes that show that every stage works, in seconds; what they measure means nothing
# --bin:   programs that are built already, for tests
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

seed=1 dir=runs/demo quick=false bin=""
usage() {
  echo "usage: tools/demo --full [--seed N] [--dir RUN] [--quick] [--bin FOLDER OF BUILT PROGRAMS]" >&2
  exit 2
}
while (($#)); do
  case "$1" in
    --seed) [[ "${2:-}" =~ ^[0-9]+$ ]] || usage; seed="$2"; shift 2 ;;
    --dir) [[ -n "${2:-}" ]] || usage; dir="$2"; shift 2 ;;
    --bin) [[ -n "${2:-}" ]] || usage; bin="$2"; shift 2 ;;
    --quick) quick=true; shift ;;
    *) usage ;;
  esac
done
say() { echo "demo: $*" >&2; }

if [[ -z "$bin" ]]; then
  bin=build/cpu/bin
  { tools/setup && cmake --preset cpu >/dev/null && cmake --build --preset cpu --target caprl caprl-demo-world; } >&2
fi

full="$dir/full" world="$dir/world" models=tools/demo_world/models
mkdir -p "$full/stages" "$full/logs"
settings="seed $seed, quick $quick"
if [[ -e "$full/settings" && "$(cat "$full/settings")" != "$settings" ]]; then
  say "$full holds the stages of another run ($(cat "$full/settings")); remove it or choose another --dir"
  exit 2
fi
echo "$settings" > "$full/settings"

# stage NAME WHAT COMMAND…: runs it unless it is done; its output goes to a log, its wall time to stages/NAME.
stage() {
  local name="$1" what="$2" begin code
  shift 2
  if [[ -e "$full/stages/$name" ]]; then
    say "$name: done before"
    return
  fi
  say "$name: $what"
  begin=$(date +%s.%N)
  set +e
  (set -e; "$@") > "$full/logs/$name.log" 2>&1
  code=$?
  set -e
  if ((code)); then
    tail -n 5 "$full/logs/$name.log" >&2
    say "$name failed; see $full/logs/$name.log"
    exit "$code"
  fi
  echo "$(date +%s.%N) $begin" | awk '{printf "%.1f\n", $1 - $2}' > "$full/stages/$name.part"
  mv "$full/stages/$name.part" "$full/stages/$name"
}

# With --quick a few images and steps of everything.
small() { if $quick; then printf '%s\n' "$@"; fi; }
mapfile -t few_images < <(small --train 32 --heldout 4 --captions-per-image 1 --answerer-captions 1 --answerer-test 1)
mapfile -t few_rows < <(small --taught 32 --rows-per-image 2 --answerer-captions 8 --pool 16 --annotated 16)
mapfile -t few_sft_steps < <(small --set train.total_steps=2 --set data.train_batch_size=8 --set optimizer.lr_warmup_steps=1)
mapfile -t few_steps < <(small --set train.total_steps=2 --set data.train_batch_size=2 --set rollout.n=2 --set eval.freq=0)
# So few questions that all are to be kept, whatever the curator answers.
mapfile -t lenient < <(small --set filter.min_visual_accuracy=null --set filter.max_text_accuracy=null)

draw_world() {
  [[ -e "$world/truth.jsonl" ]] || "$bin/caprl-demo-world" make --out "$world" --seed 1 "${few_images[@]}"
  "$bin/caprl-demo-world" pipeline --out "$world" --seed 1 "${few_rows[@]}"
}

# teach NAME CONFIG MODEL ROWS: supervised training; the model lands in $full/NAME.
teach() {
  local name="$1" config="$2" model="$3" rows="$4"
  "$bin/caprl" sft --config "configs/$config.yaml" --set "run.dir=$full/${name}_sft" --set "run.seed=$seed" \
    --set "policy.model=$model" --set "data.train_files=[$rows]" "${few_sft_steps[@]}"
  rm -rf "${full:?}/$name"
  "$bin/caprl" export --checkpoint "$full/${name}_sft/checkpoints/latest" --out "$full/$name"
}

# The pool's questions twice: as the filter leaves them, and without its half that asks without the image.
curate() {
  local qa=("$bin/caprl" qa --config configs/qa_demo.yaml --set "run.dir=$full/qa" --set "run.seed=$seed"
    --set "data.files=[$world/pool.jsonl]" --set "filter.model=$full/curator")
  "${qa[@]}" --set filter.max_text_accuracy=null "${lenient[@]}"
  mv "$full/qa/questions.jsonl" "$full/qa/leaky.jsonl"
  "${qa[@]}" "${lenient[@]}"
  for kept in leaky questions; do
    "$bin/caprl-demo-world" curation --flaws "$world/pool_flaws.jsonl" --kept "$full/qa/$kept.jsonl" > "$full/qa/flaws_$kept.json"
  done
}

# reinforce NAME QUESTIONS [SETTING…]: GRPO from the base captioner.
reinforce() {
  local name="$1" questions="$2"
  shift 2
  "$bin/caprl" train --config configs/demo_grpo.yaml --set "run.dir=$full/$name" --set "run.seed=$seed" \
    --set "policy.model=$models/captioner" --set "reward.answerer.model=$full/answerer" \
    --set "data.train_files=[$questions]" --set "data.val_files=[$world/heldout.jsonl]" \
    --set reward.draw=with_replacement --set reward.qa_num=4 "${few_steps[@]}" "$@"
}

annotate() {
  local name="$1" captioner="$2"
  "$bin/caprl" caption --config configs/caption_demo.yaml --set "run.dir=$full/annotate_$name" --set "run.seed=$seed" \
    --set "data.files=[$world/annotate.jsonl]" --set "captioner.model=$captioner"
  "$bin/caprl" data convert "$full/annotate_$name/captions.jsonl" --captions --prompt ' describe the image .' \
    --out "$full/annotate_$name/rows.jsonl"
}

# A captioner with new weights, the same for both, learns from the annotations alone.
pretrain() {
  local name="$1"
  rm -rf "${full:?}/new_captioner_$name"
  "$bin/caprl" init --config "$models/captioner/config.json" --tokenizer "$models/captioner" --seed "$seed" \
    --out "$full/new_captioner_$name"
  teach "pretrained_$name" demo_pretrain_sft "$full/new_captioner_$name" "$full/annotate_$name/rows.jsonl"
}

evaluate() {
  local name="$1" captioner="$2"
  "$bin/caprl" eval --config configs/demo_eval.yaml --set "run.dir=$full/eval_$name" --set "run.seed=$seed" \
    --set "captioner.model=$captioner" --set "data.files=[$world/heldout_items.jsonl]" --set "answerer.model=$models/answerer"
}

judge=(--set reward.scale=0 --set reward.judge.weight=1 --set "reward.judge.model=$full/rater" --set reward.judge.dtype=float32
  --set reward.judge.mode=digit_logits --set "reward.judge.prompt=' describe the image . {caption} ?'")

stage world "drawing the world into $world" draw_world
stage curator "teaching the base captioner to answer questions" teach curator demo_curator_sft "$models/captioner" "$world/curator_sft.jsonl"
stage answerer "teaching the answerer that questions may tell" teach answerer demo_told_sft "$models/answerer" "$world/told_sft.jsonl"
stage rater "teaching the base captioner to judge captions" teach rater demo_rater_sft "$models/captioner" "$world/rater_sft.jsonl"
stage curate "caprl qa on the pool of questions" curate
stage questions "GRPO on the questions that the filter kept" reinforce questions "$full/qa/questions.jsonl"
stage leaky "GRPO on questions with the leaky ones" reinforce leaky "$full/qa/leaky.jsonl"
stage judge "GRPO on the judge's score" reinforce judge "$full/qa/questions.jsonl" "${judge[@]}"
trained="$full/questions/checkpoints/latest/model"
stage annotate_base "caprl caption with the base captioner" annotate base "$models/captioner"
stage annotate_trained "caprl caption with the trained one" annotate trained "$trained"
for captions in base trained; do
  stage "pretrain_$captions" "a new captioner from these captions" pretrain "$captions"
done
stage eval_base "caprl eval" evaluate base "$models/captioner"
for name in questions leaky judge; do
  stage "eval_$name" "caprl eval" evaluate "$name" "$full/$name/checkpoints/latest/model"
done
for captions in base trained; do
  stage "eval_pretrained_$captions" "caprl eval" evaluate "pretrained_$captions" "$full/pretrained_$captions"
done

say "questions of the pool by what is wrong with them: filtered $(cat "$full/qa/flaws_questions.json"), leaky $(cat "$full/qa/flaws_leaky.json")"
say "$(cat "$full"/stages/* | awk '{sum += $1} END {printf "%.0f", sum}') s for all stages; logs in $full/logs"
orderings=("$bin/caprl-demo-world" orderings --json "$full/orderings.json"
  --claim "question reward > judge reward" "$full/eval_questions" "$full/eval_judge"
  --claim "judge reward > SFT base" "$full/eval_judge" "$full/eval_base"
  --claim "filtered > leaky questions" "$full/eval_questions" "$full/eval_leaky"
  --claim "pretraining: trained captioner's captions > base one's" "$full/eval_pretrained_trained" "$full/eval_pretrained_base")
if $quick; then
  "${orderings[@]}" 2>/dev/null || say "sizes this small show nothing about the orderings"
else
  "${orderings[@]}"
fi
