#include "caprl/data/convert.h"

#include <algorithm>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/data/reader.h"
#include "caprl/io/base64.h"
#include "caprl/io/jsonl.h"
#include "data/captioned.h"
#include "data/llava.h"
#include "data/row_types.h"

namespace caprl {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

bool is_set(const json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && !found->is_null();
}

json binary(std::span<const std::byte> bytes) {
  const auto* begin = reinterpret_cast<const uint8_t*>(bytes.data());
  return json::binary({begin, begin + bytes.size()});
}

/// A relative path from one folder as one from another.
void move_path(json& path, const fs::path& from, const fs::path& to) {
  if (!path.is_string() || from == to) return;
  const fs::path named = path.get<std::string>();
  if (named.is_relative() && !named.empty()) path = (from / named).lexically_relative(to).string();
}

/// Paths of images within messages.
void move_message_paths(json& row, const fs::path& from, const fs::path& to) {
  for (const char* key : {"messages", "prompt"}) {
    if (!is_set(row, key) || !row[key].is_array()) continue;
    for (json& message : row[key]) {
      if (!message.is_object() || !message.contains("content")) continue;
      if (!message["content"].is_array()) continue;
      for (json& part : message["content"])
        if (part.is_object() && is_set(part, "image")) move_path(part["image"], from, to);
    }
  }
}

/// The one image of a row's messages becomes the row's own, which can be embedded.
void make_own_image(json& row) {
  if (is_set(row, "image") || !is_set(row, "messages") || !row["messages"].is_array()) return;
  std::vector<json*> parts;
  for (json& message : row["messages"]) {
    if (!message.is_object() || !message.contains("content")) continue;
    if (!message["content"].is_array()) continue;
    for (json& part : message["content"])
      if (part.is_object() && is_set(part, "image")) parts.push_back(&part);
  }
  if (parts.size() != 1) return;
  row["image"] = {{"path", (*parts[0])["image"]}};
  parts[0]->erase("image");
}

/// Goes through the rows of all files.
class Rows {
 public:
  Rows(const std::vector<std::string>& names, const fs::path& out, const ConvertOptions& options)
      : files_(expand_data_files(names)), to_(fs::absolute(out).parent_path()), options_(options) {}

  /// use(row, where) of every row, its image as {"bytes": binary, "path"}.
  template <class Use>
  ConvertCounts for_each(Use use) const {
    ConvertCounts counts;
    for (const std::string& file : files_)
      for_each_of(file, use, counts, [&](const auto& work) { return use_row(bad_rows(), work); });
    return counts;
  }

  /// Columns for all rows: those of Parquet files, and what the rows of others have.
  std::vector<ColumnType> columns() const {
    std::vector<ColumnType> columns;
    ConvertCounts ignored;
    for (const std::string& file : files_) {
      if (is_parquet(file) && options_.form == RowForm::kAsIs)
        add_columns(columns, with_image(ParquetFile(file).columns(), file), file);
      else
        for_each_of(
            file,
            [&](const json& row, const std::string& where) {
              add_columns(columns, with_image(type_of(row, "").parts, where), where);
            },
            ignored, [&](const auto& work) { return try_quietly(work); });
    }
    put_in_order(columns);
    return columns;
  }

 private:
  BadRows bad_rows() const { return options_.bad_rows; }

  /// use_row() without its words: the row is said when it is written.
  template <class Work>
  bool try_quietly(const Work& work) const {
    try {
      work();
      return true;
    } catch (const InputError&) {
      if (bad_rows() == BadRows::kStop) throw;
      return false;
    }
  }

  /// attempt(work): whether it went well.
  template <class Use, class Attempt>
  void for_each_of(const std::string& file, Use use, ConvertCounts& counts, Attempt attempt) const {
    const fs::path from = fs::absolute(file).parent_path();
    const auto reader = DataReader::open(file, RowKind::kAny);
    while (const auto place = reader->next()) {
      const bool used = attempt([&] {
        json row = reader->row();
        if (!row.is_object())
          throw InputError("{}: expected an object, got {}", place->where, row.type_name());
        for (json& made : rows_in(std::move(row), *place)) {
          normalise(made, *place, from);
          use(made, place->where);
          ++counts.rows;
        }
      });
      if (!used) counts.skipped += place->count;
    }
  }

  std::vector<json> rows_in(json row, const RowPlace& place) const {
    std::vector<json> rows;
    if (options_.form == RowForm::kAsIs) {
      rows.push_back(std::move(row));
      return rows;
    }
    const json image = row.value("image", json::object());
    const bool is_embedded = place.image.store || (image.is_object() && is_set(image, "bytes"));
    if (is_embedded)
      row["image"] = "embedded";
    else if (image.is_object() && is_set(image, "path"))
      row["image"] = image["path"];
    rows = options_.form == RowForm::kLlava
               ? rows_of_llava(row, place.where)
               : rows_of_captions(row, options_.caption_prompt, place.where);
    if (!is_embedded) return rows;
    for (json& made : rows) {
      make_own_image(made);
      if (is_set(made, "image")) made["image"] = image.is_object() ? image : json::object();
    }
    return rows;
  }

