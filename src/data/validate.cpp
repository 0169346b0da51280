#include "caprl/data/validate.h"

#include <algorithm>

#include "caprl/core/error.h"
#include "caprl/core/parallel.h"
#include "caprl/data/dataset.h"
#include "caprl/data/rows.h"

namespace caprl {
namespace {

constexpr size_t kBlock = 128;  // rows whose images are decoded together

/// What a prompt is made of, or why there is none.
struct Checked {
  std::string where;
  std::vector<ChatMessage> messages;
  std::vector<ImageSource> images;
  std::string response;
  std::string fault;
  int64_t count = 1;
  PromptBuilder::Length length;
  int64_t response_tokens = 0;
};

class Validator {
 public:
  Validator(RowKind kind, const PromptBuilder& prompts,
            const std::function<void(const std::string&)>& report, ImageCheck images)
      : kind_(kind), prompts_(prompts), report_(report), images_(images) {}

  ValidationCounts check(const std::string& file) {
    ValidationCounts counts{file};
    try {
      check_rows(file, counts);
    } catch (const InputError& error) {
      build_prompts(counts);
      report_(error.what());
      counts.unusable = true;
    }
    return counts;
  }

 private:
  void check_rows(const std::string& file, ValidationCounts& counts) {
    const auto folder = std::filesystem::absolute(file).parent_path();
    const auto reader = DataReader::open(file, kind_);
    while (const auto place = reader->next()) {
      Checked& checked = block_.emplace_back();
      checked.where = place->where;
      checked.count = place->count;
      try {
        parse(reader->row(), *place, folder, checked);
      } catch (const InputError& error) {
        checked.fault = error.what();
      }
      if (block_.size() == kBlock) build_prompts(counts);
    }
    build_prompts(counts);
  }

  void parse(const nlohmann::json& row, const RowPlace& place, const std::filesystem::path& folder,
             Checked& checked) {
    const Tokenizer& tokenizer = prompts_.tokenizer();
    if (kind_ == RowKind::kSft) {
      SftRow parsed = parse_sft_row(row, place.where, folder, tokenizer, place.image);
      checked.messages = std::move(parsed.messages);
      checked.images = std::move(parsed.images);
      checked.response = std::move(parsed.response);
      return;
    }
    CaptionRow parsed = parse_caption_row(row, place.where, folder, tokenizer, place.image);
    ids_.add(parsed.id, place.where);
    checked.messages = std::move(parsed.prompt);
    checked.images = {std::move(parsed.image)};
  }

  void build_prompts(ValidationCounts& counts) {
    parallel_for(0, static_cast<int64_t>(block_.size()), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) build_prompt(block_[static_cast<size_t>(i)]);
    });
    for (const Checked& checked : block_) {
      counts.rows += checked.count;
      if (checked.fault.empty()) {
        count_tokens(checked, counts);
        continue;
      }
      counts.bad += checked.count;
      report_(checked.fault);
    }
    block_.clear();
  }

  static void count_tokens(const Checked& checked, ValidationCounts& counts) {
    counts.prompt_tokens += checked.length.tokens;
    counts.image_tokens += checked.length.image_tokens;
    counts.longest_prompt = std::max(counts.longest_prompt, checked.length.tokens);
    counts.response_tokens += checked.response_tokens;
    counts.longest_response = std::max(counts.longest_response, checked.response_tokens);
  }

  void build_prompt(Checked& checked) const {
    if (!checked.fault.empty()) return;
    try {
      if (images_ == ImageCheck::kPixels) {
        prompts_.build(checked.messages, checked.images, checked.where);
        return;
      }
      checked.length = prompts_.measure(checked.messages, checked.images, checked.where);
      if (kind_ == RowKind::kSft)
        checked.response_tokens = static_cast<int64_t>(prompts_.response(checked.response).size());
    } catch (const InputError& error) {
      checked.fault = error.what();
    }
  }

  RowKind kind_;
  const PromptBuilder& prompts_;
  const std::function<void(const std::string&)>& report_;
  ImageCheck images_;
  SeenIds ids_;
  std::vector<Checked> block_;
};

}  // namespace

std::vector<ValidationCounts> validate_data(const std::vector<std::string>& files, RowKind kind,
                                            const PromptBuilder& prompts,
                                            const std::function<void(const std::string&)>& report,
                                            ImageCheck images) {
  Validator validator(kind, prompts, report, images);
  std::vector<ValidationCounts> counts;
  for (const std::string& file : expand_data_files(files)) counts.push_back(validator.check(file));
  return counts;
}

}  // namespace caprl
