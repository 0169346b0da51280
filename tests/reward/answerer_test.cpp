// Both answerers against one forward pass per question (and token), in which nothing is shared.
#include "reward/answerer.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cmath>
#include <map>

#include "caprl/core/error.h"
#include "caprl/core/philox.h"
#include "kernels/math/fast_math.h"
#include "reward/draw.h"
#include "test_answerer.h"

namespace caprl {
namespace {

class AnswererTest : public testing::Test {
 protected:
  AnswererTest()
      : model_(Model::load(dir_.path(), {})),
        tokenizer_(Tokenizer::load(dir_.path())),
        chat_(ChatFormat::load(dir_.path(), tokenizer_)) {}

  AnswerPrompt prompt(const AnswererConfig& config, int64_t max_tokens = AnswerPrompt::kNoLimit) {
    return {config, tokenizer_, chat_, max_tokens};
  }
  std::unique_ptr<Answerer> answerer(const AnswererConfig& config) {
    return config.mode == AnswerMode::kSample
               ? make_sample_answerer(*model_, prompt(config), config)
               : make_letter_answerer(*model_, prompt(config), config);
  }
  std::vector<Inquiry> inquiries(const RewardConfig& config) {
    std::vector<Inquiry> result;
    for (const GroupToScore& group : some_groups())
      for (size_t i = 0; i < group.captions.size(); ++i)
        result.push_back(
            {group.captions[i].text,
             draw_questions(*group.questions, config, {kSeed, kStep, group.prompt_id, i}),
             group.prompt_id,
             i,
             {kSeed, kStep}});
    return result;
  }
  /// log-probabilities [V] of the token after `ids`.
  at::Tensor next_logits(const std::vector<int64_t>& ids) {
    at::NoGradGuard no_grad;
    const BranchedSequence tree{{ids, {}}, {}};
    const BranchedBatch batch = pack({&tree, 1}, *model_);
    BranchedAttention attention(batch.layout, at::kCPU);
    const at::Tensor hidden = model_->decode(model_->embed(batch), batch.positions, attention);
    return hidden[static_cast<int64_t>(ids.size()) - 1].matmul(model_->head_weight().t());
  }

