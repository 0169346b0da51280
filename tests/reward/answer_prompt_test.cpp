#include "reward/answer_prompt.h"

#include <gmock/gmock.h>

#include "caprl/core/error.h"
#include "test_answerer.h"

namespace caprl {
namespace {

using testing::HasSubstr;

class AnswerPromptTest : public testing::Test {
 protected:
  AnswerPrompt prompt(const std::string& text, int64_t max_tokens = AnswerPrompt::kNoLimit) {
    AnswererConfig config;
    config.prompt = text;
    config.system_prompt = system_prompt_;
    config.assistant_prefix = "answer";
    const auto tokenizer = Tokenizer::load(dir_.path());
    return {config, tokenizer, ChatFormat::load(dir_.path(), tokenizer), max_tokens};
  }
  std::string text_of(const AnswerPrompt& prompt, const std::string& caption,
                      const std::string& question) {
    return prompt.tokenizer().decode(prompt.ids(caption, asked(question)), false);
  }
  static AskedQuestion asked(const std::string& text) {
    AskedQuestion question;
    question.text = text;
    return question;
  }

  AnswererDir dir_;
  std::string system_prompt_;
};

TEST_F(AnswerPromptTest, FillsItsPlaceholders) {
  EXPECT_EQ(
      text_of(prompt("say {caption} then {question} end"), "red ball", "what?"),
      "<|im_start|>user\nsay red ball then what? end<|im_end|>\n<|im_start|>assistant\nanswer");
  system_prompt_ = "be brief";
  EXPECT_EQ(text_of(prompt("{question}{caption}"), "x", "y"),
            "<|im_start|>system\nbe brief<|im_end|>\n<|im_start|>user\nyx<|im_end|>\n"
            "<|im_start|>assistant\nanswer");
}

TEST_F(AnswerPromptTest, TextsThatSpellPlaceholdersAreOnlyText) {
  EXPECT_THAT(text_of(prompt("{caption} | {question}"), "{question} {caption}", "{caption}"),
              HasSubstr("user\n{question} {caption} | {caption}<|im_end|>"));
}

TEST_F(AnswerPromptTest, TheBuiltInPromptPutsTheQuestionAfterTheMarkedCaption) {
  const std::string text = text_of(prompt(""), "THE CAPTION", "THE QUESTION");
  const auto caption = text.find("[description begins]\nTHE CAPTION\n[description ends]");
  ASSERT_NE(caption, std::string::npos);
  EXPECT_GT(text.find("THE QUESTION<|im_end|>"), caption);
  // Worked examples: one answered, one not answerable.
  const auto right = text.find("The answer is C"), abstained = text.find("The answer is E");
  EXPECT_LT(right, abstained);
  EXPECT_LT(abstained, caption);
}

TEST_F(AnswerPromptTest, RefusesPromptsWithoutPlaceholders) {
  EXPECT_EQ(message_of<InputError>([&] { prompt("{question}"); }),
            "config: 'reward.answerer.prompt': expected the placeholder {caption}, got none");
  EXPECT_EQ(message_of<InputError>([&] { prompt("{caption}"); }),
            "config: 'reward.answerer.prompt': expected the placeholder {question}, got none");
}

TEST_F(AnswerPromptTest, PrefixAndBranchesAreExactlyThePrompts) {
  const AnswerPrompt prompt = this->prompt("{caption} {question} ?");
  const std::vector<Inquiry> inquiries{
      {"the ball", {asked("what color"), asked("what is"), asked("whatever")}, 0, 0},
      {"the ball", {asked("what color")}, 0, 1},
      {"", {asked("is"), asked("is")}, 0, 2}};
  const auto rendered = prompt.render(inquiries);
  ASSERT_EQ(rendered.size(), 3u);
  for (size_t i = 0; i < inquiries.size(); ++i) {
    const BranchedSequence& sequence = rendered[i].sequence;
    ASSERT_EQ(sequence.branches.size(), inquiries[i].questions.size());
    auto num_tokens = static_cast<int64_t>(sequence.prefix.ids.size());
    for (size_t q = 0; q < sequence.branches.size(); ++q) {
      EXPECT_EQ(rendered[i].questions[q], q);
      EXPECT_FALSE(sequence.branches[q].empty());
      std::vector<int64_t> whole = sequence.prefix.ids;
      whole.insert(whole.end(), sequence.branches[q].begin(), sequence.branches[q].end());
      EXPECT_EQ(whole, prompt.ids(inquiries[i].caption, inquiries[i].questions[q]));
      num_tokens += static_cast<int64_t>(sequence.branches[q].size());
    }
    EXPECT_EQ(rendered[i].num_tokens, num_tokens);
  }
  // As much is shared as can be: the branches of the first differ at once, the others keep one
  // token.
  const auto& first = rendered[0].sequence.branches;
  EXPECT_FALSE(first[0][0] == first[1][0] && first[1][0] == first[2][0]);
  EXPECT_EQ(rendered[1].sequence.branches[0].size(), 1u);
  EXPECT_EQ(rendered[2].sequence.branches[0].size(), 1u);
}

TEST_F(AnswerPromptTest, LeavesTooLongPromptsOut) {
  const AskedQuestion brief = asked("is"), lengthy = asked("is the ball red blue green ?");
  const auto limit =
      static_cast<int64_t>(prompt("{caption} {question}").ids("a dog", brief).size());
  const std::vector<Inquiry> inquiries{{"a dog", {lengthy, brief, lengthy, brief}, 0, 0},
                                       {"a dog", {lengthy}, 0, 1}};
  const auto exact = prompt("{caption} {question}", limit).render(inquiries);
  EXPECT_EQ(exact[0].questions, (std::vector<size_t>{1, 3}));
  EXPECT_EQ(exact[0].sequence.branches.size(), 2u);
  EXPECT_TRUE(exact[1].questions.empty());
  EXPECT_EQ(exact[1].num_tokens, 0);
  EXPECT_TRUE(prompt("{caption} {question}", limit - 1).render(inquiries)[0].questions.empty());
}

}  // namespace
}  // namespace caprl
