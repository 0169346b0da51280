#include <algorithm>
#include <fstream>

#include "caprl/core/error.h"
#include "caprl/io/parquet.h"

namespace caprl {

const ColumnType* ColumnType::find(std::string_view member) const {
  const auto found = std::ranges::find(parts, member, &ColumnType::name);
  return found == parts.end() ? nullptr : &*found;
}

std::string describe(const ColumnType& type) {
  if (type.kind == ColumnType::Kind::kList)
    return fmt::format("{}<{}>", type.exact, describe(type.parts.at(0)));
  if (type.kind != ColumnType::Kind::kStruct) return type.exact;
  std::string members;
  for (const ColumnType& part : type.parts)
    members += fmt::format("{}{}: {}", members.empty() ? "" : ", ", part.name, describe(part));
  return fmt::format("struct<{}>", members);
}

bool is_parquet(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw InputError("{}: cannot open it", path.string());
  char magic[4] = {};
  in.read(magic, sizeof magic);
  return std::string_view(magic, static_cast<size_t>(in.gcount())) == "PAR1";
}

}  // namespace caprl
