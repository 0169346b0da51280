// Supervised runs from end to end.
#include "caprl/train/sft_trainer.h"

#include "caprl/generation/prompts.h"
#include "caprl/ops/policy_loss.h"
#include "caprl/train/loss_batch.h"
#include "support/tiny_run.h"

namespace caprl {
namespace {

class Sft : public TinyRun {
 protected:
  static void train(const SftConfig& config) { SftTrainer(config, "auto").run(); }
  static double first_loss(const std::string& run) {
    return metrics(run).at(0).at("train/loss").get<double>();
  }
};

TEST_F(Sft, ResumesExactly) {
  for (const std::string model : {"captioner", "answerer"}) {
    SftConfig config = sft(model + "_whole", model, 5);
    train(config);
    config.run.dir = path(model + "_parts");
    for (const int64_t steps : {2, 5}) {
      config.train.total_steps = steps;
      train(config);
    }
    expect_same_run(model + "_whole", model + "_parts");
  }
}

TEST_F(Sft, LearnsItsRows) {
  for (const std::string model : {"captioner", "answerer"}) {
    SftConfig config = sft(model + "_learns", model, 40);
    config.data.rows_per_group = model == "answerer" ? 8 : 1;
    train(config);
    const auto lines = metrics(model + "_learns");
    EXPECT_LT(lines.back().at("train/loss").get<double>(),
              0.5 * lines.front().at("train/loss").get<double>());
  }
}

TEST_F(Sft, SharedPromptsAndPackingChangeNothingButRounding) {
  SftConfig config = sft("apart", "answerer", 1);
  config.data.shuffle = false;
  config.optimizer.eps = 1;  // updates in proportion to the gradients
  config.data.train_batch_size = 16;
  config.train.micro_tokens = 1;
  train(config);
  config.run.dir = path("together");
  config.data.rows_per_group = 8;
  config.data.train_batch_size = 2;
  config.train.micro_tokens = 8192;
  train(config);
  EXPECT_NEAR(first_loss("apart"), first_loss("together"), 1e-6);
  const auto apart = weights("apart", 1), together = weights("together", 1);
  for (const auto& [name, tensor] : apart)
    EXPECT_TRUE(at::allclose(tensor, together.at(name), 0, 1e-5)) << name;
}

TEST_F(Sft, LossIsThatOfTheResponsesTokens) {
  SftConfig config = sft("responses", "captioner", 1);
  config.data.shuffle = false;
  train(config);

  const auto model = Model::load(path("captioner"), {at::kFloat});
  const PromptBuilder prompts(path("captioner"), "", model->traits(), 1024);
  const auto rows =
      load_sft_rows(config.data.train_files, BadRows::kStop, prompts.tokenizer()).rows;
  double sum = 0, count = 0;
  for (int64_t i = 0; i < config.data.train_batch_size; ++i) {
    ScoredSequence scored;
    scored.sequence.prefix = prompts.build(rows[i].messages, rows[i].images, rows[i].where);
    scored.sequence.branches = {prompts.response(rows[i].response)};
    scored.branches = {{0, 1, 0}};
    const LossBatch batch = make_loss_batch(std::span(&scored, 1), *model);
    const at::Tensor logprobs = ops::token_logprobs(hidden_rows(*model, batch),
                                                    model->head_weight(), batch.targets, 1.0, 64);
    sum -= logprobs.sum().item<double>();
    count += static_cast<double>(logprobs.numel());
  }
  EXPECT_NEAR(first_loss("responses"), sum / count, 1e-5);
}

}  // namespace
}  // namespace caprl