  /// The column image, if there is one, with both its members.
  static std::vector<ColumnType> with_image(std::vector<ColumnType> columns,
                                            std::string_view where) {
    static const ColumnType with_both =
        type_of({{"bytes", json::binary({})}, {"path", ""}}, "image");
    const auto image = std::ranges::find(columns, "image", &ColumnType::name);
    if (image == columns.end()) return columns;
    *image = image->kind == ColumnType::Kind::kText
                 ? with_both
                 : merge_types(with_both, *image, "image", where);
    return columns;
  }

  void normalise(json& row, const RowPlace& place, const fs::path& from) const {
    if (options_.embed_images) make_own_image(row);
    move_message_paths(row, from, to_);
    const bool is_stored =
        place.image.store && (options_.form == RowForm::kAsIs || row.contains("image"));
    if (!is_set(row, "image") && !is_stored) return;
    json& image = row["image"];
    if (image.is_string()) image = {{"path", image}};
    if (!image.is_object() && !image.is_null())
      throw InputError("{}: image: expected an object with 'path' or 'bytes', got {}", place.where,
                       image.type_name());
    if (is_stored) {
      image["bytes"] = binary(place.image.store->read(place.image.index).bytes);
    } else if (is_set(image, "bytes") && image["bytes"].is_string()) {
      const auto& text = image["bytes"].get_ref<const std::string&>();
      image["bytes"] = binary(decode_base64(text, fmt::format("{}: image bytes", place.where)));
    } else if (is_set(image, "path") && image["path"].is_string()) {
      name_or_embed(image, place, from);
    }
  }

  void name_or_embed(json& image, const RowPlace& place, const fs::path& from) const {
    if (!options_.embed_images) return move_path(image["path"], from, to_);
    const fs::path file = from / image["path"].get<std::string>();
    const std::string content = at_place(place.where, [&] { return read_file(file); });
    image["bytes"] = binary(std::as_bytes(std::span(content)));
    image["path"] = file.filename().string();
  }

  std::vector<std::string> files_;
  fs::path to_;
  const ConvertOptions& options_;
};

/// Without the nulls of absent keys.
void drop_nulls(json& value) {
  if (value.is_object())
    for (auto member = value.begin(); member != value.end();)
      member = member->is_null() ? value.erase(member) : std::next(member);
  if (value.is_structured())
    for (json& element : value) drop_nulls(element);
}

void refuse_bytes(const json& value, const std::string& key, const std::string& where) {
  if (value.is_binary())
    throw InputError("{}: key '{}' holds bytes, which JSON has no form for", where, key);
  if (value.is_structured())
    for (const json& element : value) refuse_bytes(element, key, where);
}

ConvertCounts write_jsonl(const Rows& rows, const fs::path& out) {
  const fs::path unfinished = unfinished_path(out);
  std::error_code ignored;
  fs::remove(unfinished, ignored);
  try {
    ConvertCounts counts;
    {
      JsonlAppender lines(unfinished);
      counts = rows.for_each([&](json& row, const std::string& where) {
        drop_nulls(row);
        if (is_set(row, "image") && is_set(row["image"], "bytes"))
          row["image"]["bytes"] =
              encode_base64(std::as_bytes(std::span(row["image"]["bytes"].get_binary())));
        for (const auto& [key, value] : row.items()) refuse_bytes(value, key, where);
        lines.append(row);
      });
    }
    sync_path(unfinished);
    fs::rename(unfinished, out);
    sync_path(fs::absolute(out).parent_path());
    return counts;
  } catch (...) {
    fs::remove(unfinished, ignored);
    throw;
  }
}

ConvertCounts write_parquet(const Rows& rows, const fs::path& out, const ConvertOptions& options) {
  const std::vector<ColumnType> columns = rows.columns();
  if (columns.empty()) throw InputError("{}: there is no row to write", out.string());
  ParquetWriter writer(out, columns, options.layout);
  const ConvertCounts counts =
      rows.for_each([&](const json& row, const std::string& where) { writer.append(row, where); });
  writer.commit();
  return counts;
}

}  // namespace

ConvertCounts convert_data(const std::vector<std::string>& files, const fs::path& out,
                           const ConvertOptions& options) {
  const Rows rows(files, out, options);
  return out.extension() == ".parquet" ? write_parquet(rows, out, options) : write_jsonl(rows, out);
}

}  // namespace caprl
