// A tiny model of every family against transformers. tools/golden/families.py made the golden
// files; weights and pixels are made from names and places, here as there.
#include <torch/csrc/autograd/autograd.h>

#include <cmath>

#include "model_files.h"

namespace caprl::test {
namespace {

using nlohmann::json;

const json& families() {
  static const json all = read_json(model_dir("families.json"));
  return all;
}

/// Numbers from -0.5 to 0.5: SplitMix64 of (FNV-1a of the name) + place, 24 bits of it.
std::vector<double> uniform(std::string_view name, int64_t count) {
  uint64_t seed = 0xcbf29ce484222325;
  for (const char c : name) seed = (seed ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  std::vector<double> numbers;
  for (int64_t i = 1; i <= count; ++i) {
    uint64_t x = seed + static_cast<uint64_t>(i) * 0x9e3779b97f4a7c15;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
    x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
    x ^= x >> 31;
    numbers.push_back(static_cast<double>(x >> 40) / 16777216.0 - 0.5);
  }
  return numbers;
}

at::Tensor values(const ParameterSpec& spec) {
  int64_t count = 1, fan_in = 1;
  for (size_t d = 0; d < spec.shape.size(); ++d) {
    count *= spec.shape[d];
    if (d > 0) fan_in *= spec.shape[d];
  }
  std::vector<double> numbers = uniform(spec.name, count);
  for (double& u : numbers) {
    if (spec.name.ends_with("bias"))
      u = 0.3 * u;
    else if (spec.shape.size() == 1)
      u = 1 + 0.3 * u;
    else if (spec.shape.size() == 2 && spec.name.find("embed") != std::string::npos)
      u = 0.7 * u;
    else
      u *= 3.4 / std::sqrt(static_cast<double>(fan_in));
  }
  return at::tensor(numbers, at::kDouble).to(at::kFloat).view(spec.shape);
}

Prompt prompt_of(const json& row, const json& one) {
  Prompt prompt{one["prompt"].get<std::vector<int64_t>>(), {}};
  const int64_t columns = row["columns"];
  int64_t rows = 0;
  for (const json& grid : one["grids"])
    rows += grid[0].get<int64_t>() * grid[1].get<int64_t>() * grid[2].get<int64_t>();
  const std::vector<double> pixels = uniform("pixels", rows * columns);
  auto next = pixels.begin();
  for (const json& grid : one["grids"]) {
    ImagePatches image;
    image.grid_t = grid[0], image.grid_h = grid[1], image.grid_w = grid[2];
    image.columns = columns;
    for (int64_t i = 0; i < image.rows() * columns; ++i)
      image.values.push_back(static_cast<float>(4 * *next++));
    prompt.images.push_back(std::make_shared<const ImagePatches>(std::move(image)));
  }
  return prompt;
}

class Families : public testing::TestWithParam<size_t> {
 protected:
  void expect_golden(ops::Recompute recompute) const;
};

void Families::expect_golden(ops::Recompute recompute) const {
  const json& row = families()[GetParam()];
  const auto model =
      Model::random(row["config"], 1, {.train = TrainedParts::kAll, .recompute = recompute});
  model->parameters().fill(values);
  const SafetensorsFile golden(model_dir("families.safetensors"));
  for (const auto& [name, one] : row["cases"].items()) {
    SCOPED_TRACE(name);
    const auto response = one["response"].get<std::vector<int64_t>>();
    const auto length = static_cast<int64_t>(response.size());
    const std::vector<BranchedSequence> trees{{prompt_of(row, one), {response}}};
    const BranchedBatch batch = pack(trees, *model);
    const int64_t first = batch.layout.num_tokens - length - 1;
    const at::Tensor logits = logits_of(*model, batch).narrow(0, first, length);
    EXPECT_LT(max_difference(logits, golden.tensor(row["name"].get<std::string>() + "." + name)),
              2e-5);

    for (const ParameterSpec& spec : model->parameters().specs())
      model->parameters().get(spec.name).mutable_grad() = at::Tensor();
    torch::autograd::backward({at::cross_entropy_loss(logits, at::tensor(response, at::kLong))},
                              {});
    EXPECT_EQ(one["gradients"].size(), model->parameters().specs().size());
    for (const auto& [parameter, numbers] : one["gradients"].items()) {
      const at::Tensor grad = model->parameters().get(parameter).grad();
      const at::Tensor flat =
          (grad.defined() ? grad : at::zeros_like(model->parameters().get(parameter)))
              .to(at::kDouble)
              .flatten();
      const double norm = numbers[0];
      // What cancels to zero but for rounding (a bias before a softmax) has no relative size.
      const double tolerance = norm > 1e-6 ? 1e-4 * norm : 1e-6;
      EXPECT_NEAR(flat.norm().item<double>(), norm, tolerance) << parameter;
      const at::Tensor probe = at::tensor(uniform("probe", flat.numel()), at::kDouble);
      EXPECT_NEAR(flat.dot(probe).item<double>(), numbers[1].get<double>(), tolerance) << parameter;
    }
  }
}

TEST_P(Families, LogitsAndEveryGradient) { expect_golden(ops::Recompute::kNone); }
TEST_P(Families, WithTheFeedForwardComputedAgain) { expect_golden(ops::Recompute::kMlp); }
TEST_P(Families, WithLayersComputedAgain) { expect_golden(ops::Recompute::kFull); }

INSTANTIATE_TEST_SUITE_P(Transformers, Families, testing::Range<size_t>(0, families().size()),
                         [](const auto& info) {
                           std::string name = families()[info.param]["name"];
                           std::erase_if(name, [](char c) { return !std::isalnum(c); });
                           return name;
                         });

}  // namespace
}  // namespace caprl::test
