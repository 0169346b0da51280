// Golden files and temporary model directories for the tests of text.
#pragma once
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "caprl/io/json.h"
#include "support/errors.h"
#include "support/temp_folder.h"

namespace caprl {

inline std::filesystem::path text_data(std::string_view name) {
  return std::filesystem::path(CAPRL_TEST_FILES) / "text" / name;
}

}  // namespace caprl
