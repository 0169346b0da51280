// Against transformers: tests/golden/models is made by tools/golden/models.py.
#include <torch/csrc/autograd/autograd.h>

#include <thread>

#include "model_files.h"

namespace caprl::test {
namespace {

struct Case {
  const char* name;
  const char* dir;
};
void PrintTo(const Case& c, std::ostream* out) { *out << c.dir << " " << c.name; }

class Golden : public testing::TestWithParam<Case> {
 protected:
  std::unique_ptr<Model> load(at::ScalarType dtype, TrainedParts train = TrainedParts::kNone) {
    return Model::load(model_dir(GetParam().dir), {.dtype = dtype, .train = train});
  }
  BranchedBatch batch(const Model& model) {
    return pack(std::vector<BranchedSequence>{{golden_prompt(GetParam().name), {}}}, model);
  }
  at::Tensor expected(const char* what) {
    return golden(fmt::format("{}.{}", GetParam().name, what));
  }
  double transformers_error(const char* dtype) {
    return golden_json()["transformers_error"][fmt::format("{}.{}", GetParam().name, dtype)];
  }
};

TEST_P(Golden, LogitsInFloat64) {
  const auto model = load(at::kDouble);
  EXPECT_LT(max_difference(logits_of(*model, batch(*model)), expected("logits")), 1e-9);
}

TEST_P(Golden, LogitsInFloat32AreAsExactAsTransformers) {
  const auto model = load(at::kFloat);
  EXPECT_LT(max_difference(logits_of(*model, batch(*model)), expected("logits")),
            1e-5 + 3 * transformers_error("float32"));
}

TEST_P(Golden, LogitsInBfloat16AreAsExactAsTransformers) {
  const auto model = load(at::kBFloat16);
  EXPECT_LT(max_difference(logits_of(*model, batch(*model)), expected("logits")),
            2 * transformers_error("bfloat16"));
}

TEST_P(Golden, PositionsAndImageFeatures) {
  const auto model = load(at::kDouble);
  const Prompt prompt = golden_prompt(GetParam().name);
  if (prompt.images.empty()) {
    const auto positions = model->positions(prompt);
    ASSERT_EQ(positions.tokens.size(), prompt.ids.size());
    EXPECT_EQ(positions.next, static_cast<int64_t>(prompt.ids.size()));
    for (size_t i = 0; i < prompt.ids.size(); ++i)
      for (const int64_t place : positions.tokens[i]) EXPECT_EQ(place, static_cast<int64_t>(i));
    return;
  }
  const BranchedBatch packed = batch(*model);
  EXPECT_TRUE(at::equal(packed.positions, expected("positions")));
  EXPECT_EQ(model->positions(prompt).next, expected("next_position").item<int64_t>());
  const at::Tensor places = (packed.ids == *model->traits().image_token_id).nonzero().squeeze(1);
  EXPECT_LT(
      max_difference(model->embed(packed).tokens.index_select(0, places), expected("features")),
      1e-9);
}

INSTANTIATE_TEST_SUITE_P(
    Transformers, Golden,
    testing::Values(Case{"text", "qwen2_5_vl_hub"}, Case{"one_image", "qwen2_5_vl_hub"},
                    Case{"several_images", "qwen2_5_vl_hub"}, Case{"text", "qwen2_5_vl_v5"},
                    Case{"one_image", "qwen2_5_vl_v5"}, Case{"several_images", "qwen2_5_vl_v5"},
                    Case{"text_model", "qwen2"}));

/// Mean cross entropy of each next token, whose gradient the golden files hold.
void backward(const Model& model, const BranchedBatch& batch) {
  const at::Tensor logits = logits_of(model, batch);
  const int64_t rows = logits.size(0) - 1;
  torch::autograd::backward(
      {at::cross_entropy_loss(logits.narrow(0, 0, rows), batch.ids.narrow(0, 1, rows))}, {});
}

void check_gradients(const Model& model, const std::string& name, int expected_number,
                     double tolerance) {
  const SafetensorsFile file(model_dir("golden.safetensors"));
  int number = 0;
  for (const auto& entry : file.entries()) {
    const std::string prefix = name + ".grad.";
    if (!entry.name.starts_with(prefix)) continue;
    const at::Tensor& weight = model.parameters().get(entry.name.substr(prefix.size()));
    ASSERT_TRUE(weight.grad().defined()) << entry.name;
    const at::Tensor want = golden(entry.name);
    EXPECT_LT(max_difference(weight.grad(), want), tolerance * want.abs().max().item<double>())
        << entry.name;
    ++number;
  }
  EXPECT_EQ(number, expected_number);
}

TEST(GoldenGradients, EveryPartOfTheVisionLanguageModel) {
  for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-9}, {at::kFloat, 1e-3}}) {
    const auto model =
        Model::load(model_dir("qwen2_5_vl_hub"), {.dtype = dtype, .train = TrainedParts::kAll});
    const std::vector<BranchedSequence> trees{{golden_prompt("several_images"), {}}};
    backward(*model, pack(trees, *model));
    check_gradients(*model, "several_images", 13, tolerance);
  }
}

