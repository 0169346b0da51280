// Each term against values worked out by hand, and how terms add up to a reward.
#include "caprl/reward/term.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cmath>

#include "reward/caption_reward.h"
#include "test_answerer.h"

namespace caprl {
namespace {

using testing::HasSubstr;

/// A config as users write it: "length.weight=1" is reward.length.weight.
RewardConfig with_terms(const std::vector<std::string>& settings) {
  const TempFolder folder;
  write_file_atomic(folder.path() / "reward.yaml", "scale: 0\n");
  RewardConfig config;
  load_config(folder.path() / "reward.yaml", settings, config);
  return config;
}

/// The only active term's values of captions given by text and number of tokens.
std::vector<std::optional<double>> values_of(const std::vector<std::string>& settings,
                                             std::vector<CaptionToScore> captions) {
  const RewardModel model(with_terms(settings), 1, at::kCPU);
  const GroupToScore group{1, nullptr, std::move(captions)};
  std::vector<std::optional<double>> values;
  const auto scores = model.score({&group, 1}, 1);
  for (const CaptionReward& caption : scores[0]) values.push_back(caption.terms.at(0).value);
  return values;
}

double value_of(const std::vector<std::string>& settings, const std::string& text,
                int64_t num_tokens = 0) {
  return values_of(settings, {{text, num_tokens}})[0].value();
}

TEST(LengthTerm, IsOneThenALineThenZero) {
  const auto published = [](int64_t tokens) { return value_of({"length.weight=1"}, "", tokens); };
  EXPECT_EQ(published(0), 1);
  EXPECT_EQ(published(2048), 1);
  EXPECT_EQ(published(2304), 0.75);
  EXPECT_EQ(published(2560), 0.5);
  EXPECT_EQ(published(3071), 1.0 / 1024);
  EXPECT_EQ(published(3072), 0);
  EXPECT_EQ(published(100000), 0);
}

TEST(LengthTerm, ANegativeWeightRewardsLength) {
  const RewardModel model(
      with_terms({"length.weight=-1", "length.full_tokens=0", "length.zero_tokens=32"}), 1,
      at::kCPU);
  const GroupToScore group{1, nullptr, {{"", 8}, {"", 16}, {"", 40}}};
  const auto scores = model.score({&group, 1}, 1);
  EXPECT_EQ(scores[0][0].value, -0.75);
  EXPECT_EQ(scores[0][1].value, -0.5);
  EXPECT_EQ(scores[0][2].value, 0);
}

TEST(LengthTerm, LimitsInTheWrongOrderAreRefused) {
  EXPECT_EQ(
      message_of<InputError>([] {
        with_terms({"length.weight=1", "length.full_tokens=9", "length.zero_tokens=9"}).validate();
      }),
      "config: 'reward.length.zero_tokens': expected more than full_tokens (9), got 9");
}

TEST(RepetitionTerm, CountsNgramsOfWords) {
  const auto pairs = [](const std::string& text) {
    return value_of({"repetition.weight=1", "repetition.ngram_size=2"}, text);
  };
  EXPECT_EQ(pairs(""), 0);
  EXPECT_EQ(pairs("one"), 0);
  EXPECT_EQ(pairs("a red ball"), 0);
  EXPECT_DOUBLE_EQ(pairs("a red ball, a red dog"), -0.2);   // "a red" twice among 5 pairs
  EXPECT_DOUBLE_EQ(pairs("A red ball. a RED dog!"), -0.2);  // case and punctuation do not count
  EXPECT_EQ(pairs("no no no no no"), -0.75);                // one pair of 4
  EXPECT_DOUBLE_EQ(value_of({"repetition.weight=1"}, "a b c d a b c d"), -0.2);  // by default 4
}

TEST(RepetitionTerm, KnowsWordsWithoutSpaces) {
  // 红色 的 球 / 红色 的 狗: "红色 的" twice among 5 pairs.
  EXPECT_DOUBLE_EQ(value_of({"repetition.weight=1", "repetition.ngram_size=2"}, "红色的球红色的狗"),
                   -0.2);
}

TEST(SelfPraiseTerm, CountsSentencesAboutTheCaptionItself) {
  const auto value = [](const std::string& text) {
    return value_of({"self_praise.weight=1"}, text);
  };
  for (const char* plain :
       {"", "A red ball lies on a table.", "The sign has a detailed map of the city.",
        "A man reads a description of a painting.", "The report covers all 50 states.",
        "桌子上有一个红色的球。"})
    EXPECT_EQ(value(plain), 0) << plain;
  for (const char* praise : {"This description is accurate and complete.",
                             "Overall, this caption provides a comprehensive overview.",
                             "A ball. This detailed description leaves no doubt.",
                             "The description captures every detail of the scene.",
                             "It describes the scene without omitting anything.",
                             "No important details have been left out.",
                             "A high-quality caption indeed.", "桌上有球。这段描述非常详细。"})
    EXPECT_DOUBLE_EQ(value(praise), -1.0 / 3) << praise;
  EXPECT_EQ(value("This description is accurate. This caption is detailed. A ball. "
                  "My answer is precise. The above summary is thorough."),
            -1);
}

TEST(SelfPraiseTerm, PatternsAreTheUsers) {
  const std::vector<std::string> settings{"self_praise.weight=1", "self_praise.worst_sentences=1",
                                          "self_praise.patterns=[wow]"};
  EXPECT_EQ(value_of(settings, "Wow. A ball."), -1);
  EXPECT_EQ(value_of(settings, "This description is accurate."), 0);
  EXPECT_THAT(message_of<InputError>([] {
                with_terms({"self_praise.weight=1", "self_praise.patterns=['a(']"}).validate();
              }),
              HasSubstr("'reward.self_praise.patterns': expected a regular expression, got 'a('"));
}

TEST(FormatTerm, CountsValidTimesAndTheirOrder) {
  const auto value = [](const std::string& text) { return value_of({"format.weight=1"}, text); };
  EXPECT_EQ(value("A ball rolls."), 0);
  EXPECT_EQ(value("[00:01] a ball [00:05 - 00:09] it rolls"), 1);
  EXPECT_EQ(value("[599:59] late"), 1);
  EXPECT_EQ(value("[600:00] too late"), 0);  // invalid, and nothing valid in order
  EXPECT_EQ(value("[00:60] no such second"), 0);
  EXPECT_EQ(value("[00:09 - 00:05] backwards"), 0);
  EXPECT_EQ(value("[00:05] then [00:01]"), 0.5);  // valid, out of order
  EXPECT_EQ(value("[00:05] then [00:05]"), 1);    // not decreasing
  EXPECT_EQ(value("[00:01] a [00:99] b"), 0.75);  // half of them valid, in order
  EXPECT_EQ(value("[note] [1] [12:] [:30] [-1:20]"), 0);
  EXPECT_EQ(value("[00:05-00:07] no spaces"), 1);
  EXPECT_EQ(value("[99999999999999999999:00]"), 0);  // no number: not a time at all
}

TEST(AbstentionTerm, IsAShareOfAnswers) {
  RewardConfig config = with_terms({"abstention.weight=0.5", "scale=2"});
  const auto answer = [](char given, bool valid = true) {
    AnswerRecord record;
    record.asked.right = 'A';
    record.asked.abstain = 'F';
    record.given = given;
    record.valid = valid;
    return record;
  };
  CaptionReward caption;
  caption.answers = {answer('A'), answer('F'), answer('B'), answer('F'), answer('F', false)};
  caption.num_asked = 4;
  caption.accuracy = 0.25;
  GroupScores scores{{caption, CaptionReward{}}};
  const GroupToScore group{1, nullptr, {{"a"}, {"b"}}};
  const auto values = config.terms.active().at(0)->score({&group, 1}, scores, 1);
  EXPECT_EQ(values[0][0], 0.5);
  EXPECT_EQ(values[0][1], std::nullopt);
  add_terms(config, {&values, 1}, scores);
  EXPECT_EQ(scores[0][0].value, 2 * 0.25 + 0.5 * 0.5);
  EXPECT_EQ(scores[0][1].value, std::nullopt);
}

TEST(Terms, AreWeightedAndAdded) {
  const auto config =
      with_terms({"length.weight=0.2", "repetition.weight=3", "repetition.ngram_size=1"});
  const RewardModel model(config, 1, at::kCPU);
  const GroupToScore group{1, nullptr, {{"no no", 2560}, {"a ball", 5}}};
  const auto scores = model.score({&group, 1}, 1);
  ASSERT_EQ(scores[0][0].terms.size(), 2u);
  EXPECT_EQ(scores[0][0].terms[0].name, "length");
  EXPECT_EQ(scores[0][0].terms[1].name, "repetition");
  EXPECT_DOUBLE_EQ(scores[0][0].value.value(), 0.2 * 0.5 - 3 * 0.5);
  EXPECT_DOUBLE_EQ(scores[0][1].value.value(), 0.2);
  EXPECT_EQ(scores[0][0].accuracy, std::nullopt);
}

// Two terms of very different size count the same after standardising.
TEST(Terms, AreStandardisedWithinTheGroupIfConfigured) {
  const auto config = with_terms({"normalize_terms=true", "length.weight=2", "length.full_tokens=0",
                                  "length.zero_tokens=1000", "repetition.weight=1"});
  const RewardModel model(config, 1, at::kCPU);
  const GroupToScore group{1, nullptr, {{"a b c d", 10}, {"a b c d e a b c d", 20}, {"x", 30}}};
  const auto scores = model.score({&group, 1}, 1);
  // Lengths 0.99, 0.98, 0.97: standardised 1, 0, −1. Repetition 0, −1/6, 0: 1/√3, −2/√3, 1/√3.
  const double r = 1 / std::sqrt(3.0);
  EXPECT_NEAR(scores[0][0].value.value(), 2 + r, 1e-3);
  EXPECT_NEAR(scores[0][1].value.value(), -2 * r, 1e-3);
  EXPECT_NEAR(scores[0][2].value.value(), -2 + r, 1e-3);
}

TEST(Terms, OfAFlatGroupAreZeroWhenStandardised) {
  const auto config = with_terms({"normalize_terms=true", "length.weight=2"});
  const GroupToScore group{1, nullptr, {{"a", 10}, {"b", 20}}};
  const auto scores = RewardModel(config, 1, at::kCPU).score({&group, 1}, 1);
  for (const CaptionReward& caption : scores[0]) EXPECT_EQ(caption.value, 0.0);
}

TEST(Terms, ACopyHasItsOwnSettings) {
  RewardConfig first = with_terms({"length.weight=1"});
  const RewardConfig second = first;
  first = with_terms({"repetition.weight=2"});
  ASSERT_EQ(second.terms.active().size(), 1u);
  EXPECT_EQ(second.terms.active()[0]->name(), "length");
  EXPECT_EQ(first.terms.active()[0]->name(), "repetition");
}

TEST(Terms, AConfigWithoutAnyRewardIsRefused) {
  EXPECT_EQ(message_of<InputError>([] { with_terms({}).validate(); }),
            "config: 'reward.scale' is 0 and no term has a weight: there is no reward");
  EXPECT_EQ(message_of<InputError>([] { with_terms({"scale=1"}).validate(); }),
            "config: 'reward.answerer.model' must be set");
  EXPECT_EQ(message_of<InputError>([] {
              with_terms({"scale=1", "answerer.model=m", "answerer.credit=expected"}).validate();
            }),
            "config: 'reward.answerer.credit': expected needs the mode letter_logits, got sample");
}

}  // namespace
}  // namespace caprl
