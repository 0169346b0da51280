#include "curation.h"

#include "caprl/core/error.h"
#include "caprl/io/jsonl.h"

namespace caprl::demo {

std::map<std::string, FlawCount> count_flaws(const std::filesystem::path& flaws,
                                             const std::filesystem::path& kept) {
  std::map<std::string, FlawCount> counts;
  std::map<std::pair<std::string, std::string>, std::string> flaw_of;  // of an image's question
  JsonlReader written(flaws);
  while (const auto line = written.next())
    for (const auto& question : line->value.at("questions")) {
      const auto flaw = question.at("flaw").get<std::string>();
      flaw_of[{line->value.at("id").get<std::string>(),
               question.at("question").get<std::string>()}] = flaw;
      ++counts[flaw].written;
    }
  JsonlReader rows(kept);
  while (const auto row = rows.next())
    for (const auto& question : row->value.at("reward_model").at("ground_truth")) {
      const auto id = row->value.at("id").get<std::string>();
      const auto text = question.at("question").get<std::string>();
      const auto flaw = flaw_of.find({id, text});
      if (flaw == flaw_of.end())
        throw InputError("{}:{}: the question '{}' of '{}' is not in {}", kept.string(),
                         row->number, text, id, flaws.string());
      ++counts[flaw->second].kept;
    }
  return counts;
}

}  // namespace caprl::demo
