// From a config.json to everything about a model but its weights. A new family is one file pair
// that describes it and one line in architecture.cpp.
#pragma once
#include <functional>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "caprl/models/model.h"
#include "config_reader.h"

namespace caprl {

struct Architecture {
  ModelTraits traits;
  std::vector<ParameterSpec> specs;  // the output head only where it is not tied
  /// nothing: the config is silent, the weight files decide. Set through set_tied.
  std::optional<bool> tied;
  double initializer_range = 0.02;
  /// What the tokenizer calls the image token; its files tell the id where the config does not.
  std::string image_token;
  /// Prefixes of names in weight files and what they are called in `specs`; the first that matches
  /// counts.
  std::vector<std::pair<std::string, std::string>> renamed_prefixes;
  /// Then, of what is left: the first of these that occurs is replaced, once.
  std::vector<std::pair<std::string, std::string>> renamed_parts;
  /// Name → does `parts` train it?
  bool (*trains)(TrainedParts parts, const std::string& name) = nullptr;
  std::function<std::unique_ptr<Model>(const ModelTraits&, Parameters)> build;

  /// The name in `specs` of what a weight file calls `name`.
  std::string canonical_name(std::string_view name) const;
  /// The reverse, where several names are canonical_name()'s the one that transformers has in
  /// memory (since 4.52, "model.language_model.…").
  std::string published_name(std::string_view canonical) const;
  void set_tied(bool value);
  /// Memory for all of them, and for adapters where the options ask for some. InputError if these
  /// do not fit.
  Parameters parameters(const ModelOptions& options) const;
  /// The vocabulary has as many ids as the embedding has rows, whatever the config says.
  void set_vocab_size(int64_t size);
};

/// Takes the id of an image token that the config does not tell from added_tokens.json or
/// tokenizer.json of the directory. InputError if none of them has it.
void find_image_token(Architecture& architecture, const std::filesystem::path& model_dir);

/// InputError "WHERE: …", for an unknown architecture with the known ones.
Architecture describe_architecture(const nlohmann::json& config, const std::string& where);

/// The union of eos_token_id of generation_config.json, where there is one, and of the config, in
/// this order.
void add_generation_eos_ids(ModelTraits& traits, const std::filesystem::path& model_dir);

}  // namespace caprl
