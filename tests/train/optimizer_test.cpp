#include "caprl/train/optimizer.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "caprl/io/json.h"
#include "caprl/models/model.h"
#include "caprl/models/presets.h"

namespace caprl {
namespace {

Parameters make_parameters(at::ScalarType dtype) {
  Parameters parameters({{"matrix", {2, 3}}, {"frozen", {4}}, {"bias", {3}}}, dtype, at::kCPU,
                        [](const std::string& name) { return name != "frozen"; });
  at::NoGradGuard no_grad;
  parameters.trainable_buffer().detach().copy_(at::arange(1, 10, at::kFloat).div(8));
  parameters.frozen_buffer().fill_(7);
  return parameters;
}

OptimizerConfig plain() {
  OptimizerConfig config;
  config.betas = {0.9, 0.95};
  config.weight_decay = 0.1;
  config.clip_grad = 0;
  return config;
}

/// AdamW written out for one number, in double.
struct ScalarAdamW {
  double weight, m = 0, v = 0;
  int t = 0;
  void step(double gradient, double lr, double decay) {
    ++t;
    weight *= 1 - lr * decay;
    m = 0.9 * m + 0.1 * gradient;
    v = 0.95 * v + 0.05 * gradient * gradient;
    const double m_hat = m / (1 - std::pow(0.9, t)), v_hat = v / (1 - std::pow(0.95, t));
    weight -= lr * m_hat / (std::sqrt(v_hat) + 1e-8);
  }
};

/// loss = Σ weight³ / 3, so that the gradient is weight².
void backward(const Parameters& parameters) {
  at::Tensor loss = parameters.get("matrix").pow(3).sum() + parameters.get("bias").pow(3).sum();
  loss.div(3).backward();
}

TEST(AdamW, PartsHaveTheirOwnLearningRates) {
  const std::vector<std::string> names = {
      "visual.blocks.0.norm1.weight", "visual.merger.ln_q.weight",
      "visual.deepstack_merger_list.0.norm.weight", "model.norm.weight"};
  std::vector<ParameterSpec> specs;
  for (const std::string& name : names) specs.push_back({name, {3}});
  Parameters parameters(specs, at::kDouble, at::kCPU, [](const std::string&) { return true; });
  parameters.trainable_buffer().detach().fill_(1);
  OptimizerConfig config = plain();
  config.lr = 0.4;
  config.vision_tower_lr = 0.1;
  config.mm_projector_lr = 0.8;
  AdamW optimizer(parameters, config);
  optimizer.begin(1);
  at::Tensor loss = at::zeros({}, at::kDouble);
  for (const std::string& name : names) loss = loss + parameters.get(name).sum();
  loss.backward();
  optimizer.step(0.2, 1);  // half way through a warm-up
  // The first step of Adam is the learning rate, whatever the gradient.
  const std::vector<double> moved = {0.05, 0.4, 0.4, 0.2};
  for (size_t i = 0; i < names.size(); ++i)
    EXPECT_NEAR(parameters.get(names[i])[0].item<double>(), 1 - moved[i], 1e-7) << names[i];
}

TEST(AdamW, MatchesTheFormulaInDouble) {
  Parameters parameters = make_parameters(at::kDouble);
  AdamW optimizer(parameters, plain());
  std::vector<ScalarAdamW> expected;
  for (int i = 0; i < 9; ++i) expected.push_back({(i + 1) / 8.0});
  for (int step = 0; step < 5; ++step) {
    optimizer.begin(1);
    backward(parameters);
    optimizer.step(0.01, optimizer.grad_norm());
    for (int i = 0; i < 9; ++i)
      expected[i].step(expected[i].weight * expected[i].weight, 0.01, i < 6 ? 0.1 : 0);
  }
  const at::Tensor weights = parameters.trainable_buffer().detach();
  for (int i = 0; i < 9; ++i)
    EXPECT_NEAR(weights[i].item<double>(), expected[i].weight, 1e-14) << i;
  EXPECT_TRUE(parameters.frozen_buffer().eq(7).all().item<bool>());
}

/// Weights, moments and norms of torch.optim.AdamW (tools/golden/optimizer.py).
TEST(AdamW, MatchesTorch) {
  const auto golden = read_json(std::filesystem::path(CAPRL_TEST_FILES) / "train" / "adamw.json");
  for (const auto& [name, dtype, tolerance] :
       {std::tuple{"float32", at::kFloat, 1e-6}, {"float64", at::kDouble, 1e-15}}) {
    Parameters parameters({{"matrix", golden["matrix"]}, {"vector", golden["vector"]}}, dtype,
                          at::kCPU, [](const std::string&) { return true; });
    const auto numbers = [&, dtype = dtype](const nlohmann::json& list) {
      return at::tensor(list.get<std::vector<double>>(), at::kDouble).to(dtype);
    };
    const at::Tensor weights = parameters.trainable_buffer().detach();
    weights.copy_(numbers(golden[name]["initial"]));
    OptimizerConfig config;
    config.betas = golden["settings"]["betas"].get<std::vector<double>>();
    config.eps = golden["settings"]["eps"];
    config.weight_decay = golden["settings"]["weight_decay"];
    config.clip_grad = golden["settings"]["clip_grad"];
    AdamW optimizer(parameters, config);
    for (const auto& step : golden[name]["steps"]) {
      at::Tensor(optimizer.gradient()).copy_(numbers(step["gradient"]));
      const double norm = optimizer.grad_norm(), expected = step["grad_norm"];
      EXPECT_NEAR(norm, expected, tolerance * (1 + expected));
      optimizer.step(step["lr"], norm);
      EXPECT_LT((weights - numbers(step["weights"])).abs().max().item<double>(), tolerance);
    }
  }
}

/// A tied text model, and the sum of all its logits' squares as a loss.
struct TinyModel {
  std::unique_ptr<Model> model;
  explicit TinyModel(at::ScalarType dtype)
      : model(Model::random(preset_config("qwen2_5_tiny"), 5,
                            {.dtype = dtype, .train = TrainedParts::kAll})) {}
  at::Tensor loss() const {
    const BranchedSequence tree{{{3, 4, 5}, {}}, {{6, 7}, {8}}};
    const BranchedBatch batch = pack(std::span(&tree, 1), *model);
    BranchedAttention attention(batch.layout, at::kCPU);
    return at::linear(model->decode(model->embed(batch), batch.positions, attention),
                      model->head_weight())
        .square()
        .sum();
  }
};

TEST(AdamW, GradientIsTheModelsAndStaysWhereItIs) {
  for (const auto dtype : {at::kFloat, at::kDouble, at::kBFloat16}) {
    const TinyModel tiny(dtype);
    const auto& slices = tiny.model->parameters().trainable_slices();
    std::vector<at::Tensor> weights, flat;
    for (const auto& slice : slices) weights.push_back(tiny.model->parameters().get(slice.name));
    for (const at::Tensor& gradient : torch::autograd::grad({tiny.loss()}, weights))
      flat.push_back(gradient.flatten());
    const at::Tensor once = at::cat(flat);

    AdamW optimizer(tiny.model->parameters(), plain());
    const at::Tensor& gradient = optimizer.gradient();
    EXPECT_EQ(gradient.scalar_type(), dtype == at::kDouble ? at::kDouble : at::kFloat);
    for (const int passes : {1, 2}) {
      tiny.loss().backward();
      for (const auto& slice : slices) {
        const auto part = [&](const at::Tensor& t) {
          return t.narrow(0, slice.offset, slice.size);
        };
        const at::Tensor got = part(gradient);
        const at::Tensor expected = part(once).to(gradient.scalar_type()) * passes;
        // The embedding's is added in two parts, neither rounded to bfloat16 with the other.
        if (slice.name == "model.embed_tokens.weight")
          EXPECT_TRUE(at::allclose(got, expected, dtype == at::kBFloat16 ? 0x1p-6 : 1e-5,
                                   dtype == at::kBFloat16 ? 1e-2 : 1e-6));
        else
          EXPECT_TRUE(at::equal(got, expected)) << slice.name;
        const at::Tensor& grad = tiny.model->parameters().get(slice.name).grad();
        if (dtype == at::kBFloat16)
          EXPECT_FALSE(grad.defined()) << slice.name;
        else
          EXPECT_EQ(static_cast<const char*>(grad.const_data_ptr()),
                    static_cast<const char*>(gradient.const_data_ptr()) +
                        slice.offset * gradient.element_size())
              << slice.name;
      }
    }
  }
}

TEST(AdamW, GradientsAccumulateInPlaceOverBackwardPasses) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    Parameters parameters = make_parameters(dtype);
    AdamW optimizer(parameters, plain());
    backward(parameters);
    const at::Tensor once = optimizer.gradient().clone();
    EXPECT_GT(once.abs().min().item<double>(), 0);
    backward(parameters);
    EXPECT_TRUE(at::allclose(optimizer.gradient(), 2 * once));
    EXPECT_EQ(optimizer.gradient().scalar_type(), at::kFloat);
    optimizer.begin(1);
    EXPECT_EQ(optimizer.grad_norm(), 0.0);
    backward(parameters);
    EXPECT_TRUE(at::equal(optimizer.gradient(), once));
  }
}

