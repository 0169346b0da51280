#include "caprl/text/words.h"

#include <unicode/brkiter.h>
#include <unicode/locid.h>
#include <unicode/regex.h>
#include <unicode/uchar.h>
#include <unicode/unistr.h>

#include "caprl/core/error.h"
#include "text/unicode_text.h"

namespace caprl {
namespace {

/// Backtracking steps that a caption may cost, in ICU's unit of about a millisecond.
constexpr int32_t kRegexTimeLimit = 2000;

void check(UErrorCode status, std::string_view what) {
  if (U_FAILURE(status)) throw Error("{} failed: ICU {}", what, u_errorName(status));
}

icu::UnicodeString utf16(std::string_view text) {
  return icu::UnicodeString::fromUTF8({text.data(), static_cast<int32_t>(text.size())});
}

std::string utf8(const icu::UnicodeString& text) {
  std::string result;
  text.toUTF8String(result);
  return result;
}

/// take(begin, end, rule status) of each piece between two boundaries, in UTF-16 units.
template <class Take>
void for_each_piece(icu::BreakIterator& pieces, const icu::UnicodeString& text, Take take) {
  pieces.setText(text);
  for (int32_t begin = pieces.first(), end = pieces.next(); end != icu::BreakIterator::DONE;
       begin = end, end = pieces.next())
    take(begin, end, pieces.getRuleStatus());
}

}  // namespace

std::vector<std::string> split_words(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<icu::BreakIterator> pieces(
      icu::BreakIterator::createWordInstance(icu::Locale::getRoot(), status));
  check(status, "splitting text into words");
  const icu::UnicodeString folded = utf16(text).foldCase();
  std::vector<std::string> words;
  for_each_piece(*pieces, folded, [&](int32_t begin, int32_t end, int32_t rule) {
    if (rule >= UBRK_WORD_NONE_LIMIT)
      words.push_back(utf8(folded.tempSubStringBetween(begin, end)));
  });
  return words;
}

std::vector<std::string> split_sentences(std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  const std::unique_ptr<icu::BreakIterator> pieces(
      icu::BreakIterator::createSentenceInstance(icu::Locale::getRoot(), status));
  check(status, "splitting text into sentences");
  const icu::UnicodeString whole = utf16(text);
  std::vector<std::string> sentences;
  for_each_piece(*pieces, whole, [&](int32_t begin, int32_t end, int32_t) {
    const std::string piece = utf8(whole.tempSubStringBetween(begin, end));
    if (const auto sentence = strip_space(piece, true, true); !sentence.empty())
      sentences.emplace_back(sentence);
  });
  return sentences;
}

std::string lower_and_squeeze(std::string_view text) {
  icu::UnicodeString lower = utf16(text).toLower(icu::Locale::getRoot());
  icu::UnicodeString squeezed;
  bool pending = false;
  for (int32_t i = 0; i < lower.length(); i = lower.moveIndex32(i, 1)) {
    const UChar32 c = lower.char32At(i);
    // The four separators of ASCII are white space to str.split(), but not to Unicode.
    const bool is_space = u_isUWhiteSpace(c) || (c >= 0x1C && c <= 0x1F);
    if (!is_space) {
      if (pending && !squeezed.isEmpty()) squeezed.append(static_cast<UChar>(' '));
      squeezed.append(c);
    }
    pending = is_space;
  }
  return utf8(squeezed);
}

std::u32string code_points(std::string_view text) {
  const icu::UnicodeString whole = utf16(text);
  std::u32string characters;
  for (int32_t i = 0; i < whole.length(); i = whole.moveIndex32(i, 1))
    characters.push_back(static_cast<char32_t>(whole.char32At(i)));
  return characters;
}

struct TextPattern::Impl {
  std::unique_ptr<const icu::RegexPattern> pattern;
};

TextPattern::TextPattern(const std::string& expression, std::string_view where) {
  UErrorCode status = U_ZERO_ERROR;
  UParseError place;
  std::unique_ptr<const icu::RegexPattern> pattern(
      icu::RegexPattern::compile(utf16(expression), UREGEX_CASE_INSENSITIVE, place, status));
  if (U_FAILURE(status))
    throw InputError("{}: expected a regular expression, got '{}' (ICU {} at character {})", where,
                     expression, u_errorName(status), place.offset);
  impl_ = std::make_unique<const Impl>(Impl{std::move(pattern)});
}
TextPattern::~TextPattern() = default;
TextPattern::TextPattern(TextPattern&&) noexcept = default;

bool TextPattern::found_in(std::string_view text) const {
  UErrorCode status = U_ZERO_ERROR;
  const icu::UnicodeString whole = utf16(text);
  const std::unique_ptr<icu::RegexMatcher> matcher(impl_->pattern->matcher(whole, status));
  check(status, "matching a pattern");
  matcher->setTimeLimit(kRegexTimeLimit, status);
  const bool found = matcher->find(status);
  check(status, "matching a pattern");
  return found;
}

}  // namespace caprl
