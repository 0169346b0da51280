#include "data/json_array.h"

#include <utility>

#include "caprl/core/error.h"
#include "caprl/core/pulse.h"
#include "caprl/io/json.h"

namespace caprl {
namespace {

constexpr size_t kPieceBytes = size_t{1} << 20;

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

}  // namespace

bool is_json_array(const std::filesystem::path& file) {
  std::ifstream stream(file, std::ios::binary);
  char c = 0;
  while (stream.get(c) && is_blank(c)) continue;
  return stream && c == '[';
}

JsonArrayRows::JsonArrayRows(const std::filesystem::path& file)
    : name_(file.string()), stream_(file, std::ios::binary) {
  if (!stream_) throw InputError("{}: cannot open", name_);
}

char JsonArrayRows::peek() {
  if (place_ == piece_.size()) {
    pulse();
    piece_.resize(kPieceBytes);
    stream_.read(piece_.data(), static_cast<std::streamsize>(piece_.size()));
    piece_.resize(static_cast<size_t>(stream_.gcount()));
    place_ = 0;
    if (stream_.bad()) throw InputError("{}: cannot read on", name_);
  }
  return piece_.empty() ? '\0' : piece_[place_];
}

char JsonArrayRows::take() {
  const char c = peek();
  if (!piece_.empty()) ++place_;
  return c;
}

char JsonArrayRows::after_blanks() {
  while (is_blank(peek())) take();
  return peek();
}

std::string JsonArrayRows::where() const { return fmt::format("{}: row {}", name_, index_); }

void JsonArrayRows::fail(const std::string& got) const {
  throw InputError("{}: expected a JSON array of rows, got {}", where(), got);
}

/// Up to the comma or bracket that ends it; what is between these is parse_json()'s matter.
void JsonArrayRows::take_element() {
  text_.clear();
  int64_t depth = 0;
  bool quoted = false;
  for (;;) {
    const char c = peek();
    if (c == '\0' && piece_.empty()) fail("the end of the file");
    if (!quoted && depth == 0 && (c == ',' || c == ']')) return;
    text_ += take();
    if (quoted && c == '\\') text_ += take();
    if (c == '"') quoted = !quoted;
    if (quoted) continue;
    depth += (c == '{' || c == '[') - (c == '}' || c == ']');
  }
}

std::optional<RowPlace> JsonArrayRows::next() {
  const bool at_begin = ++index_ == 0;
  const bool separated = after_blanks() == ',';
  if (at_begin || separated) take();  // the bracket, or the comma
  if (after_blanks() == ']') {
    if (separated) fail("a comma before its end");
    take();
    if (at_begin) throw InputError("{}: expected rows, got none", name_);
    if (after_blanks() != '\0') fail("more behind the array");
    return std::nullopt;
  }
  take_element();
  return RowPlace{where(), 1, {}};
}

nlohmann::json JsonArrayRows::row() { return parse_json(text_, where()); }

}  // namespace caprl