TEST(AdamW, MasterWeightsKeepUpdatesThatBfloat16WouldLose) {
  Parameters parameters = make_parameters(at::kBFloat16);
  OptimizerConfig config = plain();
  config.weight_decay = 0;
  AdamW optimizer(parameters, config);
  const at::Tensor before = parameters.trainable_buffer().detach().clone();
  for (int step = 0; step < 100; ++step) {
    optimizer.begin(1);
    backward(parameters);
    optimizer.step(1e-4, optimizer.grad_norm());
  }
  // A step of 1e-4 is below bfloat16's spacing around 1 (0.0078); a hundred of them are not.
  const at::Tensor moved = (before - parameters.trainable_buffer().detach()).to(at::kFloat);
  EXPECT_NEAR(moved[7].item<double>(), 0.01, 0.004);
}

TEST(AdamW, ClipsTheGlobalNorm) {
  Parameters parameters = make_parameters(at::kFloat);
  OptimizerConfig config = plain();
  config.clip_grad = 0.5;
  AdamW optimizer(parameters, config);
  backward(parameters);
  const double norm = optimizer.grad_norm();
  EXPECT_NEAR(norm, optimizer.gradient().to(at::kDouble).norm().item<double>(), 1e-6);
  optimizer.step(0.01, norm);
  // The first moment is the clipped gradient times 1 − beta1; the gradient itself stays.
  const at::Tensor exp_avg = optimizer.state()[0].second;
  EXPECT_NEAR(exp_avg.to(at::kDouble).norm().item<double>(), 0.5 * (1 - config.betas[0]), 1e-6);
  EXPECT_EQ(optimizer.grad_norm(), norm);
}

