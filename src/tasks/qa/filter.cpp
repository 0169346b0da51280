#include "tasks/qa/filter.h"

#include <array>

#include "caprl/generation/shared_prefix.h"
#include "caprl/text/placeholders.h"
#include "tasks/qa/asked_model.h"
#include "tasks/qa/extract.h"
#include "tasks/qa/items.h"
#include "tasks/qa/letter.h"
#include "tasks/qa/write.h"

namespace caprl {
namespace {

using nlohmann::json;

constexpr std::string_view kQuestion = "{question}";
constexpr std::string_view kBuiltInPrompt =
    "{question}\nAnswer with only the letter of the correct option.";

struct Prepared {
  Extraction extraction;
  bool is_truncated = false;  // the text they were found in
  std::shared_ptr<const ImagePatches> patches;
};

/// One way of asking all of an image's questions, with the image or without.
struct Asking {
  struct Trial {
    size_t question;
    AskedQuestion asked;
  };
  std::vector<Trial> trials;  // those that fit into the context
  std::vector<std::vector<int64_t>> prompts;
};

class Filter {
 public:
  explicit Filter(const QaRun& run)
      : run_(run),
        config_(run.config.filter),
        asked_(config_, "filter", run.config.data.max_prompt_length, run.device) {}

  Prepared prepare(const InputItem& item, const json& before) const {
    Prepared prepared;
    if (run_.config.data.given_questions) {
      prepared.extraction = at_place(item.where, [&] { return given_questions(item.value); });
    } else {
      const json& response = before.at("response");
      prepared.extraction = extract_questions(response.at("text").get_ref<const std::string&>());
      prepared.is_truncated = response.at("finish_reason") == "length";
    }
    refuse_added_tokens(prepared.extraction, asked_.prompts().tokenizer());
    if (!prepared.extraction.questions.empty())
      prepared.patches = asked_.prompts().load(item.row.image);
    return prepared;
  }

  std::vector<json> work(std::span<StageItem<Prepared>> items) const {
    std::vector<GenerationRequest> requests;
    std::vector<std::array<Asking, 2>> askings;  // with the image, without
    for (const StageItem<Prepared>& item : items) {
      auto& both = askings.emplace_back();
      if (!item.error.empty() || !item.prepared.patches) continue;
      for (const size_t blind : {0, 1}) {
        both[blind] = ask_all(item, blind == 1);
        if (!both[blind].trials.empty()) requests.push_back(request_of(item, both[blind], blind));
      }
    }
    std::vector<std::vector<GeneratedSequence>> answers;
    if (!requests.empty())
      answers = generate(asked_.model(), requests,
                         asked_.params(run_.config.run.seed, RandomPurpose::kAnswerSampling),
                         config_.limits);
    std::vector<json> lines;
    auto next = answers.begin();
    for (size_t i = 0; i < items.size(); ++i) {
      lines.push_back(line_of(items[i]));
      for (const size_t blind : {0, 1})
        if (!askings[i][blind].trials.empty())
          add_answers(items[i], askings[i][blind], *next++, blind ? "text" : "visual",
                      lines.back());
    }
    return lines;
  }

 private:
  Asking ask_all(const StageItem<Prepared>& item, bool blind) const {
    Asking asking;
    const auto& questions = item.prepared.extraction.questions;
    const std::string_view prompt = config_.prompt.empty() ? kBuiltInPrompt : config_.prompt;
    for (size_t q = 0; q < questions.size(); ++q)
      for (int64_t rotation = 0; rotation < config_.rotations; ++rotation) {
        const auto count = std::ssize(questions[q].choices);
        std::vector<int64_t> order(static_cast<size_t>(count));
        for (int64_t place = 0; place < count; ++place) order[place] = (place + rotation) % count;
        AskedQuestion asked = ask(questions[q], static_cast<int64_t>(q), std::move(order),
                                  {blind ? std::string() : config_.abstain_choice, {}});
        const std::array<Filling, 1> fillings{{{kQuestion, asked.text}}};
        const auto messages = qa_messages(config_.system_prompt, !blind, fill_in(prompt, fillings));
        std::vector<std::shared_ptr<const ImagePatches>> images;
        if (!blind) images.push_back(item.prepared.patches);
        std::vector<int64_t> ids =
            asked_.prompts().expand(messages, std::move(images), item.input.where).ids;
        if (!asked_.fits(ids.size())) continue;
        asking.trials.push_back({q, std::move(asked)});
        asking.prompts.push_back(std::move(ids));
      }
    return asking;
  }

  /// What all prompts begin with, the image among it, is read once.
  GenerationRequest request_of(const StageItem<Prepared>& item, const Asking& asking,
                               size_t blind) const {
    GenerationRequest request;
    const int64_t shared = shared_length(asking.prompts);
    const auto& first = asking.prompts.front();
    request.prompt.ids.assign(first.begin(), first.begin() + shared);
    if (!blind) request.prompt.images = {item.prepared.patches};
    for (const auto& ids : asking.prompts)
      request.suffixes.emplace_back(ids.begin() + shared, ids.end());
    request.prompt_id = static_cast<uint64_t>(item.input.index);
    request.parent_sample = blind;
    return request;
  }

  json line_of(const StageItem<Prepared>& item) const {
    json line = stage_line(item);
    if (!item.error.empty()) return line;
    line["truncated"] = item.prepared.is_truncated;
    line["questions"] = json::array();
    for (const Question& question : item.prepared.extraction.questions) {
      json choices = json::array();
      for (size_t i = 0; i < question.choices.size(); ++i)
        choices.push_back(fmt::format("{}) {}", static_cast<char>('A' + i), question.choices[i]));
      line["questions"].push_back(
          {{"question", question.text},
           {"choices", choices},
           {"answer", std::string(1, static_cast<char>('A' + question.answer))},
           {"visual", no_answers()},
           {"text", no_answers()}});
    }
    line["malformed"] = json::array();
    for (const MalformedQuestion& malformed : item.prepared.extraction.malformed)
      line["malformed"].push_back(
          {{"number", malformed.number}, {"text", malformed.text}, {"reason", malformed.reason}});
    return line;
  }

  static json no_answers() {
    return {{"asked", 0}, {"right", 0}, {"unread", 0}, {"outputs", json::array()}};
  }

  void add_answers(const StageItem<Prepared>& item, const Asking& asking,
                   const std::vector<GeneratedSequence>& answers, const char* branch,
                   json& line) const {
    for (size_t t = 0; t < asking.trials.size(); ++t) {
      const auto& [number, asked] = asking.trials[t];
      const std::string output = asked_.prompts().text(answers[t].ids);
      const char letter = chosen_letter(output, asked, item.prepared.extraction.questions[number]);
      json& counts = line["questions"][number][branch];
      counts["asked"] = counts["asked"].get<int64_t>() + 1;
      counts["right"] = counts["right"].get<int64_t>() + (letter == asked.right);
      counts["unread"] = counts["unread"].get<int64_t>() + (letter == 0);
      counts["outputs"].push_back(output);
    }
  }

  const QaRun& run_;
  const QaFilterConfig& config_;
  AskedModel asked_;
};

}  // namespace

void answer_questions(const QaRun& run, const StageItems& todo) {
  if (todo.size() == 0) return;
  const Filter filter(run);
  run_stage(run, todo,
            Stage<Prepared>{kAnswered, run.config.data.given_questions ? "" : kWritten,
                            [&](const InputItem& item, const json& before) {
                              return filter.prepare(item, before);
                            },
                            [&](auto items) { return filter.work(items); }});
}

}  // namespace caprl
