#include "caprl/models/gguf_import.h"

#include <cstring>

#include "caprl/core/files.h"
#include "caprl/io/gguf.h"
#include "caprl/io/weight_files.h"
#include "model_files.h"

namespace caprl::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;
using testing::StartsWith;

constexpr int64_t kHidden = 16, kIntermediate = 24, kVocab = 266, kLayers = 2;

/// The weights that tools/golden/make_gguf.py gives a tensor.
at::Tensor expected_values(const std::string& name, const std::vector<int64_t>& shape) {
  const auto length = static_cast<int64_t>(name.size());
  const at::Tensor index = at::arange(c10::multiply_integers(shape), at::kLong);
  return (((index * 7 + 13 * length) % 251 - 125).to(at::kFloat) / 64).reshape(shape);
}

using Shapes = std::map<std::string, std::vector<int64_t>>;

Shapes common_shapes(int64_t q, int64_t kv) {
  Shapes shapes = {{"model.embed_tokens.weight", {kVocab, kHidden}},
                   {"model.norm.weight", {kHidden}}};
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    const std::string at = fmt::format("model.layers.{}.", layer);
    shapes[at + "input_layernorm.weight"] = {kHidden};
    shapes[at + "self_attn.q_proj.weight"] = {q, kHidden};
    shapes[at + "self_attn.k_proj.weight"] = {kv, kHidden};
    shapes[at + "self_attn.v_proj.weight"] = {kv, kHidden};
    shapes[at + "self_attn.o_proj.weight"] = {kHidden, q};
    shapes[at + "post_attention_layernorm.weight"] = {kHidden};
    shapes[at + "mlp.gate_proj.weight"] = {kIntermediate, kHidden};
    shapes[at + "mlp.up_proj.weight"] = {kIntermediate, kHidden};
    shapes[at + "mlp.down_proj.weight"] = {kHidden, kIntermediate};
  }
  return shapes;
}

void expect_weights(const std::filesystem::path& dir, const Shapes& shapes, at::ScalarType dtype) {
  const WeightFiles files = WeightFiles::open(dir);
  std::vector<std::string> names;
  for (const auto& [name, shape] : shapes) {
    names.push_back(name);
    ASSERT_TRUE(files.contains(name)) << name;
    EXPECT_EQ(files.dtype(name), dtype) << name;
    EXPECT_TRUE(at::equal(files.tensor(name), expected_values(name, shape).to(dtype))) << name;
  }
  EXPECT_EQ(files.names(), names);
}

class GgufImportTest : public testing::Test {
 protected:
  std::filesystem::path import(const std::string& name, at::ScalarType dtype = at::kFloat) {
    import_gguf(model_dir(name), folder_ / "out", dtype);
    return folder_ / "out";
  }

  /// What is said against llama.gguf with `from`, of its header, replaced. Other lengths are made
  /// up for by the padding before the data.
  std::string refusal_of(const std::string& from, const std::string& to) {
    std::string bytes = read_file(model_dir("llama.gguf"));
    const size_t data = GgufFile(model_dir("llama.gguf")).tensors().front().begin;
    const size_t at = bytes.find(from);
    EXPECT_LT(at, data) << from;
    if (to.size() > from.size()) {
      const size_t more = to.size() - from.size();
      EXPECT_EQ(bytes.substr(data - more, more), std::string(more, '\0'));
      bytes.erase(data - more, more);
    } else {
      bytes.insert(data, from.size() - to.size(), '\0');
    }
    bytes.replace(at, from.size(), to);
    const auto path = folder_.write("bad.gguf", bytes);
    const std::string message =
        input_error([&] { import_gguf(path, folder_ / "out", at::kFloat); });
    EXPECT_THAT(message, StartsWith(path.string() + ": "));
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder_.path()), {}), 1)
        << "something was left behind";
    return message.substr(std::min(message.size(), path.string().size() + 2));
  }
  std::string refusal_of_number(const std::string& key, uint32_t from, uint32_t to) {
    constexpr uint32_t kU32 = 4;
    return refusal_of(key + raw(kU32) + raw(from), key + raw(kU32) + raw(to));
  }
  std::string refusal_of_text(const std::string& key, const std::string& from,
                              const std::string& to) {
    constexpr uint32_t kString = 8;
    return refusal_of(key + raw(kString) + text(from), key + raw(kString) + text(to));
  }

  template <class T>
  static std::string raw(T value) {
    std::string bytes(sizeof(T), '\0');
    std::memcpy(bytes.data(), &value, sizeof(T));
    return bytes;
  }
  static std::string text(const std::string& value) { return raw<uint64_t>(value.size()) + value; }

  TempFolder folder_;
};