TEST(AdamW, NormOfANonFiniteGradientIsNotFinite) {
  Parameters parameters = make_parameters(at::kFloat);
  AdamW optimizer(parameters, plain());
  optimizer.gradient()[3].fill_(std::nan(""));
  EXPECT_FALSE(std::isfinite(optimizer.grad_norm()));
}

TEST(AdamW, NormOfHugeFiniteGradientsIsFinite) {
  Parameters parameters = make_parameters(at::kFloat);
  AdamW optimizer(parameters, plain());
  at::Tensor(optimizer.gradient()).fill_(1e30);  // its square overflows float
  EXPECT_NEAR(optimizer.grad_norm(), 3e30, 1e24);
}

TEST(AdamW, RefusesANonFiniteStepAndChangesNothing) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    Parameters parameters = make_parameters(dtype);
    AdamW optimizer(parameters, plain());
    backward(parameters);
    optimizer.step(0.01, optimizer.grad_norm());
    std::vector<at::Tensor> before = {parameters.trainable_buffer().clone()};
    for (const auto& [name, tensor] : optimizer.state()) before.push_back(tensor.clone());
    optimizer.gradient()[3].fill_(std::numeric_limits<float>::infinity());
    EXPECT_THROW(optimizer.step(0.01, optimizer.grad_norm()), Error);
    std::vector<at::Tensor> after = {parameters.trainable_buffer()};
    for (const auto& [name, tensor] : optimizer.state()) after.push_back(tensor);
    for (size_t i = 0; i < before.size(); ++i) EXPECT_TRUE(at::equal(before[i], after[i])) << i;
  }
}

