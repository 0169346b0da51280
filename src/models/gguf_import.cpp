#include "caprl/models/gguf_import.h"

#include <ATen/ATen.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <set>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/io/gguf.h"
#include "caprl/io/safetensors.h"
#include "gguf_tokenizer.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

struct Family {
  std::string_view name;  // general.architecture
  const char* model_type;
  const char* architecture;
  bool has_head_norms;      // q_norm and k_norm
  bool needs_qkv_bias;      // else biases of the attention are all there or none
  bool interleaved_rotary;  // q and k rows are stored in pairs (2i, 2i + 1)
};

constexpr Family kFamilies[] = {
    {"llama", "llama", "LlamaForCausalLM", false, false, true},
    {"qwen2", "qwen2", "Qwen2ForCausalLM", false, true, false},
    {"qwen3", "qwen3", "Qwen3ForCausalLM", true, false, false},
};

/// What the weights have to agree with.
struct Shape {
  int64_t layers, hidden, intermediate, heads, kv_heads, head_dim, vocab;
  bool tied, attention_bias, mlp_bias;
};

class Importer {
 public:
  explicit Importer(const fs::path& gguf) : file_(gguf), family_(find_family()) {
    shape_ = read_shape();
    refuse_settings();
  }

  const GgufFile& file() const { return file_; }
  json config(const GgufTokenizer& tokenizer, at::ScalarType dtype) const;
  NamedTensors weights(at::ScalarType dtype);

 private:
  const Family& find_family() const;
  std::string key(std::string_view name) const { return fmt::format("{}.{}", family_.name, name); }
  int64_t size(std::string_view name) const;
  int64_t size_or(std::string_view name, int64_t otherwise) const {
    return file_.has(key(name)) ? size(name) : otherwise;
  }
  double positive_number(const std::string& key) const;
  Shape read_shape() const;
  void refuse_settings() const;
  void add(const std::string& stored, std::string name, const std::vector<int64_t>& shape,
           int64_t rotary_heads = 0);
  void add_linear(const std::string& stored, const std::string& name, int64_t out, int64_t in,
                  bool bias, int64_t rotary_heads = 0);
  void add_layer(int64_t layer);

  GgufFile file_;
  const Family& family_;
  Shape shape_;
  at::ScalarType dtype_ = at::kFloat;
  NamedTensors tensors_;
  std::set<std::string> used_;
};

const Family& Importer::find_family() const {
  const std::string_view name = file_.string("general.architecture");
  std::string known;
  for (const Family& family : kFamilies) {
    if (family.name == name) return family;
    known += (known.empty() ? "" : ", ") + std::string(family.name);
  }
  throw InputError("{}: general.architecture: expected one of {}, got \"{}\"",
                   file_.path().string(), known, name);
}

int64_t Importer::size(std::string_view name) const {
  constexpr int64_t kMax = 1 << 30;
  const int64_t value = file_.integer(key(name));
  if (value < 1 || value > kMax)
    throw InputError("{}: {}: expected 1 to {}, got {}", file_.path().string(), key(name), kMax,
                     value);
  return value;
}

/// The file has float32; the shortest decimal that means the same is what was there before it.
double Importer::positive_number(const std::string& key) const {
  const double value = file_.number(key);
  if (!(value > 0) || !std::isfinite(value))
    throw InputError("{}: {}: expected a positive number, got {}", file_.path().string(), key,
                     value);
  const auto single = static_cast<float>(value);
  return single == value ? std::stod(fmt::format("{}", single)) : value;
}

Shape Importer::read_shape() const {
  Shape shape;
  shape.layers = size("block_count");
  shape.hidden = size("embedding_length");
  shape.intermediate = size("feed_forward_length");
  shape.heads = size("attention.head_count");
  shape.kv_heads = size_or("attention.head_count_kv", shape.heads);
  if (shape.heads % shape.kv_heads != 0)
    throw InputError("{}: {}: expected a divisor of {} heads, got {}", file_.path().string(),
                     key("attention.head_count_kv"), shape.heads, shape.kv_heads);
  if (!file_.has(key("attention.key_length")) && shape.hidden % shape.heads != 0)
    throw InputError("{}: {}: expected a multiple of {} heads, got {}", file_.path().string(),
                     key("embedding_length"), shape.heads, shape.hidden);
  shape.head_dim = size_or("attention.key_length", shape.hidden / shape.heads);
  if (shape.head_dim % 2 != 0)
    throw InputError("{}: {}: expected an even head size, got {}", file_.path().string(),
                     key("attention.key_length"), shape.head_dim);
  shape.vocab = file_.entry("token_embd.weight").shape[0];
  shape.tied = !file_.contains("output.weight");
  shape.attention_bias = family_.needs_qkv_bias || file_.contains("blk.0.attn_q.bias");
  shape.mlp_bias = file_.contains("blk.0.ffn_gate.bias");
  return shape;
}

