// From published requests to rewards against reference_protocol.py, which shares no code with
// caprl: 10,000 cases with fixed answers.
#include "reward/published_protocol.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>

#include "caprl/core/config.h"
#include "support/json.h"
#include "support/temp_folder.h"

namespace caprl {
namespace {

using Json = nlohmann::json;

/// The lines that a shell command prints, read while it runs.
class CommandLines {
 public:
  explicit CommandLines(const std::string& command) : pipe_(::popen(command.c_str(), "r")) {}
  ~CommandLines() {
    std::free(line_);
    if (pipe_ != nullptr) ::pclose(pipe_);
  }
  CommandLines(const CommandLines&) = delete;
  CommandLines& operator=(const CommandLines&) = delete;

  std::optional<std::string> next() {
    const ssize_t length = pipe_ == nullptr ? -1 : ::getline(&line_, &capacity_, pipe_);
    if (length < 0) return std::nullopt;
    return std::string(line_, static_cast<size_t>(length));
  }
  /// 0: the command ended well.
  int close() { return pipe_ == nullptr ? -1 : ::pclose(std::exchange(pipe_, nullptr)); }

 private:
  std::FILE* pipe_;
  char* line_ = nullptr;
  size_t capacity_ = 0;
};

/// Configs of cases, each read once.
class Configs {
 public:
  const RewardConfig& get(const Json& keys) {
    const auto [entry, is_new] = known_.try_emplace(keys.dump());
    if (is_new) entry->second = load(keys);
    return entry->second;
  }
  size_t size() const { return known_.size(); }

 private:
  RewardConfig load(const Json& keys) const {
    std::vector<std::string> overrides;
    for (const auto& [key, value] : keys.items())
      overrides.push_back(key + "=" + value.get<std::string>());
    RewardConfig config;
    load_config(file_, overrides, config);
    config.validate();
    return config;
  }

  TempFolder folder_;
  std::filesystem::path file_ = folder_.write("reward.yaml", "answerer:\n  model: unused\n");
  std::map<std::string, RewardConfig> known_;
};

/// What the cases had, so that the test is known to have tested something.
struct Seen {
  int64_t cases = 0, captions = 0, right = 0, abstained = 0, letterless = 0, invalid = 0, null = 0;
  std::set<double> rewards;
  std::set<char> abstain_letters;
  std::set<size_t> captions_per_request, num_options;

  void add(const AskedQuestion& asked, const Answer& answer) {
    right += answer.valid && answer.given == asked.right;
    abstained += answer.valid && asked.abstain != 0 && answer.given == asked.abstain;
    letterless += answer.valid && answer.given == 0;
    invalid += !answer.valid;
    abstain_letters.insert(asked.abstain);
    num_options.insert(static_cast<size_t>(asked.num_options));
  }
};

Answer answer_of(const Json& output) {
  if (output.is_null()) return {};
  const auto text = output.get<std::string>();
  return {true, text, first_letter(text), 0};
}

void check_rewards(const std::string& answer, const Json& expected, Seen& seen) {
  const Json reply = json_of(answer);
  ASSERT_EQ(reply.size(), 1u);
  const Json& rewards = reply.at("rewards");
  ASSERT_EQ(rewards.size(), expected.size());
  for (size_t i = 0; i < rewards.size(); ++i) {
    ASSERT_EQ(rewards[i].is_null(), expected[i].is_null()) << answer;
    ++seen.captions;
    seen.null += rewards[i].is_null();
    if (rewards[i].is_null()) continue;
    ASSERT_EQ(rewards[i].get<double>(), expected[i].get<double>()) << answer;
    seen.rewards.insert(rewards[i].get<double>());
  }
}

void check_case(const Json& expected, const RewardConfig& config, Seen& seen) {
  const auto captions = parse_get_reward(expected["request"].get_ref<const std::string&>());
  const auto inquiries = draw_inquiries(captions, config, expected["seed"].get<uint64_t>());
  ASSERT_EQ(inquiries.size(), expected["asked"].size());
  std::vector<std::vector<Answer>> answers;
  for (size_t i = 0; i < inquiries.size(); ++i) {
    const auto& questions = inquiries[i].questions;
    ASSERT_EQ(questions.size(), expected["asked"][i].size());
    auto& mine = answers.emplace_back();
    for (size_t q = 0; q < questions.size(); ++q) {
      ASSERT_EQ(questions[q].text, expected["asked"][i][q].get_ref<const std::string&>());
      mine.push_back(answer_of(expected["outputs"][i][q]));
      seen.add(questions[q], mine.back());
    }
  }
  seen.captions_per_request.insert(inquiries.size());
  check_rewards(get_reward_answer(rewards_of(inquiries, answers, config)), expected["response"],
                seen);
}

TEST(PublishedProtocol, RewardsAreThoseOfTheReferenceScript) {
  constexpr int64_t kCases = 10'000;
  CommandLines lines("python3 '" CAPRL_SOURCE_DIR "/tests/reward/reference_protocol.py' " +
                     std::to_string(kCases));
  Configs configs;
  Seen seen;
  while (const auto line = lines.next()) {
    const Json expected = json_of(*line);
    ASSERT_NO_FATAL_FAILURE(check_case(expected, configs.get(expected["config"]), seen))
        << "case " << seen.cases << ": " << *line;
    ++seen.cases;
  }
  ASSERT_EQ(lines.close(), 0) << "python3 reference_protocol.py failed";
  EXPECT_EQ(seen.cases, kCases);
  EXPECT_EQ(configs.size(), 336u);
  EXPECT_EQ(seen.captions_per_request, (std::set<size_t>{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(seen.num_options, (std::set<size_t>{2, 3, 4, 5, 6, 7, 8, 9}));
  EXPECT_EQ(seen.abstain_letters, (std::set<char>{0, 'C', 'D', 'E', 'F', 'G', 'H', 'I'}));
  EXPECT_GT(seen.rewards.size(), 200u);
  EXPECT_GT(seen.captions, 20'000);
  for (const int64_t count : {seen.right, seen.abstained, seen.letterless, seen.invalid, seen.null})
    EXPECT_GT(count, 1'000);
}

}  // namespace
}  // namespace caprl
