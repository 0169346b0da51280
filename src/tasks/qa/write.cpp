#include "tasks/qa/write.h"

#include <array>

#include "caprl/text/placeholders.h"
#include "tasks/qa/asked_model.h"

namespace caprl {
namespace {

using nlohmann::json;

/// The published prompt's meaning: questions that only who sees the image can answer, in a form
/// that can be read.
constexpr std::string_view kBuiltInSystem =
    R"(You write multiple-choice questions about images.
Write {count} questions about the image that you are given.
Each asks for something that can be seen in the image, and cannot be answered without it.
Together they cover different things: objects, their number, colour and place, text, figures, actions.
Each has four options, A to D, of which exactly one is right; the wrong ones are as likely as the right one to who does not see the image.
The right options' letters vary.
Write each question in exactly this form, and nothing else:

#### 1. **The question?**
- A) first option
- B) second option
- C) third option
- D) fourth option

**Answer:** B) second option)";
constexpr std::string_view kBuiltInPrompt =
    "Write {count} multiple-choice questions about this image.";

class Writer {
 public:
  explicit Writer(const QaRun& run)
      : run_(run),
        config_(run.config.writer),
        asked_(config_, "writer", run.config.data.max_prompt_length, run.device) {
    const bool is_own = !config_.prompt.empty();
    const std::string system = !config_.system_prompt.empty() ? config_.system_prompt
                               : is_own                       ? std::string()
                                                              : std::string(kBuiltInSystem);
    messages_ = qa_messages(fill(system), true,
                            fill(is_own ? config_.prompt : std::string(kBuiltInPrompt)));
  }

  Prompt prepare(const InputItem& item) const {
    const ImageRow& row = item.row;
    Prompt prompt = asked_.prompts().build(messages_, std::span(&row.image, 1), row.where);
    if (!asked_.fits(prompt.ids.size()))
      throw InputError(
          "{}: a prompt of {} tokens and {} after it do not fit into the writer's context",
          row.where, prompt.ids.size(), config_.max_new_tokens);
    return prompt;
  }

  std::vector<json> work(std::span<StageItem<Prompt>> items) const {
    std::vector<GenerationRequest> requests;
    for (StageItem<Prompt>& item : items) {
      if (!item.error.empty()) continue;
      GenerationRequest& request = requests.emplace_back();
      request.prompt = std::move(item.prepared);
      request.prompt_id = static_cast<uint64_t>(item.input.index);
      request.suffixes.resize(1);
    }
    std::vector<std::vector<GeneratedSequence>> texts;
    if (!requests.empty())
      texts = generate(asked_.model(), requests,
                       asked_.params(run_.config.run.seed, RandomPurpose::kTokenSampling),
                       config_.limits);
    std::vector<json> lines;
    size_t next = 0;
    for (const StageItem<Prompt>& item : items) {
      lines.push_back(stage_line(item));
      if (!item.error.empty()) continue;
      const GeneratedSequence& text = texts[next++].front();
      lines.back()["response"] = {{"text", asked_.prompts().text(text.ids)},
                                  {"num_tokens", text.ids.size()},
                                  {"finish_reason", text.stopped ? "stop" : "length"}};
    }
    return lines;
  }

 private:
  std::string fill(const std::string& text) const {
    const std::string count = std::to_string(config_.num_questions);
    const std::array<Filling, 1> fillings{{{"{count}", count}}};
    return fill_in(text, fillings);
  }

  const QaRun& run_;
  const QaWriterConfig& config_;
  AskedModel asked_;
  std::vector<ChatMessage> messages_;
};

}  // namespace

void write_questions(const QaRun& run, const StageItems& todo) {
  if (todo.size() == 0) return;
  const Writer writer(run);
  run_stage(run, todo,
            Stage<Prompt>{kWritten,
                          {},
                          [&](const InputItem& item, const json&) { return writer.prepare(item); },
                          [&](auto items) { return writer.work(items); }});
}

}  // namespace caprl
