#include "text/normalizer.h"

#include "text/unicode_text.h"

namespace caprl {

Normalizer Normalizer::from_json(const JsonPlace& config) {
  Normalizer result;
  if (!config.is_absent()) result.add(config);
  return result;
}

void Normalizer::add(const JsonPlace& config) {
  const std::string& type = config.member("type").string();
  if (type == "NFC") {
    steps_.emplace_back(Nfc{});
  } else if (type == "NFKC") {
    steps_.emplace_back(Nfkc{});
  } else if (type == "Replace") {
    steps_.emplace_back(
        Replace{string_pattern(config, "pattern"), config.member("content").string()});
  } else if (type == "Prepend") {
    steps_.emplace_back(Prepend{config.member("prepend").string()});
  } else if (type == "Sequence") {
    const JsonPlace list = config.member("normalizers");
    for (size_t i = 0; i < list.array().size(); ++i) add(list.element(i));
  } else {
    throw InputError(
        "{}.type: normalizer \"{}\" is not supported; expected NFC, NFKC, Replace, Prepend or "
        "Sequence",
        config.where, type);
  }
}

std::string_view Normalizer::apply(std::string_view text, std::string& buffer) const {
  for (const Step& step : steps_) {
    std::string next = apply(step, text);  // `text` may stand in `buffer`
    buffer = std::move(next);
    text = buffer;
  }
  return text;
}

std::string Normalizer::apply(const Step& step, std::string_view text) {
  if (std::holds_alternative<Nfc>(step)) return normalize_nfc(text);
  if (std::holds_alternative<Nfkc>(step)) return normalize_nfkc(text);
  if (const auto* replace = std::get_if<Replace>(&step))
    return replace_all(text, replace->pattern, replace->content);
  std::string prepended = text.empty() ? std::string() : std::get<Prepend>(step).content;
  return prepended.append(text);
}

std::string replace_all(std::string_view text, std::string_view pattern, std::string_view content) {
  std::string result;
  result.reserve(text.size());
  while (true) {
    const size_t at = text.find(pattern);
    result += text.substr(0, at);
    if (at == std::string_view::npos) return result;
    result += content;
    text.remove_prefix(at + pattern.size());
  }
}

std::string string_pattern(const JsonPlace& config, const char* key) {
  const JsonPlace pattern = config.member(key).member("String");
  if (pattern.is_absent() || pattern.string().empty())
    throw InputError("{}.{}: expected a \"String\", other patterns are not supported", config.where,
                     key);
  return pattern.string();
}

}  // namespace caprl
