#include "tasks/eval/table.h"

#include "caprl/core/error.h"
#include "caprl/core/files.h"

namespace caprl {
namespace {

/// Reads field after field.
class TableText {
 public:
  TableText(std::string text, std::string name) : text_(std::move(text)), name_(std::move(name)) {}

  bool at_end() const { return at_ >= text_.size(); }

  std::vector<std::string> row() {
    std::vector<std::string> fields;
    do {
      fields.push_back(field());
    } while (take('\t'));
    take('\r');
    if (!at_end() && !take('\n'))
      throw InputError("{}: expected a tab or a line end after a quoted field", name_);
    return fields;
  }

 private:
  bool take(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }

  std::string field() {
    if (take('"')) return quoted();
    const size_t end = std::min(text_.find_first_of("\t\n", at_), text_.size());
    std::string value = text_.substr(at_, end - at_);
    at_ = end;
    if (value.ends_with('\r') && (at_end() || text_[at_] == '\n')) value.pop_back();
    return value;
  }

  std::string quoted() {
    std::string value;
    for (;;) {
      const size_t mark = text_.find('"', at_);
      if (mark == std::string::npos) throw InputError("{}: a quoted field does not end", name_);
      value.append(text_, at_, mark - at_);
      at_ = mark + 1;
      if (!take('"')) return value;
      value += '"';
    }
  }

  std::string text_, name_;
  size_t at_ = 0;
};

}  // namespace

std::vector<TableRow> read_table(const std::filesystem::path& file) {
  TableText text(read_file(file), file.string());
  if (text.at_end()) throw InputError("{}: expected a table, got an empty file", file.string());
  const std::vector<std::string> names = text.row();
  std::vector<TableRow> rows;
  while (!text.at_end()) {
    TableRow row{fmt::format("{}: row {}", file.string(), rows.size() + 1),
                 nlohmann::json::object()};
    const std::vector<std::string> fields = text.row();
    if (fields.size() != names.size())
      throw InputError("{}: expected {} fields, as in the first line, got {}", row.where,
                       names.size(), fields.size());
    for (size_t i = 0; i < names.size(); ++i)
      if (!fields[i].empty()) row.values[names[i]] = fields[i];
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace caprl
