#include "text/pretokenizer.h"

#include <unicode/unistr.h>

#include <algorithm>

#include "text/normalizer.h"
#include "text/unicode_text.h"

namespace caprl {
namespace {

/// Letters and numbers of Unicode 16, as Hugging Face tokenizers has them, with any ICU: those of
/// Unicode 15.0 and the ones that came after it.
constexpr std::string_view kLetters =
    R"([[\p{L}&&\p{age=15.0}]\x{1C89}-\x{1C8A}\x{A7CB}-\x{A7CD}\x{A7DA}-\x{A7DC}\x{105C0}-\x{105F3})"
    R"(\x{10D4A}-\x{10D65}\x{10D6F}-\x{10D85}\x{10EC2}-\x{10EC4}\x{11380}-\x{11389}\x{1138B}\x{1138E})"
    R"(\x{11390}-\x{113B5}\x{113B7}\x{113D1}\x{113D3}\x{11BC0}-\x{11BE0}\x{13460}-\x{143FA})"
    R"(\x{16100}-\x{1611D}\x{16D40}-\x{16D6C}\x{18CFF}\x{1E5D0}-\x{1E5ED}\x{1E5F0})"
    R"(\x{2EBF0}-\x{2EE5D}])";
constexpr std::string_view kNumbers =
    R"([[\p{N}&&\p{age=15.0}]\x{10D40}-\x{10D49}\x{116D0}-\x{116E3}\x{11BF0}-\x{11BF9})"
    R"(\x{16130}-\x{16139}\x{16D70}-\x{16D79}\x{1CCF0}-\x{1CCF9}\x{1E5F1}-\x{1E5FA}])";

/// Of backtracking state; ICU's default of 8 MB is small for texts of many megabytes.
constexpr int32_t kRegexStackBytes = 256 << 20;

/// A part of the text in UTF-16 units.
struct Span {
  int32_t start = 0;
  int32_t end = 0;
};

void check(UErrorCode status) {
  if (U_FAILURE(status))
    throw Error("splitting text into words failed: ICU {}", u_errorName(status));
}

/// The matches of `pattern` in each span, and what lies between them.
std::vector<Span> isolate(const icu::RegexPattern& pattern, const icu::UnicodeString& text,
                          const std::vector<Span>& spans) {
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<icu::RegexMatcher> matcher(pattern.matcher(text, status));
  check(status);
  matcher->setStackLimit(kRegexStackBytes, status);
  std::vector<Span> pieces;
  for (const Span& span : spans) {
    int32_t done = span.start;
    const auto add = [&](int32_t end) {
      if (end > done) pieces.push_back({done, end});
      done = end;
    };
    matcher->region(span.start, span.end, status);
    while (matcher->find(status)) {
      add(matcher->start(status));
      add(matcher->end(status));
    }
    check(status);
    add(span.end);
  }
  return pieces;
}

/// UTF-8 bytes of the next `num_units` UTF-16 units of valid text.
size_t utf8_bytes(std::string_view text, int32_t num_units) {
  size_t bytes = 0;
  while (num_units > 0) {
    const size_t length = utf8_length(text[bytes]);
    bytes += length;
    num_units -= length < 4 ? 1 : 2;
  }
  return bytes;
}

}  // namespace

Pretokenizer Pretokenizer::from_json(const JsonPlace& config) {
  Pretokenizer result;
  if (config.is_absent()) return result;
  const std::string& type = config.member("type").string();
  if (type == "Metaspace") {
    result.add_metaspace(config);
    return result;
  }
  std::vector<JsonPlace> stages = {config};
  if (type == "Sequence") {
    stages.clear();
    const JsonPlace list = config.member("pretokenizers");
    for (size_t i = 0; i < list.array().size(); ++i) stages.push_back(list.element(i));
  }
  for (size_t i = 0; i < stages.size(); ++i) {
    result.add_stage(stages[i]);
    const bool is_last = i + 1 == stages.size();
    if ((stages[i].member("type").string() == "ByteLevel") != is_last)
      throw InputError("{}: expected ByteLevel as the last pre-tokenizer and only there",
                       stages[i].where);
  }
  if (stages.empty()) throw InputError("{}: expected ByteLevel, got nothing", config.where);
  result.is_byte_level_ = true;
  return result;
}

/// The defaults are those of files from before these keys.
void Pretokenizer::add_metaspace(const JsonPlace& config) {
  Metaspace metaspace;
  metaspace.replacement = config.member("replacement").string();
  if (metaspace.replacement.empty() ||
      utf8_length(metaspace.replacement.front()) != metaspace.replacement.size() ||
      metaspace.replacement.size() == 1)  // ASCII may mean something in a pattern
    throw InputError("{}.replacement: expected one character outside ASCII, got \"{}\"",
                     config.where, metaspace.replacement);
  const JsonPlace scheme = config.member("prepend_scheme");
  const std::string name = scheme.is_absent() ? "always" : scheme.string();
  if (name != "always" && name != "first" && name != "never")
    throw InputError("{}: expected always, first or never, got \"{}\"", scheme.where, name);
  const bool is_off = name == "never" || !config.member("add_prefix_space").boolean_or(true);
  metaspace.prepend = is_off            ? Metaspace::Prepend::kNever
                      : name == "first" ? Metaspace::Prepend::kFirst
                                        : Metaspace::Prepend::kAlways;
  if (config.member("split").boolean_or(true))
    add_pattern(fmt::format("\\Q{0}\\E[^{0}]*", metaspace.replacement), config.where);
  metaspace_ = std::move(metaspace);
}

std::string Pretokenizer::Metaspace::apply(std::string_view text, bool is_start) const {
  std::string result = replace_all(text, " ", replacement);
  const bool prepends = prepend == Prepend::kAlways || (prepend == Prepend::kFirst && is_start);
  if (prepends && !result.empty() && !result.starts_with(replacement))
    result.insert(0, replacement);
  return result;
}

void Pretokenizer::add_stage(const JsonPlace& config) {
  const std::string& type = config.member("type").string();
  if (type == "ByteLevel") {
    if (config.member("add_prefix_space").boolean_or(true))
      throw InputError("{}.add_prefix_space: true is not supported", config.where);
    if (config.member("use_regex").boolean_or(true)) add_pattern(kGpt2Pattern, config.where);
  } else if (type == "Digits") {
    const bool individual = config.member("individual_digits").boolean_or(false);
    add_pattern(individual ? kDigitPattern : kDigitsPattern, config.where);
  } else if (type == "Split") {
    const JsonPlace regex = config.member("pattern").member("Regex");
    if (regex.is_absent())
      throw InputError("{}.pattern: expected a \"Regex\", other patterns are not supported",
                       config.where);
    if (config.member("behavior").string() != "Isolated")
      throw InputError("{}.behavior: expected Isolated, \"{}\" is not supported", config.where,
                       config.member("behavior").string());
    if (config.member("invert").boolean_or(false))
      throw InputError("{}.invert: true is not supported", config.where);
    add_pattern(regex.string(), regex.where);
  } else {
    throw InputError("{}.type: pre-tokenizer \"{}\" is not supported", config.where, type);
  }
}

void Pretokenizer::add_pattern(std::string_view pattern, const std::string& where) {
  UErrorCode status = U_ZERO_ERROR;
  UParseError position;
  const std::string full =
      replace_all(replace_all(pattern, R"(\p{L})", kLetters), R"(\p{N})", kNumbers);
  const auto text = icu::UnicodeString::fromUTF8({full.data(), static_cast<int>(full.size())});
  std::unique_ptr<const icu::RegexPattern> compiled(
      icu::RegexPattern::compile(text, 0, position, status));
  if (U_FAILURE(status)) {
    throw InputError("{}: not a regular expression of ICU: {} at character {}: {}", where,
                     u_errorName(status), position.offset, pattern);
  }
  patterns_.push_back({std::move(compiled), AsciiPattern::of(pattern)});
  all_ascii_ = std::ranges::all_of(patterns_, [](const Stage& stage) { return bool(stage.ascii); });
}

void Pretokenizer::split(std::string_view text, bool is_start,
                         const std::function<void(std::string_view)>& word) const {
  std::string replaced;
  if (metaspace_) {
    replaced = metaspace_->apply(text, is_start);
    text = replaced;
  }
  if (all_ascii_ && is_ascii(text))
    split_ascii(text, 0, word);
  else if (!patterns_.empty())
    split_by_patterns(text, word);
  else if (!text.empty())
    word(text);
}

void Pretokenizer::split_ascii(std::string_view text, size_t stage,
                               const std::function<void(std::string_view)>& word) const {
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = patterns_[stage].ascii->end_of_piece(text, begin);
    const std::string_view piece = text.substr(begin, end - begin);
    if (stage + 1 < patterns_.size())
      split_ascii(piece, stage + 1, word);
    else
      word(piece);
    begin = end;
  }
}

void Pretokenizer::split_by_patterns(std::string_view text,
                                     const std::function<void(std::string_view)>& word) const {
  const auto utf16 = icu::UnicodeString::fromUTF8({text.data(), static_cast<int>(text.size())});
  std::vector<Span> spans;
  if (!utf16.isEmpty()) spans.push_back({0, utf16.length()});
  for (const Stage& stage : patterns_) spans = isolate(*stage.pattern, utf16, spans);
  for (const Span& span : spans) {
    const size_t bytes = utf8_bytes(text, span.end - span.start);
    word(text.substr(0, bytes));
    text.remove_prefix(bytes);
  }
}

}  // namespace caprl
