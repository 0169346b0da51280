// A caption and questions about it, as token ids.
#pragma once
#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "caprl/models/branched.h"
#include "caprl/reward/question.h"
#include "caprl/reward/reward.h"
#include "caprl/text/chat.h"

namespace caprl {

/// The run and the step that an answer is for: part of its random numbers' address.
struct AnswerKey {
  uint64_t seed = 0, step = 0;
  auto operator<=>(const AnswerKey&) const = default;
};

/// One caption and what is asked about it.
struct Inquiry {
  std::string caption;
  std::vector<AskedQuestion> questions;  // at least one
  uint64_t prompt_id = 0;
  uint64_t sample = 0;  // number of the caption within its group
  AnswerKey key = {};
};

/// The prefix is what all of the caption's prompts begin with; each branch, never empty, is the
/// rest of one of them.
struct RenderedInquiry {
  BranchedSequence sequence;
  std::vector<size_t> questions;  // of the branches; too long ones have none
  int64_t num_tokens = 0;
};

/// Immutable; thread safe.
class AnswerPrompt {
 public:
  static constexpr int64_t kNoLimit = std::numeric_limits<int64_t>::max();

  /// Questions whose prompt has more than `max_tokens` tokens are left out. InputError if the
  /// configured prompt lacks a placeholder.
  AnswerPrompt(const AnswererConfig& config, std::shared_ptr<const Tokenizer> tokenizer,
               std::shared_ptr<const ChatFormat> chat, int64_t max_tokens = kNoLimit);

  /// One result an inquiry. Uses ATen's threads.
  std::vector<RenderedInquiry> render(std::span<const Inquiry> inquiries) const;
  /// The whole prompt of one question.
  std::vector<int64_t> ids(const std::string& caption, const AskedQuestion& question) const;

  const Tokenizer& tokenizer() const { return *tokenizer_; }
  const ChatFormat& chat() const { return *chat_; }

 private:
  RenderedInquiry render(const Inquiry& inquiry) const;

  std::string system_prompt_, template_, assistant_prefix_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::shared_ptr<const ChatFormat> chat_;
  int64_t max_tokens_;
};

}  // namespace caprl
