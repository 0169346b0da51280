// What tools/parity needs to see of caprl's insides.
//   caprl-probe patches MODEL_DIR
//     stdin: image files, one a line; stdout: for each a line {"grid": [t, h, w], "columns": n} and
//     then its patches as raw float32
//   caprl-probe loss MODEL_DIR FILE OUT_DIR
//     FILE: rows of `caprl score` with string ids; for each OUT_DIR/<id>.safetensors holds, in
//     float32, "logits" [response, V] and under every parameter's name the gradient of the mean
//     next-token loss of the response
//   caprl-probe load MODEL_DIR
//     loads the model in its weights' dtype; stdout: {"weights": bytes, "peak": most bytes of
//     memory that the process had resident}
//   caprl-probe parameters CONFIG
//     stdout: {"name": shape} of the model that a config.json describes
#include <ATen/ATen.h>

#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "caprl/image/image.h"
#include "caprl/io/json.h"
#include "caprl/io/jsonl.h"
#include "caprl/io/safetensors.h"
#include "caprl/io/weight_files.h"
#include "caprl/train/loss_batch.h"
#include "cli/score_rows.h"

namespace caprl {
namespace {

void print_patches(const std::filesystem::path& model_dir) {
  const PatchConfig config = PatchConfig::load(model_dir);
  for (std::string file; std::getline(std::cin, file);) {
    const ImagePatches patches = make_patches(load_image(file), config);
    const nlohmann::json head = {{"grid", {patches.grid_t, patches.grid_h, patches.grid_w}},
                                 {"columns", patches.columns}};
    std::cout << head.dump() << "\n";
    std::cout.write(reinterpret_cast<const char*>(patches.values.data()),
                    static_cast<std::streamsize>(patches.values.size() * sizeof(float)));
    std::cout.flush();
  }
}

NamedTensors loss_of(Model& model, const ScoreRow& row) {
  const ScoredSequence sequence{.sequence = {row.prompt, {row.response}}, .branches = {{}}};
  const LossBatch batch = make_loss_batch(std::span(&sequence, 1), model);
  const at::Tensor logits = at::matmul(hidden_rows(model, batch), model.head_weight().t());
  at::cross_entropy_loss(logits, batch.targets).backward();
  NamedTensors result{{"logits", logits.detach()}};
  for (const ParameterSpec& spec : model.parameters().specs()) {
    at::Tensor parameter = model.parameters().get(spec.name);
    const at::Tensor& gradient = parameter.grad();
    result.emplace_back(spec.name,
                        gradient.defined() ? gradient.clone() : at::zeros_like(parameter).detach());
    if (gradient.defined()) parameter.mutable_grad().zero_();
  }
  return result;
}

void write_losses(const std::filesystem::path& model_dir, const std::filesystem::path& input,
                  const std::filesystem::path& out) {
  const auto model = Model::load(model_dir, {at::kFloat, at::kCPU, TrainedParts::kAll});
  ScoreRowReader reader(model_dir, {}, model->traits());
  std::filesystem::create_directories(out);
  JsonlReader lines(input);
  while (const auto line = lines.next()) {
    const ScoreRow row =
        reader.read(line->value, fmt::format("{}:{}", input.string(), line->number), line->number,
                    input.parent_path(), true);
    write_safetensors(out / (row.id.get<std::string>() + ".safetensors"), loss_of(*model, row));
  }
}

int64_t peak_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmHWM:")) return std::stoll(line.substr(6)) * 1024;
  throw Error("/proc/self/status: expected a line VmHWM");
}

void print_memory_of_loading(const std::filesystem::path& model_dir) {
  const auto dtype = [&] {
    const WeightFiles files = WeightFiles::open(model_dir);
    return files.dtype(files.names().front());
  }();
  const auto model = Model::load(model_dir, {dtype, at::kCPU, TrainedParts::kNone});
  const nlohmann::json memory = {{"weights", model->parameters().frozen_buffer().nbytes()},
                                 {"peak", peak_resident_bytes()}};
  std::cout << memory.dump() << "\n";
}

void print_parameters(const std::filesystem::path& config) {
  nlohmann::json shapes = nlohmann::json::object();
  for (const ParameterSpec& spec : describe_model(read_json(config), config.string()).parameters)
    shapes[spec.name] = spec.shape;
  std::cout << shapes.dump() << "\n";
}

void run(std::span<char*> arguments) {
  const std::string_view command = arguments.size() > 1 ? arguments[1] : "";
  if (command == "patches" && arguments.size() == 3) return print_patches(arguments[2]);
  if (command == "loss" && arguments.size() == 5)
    return write_losses(arguments[2], arguments[3], arguments[4]);
  if (command == "load" && arguments.size() == 3) return print_memory_of_loading(arguments[2]);
  if (command == "parameters" && arguments.size() == 3) return print_parameters(arguments[2]);
  throw InputError(
      "usage: caprl-probe patches MODEL_DIR | loss MODEL_DIR FILE OUT_DIR | load MODEL_DIR | "
      "parameters CONFIG");
}

}  // namespace
}  // namespace caprl

int main(int argc, char** argv) {
  try {
    caprl::run({argv, static_cast<size_t>(argc)});
    return 0;
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
    return 2;
  }
}
