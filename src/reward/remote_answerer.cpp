#include <algorithm>

#include "answerer.h"
#include "ask_in_parts.h"
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
    std::vector<std::vector<Answer>> answers;  // invalid as long as nobody gives them
    for (const Inquiry& inquiry : inquiries) answers.emplace_back(inquiry.questions.size());
    ask_in_parts(
        servers_,
        {"/answer", "reward.answerer", "reward.answerer.url: no server answered",
         captions_per_request_},
        inquiries, [](std::span<const Inquiry> part) { return answer_request(part); },
        [&](std::span<const Inquiry> part, const std::string& body) {
          auto mine = parse_answers(body, part);
          std::move(mine.begin(), mine.end(), answers.begin() + (part.data() - inquiries.data()));
        });
    return answers;
  }

 private:
  mutable ServerPool servers_;
  size_t captions_per_request_;
};

}  // namespace

std::unique_ptr<Answerer> make_remote_answerer(const ServersConfig& config, uint64_t seed) {
  return std::make_unique<RemoteAnswerer>(config, seed);
}

}  // namespace caprl
