// A tiny model of every family against transformers. tools/golden/families.py made the golden
// files; weights and pixels are made from names and places, here as there.
#include <torch/csrc/autograd/autograd.h>

#include "families.h"

namespace caprl::test {
namespace {

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
                         [](const auto& info) { return family_name(info.param); });

}  // namespace
}  // namespace caprl::test
