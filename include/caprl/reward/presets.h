// The published recipes as values of config keys. docs/REWARD.md tells how they differ and why.
#pragma once
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/core/config.h"

namespace caprl {

enum class Preset { kNone, kRelease, kPaper, kPlusPlus };

/// One key and what it is in each of the recipes, in YAML syntax.
struct PresetRow {
  std::string_view key, release, paper, plus_plus, source;
};

/// Keys of section `reward`.
std::span<const PresetRow> reward_presets();

/// The key `preset` of a config.
void preset_field(ConfigVisitor& v, Preset& preset);

/// What the rows say of a preset; nothing of kNone.
std::vector<PresetValue> preset_values(std::span<const PresetRow> rows, Preset preset);

/// A Markdown table of the rows.
std::string presets_to_markdown(std::span<const PresetRow> rows);

}  // namespace caprl