TEST_F(GgufImportTest, LlamaRowsAreReorderedForHalfSplitRotary) {
  const auto dir = import("llama.gguf");
  expect_weights(dir, common_shapes(16, 8), at::kFloat);
  const json config = read_json(dir / "config.json");
  EXPECT_EQ(config, json({{"architectures", {"LlamaForCausalLM"}},
                          {"attention_bias", false},
                          {"bos_token_id", 0},
                          {"eos_token_id", 1},
                          {"head_dim", 4},
                          {"hidden_act", "silu"},
                          {"hidden_size", 16},
                          {"intermediate_size", 24},
                          {"max_position_embeddings", 128},
                          {"mlp_bias", false},
                          {"model_type", "llama"},
                          {"num_attention_heads", 4},
                          {"num_hidden_layers", 2},
                          {"num_key_value_heads", 2},
                          {"pad_token_id", 0},
                          {"rms_norm_eps", 1e-05},
                          {"rope_theta", 50000.0},
                          {"tie_word_embeddings", true},
                          {"torch_dtype", "float32"},
                          {"use_cache", true},
                          {"vocab_size", 266}}));
  EXPECT_EQ(read_json(dir / "generation_config.json"),
            json({{"bos_token_id", 0}, {"eos_token_id", 1}, {"pad_token_id", 0}}));
}

TEST_F(GgufImportTest, Qwen2HasBiasesAndAHeadOfItsOwn) {
  const auto dir = import("qwen2.gguf", at::kBFloat16);
  Shapes shapes = common_shapes(16, 8);
  shapes["lm_head.weight"] = {kVocab, kHidden};
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    const std::string at = fmt::format("model.layers.{}.self_attn.", layer);
    shapes[at + "q_proj.bias"] = {16};
    shapes[at + "k_proj.bias"] = shapes[at + "v_proj.bias"] = {8};
  }
  expect_weights(dir, shapes, at::kBFloat16);
  const json config = read_json(dir / "config.json");
  EXPECT_EQ(config["architectures"], json({"Qwen2ForCausalLM"}));
  EXPECT_EQ(config["tie_word_embeddings"], false);
  EXPECT_EQ(config["torch_dtype"], "bfloat16");
  const auto model = Model::load(dir, {.dtype = at::kFloat});
  EXPECT_EQ(model->traits().vocab_size, kVocab);
}

TEST_F(GgufImportTest, Qwen3HasNormsAndAHeadSizeOfItsOwn) {
  const auto dir = import("qwen3.gguf");
  Shapes shapes = common_shapes(24, 12);
  for (int64_t layer = 0; layer < kLayers; ++layer) {
    const std::string at = fmt::format("model.layers.{}.self_attn.", layer);
    shapes[at + "q_norm.weight"] = shapes[at + "k_norm.weight"] = {6};
  }
  expect_weights(dir, shapes, at::kFloat);
  const json config = read_json(dir / "config.json");
  EXPECT_EQ(config["architectures"], json({"Qwen3ForCausalLM"}));
  EXPECT_EQ(config["head_dim"], 6);
}

