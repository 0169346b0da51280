#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include <iostream>
#include <memory>

#include "caprl/core/error.h"
#include "caprl/generation/generator.h"
#include "caprl/io/jsonl.h"
#include "caprl/ops/policy_loss.h"
#include "caprl/train/config.h"
#include "caprl/train/loss_batch.h"
#include "cli/commands.h"
#include "cli/score_rows.h"

namespace caprl {
namespace {

struct ScoreOptions {
  std::string model, input, chat_template, dtype = "float32", device = "auto";
  int64_t greedy = 0, micro_tokens = 16384;
};

void print(ScoreRowReader& reader, const ScoreRow& row, const std::vector<int64_t>& response,
           const nlohmann::json& logprobs) {
  nlohmann::ordered_json line;
  line["id"] = row.id;
  line["prompt_ids"] = row.prompt.ids;
  line["response_ids"] = response;
  line["logprobs"] = logprobs;
  line["tokens"] = reader.token_texts(response);
  line["text"] = reader.text(response);
  std::cout << line.dump() << "\n";
}

/// Responses as given: one forward pass over each row's prompt and response.
void score(const Model& model, ScoreRowReader& reader, std::span<const ScoreRow> rows) {
  std::vector<ScoredSequence> sequences;
  for (const ScoreRow& row : rows)
    sequences.push_back({.sequence = {row.prompt, {row.response}}, .branches = {{}}});
  const LossBatch batch = make_loss_batch(sequences, model);
  at::Tensor logprobs = batch.targets;  // none
  if (batch.targets.numel() > 0)
    logprobs =
        ops::token_logprobs(hidden_rows(model, batch), model.head_weight(), batch.targets, 1.0);
  const at::Tensor values = logprobs.to(at::kCPU, at::kDouble).contiguous();
  const double* next = values.const_data_ptr<double>();
  for (const ScoreRow& row : rows) {
    print(reader, row, row.response, std::vector<double>(next, next + row.response.size()));
    next += row.response.size();
  }
}

/// The likeliest token, again and again, until an end-of-sequence token or the limit.
void generate_greedily(const Model& model, ScoreRowReader& reader, std::span<const ScoreRow> rows,
                       int64_t limit) {
  std::vector<GenerationRequest> requests;
  for (const ScoreRow& row : rows) {
    GenerationRequest& request = requests.emplace_back();
    request.prompt = row.prompt;
    request.suffixes = {{}};
  }
  SamplingParams params;
  params.temperature = 0;
  params.max_new_tokens = limit;
  params.stop_ids = model.traits().eos_ids;
  const auto results = generate(model, requests, params);
  for (size_t i = 0; i < rows.size(); ++i)
    print(reader, rows[i], results[i][0].ids, results[i][0].logprobs);
}

int64_t num_tokens(const ScoreRow& row, const ScoreOptions& options) {
  return static_cast<int64_t>(row.prompt.ids.size() + row.response.size()) + options.greedy;
}

void run_score(const ScoreOptions& options) {
  const at::NoGradGuard no_grad;
  const std::filesystem::path input = options.input;
  JsonlReader lines(input);
  const auto model = Model::load(options.model, {.dtype = parse_dtype(options.dtype, "--dtype"),
                                                 .device = choose_device(options.device)});
  ScoreRowReader reader(options.model, options.chat_template, model->traits());
  std::vector<ScoreRow> rows;
  int64_t tokens = 0;
  const auto flush = [&] {
    if (rows.empty()) return;
    if (options.greedy > 0)
      generate_greedily(*model, reader, rows, options.greedy);
    else
      score(*model, reader, rows);
    std::cout.flush();
    rows.clear();
    tokens = 0;
  };
  while (const auto line = lines.next()) {
    const std::string where = fmt::format("{}:{}", input.string(), line->number);
    ScoreRow row = reader.read(line->value, where, line->number,
                               std::filesystem::absolute(input).parent_path(), options.greedy == 0);
    const int64_t more = num_tokens(row, options);
    if (tokens + more > options.micro_tokens) flush();
    rows.push_back(std::move(row));
    tokens += more;
  }
  flush();
  if (!std::cout) throw Error("the results cannot be written to stdout");
}

}  // namespace

void add_score_command(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("score", "Log-probabilities of given responses, token by token");
  auto options = std::make_shared<ScoreOptions>();
  command->add_option("--model", options->model, "model directory")->required();
  command->add_option("--input", options->input, "JSONL file, one prompt and response a line")
      ->required();
  command->add_option("--chat-template", options->chat_template,
                      "Jinja file in place of the model directory's chat template");
  command
      ->add_option("--greedy", options->greedy,
                   "generate this many tokens at most instead of taking a response")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}));
  command->add_option("--dtype", options->dtype, "that the model runs in")
      ->check(CLI::IsMember({"float32", "bfloat16", "float64"}))
      ->capture_default_str();
  command->add_option("--device", options->device, "cpu, cuda, cuda:N or auto")
      ->capture_default_str();
  command->add_option("--micro-tokens", options->micro_tokens, "tokens run at a time")
      ->check(CLI::Range(int64_t{1}, int64_t{1'000'000'000}))
      ->capture_default_str();
  command->callback([options] { run_score(*options); });
}

}  // namespace caprl
