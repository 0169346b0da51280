// The patterns of common tokenizers on ASCII text, without regular expressions: several times
// quicker, and nothing is converted to UTF-16.
#pragma once
#include <cstddef>
#include <optional>
#include <string_view>

namespace caprl {

/// GPT-2's pattern, which ByteLevel stands for with use_regex.
inline constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
/// Of Qwen2 to Qwen3.
inline constexpr std::string_view kQwenPattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
/// Llama 3's is Qwen's with up to three digits.
inline constexpr std::string_view kLlama3Pattern =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
inline constexpr std::string_view kDigitPattern = R"(\p{N})", kDigitsPattern = R"(\p{N}+)";

bool is_ascii(std::string_view text);

class AsciiPattern {
 public:
  /// Nothing unless it is one of the patterns above, to the letter.
  static std::optional<AsciiPattern> of(std::string_view pattern);

  /// Where the piece ends that begins at `begin` < text.size(): a match, or what lies before the
  /// next one. ASCII text only; what comes before `begin` does not matter.
  size_t end_of_piece(std::string_view text, size_t begin) const;

 private:
  enum class Kind { kGpt2, kQwen, kDigits };
  AsciiPattern(Kind kind, size_t most_digits) : kind_(kind), most_digits_(most_digits) {}

  Kind kind_;
  size_t most_digits_;  // of a piece
};

}  // namespace caprl
