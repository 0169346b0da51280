#include "caprl/io/json.h"

#include <algorithm>

#include "caprl/core/error.h"
#include "caprl/core/files.h"

namespace caprl {
namespace {

using nlohmann::json;

constexpr size_t kMaxDepth = 256;

/// nlohmann's sentence without its error code, its position (it counts lines of the text, not of
/// the file) and the text read so far, which may be megabytes or no UTF-8.
std::string plain_reason(std::string message) {
  if (const size_t code = message.find("] "); code != std::string::npos) message.erase(0, code + 2);
  if (message.starts_with("parse error at line ")) message.erase(0, message.find(": ") + 2);
  const size_t read = message.find("; last read: '");
  if (read != std::string::npos) {
    const size_t expected = message.rfind("'; expected ");
    message.erase(read, expected == std::string::npos || expected < read ? std::string::npos
                                                                         : expected + 1 - read);
  }
  return message;
}

/// Builds the value from parser events, because the library's own builder lets the last of equal
/// keys win.
class StrictBuilder : public nlohmann::json_sax<json> {
 public:
  json result;
  std::string failure;
  size_t failure_byte = 0;  // 1-based; 0: unknown

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t&) override { return add(value); }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(json::object()); }
  bool start_array(size_t) override { return open(json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    const auto [place, is_new] = open_.back()->get_ref<json::object_t&>().try_emplace(name);
    if (!is_new) {
      failure = fmt::format("key \"{}\" occurs twice in one object", name);
      return false;
    }
    member_ = &place->second;
    return true;
  }

  bool parse_error(size_t byte, const std::string&, const json::exception& error) override {
    failure = "malformed JSON: " + plain_reason(error.what());
    failure_byte = byte;
    return false;
  }

 private:
  json* place(json value) {
    json* target = &result;
    if (!open_.empty() && open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return &open_.back()->back();
    }
    if (!open_.empty()) target = member_;
    *target = std::move(value);
    return target;
  }
  bool add(json value) {
    place(std::move(value));
    return true;
  }
  bool open(json container) {
    if (open_.size() == kMaxDepth) {
      failure = fmt::format("JSON is nested deeper than {} levels", kMaxDepth);
      return false;
    }
    open_.push_back(place(std::move(container)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }

  std::vector<json*> open_;  // containers around the current value, outermost first
  json* member_ = nullptr;   // where the current object's next value belongs
};

std::string describe_byte(std::string_view text, size_t byte) {
  if (byte == 0) return "";
  const std::string_view before = text.substr(0, std::min(byte - 1, text.size()));
  if (text.find('\n') == std::string_view::npos) return fmt::format(" at byte {}", byte);
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 is 0
  return fmt::format(" at line {}, column {}", 1 + std::count(before.begin(), before.end(), '\n'),
                     before.size() - line_start + 1);
}

}  // namespace

json parse_json(std::string_view text, std::string_view where) {
  // The library's words for this differ between its releases.
  if (text.find_first_not_of(" \t\r\n") == std::string_view::npos)
    throw InputError("{}: malformed JSON: the text is empty", where);
  StrictBuilder builder;
  if (!json::sax_parse(text.begin(), text.end(), &builder))
    throw InputError("{}: {}{}", where, builder.failure, describe_byte(text, builder.failure_byte));
  return std::move(builder.result);
}

json read_json(const std::filesystem::path& path) {
  return parse_json(read_file(path), path.string());
}

}  // namespace caprl
