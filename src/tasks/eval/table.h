// Tab-separated values, as pandas writes them.
#pragma once
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace caprl {

struct TableRow {
  std::string where;      // "FILE: row 3", the first row after the names being 1
  nlohmann::json values;  // an object of texts; empty fields are left out
};

/// Fields may be quoted ("a ""b"" c") and then hold tabs and line ends. InputError naming the file
/// for a quotation that does not end and a row of another length than the first line. The fields'
/// bytes are as they are.
std::vector<TableRow> read_table(const std::filesystem::path& file);

}  // namespace caprl
