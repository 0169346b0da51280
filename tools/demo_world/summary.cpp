#include "summary.h"

#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "caprl/io/jsonl.h"
#include "facts.h"

namespace caprl::demo {
namespace {

struct Evaluation {
  int64_t step;
  double reward;
};

double share_of_facts(const std::filesystem::path& run, int64_t step,
                      const std::filesystem::path& truth) {
  return count_facts(run / "eval" / fmt::format("step_{:06}.jsonl.zst", step), truth).share();
}

}  // namespace

nlohmann::ordered_json summarize(const std::filesystem::path& run,
                                 const std::filesystem::path& truth) {
  std::vector<Evaluation> evaluations;
  JsonlReader lines(run / "metrics.jsonl");
  while (const auto line = lines.next()) {
    const auto reward = line->value.find("val/reward/accuracy");
    if (reward != line->value.end())
      evaluations.push_back({line->value.at("step").get<int64_t>(), reward->get<double>()});
  }
  if (evaluations.size() < 2)
    throw InputError("{}: expected evaluations before and after training, got {}",
                     (run / "metrics.jsonl").string(), evaluations.size());
  const Evaluation &first = evaluations.front(), &last = evaluations.back();
  return {{"reward_before", first.reward},
          {"reward_after", last.reward},
          {"facts_before", share_of_facts(run, first.step, truth)},
          {"facts_after", share_of_facts(run, last.step, truth)},
          {"steps", last.step},
          {"checkpoint", (run / "checkpoints" / fmt::format("step_{:06}", last.step)).string()}};
}

}  // namespace caprl::demo