TEST(GoldenGradients, TextModel) {
  for (const auto& [dtype, tolerance] : {std::pair{at::kDouble, 1e-9}, {at::kFloat, 1e-4}}) {
    const auto model =
        Model::load(model_dir("qwen2"), {.dtype = dtype, .train = TrainedParts::kAll});
    const std::vector<BranchedSequence> trees{{golden_prompt("text_model"), {}}};
    backward(*model, pack(trees, *model));
    check_gradients(*model, "text_model", 7, tolerance);
  }
}

TEST(GoldenGradients, FrozenPartsHaveNone) {
  const auto model =
      Model::load(model_dir("qwen2_5_vl_hub"), {.train = TrainedParts::kLanguageAndMerger});
  const std::vector<BranchedSequence> trees{{golden_prompt("one_image"), {}}};
  backward(*model, pack(trees, *model));
  for (const auto& spec : model->parameters().specs()) {
    const bool trained =
        !spec.name.starts_with("visual.") || spec.name.starts_with("visual.merger.");
    EXPECT_EQ(model->parameters().get(spec.name).grad().defined(), trained) << spec.name;
    EXPECT_EQ(model->parameters().is_trainable(spec.name), trained) << spec.name;
  }
}

TEST(GoldenFeatures, FromSeveralThreadsAndAfterManyImageSizes) {
  const auto model = Model::load(model_dir("qwen2_5_vl_hub"), {.dtype = at::kDouble});
  const BranchedBatch batch =
      pack(std::vector<BranchedSequence>{{golden_prompt("several_images"), {}}}, *model);
  const at::Tensor want = model->embed(batch).tokens;
  const auto embed_many_sizes = [&](int64_t columns) {
    for (int64_t rows = 1; rows <= 50; ++rows) {
      ImagePatches image;
      image.grid_t = 1, image.grid_h = 2 * rows, image.grid_w = 2 * columns, image.columns = 96;
      image.values.assign(static_cast<size_t>(image.rows() * image.columns), 0.5f);
      Prompt prompt{std::vector<int64_t>(static_cast<size_t>(rows * columns), 91),
                    {std::make_shared<const ImagePatches>(std::move(image))}};
      model->embed(pack(std::vector<BranchedSequence>{{std::move(prompt), {}}}, *model));
      if (rows % 10 == 0) {
        EXPECT_LT(max_difference(model->embed(batch).tokens, want), 1e-12);
      }
    }
  };
  std::vector<std::thread> threads;
  for (int64_t columns = 1; columns <= 4; ++columns)
    threads.emplace_back(embed_many_sizes, columns);
  for (std::thread& thread : threads) thread.join();
}

TEST(GoldenBatch, PromptsPackedTogetherAreAsAlone) {
  const auto model = Model::load(model_dir("qwen2_5_vl_hub"), {.dtype = at::kDouble});
  std::vector<BranchedSequence> trees;
  for (const char* name : {"several_images", "text", "one_image"})
    trees.push_back({golden_prompt(name), {}});
  const at::Tensor logits = logits_of(*model, pack(trees, *model));
  const at::Tensor want =
      at::cat({golden("several_images.logits"), golden("text.logits"), golden("one_image.logits")});
  EXPECT_LT(max_difference(logits, want), 1e-9);
}

}  // namespace
}  // namespace caprl::test
