// JSON as values of Arrow's arrays.
#pragma once
#include <arrow/array/builder_base.h>
#include <arrow/status.h>
#include <arrow/type.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "caprl/io/parquet.h"

namespace caprl {

/// InputError "column 'PATH': …" for a type that cannot be written.
std::shared_ptr<arrow::DataType> arrow_type(const ColumnType& type, const std::string& path);

/// InputError "WHERE: key 'PATH': …" if the value is none of the type. Adds its size to `bytes`.
void check_value(const ColumnType& type, const nlohmann::json& value, const std::string& path,
                 std::string_view where, int64_t& bytes);

/// Of a value that check_value() has accepted for the builder's type.
arrow::Status append_value(arrow::ArrayBuilder& builder, const nlohmann::json& value);

}  // namespace caprl
