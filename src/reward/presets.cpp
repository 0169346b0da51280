#include "caprl/reward/presets.h"

#include <fmt/format.h>

namespace caprl {
namespace {

constexpr std::string_view kAbstain = "Can not answer based on the caption";

// "server": the released reward server; "launcher": the released training scripts; "paper":
// arXiv 2509.22647. What a recipe's source leaves open is as in the release.
constexpr PresetRow kRewardPresets[] = {
    {"reward.draw", "with_replacement", "with_replacement", "with_replacement",
     "paper §3.2; server: random.choice"},
    {"reward.qa_num", "8", "8", "8", "server: qa_num; the paper's ablation is flat from 4 on"},
    {"reward.shuffle_choices", "false", "true", "false",
     "paper: every query; launchers leave --shuffle_qa out"},
    {"reward.abstain_choice", "''", kAbstain, "''", "server: appended with --shuffle_qa only"},
    {"reward.abstain_label", "F", "F", "F", "server: F, whatever the number of choices"},
    {"reward.same_draws_in_group", "false", "false", "false", "server: draws for each caption"},
    {"reward.scale", "2", "1", "1", "image server: 2 · mean; paper and CapRL++ server: mean"},
    {"reward.length.weight", "0", "0", "0.2", "CapRL++ launcher: β"},
    {"reward.length.full_tokens", "2048", "2048", "2048", "CapRL++"},
    {"reward.length.zero_tokens", "3072", "3072", "3072", "CapRL++"},
    {"reward.format.weight", "0", "0", "0", "CapRL++: α = 0.2 for videos, which have times"},
    {"reward.normalize_terms", "false", "false", "false", "a plain weighted sum"},
    {"reward.answerer.mode", "sample", "sample", "sample", "server"},
    {"reward.answerer.temperature", "0.6", "0.6", "0.6", "server"},
    {"reward.answerer.top_p", "1", "1", "1", "server"},
    {"reward.answerer.max_new_tokens", "10", "10", "10", "server"},
    {"reward.answerer.assistant_prefix", "The answer is", "The answer is", "The answer is",
     "server: the answerer's turn begins so"},
};

std::string_view value_in(const PresetRow& row, Preset preset) {
  return preset == Preset::kRelease ? row.release
         : preset == Preset::kPaper ? row.paper
                                    : row.plus_plus;
}

}  // namespace

std::span<const PresetRow> reward_presets() { return kRewardPresets; }

void preset_field(ConfigVisitor& v, Preset& preset) {
  v.choice("preset", preset,
           {{"none", Preset::kNone},
            {"release", Preset::kRelease},
            {"paper", Preset::kPaper},
            {"capRL++", Preset::kPlusPlus}},
           "published recipe whose values stand where this file names no other (docs/REWARD.md)");
}

std::vector<PresetValue> preset_values(std::span<const PresetRow> rows, Preset preset) {
  std::vector<PresetValue> values;
  if (preset == Preset::kNone) return values;
  for (const PresetRow& row : rows)
    values.push_back({std::string(row.key), std::string(value_in(row, preset))});
  return values;
}

std::string presets_to_markdown(std::span<const PresetRow> rows) {
  std::string text = "| key | release | paper | capRL++ | source |\n|---|---|---|---|---|\n";
  for (const PresetRow& row : rows)
    text += fmt::format("| `{}` | `{}` | `{}` | `{}` | {} |\n", row.key, row.release, row.paper,
                        row.plus_plus, row.source);
  return text;
}

}  // namespace caprl