TEST(AdamW, LargeTensorsAreUpdatedToTheLastNumber) {
  const int64_t size = (int64_t{1} << 24) + 5;
  Parameters parameters({{"small", {3}}, {"large", {size, 1}}}, at::kFloat, at::kCPU,
                        [](const std::string&) { return true; });
  const at::Tensor weights = parameters.trainable_buffer().detach();
  weights.fill_(1);
  AdamW optimizer(parameters, plain());
  at::Tensor(optimizer.gradient()).fill_(0.5);
  EXPECT_NEAR(optimizer.grad_norm(), 0.5 * std::sqrt(static_cast<double>(size + 3)), 1e-6);
  optimizer.step(0.01, optimizer.grad_norm());
  // The first step is lr · sign of the gradient; matrices decay by lr · 0.1 first.
  EXPECT_TRUE(weights.narrow(0, 0, 3).sub(0.99).abs().max().item<double>() < 1e-6);
  EXPECT_TRUE(weights.narrow(0, 3, size).sub(0.989).abs().max().item<double>() < 1e-6);
}

TEST(AdamW, RefusesOtherStateAndSettings) {
  Parameters parameters = make_parameters(at::kFloat);
  AdamW optimizer(parameters, plain());
  const auto refusal = [](auto action) -> std::string {
    try {
      action();
    } catch (const InputError& error) {
      return error.what();
    }
    return "(accepted)";
  };
  NamedTensors state = optimizer.state();
  state[0].second = at::zeros({8});
  EXPECT_EQ(refusal([&] { optimizer.load_state(state); }),
            "optimizer state: tensor 'exp_avg': expected 9 values of Float, got 8 of Float");
  state[0].second = at::full({9}, 1.0, at::kDouble);
  EXPECT_EQ(refusal([&] { optimizer.load_state(state); }),
            "optimizer state: tensor 'exp_avg': expected 9 values of Float, got 9 of Double");
  state[0].second = at::ones({9});
  state.back().second = at::ones({2}, at::kLong);  // the first ones fit
  EXPECT_NE(refusal([&] { optimizer.load_state(state); }), "(accepted)");
  EXPECT_TRUE(optimizer.state()[0].second.eq(0).all().item<bool>());
  state.erase(state.begin());
  EXPECT_EQ(refusal([&] { optimizer.load_state(state); }),
            "optimizer state: tensor 'exp_avg' is missing");
  OptimizerConfig config;
  config.betas = {0.9};
  EXPECT_EQ(refusal([&] { config.validate(); }),
            "config: 'optimizer.betas': expected 2 numbers, got 1");
}

TEST(AdamW, RestoredStateContinuesBitForBit) {
  for (const auto dtype : {at::kFloat, at::kBFloat16}) {
    const auto train = [&](Parameters& parameters, AdamW& optimizer, int steps) {
      for (int i = 0; i < steps; ++i) {
        optimizer.begin(1);
        backward(parameters);
        optimizer.step(0.01, optimizer.grad_norm());
      }
    };
    Parameters whole = make_parameters(dtype);
    AdamW whole_optimizer(whole, plain());
    train(whole, whole_optimizer, 7);

    Parameters first = make_parameters(dtype);
    AdamW first_optimizer(first, plain());
    train(first, first_optimizer, 3);
    NamedTensors saved;
    for (const auto& [name, tensor] : first_optimizer.state())
      saved.emplace_back(name, tensor.clone());
    Parameters second = make_parameters(dtype);
    AdamW second_optimizer(second, plain());
    second_optimizer.load_state(saved);
    {
      at::NoGradGuard no_grad;
      second.trainable_buffer().detach().copy_(first.trainable_buffer());
    }
    train(second, second_optimizer, 4);
    EXPECT_TRUE(at::equal(whole.trainable_buffer(), second.trainable_buffer()));

    saved.pop_back();
    EXPECT_THROW(second_optimizer.load_state(saved), InputError);
  }
}

}  // namespace
}  // namespace caprl
