// A run as it is followed from outside: on a terminal, by TensorBoard, by Prometheus. Always the
// real program.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cmath>

#include "caprl/core/config.h"
#include "caprl/http/client.h"
#include "caprl/train/grpo_trainer.h"
#include "caprl/train/sft_trainer.h"
#include "support/event_files.h"
#include "support/metrics_parser.h"
#include "support/pseudo_terminal.h"
#include "support/tensorboard_reader.h"
#include "support/tiny_run.h"

namespace caprl {
namespace {

using testing::HasSubstr;
using testing::Not;

class LiveRun : public TinyRun {
 protected:
  static std::string write_config(const GrpoConfig& config) {
    const std::string file = config.run.dir + ".yaml";
    write_file_atomic(file, config_to_yaml(config));
    return file;
  }
  static void become_caprl_train(const std::string& config_file) {
    ::execl(CAPRL_BIN_DIR "/caprl-train", "caprl-train", "--config", config_file.c_str(), nullptr);
    ::_exit(127);
  }
  static auto train(const std::string& config_file) {
    return [config_file] { become_caprl_train(config_file); };
  }
  /// Steps without end, each of some seconds.
  static GrpoConfig endless(const std::string& name) {
    GrpoConfig config = grpo(name, 1000000);
    config.data.train_batch_size = 12;
    config.rollout.n = 256;
    config.rollout.response_length = 64;
    return config;
  }
  static int count(const std::string& text, const std::string& part) {
    int count = 0;
    for (size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1))
      ++count;
    return count;
  }

  /// What TensorBoard must show of a run: its metrics.jsonl, as floats.
  static std::map<std::string, std::vector<std::pair<int64_t, float>>> expected_tags(
      const std::string& run) {
    std::map<std::string, std::vector<std::pair<int64_t, float>>> tags;
    for (const nlohmann::json& line : metrics(run))
      for (const auto& [name, value] : line.items())
        if (name != "step") tags[name].emplace_back(line.at("step"), value.get<float>());
    return tags;
  }
};

TEST_F(LiveRun, OnATerminalOfTwentyColumns) {
  PseudoTerminal terminal(20, 24, train(write_config(grpo("narrow", 6))));
  const int status = terminal.wait();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << terminal.screen.text();
  const std::string text = terminal.screen.text();
  for (const char* shown : {"[#############] 6/6\n", "\nleft 0:00:00\n", "\nreward 0.", "\nlength ",
                            "\ntokens/s ", "\nmemory ", "\ncaption: "})
    EXPECT_EQ(count(text, shown), 1) << shown << "in\n" << text;
  EXPECT_THAT(text, Not(HasSubstr("5/6")));
  EXPECT_EQ(terminal.screen.column(), 0);
  EXPECT_EQ(terminal.screen.unknown(), "");
}

TEST_F(LiveRun, CtrlCOnceStopsAfterTheStep) {
  GrpoConfig config = grpo("stopped", 1000000);
  PseudoTerminal terminal(80, 24, train(write_config(config)));
  ASSERT_TRUE(terminal.read_until_shown("caption: ")) << terminal.screen.text();
  terminal.press("\x03");
  const int status = terminal.wait();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 3) << terminal.screen.text();
  EXPECT_EQ(count(terminal.screen.text(), "caption: "), 1) << terminal.screen.text();
  EXPECT_THAT(terminal.screen.text(),
              testing::ContainsRegex("\nerror: stopped by signal 2 after step [0-9]+ of 1000000"));
  EXPECT_EQ(terminal.screen.column(), 0);
  EXPECT_TRUE(std::filesystem::exists(path("stopped/checkpoints/latest")));
}

