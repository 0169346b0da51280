#include "caprl/models/join.h"

#include <ATen/ATen.h>

#include <array>

#include "caprl/core/error.h"
#include "caprl/io/json.h"
#include "random.h"
#include "sources.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// What belongs to a whole config and not to its decoder.
constexpr std::array kNotOfDecoder = {"architectures", "model_type", "transformers_version"};

constexpr std::array<std::pair<const char*, const char*>, 5> kVisionTokens = {
    {{"vision_start_token_id", "<|vision_start|>"},
     {"vision_end_token_id", "<|vision_end|>"},
     {"vision_token_id", "<|vision_pad|>"},
     {"image_token_id", "<|image_pad|>"},
     {"video_token_id", "<|video_pad|>"}}};

/// One of the two models, as its directory has it.
struct Part {
  fs::path dir;
  json config;
  Architecture architecture;
  WeightFiles weights;
  SourceNames names;

  explicit Part(const fs::path& dir)
      : dir(dir),
        config(read_json(dir / "config.json")),
        architecture(describe_architecture(config, (dir / "config.json").string())),
        weights(WeightFiles::open(dir)),
        names(find_sources(architecture, weights)) {}

  bool has(const ParameterSpec& spec) const {
    const auto found = names.find(spec.name);
    return found != names.end() && weights.shape(found->second) == spec.shape;
  }
};

json& decoder_section(json& config) {
  return config.contains("text_config") ? config["text_config"] : config;
}

int64_t head_dim(const json& text) {
  if (text.contains("head_dim") && text["head_dim"].is_number_integer()) return text["head_dim"];
  return text.at("hidden_size").get<int64_t>() / text.at("num_attention_heads").get<int64_t>();
}

/// The sections of `rope` with their shares of a head of another size.
json scaled_rope(json rope, int64_t head_dim, const fs::path& text_dir) {
  if (!rope.contains("mrope_section")) return rope;
  int64_t sum = 0;
  for (const json& section : rope["mrope_section"]) sum += section.get<int64_t>();
  for (json& section : rope["mrope_section"]) {
    const int64_t scaled = section.get<int64_t>() * (head_dim / 2);
    if (scaled % sum != 0)
      throw InputError("{}: heads of {} cannot be divided as those of {} are", text_dir.string(),
                       head_dim, 2 * sum);
    section = scaled / sum;
  }
  return rope;
}

void check_rope(const json& text, const fs::path& text_dir) {
  if (text.contains("rope_scaling") && !text["rope_scaling"].is_null())
    throw InputError("{}: rope_scaling: expected none, got {}", text_dir.string(),
                     text["rope_scaling"].dump());
}

json joined_config(const Part& vision, const Part& text,
                   const std::function<std::optional<int64_t>(const std::string&)>& token_id) {
  check_rope(text.config, text.dir);
  json config = vision.config;
  json& decoder = decoder_section(config);
  const std::string model_type = decoder.value("model_type", "");
  const char* rope_key = decoder.contains("rope_parameters") ? "rope_parameters" : "rope_scaling";
  json rope = decoder.value(rope_key, json());
  json own = text.config;
  for (const char* key : kNotOfDecoder) own.erase(key);
  decoder.update(own);
  decoder["model_type"] = model_type;
  if (rope.is_object()) {
    if (rope.contains("rope_theta"))
      rope["rope_theta"] = own.value("rope_theta", rope["rope_theta"]);
    decoder[rope_key] = scaled_rope(rope, head_dim(own), text.dir);
  }
  decoder["vocab_size"] = text.weights.shape(text.names.at(kEmbeddingName)).at(0);
  config["tie_word_embeddings"] =
      !text.names.contains(kHeadName) || own.value("tie_word_embeddings", false);
  for (const char* key : {"torch_dtype", "dtype"})
    if (own.contains(key)) config[key] = own[key];
  json& tower = config.at("vision_config");
  tower[tower.contains("out_hidden_size") ? "out_hidden_size" : "hidden_size"] =
      own.at("hidden_size");
  for (const auto& [key, token] : kVisionTokens) {
    if (!config.contains(key)) continue;
    const auto id = token_id(token);
    if (!id) throw InputError("{}: the vocabulary has no {}", text.dir.string(), token);
    config[key] = *id;
  }
  return config;
}

/// What the joined model's files call a parameter: as in `vision`, of whose decoder there may be
/// more or fewer layers.
std::string stored_name(const Part& vision, const std::string& name) {
  if (name == kHeadName) return name;
  if (const auto found = vision.names.find(name); found != vision.names.end()) return found->second;
  const std::string prefix = "model.";
  const std::string& embedding = vision.names.at(kEmbeddingName);
  const size_t tail = std::string(kEmbeddingName).size() - prefix.size();
  return embedding.substr(0, embedding.size() - tail) + name.substr(prefix.size());
}

void check_kinds(const Part& vision, const Part& text) {
  const std::string& family = vision.architecture.traits.architecture;
  if (!family.starts_with("Qwen") || !vision.architecture.traits.image_token_id)
    throw InputError("{}: expected Qwen2-VL, Qwen2.5-VL or Qwen3-VL, got {}", vision.dir.string(),
                     family);
  if (text.architecture.traits.image_token_id)
    throw InputError("{}: expected a text model, got {}", text.dir.string(),
                     text.architecture.traits.architecture);
}

}  // namespace

JoinedModel join_models(const fs::path& vision_dir, const fs::path& text_dir,
                        const std::function<std::optional<int64_t>(const std::string&)>& token_id,
                        uint64_t seed) {
  const Part vision(vision_dir), text(text_dir);
  check_kinds(vision, text);
  JoinedModel joined;
  joined.config = joined_config(vision, text, token_id);
  Architecture architecture = describe_architecture(joined.config, "the joined config");
  const at::ScalarType dtype = text.weights.dtype(text.names.at(kEmbeddingName));
  size_t num_of_text = 0;
  for (const ParameterSpec& spec : architecture.specs) {
    const ModelPart part = part_of(spec.name);
    const Part& source = part == ModelPart::kLanguage ? text : vision;
    at::Tensor values;
    if (source.has(spec)) {
      values = source.weights.tensor(source.names.at(spec.name));
      num_of_text += part == ModelPart::kLanguage;
    } else if (part == ModelPart::kMerger) {
      values = random_values(spec, architecture.initializer_range, seed);
      joined.fresh.push_back(spec.name);
    } else {
      throw InputError("{}: there is no tensor {} of shape [{}], which {} needs",
                       source.dir.string(), spec.name, fmt::join(spec.shape, ", "),
                       vision.architecture.traits.architecture);
    }
    joined.weights.emplace_back(stored_name(vision, spec.name), values.to(dtype));
  }
  const size_t tied_head = text.names.contains(kHeadName) && *architecture.tied ? 1 : 0;
  if (num_of_text + tied_head != text.names.size())
    throw InputError("{}: {} of its {} tensors have no place in a {}", text_dir.string(),
                     text.names.size() - num_of_text, text.names.size(),
                     vision.architecture.traits.architecture);
  return joined;
}

}  // namespace caprl
