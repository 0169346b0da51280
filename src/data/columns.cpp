#include "data/columns.h"

#include <algorithm>

#include "caprl/core/error.h"

namespace caprl {
namespace {

using Kind = ColumnType::Kind;

/// What a column may be. A column of nulls alone is always right: its rows are not, each for
/// itself.
struct Shape {
  std::string name;
  std::vector<Kind> kinds;
  std::vector<Shape> parts = {};  // members, or a list's element
  bool optional = false;
};

Shape text(const std::string& name) { return {name, {Kind::kText}}; }
Shape list_of(const std::string& name, Shape element) {
  element.name = "element";
  return {name, {Kind::kList}, {std::move(element)}};
}
Shape optional(Shape shape) {
  shape.optional = true;
  return shape;
}

Shape id() { return optional({"id", {Kind::kText, Kind::kInteger}}); }
Shape image() {
  return {"image",
          {Kind::kStruct, Kind::kText},
          {optional({"bytes", {Kind::kBytes}}), optional(text("path"))}};
}
Shape messages(const std::string& name) {
  const Shape content{"content", {Kind::kText, Kind::kList}};
  return list_of(name, {"", {Kind::kStruct}, {text("role"), content}});
}
Shape questions() {
  const Shape question{
      "", {Kind::kStruct}, {text("question"), list_of("choices", text("")), text("answer")}};
  return {"reward_model", {Kind::kStruct}, {list_of("ground_truth", question)}};
}

std::vector<Shape> shapes_of(RowKind kind) {
  switch (kind) {
    case RowKind::kCaption:
      return {id(), image(), messages("prompt"), questions()};
    case RowKind::kImage:
      return {id(), image(), optional(messages("prompt"))};
    case RowKind::kSft:
      return {id(), optional(image()), messages("messages"), text("response")};
    case RowKind::kAny:
      break;
  }
  return {};
}

std::string kinds_text(const std::vector<Kind>& kinds) {
  std::string names;
  for (const Kind kind : kinds) {
    const char* name = kind == Kind::kText      ? "string"
                       : kind == Kind::kInteger ? "integer"
                       : kind == Kind::kBytes   ? "binary"
                       : kind == Kind::kList    ? "list"
                                                : "struct";
    names += (names.empty() ? "" : " or ") + std::string(name);
  }
  return names;
}

void check(const Shape& shape, const ColumnType& type, const std::string& path,
           const std::string& file) {
  if (type.kind == Kind::kNull) return;
  if (std::ranges::find(shape.kinds, type.kind) == shape.kinds.end())
    throw InputError("{}: column '{}': expected {}, got {}", file, path, kinds_text(shape.kinds),
                     describe(type));
  for (const Shape& part : shape.parts) {
    if (type.parts.empty()) break;  // text in place of a struct
    const ColumnType* found = type.find(part.name);
    if (found)
      check(part, *found, path + "." + part.name, file);
    else if (!part.optional)
      throw InputError("{}: column '{}.{}' is missing; '{}' is {}", file, path, part.name, path,
                       describe(type));
  }
}

}  // namespace

std::vector<std::string> columns_of(RowKind kind) {
  std::vector<std::string> names;
  for (const Shape& shape : shapes_of(kind)) names.push_back(shape.name);
  return names;
}

void check_columns(const ParquetFile& file, RowKind kind) {
  const std::string name = file.path().string();
  std::string all;
  for (const ColumnType& column : file.columns()) all += (all.empty() ? "" : ", ") + column.name;
  for (const Shape& shape : shapes_of(kind)) {
    const auto found = std::ranges::find(file.columns(), shape.name, &ColumnType::name);
    if (found != file.columns().end())
      check(shape, *found, shape.name, name);
    else if (!shape.optional)
      throw InputError("{}: column '{}' is missing; the file has {}", name, shape.name, all);
  }
}

}  // namespace caprl
