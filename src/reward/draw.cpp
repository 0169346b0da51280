#include "draw.h"

#include "caprl/core/philox.h"

namespace caprl {

std::vector<AskedQuestion> draw_questions(std::span<const Question> questions,
                                          const RewardConfig& config, const DrawKey& key) {
  const CounterRng which(key.seed, RandomPurpose::kQuestionDraw,
                         {key.step, key.prompt_id, key.sample});
  const CounterRng orders(key.seed, RandomPurpose::kOptionOrder,
                          {key.step, key.prompt_id, key.sample});
  const auto count = static_cast<int64_t>(questions.size());
  const bool all = config.draw == QuestionDraw::kAll;
  const AbstainOption abstain{config.abstain_choice, config.abstain_label};
  std::vector<AskedQuestion> drawn;
  for (int64_t draw = 0; draw < (all ? count : config.qa_num); ++draw) {
    const int64_t index = all ? draw : which.below(count, static_cast<uint64_t>(draw));
    const auto num_choices = static_cast<int64_t>(questions[index].choices.size());
    std::vector<int64_t> order;
    if (config.shuffle_choices)
      order = orders.permutation(num_choices, static_cast<uint64_t>(draw));
    drawn.push_back(ask(questions[index], index, std::move(order), abstain));
  }
  return drawn;
}

}  // namespace caprl
