#include <algorithm>

#include "answerer.h"
#include "caprl/core/error.h"
#include "caprl/core/log.h"
#include "wire.h"

namespace caprl {
namespace {

class RemoteAnswerer : public Answerer {
 public:
  RemoteAnswerer(const ServersConfig& config, uint64_t seed)
      : servers_(config, "reward.answerer", seed),
        captions_per_request_(static_cast<size_t>(config.captions_per_request)) {
    servers_.check("/health");
  }

  std::vector<std::vector<Answer>> answer(std::span<const Inquiry> inquiries,
                                          GenerationStats*) const override {
    std::vector<std::span<const Inquiry>> parts;
    std::vector<std::string> bodies;
    for (size_t begin = 0; begin < inquiries.size(); begin += captions_per_request_) {
      parts.push_back(
          inquiries.subspan(begin, std::min(captions_per_request_, inquiries.size() - begin)));
      bodies.push_back(answer_request(parts.back()));
    }
    const auto results = servers_.post("/answer", bodies);
    std::vector<std::vector<Answer>> answers;
    size_t num_failed = 0;
    for (size_t i = 0; i < parts.size(); ++i) {
      auto mine = read(results[i], parts[i]);
      num_failed += !mine;
      if (!mine) mine = invalid(parts[i]);
      answers.insert(answers.end(), mine->begin(), mine->end());
    }
    if (num_failed > 0 && num_failed == parts.size())
      throw Error("reward.answerer.url: no server answered any of {} requests; the last one: {}",
                  num_failed, results.back().describe());
    return answers;
  }

 private:
  /// Nothing if there is no usable answer.
  static std::optional<std::vector<std::vector<Answer>>> read(const HttpResult& result,
                                                              std::span<const Inquiry> inquiries) {
    if (!result.ok()) {
      log_warning("{} captions are left without a reward: {}", inquiries.size(), result.describe());
      return std::nullopt;
    }
    try {
      return parse_answers(result.body, inquiries);
    } catch (const InputError& error) {
      log_warning("{} captions are left without a reward: {}", inquiries.size(), error.what());
      return std::nullopt;
    }
  }

  static std::vector<std::vector<Answer>> invalid(std::span<const Inquiry> inquiries) {
    std::vector<std::vector<Answer>> answers;
    for (const Inquiry& inquiry : inquiries) answers.emplace_back(inquiry.questions.size());
    return answers;
  }

  mutable ServerPool servers_;
  size_t captions_per_request_;
};

}  // namespace

std::unique_ptr<Answerer> make_remote_answerer(const ServersConfig& config, uint64_t seed) {
  return std::make_unique<RemoteAnswerer>(config, seed);
}

}  // namespace caprl
