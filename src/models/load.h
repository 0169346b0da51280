// Reading a model directory of whole weights.
#pragma once
#include <filesystem>
#include <functional>
#include <memory>

#include "caprl/models/model.h"

namespace caprl {

/// What a parameter is given, of what is stored of it.
using FromStored = std::function<at::Tensor(const ParameterSpec& spec, const at::Tensor& stored)>;

/// Model::load() of a directory that is no adapter's.
std::unique_ptr<Model> load_model(const std::filesystem::path& dir, const ModelOptions& options,
                                  const FromStored& from_stored);

}  // namespace caprl
