// Loading, saving and making up weights.
#include <gmock/gmock.h>

#include "caprl/io/weight_files.h"
#include "model_files.h"

namespace caprl::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
namespace fs = std::filesystem;

/// The files of a model directory, with its tensors at hand to be changed and written.
struct EditableModel {
  explicit EditableModel(const std::string& name) {
    for (const auto& entry : fs::directory_iterator(model_dir(name)))
      if (entry.path().extension() == ".json" &&
          entry.path().filename() != "model.safetensors.index.json")
        fs::copy_file(entry.path(), folder.path() / entry.path().filename());
    const WeightFiles weights = WeightFiles::open(model_dir(name));
    for (const auto& stored : weights.names())
      tensors.emplace_back(stored, weights.tensor(stored).clone());
  }
  at::Tensor& at(const std::string& name) {
    for (auto& [stored, tensor] : tensors)
      if (stored == name) return tensor;
    throw Error("no {}", name);
  }
  void set_config(const nlohmann::json& patch) {
    nlohmann::json config = read_json(folder.path() / "config.json");
    config.merge_patch(patch);
    std::ofstream(folder.path() / "config.json") << config;
  }
  std::unique_ptr<Model> load(ModelOptions options = {}) {
    write_safetensors(folder.path() / "model.safetensors", tensors);
    return Model::load(folder.path(), options);
  }
  std::string error() {
    return input_error([&] { load(); });
  }
  std::string file() const { return (folder.path() / "model.safetensors").string(); }

  TempFolder folder;
  NamedTensors tensors;
};

TEST(Load, BothFormsGiveTheSameParameters) {
  const auto hub = Model::load(model_dir("qwen2_5_vl_hub"), {});
  const auto nested = Model::load(model_dir("qwen2_5_vl_v5"), {});
  ASSERT_EQ(hub->parameters().specs().size(), nested->parameters().specs().size());
  for (const auto& spec : hub->parameters().specs())
    EXPECT_TRUE(at::equal(hub->parameters().get(spec.name), nested->parameters().get(spec.name)))
        << spec.name;
}

TEST(Load, EosIdsOfBothFiles) {
  EXPECT_THAT(Model::load(model_dir("qwen2"), {})->traits().eos_ids, ElementsAre(93, 95));
  EditableModel model("qwen2");
  fs::remove(model.folder.path() / "generation_config.json");
  EXPECT_THAT(model.load()->traits().eos_ids, ElementsAre(93));
  std::ofstream(model.folder.path() / "generation_config.json") << R"({"eos_token_id": "x"})";
  EXPECT_THAT(
      model.error(),
      HasSubstr("generation_config.json: eos_token_id must be an integer or a list of integers"));
}

TEST(Load, MissingFiles) {
  const TempFolder folder;
  EXPECT_THAT(input_error([&] { Model::load(folder.path() / "no", {}); }),
              HasSubstr("config.json"));
  fs::copy_file(model_dir("qwen2") / "config.json", folder.path() / "config.json");
  EXPECT_THAT(input_error([&] { Model::load(folder.path(), {}); }), HasSubstr("model.safetensors"));
}

TEST(Load, MissingTensors) {
  EditableModel model("qwen2");
  std::erase_if(model.tensors, [](const auto& item) { return item.first == "model.norm.weight"; });
  EXPECT_EQ(
      model.error(),
      model.folder.path().string() +
          ": the weights lack 1 of the 27 tensors that config.json asks for: model.norm.weight");
}

TEST(Load, UnexpectedTensors) {
  EditableModel model("qwen2");
  model.set_config({{"num_hidden_layers", 1}});
  EXPECT_EQ(model.error(),
            model.folder.path().string() +
                ": the weights hold 12 tensors that do not belong to this Qwen2ForCausalLM: "
                "model.layers.1.input_layernorm.weight, model.layers.1.mlp.down_proj.weight, "
                "model.layers.1.mlp.gate_proj.weight");
}

TEST(Load, WrongShape) {
  EditableModel model("qwen2");
  model.set_config({{"intermediate_size", 48}});
  EXPECT_EQ(model.error(),
            model.file() +
                ": tensor model.layers.0.mlp.gate_proj.weight should have shape [48, 32] by "
                "config.json, got [40, 32]");
}

TEST(Load, WrongKindOfNumbers) {
  EditableModel model("qwen2");
  model.at("model.norm.weight") = at::ones({32}, at::kInt);
  EXPECT_EQ(
      model.error(),
      model.file() + ": tensor model.norm.weight should hold floating-point numbers, got Int");
}

