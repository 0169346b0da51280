// Conditions that the configs of several tasks have in common.
#pragma once
#include <string>
#include <string_view>

#include "caprl/core/error.h"
#include "caprl/io/parquet.h"

namespace caprl {

inline void require_set(const std::string& value, std::string_view key) {
  if (value.empty()) throw InputError("config: '{}' is not set", key);
}

/// Of a task on images (tasks/inputs/).
template <class DataConfig>
void require_images(const DataConfig& data) {
  if (data.files.empty() && data.images.empty())
    throw InputError("config: neither 'data.files' nor 'data.images' is set");
}

/// Before any work, where a build cannot write what `output.format` asks for.
inline void require_format(bool is_parquet) {
  if (is_parquet && !has_parquet())
    throw InputError("config: 'output.format': this build has no Parquet; expected jsonl");
}

}  // namespace caprl
