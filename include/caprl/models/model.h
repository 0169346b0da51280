// A causal language model, with or without a vision tower, read from a Hugging Face directory.
#pragma once
#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/io/safetensors.h"
#include "caprl/models/attention.h"
#include "caprl/models/branched.h"
#include "caprl/models/lora.h"
#include "caprl/models/parameters.h"
#include "caprl/ops/recompute.h"

namespace caprl {

/// Which parts are trained.
enum class TrainedParts { kNone, kAll, kLanguage, kLanguageAndMerger, kMerger };

/// What a parameter belongs to: the vision tower, what leads from its features to the decoder, or
/// the decoder with embeddings and head.
enum class ModelPart { kVision, kMerger, kLanguage };
ModelPart part_of(std::string_view parameter);

struct ModelOptions {
  at::ScalarType dtype = at::kFloat;
  at::Device device = at::kCPU;
  TrainedParts train = TrainedParts::kNone;
  LayerSharding sharding = {};  // of a frozen model
  ops::Recompute recompute = ops::Recompute::kNone;
  LoraConfig lora = {};  // if enabled, adapters of these parts are trained in their place
  uint64_t seed = 0;     // of the adapters' first values
};

/// "float32", "bfloat16" or "float64"; otherwise an InputError that starts with `where`.
at::ScalarType parse_dtype(std::string_view name, std::string_view where);

/// What callers need to know of an architecture without knowing the architecture.
struct ModelTraits {
  std::string architecture;  // "Qwen2_5_VLForConditionalGeneration", "Qwen2ForCausalLM"
  int64_t vocab_size = 0, hidden_size = 0, num_layers = 0, num_heads = 0, num_kv_heads = 0,
          head_dim = 0;
  int64_t max_positions = 0;              // of a sequence (max_position_embeddings); 0: not said
  std::vector<int64_t> eos_ids;           // config.json and generation_config.json
  std::optional<int64_t> image_token_id;  // absent: a text-only model
  std::vector<int64_t> vision_token_ids;  // never sampled
  int64_t merge_size = 2;                 // patches per image token = merge_size²
};

/// What a config.json stands for, found without allocating anything.
struct ModelDescription {
  ModelTraits traits;
  std::vector<ParameterSpec> parameters;  // with lm_head.weight unless the config ties it
  std::vector<ParameterSpec> adapters;    // beside them
  std::vector<ParameterSpec> trained;     // of both
};
/// InputError "WHERE: …" naming the key that is missing, ill-typed, unsupported or contradicts
/// another; InputError if adapters do not fit.
ModelDescription describe_model(const nlohmann::json& config, const std::string& where,
                                TrainedParts parts = TrainedParts::kAll,
                                const LoraConfig& lora = {});

/// What a decoder starts from.
struct Embeddings {
  Embeddings(at::Tensor given) : tokens(std::move(given)) {}  // NOLINT: tokens without images

  at::Tensor tokens;        // [N, H], image features in the places of the image tokens
  at::Tensor image_places;  // [M] int64 into N; undefined without deep features
  /// [M, H] each: the k-th is added to the hidden states at image_places after decoder layer k.
  std::vector<at::Tensor> deep_features;
};

/// Weights are shared by everything that runs the model: rollout, training, scoring. const methods
/// may be called from several threads as long as nobody updates the weights.
class Model {
 public:
  virtual ~Model() = default;

  /// Reads config.json, checks every tensor's name and shape against it, loads. Names may be those
  /// of the hub or those that transformers uses in memory ("model.language_model.…"). The
  /// vocabulary size is that of the embedding tensor. A stored output head is passed over if the
  /// config ties it. InputError names the file and the tensor. A directory of an adapter stands for
  /// its base model with the adapter merged into the weights (load_merged).
  static std::unique_ptr<Model> load(const std::filesystem::path& dir, const ModelOptions& options);
  /// Random weights: normal(0, initializer_range) by counter-based numbers, norms one, biases zero.
  static std::unique_ptr<Model> random(const nlohmann::json& config, uint64_t seed,
                                       const ModelOptions& options);

  virtual const ModelTraits& traits() const = 0;
  virtual Parameters& parameters() = 0;
  virtual const Parameters& parameters() const = 0;

  /// Tokens and images of a batch. Error if image tokens and features do not match in number.
  virtual Embeddings embed(const BranchedBatch& batch) const = 0;
  /// Token embeddings alone: ids [N] → [N, H].
  virtual at::Tensor embed_tokens(const at::Tensor& ids) const = 0;
  /// Decoder and final norm: embeddings of N tokens, positions [3, N] → hidden states [N, H].
  virtual at::Tensor decode(const Embeddings& embeddings, const at::Tensor& positions,
                            Attention& attention) const = 0;
  /// The output head's weight [V, H]; with tied embeddings the embedding itself. Logits are hidden
  /// · weightᵀ.
  virtual const at::Tensor& head_weight() const = 0;
  /// Where that weight's gradient is summed (Parameters::gradient).
  at::Tensor head_gradient() const;

  /// How much of decoder layers and vision blocks is computed again in backward passes.
  virtual void set_recompute(ops::Recompute recompute) = 0;

  /// Of a model with sharded layers: takes part in the others' calls of decode() until every rank
  /// has called this. Each calls it as often, after any number of its own.
  void join_other_passes() const;

  /// Positions (t, h, w) of a prompt's tokens; `next` is the position of the first token after it.
  struct Positions {
    std::vector<std::array<int64_t, 3>> tokens;
    int64_t next = 0;
  };
  virtual Positions positions(const Prompt& prompt) const = 0;
};

/// Replaces each image's single pad in `ids` by as many as its patches give. InputError if pads and
/// images differ in number.
Prompt expand_images(std::vector<int64_t> ids,
                     std::vector<std::shared_ptr<const ImagePatches>> images,
                     const ModelTraits& traits);

/// The weights as save_model() writes them: names and dtypes of `source_dir`, adapters merged into
/// them. They alias the model's where the dtype is the same. Error if `source_dir` describes
/// another model.
NamedTensors stored_weights(const Model& model, const std::filesystem::path& source_dir);

/// Writes DIR as a Hugging Face model directory: weights under the names and in the dtypes of
/// `source_dir`, whose other files are copied verbatim (weights in other formats, hidden files and
/// subfolders are not). Error if `source_dir` describes another model; InputError if DIR already
/// holds weights.
void save_model(const Model& model, const std::filesystem::path& source_dir,
                const std::filesystem::path& dir);
/// The same of stored_weights().
void save_model(const NamedTensors& stored, const std::filesystem::path& source_dir,
                const std::filesystem::path& dir);

}  // namespace caprl
