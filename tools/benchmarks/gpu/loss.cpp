// The caprl side of the loss-head benchmark on a GPU.
//   caprl-bench-loss FOLDER [--rows N] [--hidden H] [--vocab V]
// Makes the inputs, writes to FOLDER what its peers cannot make themselves, and says so in one line
// of JSON. Then every line on stdin asks for one thing and is answered with one line of JSON:
//   time PROVIDER ROWS SAMPLES   {"ms": […], "extra_bytes": temporaries at their worst}
//   write PROVIDER ROWS PREFIX   log-probabilities and the checked gradients to PREFIX*.f32
// What cannot be done is answered with {"error": "…"}.
#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <iostream>
#include <nlohmann/json.hpp>
#include <sstream>

#include "caprl/core/error.h"
#include "device_time.h"
#include "loss_providers.h"

namespace caprl::bench {
namespace {

using nlohmann::json;

class Bench {
 public:
  explicit Bench(const LossShape& shape)
      : inputs_(LossInputs::make(shape)),
        head_gradient_(at::zeros(inputs_.weight.sizes(), inputs_.advantages.options())),
        providers_(loss_providers(inputs_, head_gradient_)) {
    release_cached_memory();
  }

  json greeting() const {
    json names = json::array();
    for (const auto& provider : providers_) names.push_back(provider.name);
    return {{"providers", names},
            {"checksums", {checksum(inputs_.hidden), checksum(inputs_.weight)}}};
  }
  const LossInputs& inputs() const { return inputs_; }

  json answer(const std::string& request) {
    std::istringstream words(request);
    std::string verb, provider, last;
    int64_t rows = 0;
    if (!(words >> verb >> provider >> rows >> last) || rows < 1 || rows > inputs_.hidden.size(0))
      throw InputError("expected VERB PROVIDER ROWS ARGUMENT, got \"{}\"", request);
    const json result = verb == "time"    ? time(provider, rows, std::stoll(last))
                        : verb == "write" ? write(provider, rows, last)
                                          : throw InputError("unknown verb {}", verb);
    release_cached_memory();
    return result;
  }

 private:
  const LossProvider& find(const std::string& name) const {
    for (const auto& provider : providers_)
      if (provider.name == name) return provider;
    throw InputError("unknown provider {}", name);
  }

  json time(const std::string& name, int64_t rows, int64_t samples) const {
    const auto run = find(name).prepare(rows);
    LossResult kept;  // of the first run, which also warms
    const int64_t extra = peak_of_temporaries([&] { kept = run(); });
    kept = {};
    return {{"ms", time_on_device([&](int64_t) { run(); }, samples)}, {"extra_bytes", extra}};
  }

  json write(const std::string& name, int64_t rows, const std::string& prefix) {
    head_gradient_.zero_();
    const auto run = find(name).prepare(rows);
    poison_new_tensors(true);
    const LossResult result = run();
    poison_new_tensors(false);
    const auto& hidden = inputs_.hidden;
    const auto write_rows = [&](const char* what, const at::Tensor& from, const at::Tensor& ids) {
      if (from.defined()) write_raw(prefix + what, from.index_select(0, ids).to(at::kFloat));
    };
    if (result.logprobs.defined()) write_raw(prefix + "logprobs.f32", result.logprobs);
    write_rows("d_hidden.f32", result.d_hidden, checked_rows(rows, hidden.options()));
    write_rows("d_weight.f32", result.d_weight,
               checked_ids(inputs_.targets, rows, inputs_.weight.size(0)));
    return json::object();
  }

  LossInputs inputs_;
  at::Tensor head_gradient_;
  std::vector<LossProvider> providers_;
};

json answer_or_error(Bench& bench, const std::string& request) {
  try {
    return bench.answer(request);
  } catch (const c10::Error& error) {
    return {{"error", error.what_without_backtrace()}};
  } catch (const std::exception& error) {
    return {{"error", error.what()}};
  }
}

constexpr const char* kUsage = "usage: caprl-bench-loss FOLDER [--rows N] [--hidden H] [--vocab V]";

int run(int argc, char** argv) {
  if (argc < 2 || std::string(argv[1]) == "--help") {
    std::cout << kUsage << std::endl;
    return argc < 2 ? 2 : 0;
  }
  LossShape shape;
  for (int i = 2; i + 1 < argc; i += 2) {
    const std::string option = argv[i];
    int64_t* const value = option == "--rows"     ? &shape.rows
                           : option == "--hidden" ? &shape.hidden
                           : option == "--vocab"  ? &shape.vocab
                                                  : throw InputError(kUsage);
    *value = std::stoll(argv[i + 1]);
  }
  Bench bench(shape);
  bench.inputs().write(argv[1]);
  std::cout << bench.greeting().dump() << std::endl;
  for (std::string line; std::getline(std::cin, line);)
    std::cout << answer_or_error(bench, line).dump() << std::endl;
  return 0;
}

}  // namespace
}  // namespace caprl::bench

int main(int argc, char** argv) {
  try {
    return caprl::bench::run(argc, argv);
  } catch (const c10::Error& error) {
    std::cerr << "error: " << error.what_without_backtrace() << "\n";
  } catch (const std::exception& error) {
    std::cerr << "error: " << error.what() << "\n";
  }
  return 2;
}
