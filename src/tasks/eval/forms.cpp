#include "tasks/eval/forms.h"

#include <array>
#include <map>

#include "caprl/core/error.h"
#include "caprl/io/json.h"
#include "tasks/eval/published_rows.h"
#include "tasks/eval/table.h"
#include "tasks/utf8.h"

namespace caprl {
namespace {

using nlohmann::json;
using Use = std::function<void(const RowPlace&, const std::function<std::vector<json>()>&)>;

std::vector<json> generic_rows(const json& row, const FileSource&) { return {row}; }

constexpr std::array<Form, 16> kForms = {{
    {"items", "", Layout::kRows, generic_rows},
    {"qa", "", Layout::kRows, qa_rows},
    {"prism", "", Layout::kRows, prism_rows},
    {"vlmevalkit", "", Layout::kTable, vlmevalkit_rows},
    {"chartqa", "ChartQA", Layout::kRows, chartqa_rows},
    {"chartqapro", "ChartQAPro", Layout::kRows, chartqapro_rows},
    {"charxiv", "CharXiv", Layout::kValues, charxiv_rows},
    {"infovqa", "InfoVQA", Layout::kData, infovqa_rows},
    {"mathverse", "MathVerse", Layout::kRows, mathverse_rows},
    {"mathvision", "MathVision", Layout::kRows, mathvision_rows},
    {"mmmu", "MMMU", Layout::kRows, mmmu_rows},
    {"mmmu_pro", "MMMU-Pro", Layout::kRows, mmmu_rows},
    {"mmstar", "MMStar", Layout::kRows, mmstar_rows},
    {"seed", "SEED", Layout::kQuestions, seed_rows},
    {"visulogic", "VisuLogic", Layout::kRows, visulogic_rows},
    {"wemath", "WeMath", Layout::kRows, wemath_rows},
}};

void use_row_of(const FileSource& source, const json& row, const std::string& where,
                const Use& use) {
  use({where, 1, {}},
      [&] { return at_place(where, [&] { return source.form->items(row, source); }); });
}

/// Row by row: an image in a Parquet file stays there until it is used.
void read_rows(const FileSource& source, const Use& use) {
  const auto reader = DataReader::open(source.path, RowKind::kAny);
  while (const auto place = reader->next())
    use(*place, [&] {
      const json row = reader->row();
      return at_place(place->where, [&] { return source.form->items(row, source); });
    });
}

void read_list(const FileSource& source, const json& list, const Use& use) {
  if (!list.is_array())
    throw InputError("{}: expected a list of rows, got {}", source.path.string(), list.type_name());
  for (size_t i = 0; i < list.size(); ++i)
    use_row_of(source, list[i], fmt::format("{}: row {}", source.path.string(), i + 1), use);
}

const json& member(const json& document, const char* key, const FileSource& source) {
  if (!document.is_object() || !document.contains(key))
    throw InputError("{}: expected an object with '{}', a list of rows", source.path.string(), key);
  return document[key];
}

void read_values(const FileSource& source, const json& document, const Use& use) {
  if (!document.is_object())
    throw InputError("{}: expected an object of rows, got {}", source.path.string(),
                     document.type_name());
  for (const auto& [key, row] : document.items())
    use_row_of(source, row, fmt::format("{}: row '{}'", source.path.string(), key), use);
}

/// An image that is another row's index stands for that row's image.
std::vector<TableRow> read_table_with_images(const std::filesystem::path& file) {
  constexpr size_t kLongestIndex = 64;
  std::vector<TableRow> rows = read_table(file);
  std::map<std::string, json> images;
  for (const TableRow& row : rows)
    if (row.values.contains("index") && row.values.contains("image"))
      images[row.values["index"].get<std::string>()] = row.values["image"];
  for (TableRow& row : rows) {
    const auto own = row.values.find("image");
    if (own == row.values.end() || own->get_ref<const std::string&>().size() > kLongestIndex)
      continue;
    const auto other = images.find(own->get<std::string>());
    if (other != images.end()) *own = other->second;
  }
  return rows;
}

}  // namespace

const Form* find_form(std::string_view name) {
  for (const Form& form : kForms)
    if (form.name == name) return &form;
  return nullptr;
}

std::pair<const Form*, std::string> split_form(const std::string& file) {
  const size_t colon = file.find(':');
  if (colon == std::string::npos || file.find('/') < colon) return {find_form("items"), file};
  if (const Form* form = find_form(file.substr(0, colon))) return {form, file.substr(colon + 1)};
  std::string names;
  for (const Form& form : kForms) (names += names.empty() ? "" : ", ") += form.name;
  throw InputError("config: 'data.files': {}: expected one of {} before the colon, got '{}'", file,
                   names, file.substr(0, colon));
}

FileSource::FileSource(const Form* form, const std::string& file, const std::string& image_folder)
    : form(form), path(file) {
  folder = image_folder.empty() ? std::filesystem::absolute(path).parent_path()
                                : std::filesystem::absolute(image_folder);
  benchmark = form->benchmark.empty() ? path.stem().string() : std::string(form->benchmark);
}

std::string FileSource::image(const std::vector<std::string>& names) const {
  std::error_code error;
  for (const std::string& name : names)
    if (std::filesystem::is_regular_file(folder / name, error)) return (folder / name).string();
  return (folder / names.front()).string();
}

std::vector<FileSource> file_sources(const std::vector<std::string>& names,
                                     const std::string& image_folder) {
  std::vector<FileSource> sources;
  for (const std::string& name : names) {
    const auto [form, pattern] = split_form(name);
    for (const std::string& file : expand_data_files({pattern}))
      sources.emplace_back(form, file, image_folder);
  }
  return sources;
}

void read_file_items(const FileSource& source, const Use& use) {
  switch (source.form->layout) {
    case Layout::kRows:
      return read_rows(source, use);
    case Layout::kData:
      return read_list(source, member(read_json(source.path), "data", source), use);
    case Layout::kQuestions:
      return read_list(source, member(read_json(source.path), "questions", source), use);
    case Layout::kValues:
      return read_values(source, read_json(source.path), use);
    case Layout::kTable:
      for (const TableRow& row : read_table_with_images(source.path))
        use({row.where, 1, {}}, [&] {
          if (!is_utf8(row.values)) throw InputError("{}: expected UTF-8", row.where);
          return at_place(row.where, [&] { return source.form->items(row.values, source); });
        });
  }
}

}  // namespace caprl
