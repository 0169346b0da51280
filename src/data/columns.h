// The columns that rows of each kind need, and their types.
#pragma once
#include <string>
#include <vector>

#include "caprl/data/reader.h"
#include "caprl/io/parquet.h"

namespace caprl {

/// Those that are read; none: all.
std::vector<std::string> columns_of(RowKind kind);

/// InputError "FILE: column 'C': expected …, got …" for the first that is missing or of another
/// type.
void check_columns(const ParquetFile& file, RowKind kind);

}  // namespace caprl