  static constexpr uint64_t kSeed = 21, kStep = 6;
  AnswererDir dir_;
  std::unique_ptr<Model> model_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const ChatFormat> chat_;
};

TEST(FirstLetter, ByTable) {
  const std::vector<std::pair<std::string, char>> cases{
      {" B", 'B'},     {"B) red", 'B'}, {" the red one (C)", 'C'},
      {"", 0},         {"abc", 0},      {"Z J K", 0},
      {" I", 'I'},     {"J or H", 'H'}, {"Can not say", 'C'},
      {"\n\tF.", 'F'}, {"é D", 'D'}};
  for (const auto& [text, letter] : cases) EXPECT_EQ(first_letter(text), letter) << text;
}

TEST_F(AnswererTest, LettersAreThoseOfTheWholeVocabularysProbabilities) {
  const RewardConfig config = dir_.config(AnswerMode::kLetterLogits);
  const auto asked = inquiries(config);
  const AnswerPrompt whole = prompt(config.answerer);
  std::map<char, int64_t> given;
  for (const int64_t tokens : {7, 150, 100'000}) {
    AnswererConfig settings = config.answerer;
    settings.limits.max_num_batched_tokens = tokens;
    const auto answers = answerer(settings)->answer(asked);
    ASSERT_EQ(answers.size(), asked.size());
    for (size_t i = 0; i < asked.size(); ++i) {
      ASSERT_EQ(answers[i].size(), asked[i].questions.size());
      for (size_t q = 0; q < answers[i].size(); ++q) {
        const AskedQuestion& question = asked[i].questions[q];
        const at::Tensor p =
            next_logits(whole.ids(asked[i].caption, question)).to(at::kDouble).softmax(0);
        double total = 0, right = 0, best = -1;
        char expected = 0;
        for (const char label : question.labels()) {
          const std::string name(1, label);
          const double mine = p[tokenizer_->encode(name, false).at(0)].item<double>() +
                              p[tokenizer_->encode(" " + name, false).at(0)].item<double>() *
                                  (tokenizer_->encode(" " + name, false).size() == 1);
          total += mine;
          if (label == question.right) right = mine;
          if (mine > best) {
            best = mine;
            expected = label;
          }
        }
        EXPECT_TRUE(answers[i][q].valid);
        EXPECT_EQ(answers[i][q].given, expected);
        EXPECT_EQ(answers[i][q].output, std::string(1, expected));
        EXPECT_NEAR(answers[i][q].right_probability, right / total, 1e-5);
        ++given[expected];
      }
    }
  }
  EXPECT_GT(given.size(), 1u) << "the model answers everything alike: the test cannot fail";
}

/// The definition of sampling: arg-max of logit / temperature + noise, a token at a time.
TEST_F(AnswererTest, SampledAnswersAreThoseOfUncachedSampling) {
  const RewardConfig config = dir_.config(AnswerMode::kSample);
  const auto asked = inquiries(config);
  const AnswerPrompt whole = prompt(config.answerer);
  const auto answers = answerer(config.answerer)->answer(asked);
  const auto temperature = static_cast<float>(config.answerer.temperature);
  const auto& stops = chat_->stop_ids();
  for (size_t i = 0; i < asked.size(); ++i)
    for (size_t q = 0; q < asked[i].questions.size(); ++q) {
      const CounterRng rng(kSeed, RandomPurpose::kAnswerSampling,
                           {kStep, asked[i].prompt_id, asked[i].sample, q});
      std::vector<int64_t> ids = whole.ids(asked[i].caption, asked[i].questions[q]), generated;
      while (static_cast<int64_t>(generated.size()) < config.answerer.max_new_tokens) {
        const at::Tensor logits = next_logits(ids);
        int64_t best = 0;
        float best_score = -1e30f;
        for (int64_t v = 0; v < logits.size(0); ++v) {
          const auto word = rng.block(generated.size(), static_cast<uint64_t>(v) / 4)[v % 4];
          const float score = logits[v].item<float>() / temperature + kernels::gumbel(word);
          if (score > best_score) {
            best_score = score;
            best = v;
          }
        }
        ids.push_back(best);
        generated.push_back(best);
        if (std::find(stops.begin(), stops.end(), best) != stops.end()) break;
      }
      const std::string output = tokenizer_->decode(generated, true);
      EXPECT_TRUE(answers[i][q].valid);
      EXPECT_EQ(answers[i][q].output, output);
      EXPECT_EQ(answers[i][q].given, first_letter(output));
    }
}

TEST_F(AnswererTest, TooLongQuestionsAreInvalidAndTheOthersUnchanged) {
  for (const AnswerMode mode : {AnswerMode::kSample, AnswerMode::kLetterLogits}) {
    const RewardConfig config = dir_.config(mode);
    const auto asked = inquiries(config);
    const AnswerPrompt whole = prompt(config.answerer);
    std::vector<int64_t> sizes;
    for (const Inquiry& inquiry : asked)
      for (const AskedQuestion& question : inquiry.questions)
        sizes.push_back(static_cast<int64_t>(whole.ids(inquiry.caption, question).size()));
    std::nth_element(sizes.begin(), sizes.begin() + sizes.size() / 2, sizes.end());
    const int64_t limit = sizes[sizes.size() / 2];
    const auto limited =
        mode == AnswerMode::kSample
            ? make_sample_answerer(*model_, prompt(config.answerer, limit), config.answerer)
            : make_letter_answerer(*model_, prompt(config.answerer, limit), config.answerer);
    const auto answers = limited->answer(asked);
    const auto all = answerer(config.answerer)->answer(asked);
    int64_t num_invalid = 0, num_valid = 0;
    for (size_t i = 0; i < asked.size(); ++i)
      for (size_t q = 0; q < asked[i].questions.size(); ++q) {
        const auto size =
            static_cast<int64_t>(whole.ids(asked[i].caption, asked[i].questions[q]).size());
        EXPECT_EQ(answers[i][q].valid, size <= limit);
        ++(answers[i][q].valid ? num_valid : num_invalid);
        if (!answers[i][q].valid) {
          EXPECT_EQ(answers[i][q].given, 0);
          EXPECT_EQ(answers[i][q].output, "");
        } else if (mode == AnswerMode::kLetterLogits) {
          EXPECT_EQ(answers[i][q].given, all[i][q].given);
          EXPECT_NEAR(answers[i][q].right_probability, all[i][q].right_probability, 1e-5);
        }
      }
    EXPECT_GT(num_invalid, 0);
    EXPECT_GT(num_valid, 0);
  }
}

TEST_F(AnswererTest, LogitsThatAreNotFiniteAreAnError) {
  const RewardConfig config = dir_.config(AnswerMode::kLetterLogits);
  const auto asked = inquiries(config);
  {
    at::NoGradGuard no_grad;
    model_->parameters().get("model.norm.weight").fill_(std::nanf(""));
  }
  const auto broken = answerer(config.answerer);
  EXPECT_THAT(message_of<Error>([&] { broken->answer(asked); }),
              testing::HasSubstr("[sampler] logits are not finite: prompt 11"));
}

int64_t common_beginning(const std::vector<int64_t>& a, const std::vector<int64_t>& b) {
  return std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first - a.begin();
}

// 8 captions × 8 questions under an instruction: each of the three is read once, and what comes of
// it has the bits of every question asked by itself.
TEST_F(AnswererTest, InstructionCaptionAndQuestionAreReadOnce) {
  RewardConfig config = dir_.config(AnswerMode::kLetterLogits);
  for (int i = 0; i < 60; ++i) config.answerer.prompt = "the answer is " + config.answerer.prompt;
  std::vector<Inquiry> asked;
  const std::vector<std::string> words{"red", "blue", "green", "ball", "dog", "what", "a", "is"};
  for (uint64_t i = 0; i < 8; ++i) {
    Inquiry& inquiry = asked.emplace_back();
    for (int k = 0; k < 12; ++k) inquiry.caption += words[i] + " " + words[k % 8] + " ";
    inquiry.prompt_id = 3;
    inquiry.sample = i;
    for (size_t q = 0; q < 8; ++q)
      inquiry.questions.push_back(
          ask({words[q] + " ?", {"red", "blue"}, 0}, static_cast<int64_t>(q), {}, {}));
  }
  const auto engine = answerer(config.answerer);
  GenerationStats stats;
  const auto together = engine->answer(asked, &stats);

  const AnswerPrompt whole = prompt(config.answerer);
  int64_t unshared = 0, expected = 0;
  const std::vector<int64_t> first = whole.ids(asked[0].caption, asked[0].questions[0]);
  const int64_t instruction =
      common_beginning(first, whole.ids(asked[1].caption, asked[1].questions[0]));
  const int64_t shared = instruction / 16 * 16;  // whole pages
  for (size_t i = 0; i < asked.size(); ++i) {
    std::vector<std::vector<int64_t>> prompts;
    for (const AskedQuestion& question : asked[i].questions)
      prompts.push_back(whole.ids(asked[i].caption, question));
    const int64_t caption = common_beginning(prompts[0], prompts[1]);
    expected += caption - (i > 0 ? shared : 0);
    for (const auto& ids : prompts) {
      unshared += std::ssize(ids);
      expected += std::ssize(ids) - caption;
    }
  }
  EXPECT_GT(instruction, 180);
  EXPECT_EQ(stats.tokens_read, expected);
  EXPECT_EQ(stats.cached_tokens, 7 * shared);
  EXPECT_GE(unshared, 4 * stats.tokens_read);
  for (size_t i = 0; i < asked.size(); ++i)
    for (size_t q = 0; q < 8; ++q) {
      Inquiry alone = asked[i];
      alone.questions = {asked[i].questions[q]};
      const auto answers = answerer(config.answerer)->answer({&alone, 1});
      EXPECT_EQ(answers[0][0].given, together[i][q].given);
      EXPECT_EQ(answers[0][0].right_probability, together[i][q].right_probability);
    }
}

}  // namespace
}  // namespace caprl
