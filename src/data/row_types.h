// Columns for rows of JSON.
#pragma once
#include <nlohmann/json.hpp>
#include <string_view>
#include <vector>

#include "caprl/io/parquet.h"

namespace caprl {

/// The type of a value; of an empty list or null as far as it is known.
ColumnType type_of(const nlohmann::json& value, const std::string& name);

/// The type of which both are. InputError "WHERE: key 'K': …" if there is none; `path` is K.
ColumnType merge_types(const ColumnType& earlier, const ColumnType& later, const std::string& path,
                       std::string_view where);

/// Adds what is new in a row's columns, or in a file's.
void add_columns(std::vector<ColumnType>& columns, const std::vector<ColumnType>& more,
                 std::string_view where);

/// The data schema's columns first, in its order.
void put_in_order(std::vector<ColumnType>& columns);

}  // namespace caprl
