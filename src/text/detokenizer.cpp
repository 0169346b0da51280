#include "text/detokenizer.h"

#include <charconv>

#include "text/byte_level.h"
#include "text/normalizer.h"
#include "text/unicode_text.h"

namespace caprl {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

/// The byte of "<0x0A>"; −1 if the token is not of this form.
int byte_of(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') return -1;
  unsigned byte = 0;
  const auto [end, error] = std::from_chars(token.data() + 3, token.data() + 5, byte, 16);
  return error == std::errc() && end == token.data() + 5 ? static_cast<int>(byte) : -1;
}

std::string replace_run(std::string_view run, DetokenizerRules::Invalid invalid) {
  std::string text = replace_invalid_utf8(run);
  if (invalid == DetokenizerRules::Invalid::kLossy || text == run) return text;
  text.clear();
  if (invalid == DetokenizerRules::Invalid::kWholeRun) {
    for (size_t i = 0; i < run.size(); ++i) text += kReplacement;
    return text;
  }
  while (!run.empty()) {
    const size_t length = std::min(utf8_length(run.front()), run.size());
    const std::string_view head = run.substr(0, length);
    const bool is_valid = replace_invalid_utf8(head) == head;
    text += is_valid ? head : kReplacement;
    run.remove_prefix(is_valid ? length : 1);
  }
  return text;
}

class Stream : public TokenStream {
 public:
  Stream(const Detokenizer& detokenizer, bool skip_special)
      : detokenizer_(detokenizer),
        rules_(detokenizer.rules()),
        skip_special_(skip_special),
        num_strip_(rules_.num_strip) {}

  void push(int64_t id, std::string& text) override {
    const TokenText* token = detokenizer_.find(id);
    if (token == nullptr || (skip_special_ && token->special)) return;
    if (rules_.invalid == DetokenizerRules::Invalid::kLossy) {
      bytes_ += token->text;
      flush(complete_utf8(bytes_), text);
    } else if (token->is_byte) {
      bytes_ += token->text;  // whether the run is valid shows at its end
    } else {
      finish(text);
      emit(token->text, text);
    }
  }

  void finish(std::string& text) override { flush(bytes_.size(), text); }

 private:
  void flush(size_t num_bytes, std::string& text) {
    if (num_bytes == 0) return;
    const std::string_view run = std::string_view(bytes_).substr(0, num_bytes);
    if (rules_.invalid == DetokenizerRules::Invalid::kEachByte) num_strip_ = 0;
    emit(replace_run(run, rules_.invalid), text);
    bytes_.erase(0, num_bytes);
  }

  void emit(std::string_view piece, std::string& text) {
    while (num_strip_ > 0 && piece.starts_with(rules_.strip)) {
      piece.remove_prefix(rules_.strip.size());
      --num_strip_;
    }
    if (!piece.empty()) num_strip_ = 0;
    text += piece;
  }

  const Detokenizer& detokenizer_;
  const DetokenizerRules& rules_;
  bool skip_special_;
  int64_t num_strip_;
  std::string bytes_;  // whose text is not known yet
};

/// Reads the steps of a decoder in the order in which they may stand.
class RulesReader {
 public:
  explicit RulesReader(const JsonPlace& config) {
    const std::string& type = config.member("type").string();
    if (type == "ByteLevel") return;
    rules_.invalid = DetokenizerRules::Invalid::kWholeRun;
    if (type != "Sequence") {
      add(config);
      return;
    }
    const JsonPlace list = config.member("decoders");
    for (size_t i = 0; i < list.array().size(); ++i) add(list.element(i));
  }

  DetokenizerRules take() { return std::move(rules_); }

 private:
  enum Stage { kReplace, kByteFallback, kFuse, kStrip };

  void enter(Stage stage, const JsonPlace& step) {
    if (stage < stage_)
      throw InputError(
          "{}: this order of steps is not supported; expected Replace, ByteFallback, Fuse, Strip",
          step.where);
    stage_ = stage;
  }

  void add(const JsonPlace& step) {
    const std::string& type = step.member("type").string();
    if (type == "Replace") {
      enter(kReplace, step);
      rules_.replacements.emplace_back(string_pattern(step, "pattern"),
                                       step.member("content").string());
    } else if (type == "ByteFallback") {
      enter(kByteFallback, step);
      rules_.byte_fallback = true;
    } else if (type == "Fuse") {
      enter(kFuse, step);
    } else if (type == "Strip") {
      if (stage_ != kFuse)
        throw InputError("{}: expected a Fuse right before the Strip", step.where);
      enter(kStrip, step);
      rules_.strip = step.member("content").string();
      rules_.num_strip = step.member("start").integer();
      if (rules_.strip.empty() || rules_.num_strip < 0 || step.member("stop").integer() != 0)
        throw InputError("{}: expected a content, a start of 0 or more and a stop of 0",
                         step.where);
    } else {
      throw InputError(
          "{}.type: decoder \"{}\" is not supported; expected ByteLevel, or a Sequence of Replace, "
          "ByteFallback, Fuse and Strip",
          step.where, type);
    }
  }

  DetokenizerRules rules_;
  Stage stage_ = kReplace;
};

}  // namespace

DetokenizerRules DetokenizerRules::from_json(const JsonPlace& config) {
  return RulesReader(config).take();
}

TokenText DetokenizerRules::token_text(const std::string& token) const {
  if (invalid == Invalid::kLossy) return {byte_level_decode(token)};
  const int byte = byte_fallback ? byte_of(token) : -1;
  if (byte >= 0) return {std::string(1, static_cast<char>(byte)), true};
  std::string text = token;
  for (const auto& [pattern, content] : replacements) text = replace_all(text, pattern, content);
  return {std::move(text)};
}

std::unique_ptr<TokenStream> Detokenizer::stream(bool skip_special) const {
  return std::make_unique<Stream>(*this, skip_special);
}

}  // namespace caprl