TEST_F(LiveRun, CtrlCTwiceEndsAtOnce) {
  PseudoTerminal terminal(80, 24, train(write_config(endless("killed"))));
  ASSERT_TRUE(terminal.read_until_shown("gen 0:00:0")) << terminal.screen.text();
  terminal.press("\x03");
  ASSERT_TRUE(terminal.read_until_shown("stopping after this step")) << terminal.screen.text();
  terminal.press("\x03");
  const int status = terminal.wait(2);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT) << terminal.screen.text();
  for (const char* gone : {"stopping", "1000000", "gen"})
    EXPECT_THAT(terminal.screen.text(), Not(HasSubstr(gone)));
}

TEST_F(LiveRun, AnErrorStandsBelowTheLastPicture) {
  GrpoConfig config = grpo("broken", 6);
  config.data.shuffle = false;
  config.data.train_files = {path("world/broken.jsonl")};
  std::string rows;
  for (nlohmann::json row : lines(path("world/train.jsonl"))) {
    if (!rows.empty() && count(rows, "\n") == 7) row["image"] = {{"path", "words.png"}};
    rows += row.dump() + "\n";
  }
  write_file_atomic(path("world/broken.jsonl"), rows);
  write_file_atomic(path("world/words.png"), "no picture");
  PseudoTerminal terminal(100, 24, train(write_config(config)));
  const int status = terminal.wait();
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 2) << terminal.screen.text();
  const std::string text = terminal.screen.text();
  EXPECT_EQ(count(text, "] 1/6  data 0:00:0"), 1) << text;
  EXPECT_LT(text.find("\ncaption: "), text.find("\nerror: ")) << text;
  EXPECT_THAT(text, HasSubstr("\nerror: " + path("world/broken.jsonl") + ":8: image "));
  EXPECT_EQ(terminal.screen.column(), 0);
}

TEST_F(LiveRun, TensorboardShowsEachStepOnceAfterADeath) {
  GrpoConfig config = grpo("followed", 5);
  config.eval.freq = 2;
  config.train.total_steps = 3;
  GrpoTrainer(config, "auto").run();
  // As if it had died after step 3, before its checkpoint, within a record.
  std::filesystem::remove_all(checkpoint("followed", 3));
  std::filesystem::remove(path("followed/checkpoints/latest"));
  {
    std::ofstream file(*events::files(path("followed/tensorboard")).begin(),
                       std::ios::binary | std::ios::app);
    file << "half a record";
  }
  config.train.total_steps = 5;
  GrpoTrainer(config, "auto").run();
  ASSERT_EQ(metrics("followed").size(), 6u) << "steps 0 to 5";
  const auto expected = expected_tags("followed");
  EXPECT_EQ(expected.at("val/reward/mean").size(), 4u);
  const auto read = read_with_tensorboard(path("followed/tensorboard"));
  const auto first = *events::files(path("followed/tensorboard")).begin();
  std::filesystem::resize_file(first, std::filesystem::file_size(first) - 13);
  EXPECT_EQ(events::read_folder(path("followed/tensorboard")), expected);
  if (!read) GTEST_SKIP() << kNoTensorboard;
  EXPECT_EQ(*read, nlohmann::json(expected));
}

TEST_F(LiveRun, NoEventFilesIfNotWanted) {
  SftConfig config = sft("sft_without", "captioner", 1);
  config.log.tensorboard = false;
  SftTrainer(config, "auto").run();
  EXPECT_FALSE(std::filesystem::exists(path("sft_without/tensorboard")));
  config.run.dir = path("sft_with");
  config.log.tensorboard = true;
  SftTrainer(config, "auto").run();
  EXPECT_EQ(events::read_folder(path("sft_with/tensorboard")), expected_tags("sft_with"));
}

/// A port that nobody else listens on; `listens`: this does, as long as it lives.
class Port {
 public:
  explicit Port(bool listens) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    auto* const place = reinterpret_cast<sockaddr*>(&address);
    if (::bind(socket_, place, size) != 0 || ::getsockname(socket_, place, &size) != 0)
      throw std::runtime_error("no free port");
    number_ = ntohs(address.sin_port);
    if (listens)
      ::listen(socket_, 1);
    else
      ::close(socket_);
    listens_ = listens;
  }
  ~Port() {
    if (listens_) ::close(socket_);
  }
  int number() const { return number_; }

 private:
  int socket_, number_ = 0;
  bool listens_ = false;
};