void Importer::refuse_settings() const {
  const std::string path = file_.path().string();
  const auto must_be_head_size = [&](std::string_view name) {
    const int64_t value = size_or(name, shape_.head_dim);
    if (value != shape_.head_dim)
      throw InputError("{}: {}: expected the head size {}, got {}", path, key(name),
                       shape_.head_dim, value);
  };
  must_be_head_size("rope.dimension_count");
  must_be_head_size("attention.value_length");
  if (const std::string scaling = key("rope.scaling.type");
      file_.has(scaling) && file_.string(scaling) != "none")
    throw InputError("{}: {}: expected \"none\", got \"{}\"; rope scaling is not supported", path,
                     scaling, file_.string(scaling));
  for (const char* name : {"attention.sliding_window", "expert_count"})
    if (file_.has(key(name)) && file_.integer(key(name)) != 0)
      throw InputError("{}: {}: expected 0, got {}; it is not supported", path, key(name),
                       file_.integer(key(name)));
}

json Importer::config(const GgufTokenizer& tokenizer, at::ScalarType dtype) const {
  if (tokenizer.num_tokens > shape_.vocab)
    throw InputError(
        "{}: tokenizer.ggml.tokens: expected at most {}, the rows of "
        "token_embd.weight, got {}",
        file_.path().string(), shape_.vocab, tokenizer.num_tokens);
  constexpr double kDefaultRopeBase = 10000.0;  // llama.cpp's
  const std::string rope_key = key("rope.freq_base");
  json config = {{"architectures", {family_.architecture}},
                 {"model_type", family_.model_type},
                 {"hidden_act", "silu"},
                 {"hidden_size", shape_.hidden},
                 {"intermediate_size", shape_.intermediate},
                 {"num_hidden_layers", shape_.layers},
                 {"num_attention_heads", shape_.heads},
                 {"num_key_value_heads", shape_.kv_heads},
                 {"head_dim", shape_.head_dim},
                 {"vocab_size", shape_.vocab},
                 {"max_position_embeddings", size("context_length")},
                 {"rms_norm_eps", positive_number(key("attention.layer_norm_rms_epsilon"))},
                 {"rope_theta", file_.has(rope_key) ? positive_number(rope_key) : kDefaultRopeBase},
                 {"tie_word_embeddings", shape_.tied},
                 {"torch_dtype", dtype == at::kFloat ? "float32" : "bfloat16"},
                 {"use_cache", true}};
  if (!family_.needs_qkv_bias) config["attention_bias"] = shape_.attention_bias;
  if (family_.name == "llama") config["mlp_bias"] = shape_.mlp_bias;
  if (tokenizer.bos) config["bos_token_id"] = *tokenizer.bos;
  if (tokenizer.eos) config["eos_token_id"] = *tokenizer.eos;
  if (tokenizer.padding) config["pad_token_id"] = *tokenizer.padding;
  return config;
}

/// llama.cpp rotates neighbours, transformers halves: rows (pair, 2) of each head become (2, pair).
at::Tensor to_half_split(const at::Tensor& values, int64_t heads) {
  const int64_t pairs = values.size(0) / heads / 2;
  return values.reshape({heads, pairs, 2, -1}).transpose(1, 2).reshape(values.sizes());
}

void Importer::add(const std::string& stored, std::string name, const std::vector<int64_t>& shape,
                   int64_t rotary_heads) {
  const GgufFile::Entry& entry = file_.entry(stored);
  if (entry.shape != shape)
    throw InputError("{}: tensor \"{}\": expected shape [{}], got [{}]", file_.path().string(),
                     stored, fmt::join(shape, ", "), fmt::join(entry.shape, ", "));
  at::Tensor values = file_.tensor(stored);
  if (rotary_heads > 0) values = to_half_split(values, rotary_heads);
  tensors_.emplace_back(std::move(name), values.to(dtype_));
  used_.insert(stored);
}

void Importer::add_linear(const std::string& stored, const std::string& name, int64_t out,
                          int64_t in, bool bias, int64_t rotary_heads) {
  add(stored + ".weight", name + ".weight", {out, in}, rotary_heads);
  if (bias) add(stored + ".bias", name + ".bias", {out}, rotary_heads);
}