TEST_F(GgufImportTest, WritesTheTokenizer) {
  const auto dir = import("llama.gguf");
  const json tokenizer = read_json(dir / "tokenizer.json");
  EXPECT_EQ(tokenizer["normalizer"], nullptr);
  const json& stages = tokenizer["pre_tokenizer"]["pretokenizers"];
  ASSERT_EQ(stages.size(), 2u);
  EXPECT_EQ(stages[0], json({{"type", "Digits"}, {"individual_digits", true}}));
  EXPECT_EQ(stages[1]["type"], "ByteLevel");
  EXPECT_EQ(stages[1]["use_regex"], true);
  EXPECT_EQ(stages[1]["add_prefix_space"], false);
  const json& model = tokenizer["model"];
  EXPECT_EQ(model["vocab"].size(), 265u);  // without the unused token
  EXPECT_EQ(model["vocab"]["hello"], 261);
  EXPECT_EQ(model["merges"][3], json({"hell", "o"}));
  ASSERT_EQ(tokenizer["added_tokens"].size(), 3u);
  EXPECT_EQ(tokenizer["added_tokens"][1]["content"], "<|im_end|>");
  EXPECT_EQ(tokenizer["added_tokens"][1]["special"], true);
  EXPECT_EQ(tokenizer["added_tokens"][2]["content"], "<user>");
  EXPECT_EQ(tokenizer["added_tokens"][2]["id"], 264);
  EXPECT_EQ(tokenizer["added_tokens"][2]["special"], false);
  const json config = read_json(dir / "tokenizer_config.json");
  EXPECT_EQ(config["bos_token"], "<|endoftext|>");
  EXPECT_EQ(config["eos_token"], "<|im_end|>");
  EXPECT_EQ(config["pad_token"], "<|endoftext|>");
  EXPECT_FALSE(config.contains("unk_token"));
  EXPECT_EQ(config["chat_template"], "{{ messages[0]['content'] }}<|im_end|>");
}

TEST_F(GgufImportTest, Qwen2TextIsNormalisedAndSplitByItsPattern) {
  const json tokenizer = read_json(import("qwen2.gguf") / "tokenizer.json");
  EXPECT_EQ(tokenizer["normalizer"], json({{"type", "NFC"}}));
  const json& stages = tokenizer["pre_tokenizer"]["pretokenizers"];
  EXPECT_THAT(stages[0]["pattern"]["Regex"].get<std::string>(), StartsWith("(?i:'s|'t|'re"));
  EXPECT_EQ(stages[1]["use_regex"], false);
}

TEST_F(GgufImportTest, RefusesAFolderThatExists) {
  const auto dir = folder_.path();
  EXPECT_EQ(input_error([&] { import_gguf(model_dir("llama.gguf"), dir, at::kFloat); }),
            dir.string() + " exists already");
  EXPECT_TRUE(std::filesystem::is_empty(dir));
}

TEST_F(GgufImportTest, RefusesOtherDtypes) {
  EXPECT_EQ(input_error([&] { import("llama.gguf", at::kHalf); }),
            "dtype: expected float32 or bfloat16, got Half");
}

TEST_F(GgufImportTest, RefusesOtherArchitecturesAndSettings) {
  EXPECT_EQ(refusal_of_text("general.architecture", "llama", "gemma"),
            "general.architecture: expected one of llama, qwen2, qwen3, got \"gemma\"");
  EXPECT_EQ(refusal_of_text("llama.rope.scaling.type", "none", "yarn"),
            "llama.rope.scaling.type: expected \"none\", got \"yarn\"; rope scaling is not "
            "supported");
  EXPECT_EQ(refusal_of_number("llama.attention.sliding_window", 0, 512),
            "llama.attention.sliding_window: expected 0, got 512; it is not supported");
  EXPECT_EQ(refusal_of_number("llama.rope.dimension_count", 4, 2),
            "llama.rope.dimension_count: expected the head size 4, got 2");
}

