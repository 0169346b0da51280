// Kernels that are bound by memory, beside what PyTorch has, as times and bytes.
//   caprl-bench-kernels [--list]
// Every line on stdin asks for one thing and is answered with one line of JSON:
//   copy SAMPLES        {"bytes": read and written, "ms": […]}: what the memory can do
//   time CASE SAMPLES   {"shape", "bytes", "ms": {way: […]}}, ways take turns
//   check CASE          {"written": every value of caprl's results, "errors": {peer: relative}}
// What cannot be done is answered with {"error": "…"}.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "caprl/core/error.h"
#include "device_time.h"
#include "kernel_case.h"

namespace caprl::bench {
namespace {

using nlohmann::json;

constexpr double kSampleMilliseconds = 2;  // of calls in a row, so that launches do not show
constexpr int64_t kMostCalls = 100, kCopiedBytes = int64_t{4} << 30;

json copy(int64_t samples) {
  const at::Tensor from = at::randint(256, {kCopiedBytes}, at::device(at::kCUDA).dtype(at::kByte));
  at::Tensor to = at::empty_like(from);
  to.copy_(from);
  return {{"bytes", 2 * kCopiedBytes},
          {"ms", time_on_device([&](int64_t) { to.copy_(from); }, samples)}};
}

Work calls_of(const Way& way, int64_t num_sets) {
  return [&way, num_sets](int64_t call) { way.run(call % num_sets); };
}

int64_t calls_a_sample(const Work& work) {
  work(0);  // warm
  const double milliseconds = time_on_device(work, 3)[2];
  const double calls = std::ceil(kSampleMilliseconds / std::max(milliseconds, 1e-3));
  return std::clamp<int64_t>(static_cast<int64_t>(calls), 1, kMostCalls);
}

json time(const KernelCase& work, int64_t samples) {
  std::vector<const Way*> ways{&work.caprl};
  for (const Way& peer : work.peers) ways.push_back(&peer);
  std::map<std::string, std::vector<double>> times;
  std::vector<int64_t> calls;
  for (const Way* way : ways) calls.push_back(calls_a_sample(calls_of(*way, work.num_sets)));
  for (int64_t s = 0; s < samples; ++s)
    for (size_t w = 0; w < ways.size(); ++w)
      times[ways[w]->name].push_back(
          time_on_device(calls_of(*ways[w], work.num_sets), 1, calls[w])[0]);
  return {{"shape", work.shape}, {"bytes", work.bytes}, {"caprl", work.caprl.name}, {"ms", times}};
}

bool all_written(const Tensors& results) {
  return std::all_of(results.begin(), results.end(), [](const at::Tensor& result) {
    return !result.is_floating_point() || result.isfinite().all().item<bool>();
  });
}

/// The largest ‖a − b‖ / ‖b‖ of the results.
double relative_error(const Tensors& a, const Tensors& b) {
  double largest = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const at::Tensor expected = b[i].to(at::kDouble), got = a[i].to(at::kDouble);
    const double error = ((got - expected).norm() / expected.norm()).item<double>();
    largest = std::isnan(error) ? error : std::max(largest, error);
  }
  return largest;
}

json check(const KernelCase& work) {
  poison_new_tensors(true);
  const Tensors results = work.caprl.run(0);
  const bool written = all_written(results);
  json errors = json::object();
  for (const Way& peer : work.peers)
    if (work.comparable) errors[peer.name] = relative_error(results, peer.run(0));
  poison_new_tensors(false);
  return {{"written", written}, {"errors", errors}};
}

std::vector<NamedCase> all_cases() {
  std::vector<NamedCase> all = layer_cases();
  for (const auto& more : {attention_cases(), sampler_cases(), optimizer_cases()})
    all.insert(all.end(), more.begin(), more.end());
  return all;
}

json answer(const std::string& request) {
  std::istringstream words(request);
  std::string verb, name;
  int64_t samples = 0;
  words >> verb;
  if (verb == "copy" && words >> samples) return copy(samples);
  if (words >> name) {
    for (const NamedCase& candidate : all_cases()) {
      if (candidate.name != name) continue;
      at::manual_seed(1);
      if (verb == "check") return check(candidate.make());
      if (verb == "time" && words >> samples) return time(candidate.make(), samples);
    }
  }
  throw InputError("cannot do \"{}\"", request);
}

json answer_or_error(const std::string& request) {
  try {
    return answer(request);
  } catch (const c10::Error& error) {
    return {{"error", error.what_without_backtrace()}};
  } catch (const std::exception& error) {
    return {{"error", error.what()}};
  }
}

int run(int argc, char** argv) {
  if (argc > 1) {
    const bool list = std::string(argv[1]) == "--list";
    if (list)
      for (const NamedCase& each : all_cases()) std::cout << each.name << "\n";
    else
      std::cout << "usage: caprl-bench-kernels [--list]\n";
    return list || std::string(argv[1]) == "--help" ? 0 : 2;
  }
  const at::NoGradGuard no_grad;
  for (std::string line; std::getline(std::cin, line);) {
    std::cout << answer_or_error(line).dump() << std::endl;
    release_cached_memory();
  }
  return 0;
}

}  // namespace
}  // namespace caprl::bench

int main(int argc, char** argv) { return caprl::bench::run(argc, argv); }