void Importer::add_layer(int64_t layer) {
  const Shape& s = shape_;
  const std::string from = fmt::format("blk.{}.", layer),
                    to = fmt::format("model.layers.{}.", layer);
  const int64_t q_out = s.heads * s.head_dim, kv_out = s.kv_heads * s.head_dim;
  const bool permuted = family_.interleaved_rotary;
  add(from + "attn_norm.weight", to + "input_layernorm.weight", {s.hidden});
  add_linear(from + "attn_q", to + "self_attn.q_proj", q_out, s.hidden, s.attention_bias,
             permuted ? s.heads : 0);
  add_linear(from + "attn_k", to + "self_attn.k_proj", kv_out, s.hidden, s.attention_bias,
             permuted ? s.kv_heads : 0);
  add_linear(from + "attn_v", to + "self_attn.v_proj", kv_out, s.hidden, s.attention_bias);
  add_linear(from + "attn_output", to + "self_attn.o_proj", s.hidden, q_out,
             s.attention_bias && !family_.needs_qkv_bias);
  if (family_.has_head_norms) {
    add(from + "attn_q_norm.weight", to + "self_attn.q_norm.weight", {s.head_dim});
    add(from + "attn_k_norm.weight", to + "self_attn.k_norm.weight", {s.head_dim});
  }
  add(from + "ffn_norm.weight", to + "post_attention_layernorm.weight", {s.hidden});
  const bool mlp_bias = s.mlp_bias && family_.name == "llama";
  add_linear(from + "ffn_gate", to + "mlp.gate_proj", s.intermediate, s.hidden, mlp_bias);
  add_linear(from + "ffn_up", to + "mlp.up_proj", s.intermediate, s.hidden, mlp_bias);
  add_linear(from + "ffn_down", to + "mlp.down_proj", s.hidden, s.intermediate, mlp_bias);
}

NamedTensors Importer::weights(at::ScalarType dtype) {
  dtype_ = dtype;
  add("token_embd.weight", "model.embed_tokens.weight", {shape_.vocab, shape_.hidden});
  for (int64_t layer = 0; layer < shape_.layers; ++layer) add_layer(layer);
  add("output_norm.weight", "model.norm.weight", {shape_.hidden});
  if (!shape_.tied) add("output.weight", "lm_head.weight", {shape_.vocab, shape_.hidden});
  for (const GgufFile::Entry& entry : file_.tensors())
    if (!used_.contains(std::string(entry.name)))
      throw InputError("{}: tensor \"{}\" has no place in a {} of {} layers", file_.path().string(),
                       entry.name, family_.architecture, shape_.layers);
  return std::move(tensors_);
}

/// InputError for strings of the file that are no UTF-8.
std::string to_text(const json& value, const fs::path& gguf, std::string_view what) {
  try {
    return value.dump(2) + "\n";
  } catch (const json::type_error& error) {
    throw InputError("{}: {}: expected UTF-8, got a string that is none: {}", gguf.string(), what,
                     error.what());
  }
}

json generation_config(const json& config) {
  json generation = json::object();
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"})
    if (config.contains(key)) generation[key] = config[key];
  return generation;
}

}  // namespace

void import_gguf(const fs::path& gguf, const fs::path& dir, at::ScalarType dtype) {
  if (dtype != at::kFloat && dtype != at::kBFloat16)
    throw InputError("dtype: expected float32 or bfloat16, got {}", c10::toString(dtype));
  if (fs::exists(dir)) throw InputError("{} exists already", dir.string());
  Importer importer(gguf);
  const GgufTokenizer tokenizer = read_gguf_tokenizer(importer.file());
  const json config = importer.config(tokenizer, dtype);
  const std::pair<const char*, std::string> texts[] = {
      {"config.json", to_text(config, gguf, "metadata")},
      {"generation_config.json", to_text(generation_config(config), gguf, "metadata")},
      {"tokenizer.json", to_text(tokenizer.tokenizer, gguf, "tokenizer.ggml")},
      {"tokenizer_config.json", to_text(tokenizer.config, gguf, "tokenizer")}};
  const NamedTensors weights = importer.weights(dtype);

  // Beside the target, then renamed: a failure leaves nothing that looks like a model.
  const fs::path temporary = fmt::format("{}.tmp-{}", fs::absolute(dir).string(), getpid());
  fs::create_directories(temporary);
  try {
    write_sharded_safetensors(temporary, weights);
    for (const auto& [name, text] : texts) write_file_atomic(temporary / name, text);
    fs::rename(temporary, dir);
  } catch (...) {
    fs::remove_all(temporary);
    throw;
  }
}

}  // namespace caprl