TEST_F(LiveRun, PrometheusScrapesWhatMetricsJsonlHolds) {
  GrpoConfig config = grpo("scraped", 1000000);
  config.eval.freq = 1000000;
  config.log.prometheus_port = Port(false).number();
  const std::string file = write_config(config);
  const std::string url = fmt::format("http://127.0.0.1:{}/metrics", config.log.prometheus_port);
  PseudoTerminal terminal(80, 24, train(file));
  HttpClient client{HttpClientConfig{}};
  std::map<std::string, double> samples;
  std::string text;
  terminal.read_until([&] {
    const HttpResult result = client.get(url);
    if (!result.ok()) return false;
    text = result.body;
    samples = MetricsParser::parse(text);
    return samples.at("caprl_step") >= 3;
  });
  ASSERT_GE(samples["caprl_step"], 3) << terminal.screen.text();
  terminal.press("\x03");
  terminal.wait();
  EXPECT_EQ(samples.at("caprl_steps"), 1000000);
  EXPECT_EQ(samples.at(fmt::format("caprl_run_info{{dir=\"{}\"}}", config.run.dir)), 1);
  EXPECT_GT(samples.at("process_resident_memory_bytes"), 1e7);
  EXPECT_GT(samples.at("caprl_step_time_seconds"), 1.7e9);
  double phases = 0;
  for (const auto& [name, value] : samples) phases += name.starts_with("caprl_phase{") ? value : 0;
  EXPECT_EQ(phases, 1) << text;
  // Every figure of that step, and the held-out reward of the evaluation before the first one.
  const auto written = metrics("scraped");
  nlohmann::json line = written.at(static_cast<size_t>(samples["caprl_step"]));
  ASSERT_EQ(line.at("step"), samples["caprl_step"]);
  line["val/reward/mean"] = written.at(0).at("val/reward/mean");
  line.erase("step");
  for (const auto& [name, value] : line.items()) {
    std::string metric = "caprl_" + name;
    std::replace(metric.begin(), metric.end(), '/', '_');
    EXPECT_EQ(samples.at(metric), value.get<double>()) << name;
  }
}

TEST_F(LiveRun, APortThatIsTakenIsOneErrorBeforeTraining) {
  const Port taken(true);
  GrpoConfig config = grpo("refused", 2);
  config.log.prometheus_port = taken.number();
  const std::string file = write_config(config);
  const std::string command =
      CAPRL_BIN_DIR "/caprl-train --config '" + file + "' > '" + path("out") + "' 2>&1";
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 2);
  EXPECT_EQ(read_file(path("out")),
            fmt::format("error: config: 'log.prometheus_port' and 'log.prometheus_host': port: "
                        "expected one that is free, got 127.0.0.1:{}, which another program is "
                        "listening on\n",
                        taken.number()));
  EXPECT_FALSE(std::filesystem::exists(path("refused")));
}

TEST_F(LiveRun, ARunFolderThatCannotBeWritten) {
  GrpoConfig config = grpo("unwritable", 1);
  std::filesystem::create_directories(path("unwritable"));
  write_file_atomic(path("unwritable/tensorboard"), "a file");
  const std::string command = CAPRL_BIN_DIR "/caprl-train --config '" + write_config(config) +
                              "' > '" + path("out") + "' 2>&1";
  EXPECT_EQ(WEXITSTATUS(std::system(command.c_str())), 2);
  EXPECT_THAT(read_file(path("out")),
              HasSubstr("error: log.tensorboard: " + path("unwritable/tensorboard")));
  EXPECT_FALSE(std::filesystem::exists(path("unwritable/config.yaml")));
}

}  // namespace
}  // namespace caprl
