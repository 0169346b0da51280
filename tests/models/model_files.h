// Files and small helpers that the tests of models share.
#pragma once
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "caprl/core/error.h"
#include "caprl/io/json.h"
#include "caprl/io/safetensors.h"
#include "caprl/models/model.h"
#include "support/errors.h"
#include "support/temp_folder.h"

namespace caprl::test {

inline std::filesystem::path model_dir(const std::string& name) {
  return std::filesystem::path(CAPRL_TEST_FILES) / "models" / name;
}

/// Inputs and outputs that tools/golden/models.py computed in float64.
inline at::Tensor golden(const std::string& name) {
  static const SafetensorsFile file(model_dir("golden.safetensors"));
  return file.tensor(name).clone();
}

inline const nlohmann::json& golden_json() {
  static const nlohmann::json json = read_json(model_dir("golden.json"));
  return json;
}

inline std::vector<int64_t> to_vector(const at::Tensor& ids) {
  const at::Tensor flat = ids.to(at::kLong).contiguous();
  return {flat.const_data_ptr<int64_t>(), flat.const_data_ptr<int64_t>() + flat.numel()};
}

/// The prompt of a golden case.
inline Prompt golden_prompt(const std::string& name) {
  Prompt prompt;
  prompt.ids = to_vector(golden(name + ".ids"));
  int64_t row = 0;
  for (const auto& grid : golden_json()["grids"][name]) {
    ImagePatches image;
    image.grid_t = grid[0], image.grid_h = grid[1], image.grid_w = grid[2];
    const at::Tensor rows =
        golden(name + ".pixel_values").narrow(0, row, image.rows()).contiguous();
    image.columns = rows.size(1);
    image.values.assign(rows.const_data_ptr<float>(), rows.const_data_ptr<float>() + rows.numel());
    row += image.rows();
    prompt.images.push_back(std::make_shared<const ImagePatches>(std::move(image)));
  }
  return prompt;
}

/// Hidden states of packed trees.
inline at::Tensor run(const Model& model, const BranchedBatch& batch) {
  const auto attention = std::make_shared<BranchedAttention>(batch.layout, batch.ids.device());
  return model.decode(model.embed(batch), batch.positions, *attention);
}

inline at::Tensor logits_of(const Model& model, const BranchedBatch& batch) {
  return at::linear(run(model, batch), model.head_weight());
}

inline double max_difference(const at::Tensor& a, const at::Tensor& b) {
  EXPECT_EQ(a.sizes(), b.sizes());
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

}  // namespace caprl::test
