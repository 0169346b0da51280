// Low-rank adapters (LoRA, arXiv 2106.09685): which layers of a model have one, and the files that
// PEFT and vLLM read. Names and conventions are PEFT's.
#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "caprl/core/config.h"
#include "caprl/io/safetensors.h"

namespace caprl {

class Model;
struct ModelOptions;

/// A frozen linear layer's weight W [N, K] is used as W + scale · B A, with A [r, K], B [N, r].
struct LoraConfig {
  int64_t rank = 0;  // r; 0: no adapters
  double alpha = 16;
  bool use_rslora = false;
  double dropout = 0;
  std::vector<std::string> target_modules = {"all-linear"};
  std::vector<std::string> exclude_modules;
  std::vector<std::string> modules_to_save;  // trained whole

  bool enabled() const { return rank > 0; }
  /// alpha / r, or alpha / √r (rank-stabilised, arXiv 2312.03732).
  double scale() const;
  /// The keys lora_rank, lora_alpha, target_modules, …
  void fields(ConfigVisitor& v);
  void validate() const;  // InputError
};

inline constexpr const char* kAdapterConfig = "adapter_config.json";
inline constexpr const char* kAdapterWeights = "adapter_model.safetensors";

/// Whether a directory holds an adapter in place of a whole model.
bool is_adapter(const std::filesystem::path& dir);
/// The model directory that an adapter was trained on, as adapter_config.json names it. InputError
/// if that is no directory here.
std::filesystem::path base_of_adapter(const std::filesystem::path& dir);

/// What save_adapter() writes.
struct StoredAdapter {
  NamedTensors tensors;  // under PEFT's names; they alias the model's
  std::string config;    // adapter_config.json
};
/// All that is trained of a model with adapters: these, and the modules that are saved whole.
/// `base_dir`: the model directory that it was loaded from.
StoredAdapter stored_adapter(const Model& model, const std::filesystem::path& base_dir);
/// Writes DIR: adapter_config.json, adapter_model.safetensors, and copies of the base's other files
/// (configuration, tokenizer), so that programs that ask DIR for them find them.
void save_adapter(const StoredAdapter& adapter, const std::filesystem::path& base_dir,
                  const std::filesystem::path& dir);

/// Gives a model with adapters, loaded from `base_dir`, the values of an adapter directory.
/// InputError if that has another rank or scale, lacks a tensor, or has one that this model does
/// not train; the model is unchanged then.
void load_adapter(Model& model, const std::filesystem::path& base_dir,
                  const std::filesystem::path& dir);

/// The base model with an adapter directory's adapters merged into its weights: W + scale · B A,
/// summed in float (double for double) and rounded once. InputError for tensors that belong to no
/// layer, and for adapters that are no plain LoRA.
std::unique_ptr<Model> load_merged(const std::filesystem::path& base_dir,
                                   const std::filesystem::path& dir, const ModelOptions& options);

}  // namespace caprl