TEST(Load, OneParameterUnderTwoNames) {
  EditableModel model("qwen2_5_vl_hub");
  model.tensors.emplace_back("model.language_model.norm.weight", at::ones({32}));
  EXPECT_EQ(model.error(),
            model.file() +
                ": the tensors model.language_model.norm.weight and model.norm.weight are the "
                "same parameter");
}

TEST(Load, VocabularyIsThatOfTheTensor) {
  EditableModel model("qwen2");
  model.at("model.embed_tokens.weight") = at::ones({98, 32});
  model.at("lm_head.weight") = at::ones({98, 32});
  const auto loaded = model.load();
  EXPECT_EQ(loaded->traits().vocab_size, 98);
  EXPECT_EQ(loaded->head_weight().size(0), 98);
  model.at("lm_head.weight") = at::ones({96, 32});
  EXPECT_EQ(model.error(),
            model.file() +
                ": tensor lm_head.weight should have shape [98, 32] by config.json, got [96, 32]");
}

TEST(Load, VocabularyWithoutTheImageToken) {
  EditableModel model("qwen2_5_vl_hub");
  model.at("model.embed_tokens.weight") = at::ones({91, 32});
  EXPECT_THAT(model.error(),
              HasSubstr("has 91 rows, so image_token_id 91 is outside the vocabulary"));
}

TEST(Load, TiedHead) {
  EditableModel model("qwen2_5_vl_hub");
  const auto plain = model.load();
  EXPECT_TRUE(plain->head_weight().is_same(plain->parameters().get("model.embed_tokens.weight")));
  // Stored although tied: the embedding counts.
  model.tensors.emplace_back("lm_head.weight", at::zeros({96, 32}));
  const auto loaded = model.load();
  EXPECT_TRUE(loaded->head_weight().is_same(loaded->parameters().get("model.embed_tokens.weight")));
  EXPECT_FALSE(loaded->parameters().contains("lm_head.weight"));
  // The config is silent: the file decides.
  model.set_config({{"tie_word_embeddings", nullptr}});
  EXPECT_TRUE(at::equal(model.load()->head_weight(), at::zeros({96, 32})));
  model.tensors.pop_back();
  EXPECT_FALSE(model.load()->parameters().contains("lm_head.weight"));
  // Said to be of its own, but absent.
  model.set_config({{"tie_word_embeddings", false}});
  EXPECT_THAT(model.error(), HasSubstr("config.json asks for: lm_head.weight"));
}

TEST(Load, ConvertsDtypes) {
  EditableModel model("qwen2");
  for (auto& [name, tensor] : model.tensors) tensor = tensor.to(at::kBFloat16);
  model.at("model.norm.weight") = model.at("model.norm.weight").to(at::kHalf);
  const auto loaded = model.load({.dtype = at::kDouble});
  for (const auto& [name, tensor] : model.tensors) {
    EXPECT_EQ(loaded->parameters().get(name).scalar_type(), at::kDouble);
    EXPECT_TRUE(at::equal(loaded->parameters().get(name), tensor.to(at::kDouble))) << name;
  }
}

std::string read(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Save, RoundTripKeepsNamesDtypesAndFiles) {
  for (const char* name : {"qwen2_5_vl_hub", "qwen2_5_vl_v5", "qwen2"}) {
    SCOPED_TRACE(name);
    const TempFolder folder;
    const fs::path dir = folder.path() / "out";
    save_model(*Model::load(model_dir(name), {.dtype = at::kDouble}), model_dir(name), dir);
    const WeightFiles source = WeightFiles::open(model_dir(name)), copy = WeightFiles::open(dir);
    EXPECT_EQ(copy.names(), source.names());
    for (const auto& tensor : source.names()) {
      EXPECT_EQ(copy.dtype(tensor), source.dtype(tensor));
      EXPECT_TRUE(at::equal(copy.tensor(tensor), source.tensor(tensor))) << tensor;
    }
    EXPECT_EQ(read(dir / "config.json"), read(model_dir(name) / "config.json"));
    EXPECT_EQ(read(dir / "generation_config.json"),
              read(model_dir(name) / "generation_config.json"));
    EXPECT_TRUE(fs::exists(dir / "model.safetensors"));  // small enough for one file
    EXPECT_FALSE(fs::exists(dir / "model.safetensors.index.json"));
  }
}

