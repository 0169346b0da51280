// The judge sees the image: its scores against those of each prompt run by itself.
#include <ATen/ATen.h>

#include "caprl/generation/prompts.h"
#include "caprl/train/grpo_trainer.h"
#include "support/errors.h"
#include "support/tiny_run.h"

namespace caprl {
namespace {

using testing::HasSubstr;

class JudgeTest : public TinyRun {
 protected:
  static RewardConfig judging(const std::vector<std::string>& settings = {}) {
    const TempFolder folder;
    write_file_atomic(folder.path() / "reward.yaml", "scale: 0\n");
    std::vector<std::string> all{"judge.weight=1", "judge.model=" + path("captioner"),
                                 "judge.dtype=float32", "judge.mode=digit_logits",
                                 "judge.prompt='describe {caption} ?'"};
    all.insert(all.end(), settings.begin(), settings.end());
    RewardConfig config;
    load_config(folder.path() / "reward.yaml", all, config);
    return config;
  }
  static Dataset<CaptionRow> rows(const PromptBuilder& prompts) {
    return load_caption_rows({path("world/train.jsonl")}, BadRows::kStop, prompts.tokenizer());
  }
};

TEST_F(JudgeTest, GivesTheMeanDigitOfEachPromptByItself) {
  const auto model = Model::load(path("captioner"), {.dtype = at::kFloat});
  const PromptBuilder prompts(path("captioner"), "", model->traits(), 4096);
  const auto data = rows(prompts);
  const std::vector<std::string> captions{"two objects", "topleft red circle .", ""};
  std::vector<GroupToScore> groups;
  for (uint64_t g = 0; g < 3; ++g) {
    GroupToScore& group = groups.emplace_back();
    group.prompt_id = g;
    group.image = &data.rows[g].image;
    for (const std::string& caption : captions) group.captions.push_back({caption, 0});
  }
  const auto scores = RewardModel(judging(), 1, at::kCPU).score(groups, 1);
  std::set<double> different;
  for (size_t g = 0; g < groups.size(); ++g)
    for (size_t i = 0; i < captions.size(); ++i) {
      const std::vector<ChatMessage> messages{
          {"user",
           {{ChatPart::Kind::kImage, {}},
            {ChatPart::Kind::kText, "describe " + captions[i] + " ?"}}}};
      const BranchedSequence tree{prompts.build(messages, std::span(groups[g].image, 1), "here"),
                                  {}};
      at::NoGradGuard no_grad;
      const BranchedBatch batch = pack({&tree, 1}, *model);
      BranchedAttention attention(batch.layout, at::kCPU);
      const at::Tensor hidden = model->decode(model->embed(batch), batch.positions, attention);
      const at::Tensor logits = hidden[-1].matmul(model->head_weight().t()).to(at::kDouble);
      std::vector<int64_t> digits;
      for (const char* digit : {"1", "2", "3", "4", "5"})
        digits.push_back(prompts.tokenizer().encode(digit, false).at(0));
      const at::Tensor p = logits.index_select(0, at::tensor(digits)).softmax(0);
      const double expected = (p * at::arange(0, 5, at::kDouble) / 4).sum().item<double>();
      ASSERT_EQ(scores[g][i].terms.at(0).name, "judge");
      EXPECT_NEAR(scores[g][i].terms[0].value.value(), expected, 1e-5);
      EXPECT_EQ(scores[g][i].value, scores[g][i].terms[0].value);
      different.insert(*scores[g][i].value);
    }
  EXPECT_GT(different.size(), 5u) << "the judge sees neither image nor caption";
}

TEST_F(JudgeTest, AJudgementThatCannotBeReadIsAbsentNotZero) {
  const auto model = Model::load(path("captioner"), {.dtype = at::kFloat});
  const PromptBuilder prompts(path("captioner"), "", model->traits(), 4096);
  const auto data = rows(prompts);
  GroupToScore group{1, nullptr, {{"two objects", 0}}, &data.rows[0].image};
  const auto sampled =  // an untrained model says no number
      RewardModel(judging({"judge.mode=sample", "judge.max_new_tokens=3"}), 1, at::kCPU)
          .score({&group, 1}, 1);
  EXPECT_EQ(sampled[0][0].value, std::nullopt);
  // The prompt is beyond its limit.
  const auto beyond =
      RewardModel(judging({"judge.max_prompt_length=3"}), 1, at::kCPU).score({&group, 1}, 1);
  EXPECT_EQ(beyond[0][0].value, std::nullopt);
}

TEST_F(JudgeTest, TrainsACaptioner) {
  GrpoConfig config = grpo("judged", 2);
  const std::string answerer = config.reward.answerer.model;
  config.reward = judging();
  config.reward.answerer.model = answerer;  // reports, and counts for nothing
  config.reward.answerer.mode = AnswerMode::kLetterLogits;
  config.reward.answerer.prompt = demo::kAnswererPrompt;
  GrpoTrainer(config, "auto").run();
  const auto line = metrics("judged").at(1);
  EXPECT_GT(line.at("reward/judge"), 0);
  EXPECT_EQ(line.at("reward/judge"), line.at("critic/rewards/mean"));
  EXPECT_GE(line.at("reward/accuracy"), 0);
  EXPECT_GT(line.at("actor/grad_norm"), 0);
}

TEST_F(JudgeTest, SaysWhatIsWrong) {
  const auto fault = [](const std::vector<std::string>& settings) {
    return message_of<InputError>([&] { RewardModel(judging(settings), 1, at::kCPU); });
  };
  EXPECT_EQ(fault({"judge.model="}), "config: 'reward.judge.model' must be set");
  EXPECT_THAT(fault({"judge.prompt=rate it"}), HasSubstr("the placeholder {caption}"));
  EXPECT_THAT(fault({"judge.dtype=int4"}), HasSubstr("'reward.judge.dtype'"));
  EXPECT_THAT(fault({"judge.model=" + path("answerer")}),
              HasSubstr("expected a vision-language model"));
}

}  // namespace
}  // namespace caprl
