#include "text/unicode_text.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uniset.h>
#include <unicode/utf8.h>

#include <algorithm>

#include "caprl/core/error.h"

namespace caprl {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 30;  // ICU counts in int32

void check(UErrorCode status) {
  if (U_FAILURE(status)) throw Error("normalising text failed: ICU {}", u_errorName(status));
}

/// Leaves characters younger than Unicode 9 alone, as the tables of Hugging Face tokenizers do.
icu::FilteredNormalizer2 with_unicode_9(const icu::Normalizer2* (*form)(UErrorCode&)) {
  UErrorCode status = U_ZERO_ERROR;
  static const icu::UnicodeSet* const known = [&] {
    auto set = new icu::UnicodeSet(u"[:age=9.0:]", status);
    check(status);
    return set->freeze();
  }();
  const icu::Normalizer2* all = form(status);
  check(status);
  return {*all, *known};
}

std::string normalize(const icu::Normalizer2& form, std::string_view text) {
  UErrorCode status = U_ZERO_ERROR;
  std::string normalized;
  icu::StringByteSink<std::string> sink(&normalized);
  form.normalizeUTF8(0, {text.data(), static_cast<int32_t>(text.size())}, sink, nullptr, status);
  check(status);
  return normalized;
}

}  // namespace

void check_utf8(std::string_view text) {
  if (text.size() > kMaxTextBytes)
    throw InputError("text of {} bytes is beyond the limit of 1 GiB", text.size());
  const auto length = static_cast<int32_t>(text.size());
  for (int32_t at = 0; at < length;) {
    const int32_t start = at;
    UChar32 code_point = 0;
    U8_NEXT(text.data(), at, length, code_point);
    if (code_point < 0) {
      throw InputError("text is not valid UTF-8: byte 0x{:02x} at offset {}",
                       static_cast<uint8_t>(text[start]), start);
    }
  }
}

std::string replace_invalid_utf8(std::string_view bytes) {
  if (bytes.size() > kMaxTextBytes)
    throw InputError("text of {} bytes is beyond the limit of 1 GiB", bytes.size());
  std::string text;
  text.reserve(bytes.size());
  const auto length = static_cast<int32_t>(bytes.size());
  for (int32_t at = 0; at < length;) {
    const int32_t start = at;
    UChar32 code_point = 0;
    U8_NEXT(bytes.data(), at, length, code_point);
    if (code_point < 0)
      text += "\xEF\xBF\xBD";
    else
      text.append(bytes.substr(start, at - start));
  }
  return text;
}

std::string normalize_nfc(std::string_view text) {
  const bool is_below_u0300 = std::none_of(
      text.begin(), text.end(), [](char byte) { return static_cast<uint8_t>(byte) >= 0xCC; });
  if (is_below_u0300) return std::string(text);  // always in form C
  static const auto form = with_unicode_9(&icu::Normalizer2::getNFCInstance);
  return normalize(form, text);
}

std::string normalize_nfkc(std::string_view text) {
  static const auto form = with_unicode_9(&icu::Normalizer2::getNFKCInstance);
  return normalize(form, text);
}

std::string_view strip_space(std::string_view text, bool left, bool right) {
  const auto is_space = [](UChar32 c) { return u_isUWhiteSpace(c) || (c >= 0x1C && c <= 0x1F); };
  int32_t start = 0;
  auto end = static_cast<int32_t>(text.size());
  for (int32_t next = 0; left && start < end; start = next) {
    UChar32 code_point = 0;
    U8_NEXT(text.data(), next, end, code_point);
    if (!is_space(code_point)) break;
  }
  for (int32_t before = end; right && end > start; end = before) {
    UChar32 code_point = 0;
    U8_PREV(text.data(), start, before, code_point);
    if (!is_space(code_point)) break;
  }
  return text.substr(static_cast<size_t>(start), static_cast<size_t>(end - start));
}

size_t complete_utf8(std::string_view bytes) {
  auto length = static_cast<int32_t>(bytes.size());
  U8_TRUNCATE_IF_INCOMPLETE(bytes.data(), 0, length);
  return static_cast<size_t>(length);
}

}  // namespace caprl
