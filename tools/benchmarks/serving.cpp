// Load for a reward server: clients that ask without a pause and check every answer.
//   caprl-bench-serving URL CLIENTS SECONDS [PID]
// First asks each of 256 different requests alone; then CLIENTS threads ask them at random for
// SECONDS. Prints one JSON object: requests, those lost or answered otherwise than alone,
// throughput, latencies, and, with the server's PID, its memory before and after.
#include <algorithm>
#include <fstream>
#include <nlohmann/json.hpp>
#include <thread>

#include "caprl/core/philox.h"
#include "caprl/http/client.h"
#include "round_program.h"

namespace caprl {
namespace {

using nlohmann::json;

constexpr std::array<const char*, 6> kColors{"red", "green", "blue", "yellow", "white", "cyan"};
constexpr std::array<const char*, 4> kPlaces{"topleft", "topright", "bottomleft", "bottomright"};

std::string make_request(uint64_t number) {
  const CounterRng rng(1, RandomPurpose::kDemoWorld, {number});
  json prompts = json::array();
  for (uint64_t i = 0; i < 4; ++i) {
    std::string caption = "some objects .";
    json questions = json::array();
    for (uint64_t p = 0; p < 4; ++p) {
      const char* color = kColors[static_cast<size_t>(rng.below(6, i, p))];
      caption += fmt::format(" {} {} .", kPlaces[p], color);
      questions.push_back(json::array(
          {fmt::format("what color is {} ?\nA) red\nB) green\nC) blue\nD) yellow", kPlaces[p]),
           std::string(1, static_cast<char>('A' + rng.below(4, i, p + 4)))}));
    }
    prompts.push_back(json::array({caption, questions}));
  }
  return json{{"prompts", prompts}}.dump();
}

int64_t resident_kb(const std::string& pid) {
  std::ifstream status("/proc/" + pid + "/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with("VmRSS:")) return std::stoll(line.substr(6));
  return 0;
}

struct Client {
  std::vector<double> latencies;
  int64_t lost = 0, wrong = 0;

  void run(HttpClient& http, const std::string& url, const std::vector<std::string>& bodies,
           const std::vector<std::string>& expected, uint64_t number, Clock::time_point end) {
    const CounterRng rng(2, RandomPurpose::kDemoWorld, {number});
    for (uint64_t draw = 0; Clock::now() < end; ++draw) {
      const auto which =
          static_cast<size_t>(rng.below(static_cast<int64_t>(bodies.size()), 0, draw));
      const auto start = Clock::now();
      const HttpResult result = http.post(url, bodies[which]);
      latencies.push_back(seconds_since(start));
      if (!result.ok())
        ++lost;
      else
        wrong += result.body != expected[which];
    }
  }
};

void wait_for(HttpClient& http, const std::string& url) {
  HttpResult result;
  for (int i = 0; i < 600 && !(result = http.get(url + "/health")).ok(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  if (!result.ok()) throw Error("{}", result.describe());
}

double percentile(const std::vector<double>& sorted, double share) {
  return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))];
}

int bench(int argc, char** argv) {
  if (argc != 4 && argc != 5)
    throw InputError("usage: caprl-bench-serving URL CLIENTS SECONDS [PID]");
  const std::string url = std::string(argv[1]) + "/get_reward", pid = argc == 5 ? argv[4] : "";
  HttpClient http{HttpClientConfig{}};
  wait_for(http, argv[1]);
  std::vector<std::string> bodies, expected;
  for (uint64_t i = 0; i < 256; ++i) {
    bodies.push_back(make_request(i));
    const HttpResult result = http.post(url, bodies.back());
    if (!result.ok()) throw Error("{}", result.describe());
    expected.push_back(result.body);
  }
  std::vector<Client> clients(static_cast<size_t>(std::stoll(argv[2])));
  const int64_t before = pid.empty() ? 0 : resident_kb(pid);
  const auto start = Clock::now();
  const auto end = start + std::chrono::seconds(std::stoll(argv[3]));
  int64_t middle = 0;
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < clients.size(); ++i)
      threads.emplace_back([&, i] { clients[i].run(http, url, bodies, expected, i, end); });
    std::this_thread::sleep_for((end - start) / 2);
    middle = pid.empty() ? 0 : resident_kb(pid);
  }
  const double seconds = seconds_since(start);
  std::vector<double> latencies;
  int64_t lost = 0, wrong = 0;
  for (const Client& client : clients) {
    latencies.insert(latencies.end(), client.latencies.begin(), client.latencies.end());
    lost += client.lost;
    wrong += client.wrong;
  }
  std::sort(latencies.begin(), latencies.end());
  const auto count = static_cast<double>(latencies.size());
  std::cout << json{{"clients", clients.size()},
                    {"seconds", seconds},
                    {"requests", latencies.size()},
                    {"lost", lost},
                    {"wrong", wrong},
                    {"captions_per_s", 4 * count / seconds},
                    {"p50_s", percentile(latencies, 0.5)},
                    {"p99_s", percentile(latencies, 0.99)},
                    {"max_s", latencies.back()},
                    {"rss_mb",
                     {before / 1024, middle / 1024, pid.empty() ? 0 : resident_kb(pid) / 1024}}}
                   .dump()
            << std::endl;
  return lost + wrong == 0 ? 0 : 1;
}

}  // namespace
}  // namespace caprl

int main(int argc, char** argv) { return caprl::run_round_program(argc, argv, caprl::bench); }
