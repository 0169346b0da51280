// The generation engine on a GPU.
//   caprl-bench-rollouts MODEL    a model directory, or a preset of caprl init: random weights
// Every line on stdin asks for one thing and is answered with one line of JSON:
//   decode SEQUENCES PROMPT NEW   eight captions a prompt: {"tokens", "seconds", "steps",
//   "host_seconds",
//                                 "sample_seconds"} of the passes that read no prompt
//   prefill IMAGES                images of 64 × 80 patches, 1,280 tokens: {"tokens", "seconds",
//   "operations": the fewest
//                                 of the weights' products}
//   trace FILE                    the next one of these to FILE, as Chrome's JSON
#include <sstream>

#include "caprl/generation/generator.h"
#include "tools/benchmarks/gpu/json_program.h"

namespace caprl {
namespace {

using nlohmann::json;

constexpr int64_t kGroup = 8, kGridHeight = 64, kGridWidth = 80, kText = 24;

/// Ordinary words of the vocabulary, others for every prompt.
std::vector<int64_t> some_ids(int64_t count, int64_t seed) {
  std::vector<int64_t> ids;
  for (int64_t i = 0; i < count; ++i) ids.push_back(100 + (seed * 7919 + i * 104729) % 40000);
  return ids;
}

SamplingParams params(const Model& model, int64_t new_tokens) {
  SamplingParams params;
  params.max_new_tokens = new_tokens;
  params.banned_ids = model.traits().vision_token_ids;
  return params;
}

json decode(const Model& model, int64_t sequences, int64_t prompt, int64_t new_tokens) {
  std::vector<GenerationRequest> requests;
  for (int64_t i = 0; i < sequences; i += kGroup) {
    GenerationRequest& request = requests.emplace_back();
    request.prompt.ids = some_ids(prompt, i);
    request.prompt_id = static_cast<uint64_t>(i);
    request.suffixes.resize(static_cast<size_t>(std::min(kGroup, sequences - i)));
  }
  GenerationLimits limits;
  limits.max_num_seqs = sequences;
  GenerationStats stats;
  generate(model, requests, params(model, new_tokens), limits, &stats);
  return {{"tokens", stats.decode_tokens},
          {"seconds", stats.decode_seconds},
          {"steps", stats.decode_steps},
          {"host_seconds", stats.host_seconds},
          {"sample_seconds", stats.sample_seconds}};
}

/// Multiplications and additions of the weights' products: of the tower's for every patch, of the
/// layers' for every token.
double operations(const Model& model, int64_t images, int64_t tokens) {
  double sum = 0;
  for (const auto& spec : model.parameters().specs()) {
    const auto size = static_cast<double>(model.parameters().get(spec.name).numel());
    const auto patches = static_cast<double>(images * kGridHeight * kGridWidth);
    const bool merger = spec.name.find("merger") != std::string::npos;  // four patches at a time
    if (spec.name.starts_with("visual."))
      sum += 2 * size * patches / (merger ? 4 : 1);
    else if (spec.name.find(".layers.") != std::string::npos)
      sum += 2 * size * static_cast<double>(tokens);
  }
  return sum;
}

json prefill(const Model& model, int64_t images) {
  const ModelTraits& traits = model.traits();
  if (!traits.image_token_id) throw InputError("expected a vision-language model");
  auto patches = std::make_shared<ImagePatches>();
  *patches = {1, kGridHeight, kGridWidth, 3 * 2 * 14 * 14, {}};
  for (int64_t i = 0; i < patches->rows() * patches->columns; ++i)
    patches->values.push_back(static_cast<float>(i * 7919 % 2001) / 1000.0f - 1.0f);
  std::vector<GenerationRequest> requests;
  int64_t tokens = 0;
  for (int64_t i = 0; i < images; ++i) {
    GenerationRequest& request = requests.emplace_back();
    request.prompt.ids = some_ids(kText / 2, i);
    request.prompt.ids.insert(request.prompt.ids.end(), patches->tokens(traits.merge_size),
                              *traits.image_token_id);
    for (const int64_t id : some_ids(kText / 2, i + 1)) request.prompt.ids.push_back(id);
    request.prompt.images = {patches};
    request.prompt_id = static_cast<uint64_t>(i);
    request.suffixes.resize(1);
    tokens += static_cast<int64_t>(request.prompt.ids.size());
  }
  GenerationStats stats;
  generate(model, requests, params(model, 1), {}, &stats);
  return {{"tokens", stats.prompt_tokens},
          {"seconds", stats.prefill_seconds},
          {"operations", operations(model, images, tokens)}};
}

json answer(const Model& model, const std::string& request) {
  std::istringstream words(request);
  std::string verb;
  int64_t count = 0, prompt = 0, new_tokens = 0;
  words >> verb >> count;
  if (verb == "prefill" && count > 0) return prefill(model, count);
  if (verb == "decode" && words >> prompt >> new_tokens)
    return decode(model, count, prompt, new_tokens);
  throw InputError("cannot do \"{}\"", request);
}

int run(int argc, char** argv) {
  if (argc != 2 || std::string_view(argv[1]) == "--help") {
    std::cout << "usage: caprl-bench-rollouts MODEL\n";
    return argc == 2 ? 0 : 2;
  }
  const auto model = make_model(argv[1], {.dtype = at::kBFloat16, .device = at::kCUDA});
  answer_lines([&](const std::string& request) { return answer(*model, request); });
  return 0;
}

}  // namespace
}  // namespace caprl

int main(int argc, char** argv) {
  return caprl::run_json_program("caprl-bench-rollouts", argc, argv, caprl::run);
}
