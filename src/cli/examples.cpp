#include "cli/examples.h"

#include <fmt/format.h>

#include <string>
#include <string_view>

namespace caprl {
namespace {

struct Example {
  const char *command, *does, *line;
};
constexpr Example kExamples[] = {
    {"", "train, and train on where it was stopped", "caprl train --config configs/grpo_3b.yaml"},
    {"", "what a key means", "caprl config explain rollout.n"},
    {"train", "the released recipe on your data",
     "caprl train --config configs/grpo_3b.yaml --set 'data.train_files=[data/*.parquet]'"},
    {"train", "would it start, how long will it take, does it fit?",
     "caprl train --config configs/grpo_3b.yaml --dry-run"},
    {"train", "eight GPUs of this machine",
     "torchrun --no-python --nproc-per-node 8 caprl train --config configs/grpo_3b.yaml"},
    {"train", "continue from a checkpoint of your choice",
     "caprl train --config configs/grpo_3b.yaml --resume runs/grpo_3b/checkpoints/step_000050"},
    {"sft", "supervised training",
     "caprl sft --config configs/demo_captioner_sft.yaml --set run.dir=runs/captioner"},
    {"caption", "caption a folder of images with a trained model",
     "caprl caption --config configs/caption_3b.yaml --set 'data.images=[photos]' "
     "--set captioner.model=runs/grpo_3b/checkpoints/latest/model"},
    {"caption", "archives of images, on eight GPUs, into Parquet",
     "torchrun --no-python --nproc-per-node 8 caprl caption --config configs/caption_3b.yaml "
     "--set 'data.files=[shards/*.tar]' --set output.format=parquet"},
    {"qa", "questions about a folder of images, as rows to train on",
     "caprl qa --config configs/qa_caprl.yaml --set 'data.images=[photos]'"},
    {"eval", "Prism evaluation of a trained model",
     "caprl eval --config configs/eval_prism.yaml "
     "--set captioner.model=runs/grpo_3b/checkpoints/latest/model"},
    {"serve-reward", "answer questions for trainers on other machines",
     "caprl serve-reward --config configs/serve_reward_3b.yaml --set server.port=8000"},
    {"score", "log-probabilities of given responses",
     "caprl score --model models/Qwen2.5-3B-Instruct --input rows.jsonl > scores.jsonl"},
    {"score", "the model's own greedy responses",
     "caprl score --model models/Qwen2.5-3B-Instruct --input rows.jsonl --greedy 64"},
    {"report", "RUN/report.html, written anew while the run goes on",
     "caprl report runs/grpo_3b --follow"},
    {"report", "two runs beside each other",
     "caprl report runs/grpo_3b --compare runs/other --out both.html"},
    {"data", "what is in a file", "caprl data inspect data/train.parquet"},
    {"data inspect", "columns, row groups and one row",
     "caprl data inspect data/train.parquet --rows 1"},
    {"data convert", "rows and the images that they name as one file",
     "caprl data convert train.jsonl --out train.parquet --embed-images"},
    {"data convert", "LLaVA's conversations as rows for caprl sft",
     "caprl data convert llava.jsonl --llava --out sft.jsonl"},
    {"data convert", "captions as rows for caprl sft",
     "caprl data convert runs/captions/captions.jsonl --captions --out sft.jsonl"},
    {"data stats", "counts for a script", "caprl data stats 'data/*.parquet' --json"},
    {"data validate", "every row as training will read it",
     "caprl data validate 'data/*.parquet' --model models/Qwen2.5-VL-3B-Instruct"},
    {"checkpoint", "which there are", "caprl checkpoint list runs/grpo_3b"},
    {"checkpoint list", "steps, sizes and scores", "caprl checkpoint list runs/grpo_3b"},
    {"checkpoint verify", "read every byte", "caprl checkpoint verify runs/grpo_3b"},
    {"checkpoint prune", "keep the newest two and the best",
     "caprl checkpoint prune runs/grpo_3b --keep-last 2 --keep-best 1"},
    {"export", "the newest model as a Hugging Face directory",
     "caprl export --checkpoint runs/grpo_3b/checkpoints/latest --out models/captioner"},
    {"import", "a llama.cpp file", "caprl import --gguf model.gguf --out models/answerer"},
    {"init", "a model of random weights for benchmarks",
     "caprl init --preset qwen2_5_3b --out models/random --dtype bfloat16"},
    {"init", "a new captioner of a vision tower and a text model",
     "caprl init --vision models/Qwen2.5-VL-3B-Instruct --text models/Qwen2.5-3B-Instruct --out "
     "models/joined"},
    {"tokenize", "text to ids",
     "echo '\"A red cup.\"' | caprl tokenize --model models/Qwen2.5-3B-Instruct"},
    {"tokenize", "ids to text",
     "echo '[32, 2518]' | caprl tokenize --model models/Qwen2.5-3B-Instruct --decode"},
    {"config", "what a section's keys mean", "caprl config explain optimizer"},
    {"config docs", "the page of all keys", "caprl config docs > docs/CONFIG.md"},
    {"config show", "what a run would use",
     "caprl config show configs/grpo_3b.yaml --set preset=paper"},
    {"config explain", "one key", "caprl config explain rollout.n"},
    {"config explain", "a section of another command",
     "caprl config explain server --for serve-reward"},
    {"config diff", "in what a run differs from the recipe",
     "caprl config diff configs/grpo_3b.yaml runs/grpo_3b/config.yaml"},
    {"config schema", "for an editor: # yaml-language-server: $schema=caprl.json",
     "caprl config schema > caprl.json"},
    {"completion", "bash, in every new shell",
     "caprl completion bash > ~/.local/share/bash-completion/completions/caprl"},
    {"completion", "zsh, from a folder of $fpath", "caprl completion zsh > ~/.zfunc/_caprl"},
    {"completion", "fish", "caprl completion fish > ~/.config/fish/completions/caprl.fish"},
    {"doctor", "what works on this machine", "caprl doctor"},
    {"doctor", "and between all processes of a launch",
     "torchrun --no-python --nproc-per-node 8 caprl doctor --network"},
};

void add_examples_at(CLI::App& app, const std::string& path) {
  std::string footer;
  for (const Example& example : kExamples)
    if (path == example.command)
      footer += fmt::format("  # {}\n  {}\n", example.does, example.line);
  if (!footer.empty()) app.footer("Examples:\n" + footer);
  for (CLI::App* command : app.get_subcommands({})) {
    if (command->get_name().empty()) continue;  // a group of options
    add_examples_at(*command,
                    path.empty() ? command->get_name() : path + " " + command->get_name());
  }
}

}  // namespace

void add_examples(CLI::App& app) { add_examples_at(app, ""); }

}  // namespace caprl