TEST_F(GgufImportTest, RefusesBadSizes) {
  EXPECT_EQ(refusal_of_number("llama.block_count", 2, 0),
            "llama.block_count: expected 1 to 1073741824, got 0");
  EXPECT_EQ(refusal_of_number("llama.attention.head_count_kv", 2, 3),
            "llama.attention.head_count_kv: expected a divisor of 4 heads, got 3");
  EXPECT_EQ(refusal_of_number("llama.attention.head_count", 4, 6),
            "llama.embedding_length: expected a multiple of 6 heads, got 16");
  EXPECT_EQ(refusal_of_number("llama.attention.head_count", 4, 16),
            "llama.attention.key_length: expected an even head size, got 1");
  EXPECT_EQ(refusal_of("llama.context_length", "llama.context_Length"),
            "metadata \"llama.context_length\" is missing");
  const std::string epsilon = "llama.attention.layer_norm_rms_epsilon" + raw(uint32_t{6});
  EXPECT_EQ(refusal_of(epsilon + raw(1e-5f), epsilon + raw(-1.0f)),
            "llama.attention.layer_norm_rms_epsilon: expected a positive number, got -1");
}

TEST_F(GgufImportTest, RefusesTensorsThatDoNotFitTheConfig) {
  EXPECT_EQ(refusal_of_number("llama.block_count", 2, 3),
            "no tensor named \"blk.2.attn_norm.weight\"");
  EXPECT_EQ(refusal_of_number("llama.block_count", 2, 1),
            "tensor \"blk.1.attn_norm.weight\" has no place in a LlamaForCausalLM of 1 layers");
  EXPECT_EQ(refusal_of_number("llama.feed_forward_length", 24, 20),
            "tensor \"blk.0.ffn_gate.weight\": expected shape [20, 16], got [24, 16]");
  EXPECT_EQ(refusal_of_text("general.architecture", "llama", "qwen2"),
            "metadata \"qwen2.block_count\" is missing");
}

TEST_F(GgufImportTest, RefusesOtherTokenizers) {
  EXPECT_EQ(
      refusal_of_text("tokenizer.ggml.model", "gpt2", "llama"),
      "tokenizer.ggml.model: expected \"gpt2\" (byte-level BPE), got \"llama\"; SentencePiece "
      "tokenizers are not supported");
  EXPECT_EQ(refusal_of_text("tokenizer.ggml.model", "gpt2", "bert"),
            "tokenizer.ggml.model: expected \"gpt2\" (byte-level BPE), got \"bert\"");
  EXPECT_EQ(refusal_of_text("tokenizer.ggml.pre", "smollm", "falcon"),
            "tokenizer.ggml.pre: expected one of smollm, gpt-2, default, qwen2, got \"falcon\"");
  const std::string bos = "tokenizer.ggml.add_bos_token" + raw(uint32_t{7});
  EXPECT_EQ(refusal_of(bos + raw(false), bos + raw(true)),
            "tokenizer.ggml.add_bos_token: true is not supported");
  EXPECT_EQ(refusal_of_number("tokenizer.ggml.eos_token_id", 1, 266),
            "tokenizer.ggml.eos_token_id: expected one of 266 ids, got 266");
}

TEST_F(GgufImportTest, RefusesBadVocabularies) {
  EXPECT_EQ(refusal_of(text("hell o"), text("hell q")),
            "tokenizer.ggml.merges: entry 3: expected two tokens that form a third of the "
            "vocabulary, got \"hell q\"");
  EXPECT_EQ(refusal_of(text("hell o"), text("hell_o")),
            "tokenizer.ggml.merges: entry 3: expected two tokens with a space between, got "
            "\"hell_o\"");
  EXPECT_EQ(refusal_of(text("ll"), text("he")),
            "tokenizer.ggml.tokens: expected each once, got \"he\" twice");
  EXPECT_THAT(refusal_of("{{ messages", "\xff{ messages"),
              StartsWith("tokenizer: expected UTF-8, got a string that is none"));
}

}  // namespace
}  // namespace caprl::test