TEST(Save, BfloatSourceAndStoredTiedHead) {
  EditableModel source("qwen2_5_vl_hub");
  for (auto& [name, tensor] : source.tensors) tensor = tensor.to(at::kBFloat16);
  source.tensors.emplace_back("lm_head.weight", source.at("model.embed_tokens.weight").clone());
  std::ofstream(source.folder.path() / "merges.txt") << "a b\n";
  std::ofstream(source.folder.path() / "pytorch_model.bin") << "old";
  std::ofstream(source.folder.path() / ".hidden") << "x";
  const auto model = source.load();
  {
    const at::NoGradGuard no_grad;
    at::Tensor embedding = model->parameters().get("model.embed_tokens.weight");
    embedding.add_(1.0);
  }
  const TempFolder folder;
  const fs::path dir = folder.path() / "out";
  save_model(*model, source.folder.path(), dir);
  const WeightFiles copy = WeightFiles::open(dir);
  const at::Tensor want = model->parameters().get("model.embed_tokens.weight").to(at::kBFloat16);
  EXPECT_TRUE(at::equal(copy.tensor("model.embed_tokens.weight"), want));
  EXPECT_TRUE(at::equal(copy.tensor("lm_head.weight"), want));
  EXPECT_EQ(read(dir / "merges.txt"), "a b\n");
  EXPECT_FALSE(fs::exists(dir / "pytorch_model.bin"));
  EXPECT_FALSE(fs::exists(dir / ".hidden"));
}

TEST(Save, AnotherModelsDirectory) {
  const TempFolder folder;
  const auto model = Model::load(model_dir("qwen2"), {});
  EXPECT_THROW(save_model(*model, model_dir("qwen2_5_vl_hub"), folder.path() / "out"), Error);
  EXPECT_FALSE(fs::exists(folder.path() / "out"));
}

TEST(Parameters, BuffersAndViews) {
  Parameters parameters({{"a", {2, 3}}, {"b", {4}}, {"c", {2}}}, at::kFloat, at::kCPU,
                        [](const std::string& name) { return name != "b"; });
  EXPECT_EQ(parameters.num_trainable(), 8);
  EXPECT_EQ(parameters.frozen_buffer().numel(), 4);
  ASSERT_EQ(parameters.trainable_slices().size(), 2u);
  EXPECT_EQ(parameters.trainable_slices()[1].name, "c");
  EXPECT_EQ(parameters.trainable_slices()[1].offset, 6);
  EXPECT_EQ(parameters.trainable_slices()[1].size, 2);
  parameters.trainable_buffer().copy_(at::arange(8, at::kFloat));
  EXPECT_TRUE(at::equal(parameters.get("c").detach(), at::tensor({6.0f, 7.0f})));
  EXPECT_TRUE(parameters.get("a").is_leaf());
  EXPECT_TRUE(parameters.is_trainable("a"));
  EXPECT_FALSE(parameters.is_trainable("b"));
  EXPECT_THROW(parameters.get("d"), Error);
  EXPECT_THROW(Parameters({{"a", {1}}, {"a", {1}}}, at::kFloat, at::kCPU,
                          [](const std::string&) { return true; }),
               Error);
}

TEST(Random, IsAFunctionOfSeedAndName) {
  nlohmann::json config = read_json(model_dir("qwen2_5_vl_hub") / "config.json");
  config["initializer_range"] = 0.1;
  const auto a = Model::random(config, 7, {}), b = Model::random(config, 7, {.dtype = at::kDouble});
  const auto other = Model::random(config, 8, {});
  for (const auto& spec : a->parameters().specs()) {
    const at::Tensor& weight = a->parameters().get(spec.name);
    EXPECT_TRUE(at::equal(weight.to(at::kDouble), b->parameters().get(spec.name))) << spec.name;
    if (spec.shape.size() > 1) {
      EXPECT_FALSE(at::equal(weight, other->parameters().get(spec.name))) << spec.name;
      continue;
    }
    const at::Tensor want =
        spec.name.ends_with(".bias") ? at::zeros(spec.shape) : at::ones(spec.shape);
    EXPECT_TRUE(at::equal(weight, want)) << spec.name;
  }
  const at::Tensor& values = b->parameters().get("model.embed_tokens.weight");  // 3072 draws
  EXPECT_NEAR(values.mean().item<double>(), 0, 0.1 * 4 / std::sqrt(3072.0));
  EXPECT_NEAR(values.std().item<double>(), 0.1, 0.1 * 4 / std::sqrt(2 * 3072.0));
  EXPECT_FALSE(at::equal(a->parameters().get("model.layers.0.self_attn.k_proj.weight"),
                         a->parameters().get("model.layers.0.self_attn.v_proj.weight")));
}

}  // namespace
}  // namespace caprl::test
