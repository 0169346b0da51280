#include "caprl/tasks/report.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "caprl/core/files.h"
#include "caprl/train/grpo_trainer.h"
#include "caprl/train/sft_trainer.h"
#include "support/errors.h"
#include "support/json.h"
#include "support/temp_folder.h"
#include "support/tiny_run.h"
#include "synthetic_run.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

class Report : public testing::Test {
 protected:
  SyntheticRun run() const { return {.folder = temp_ / "run"}; }
  json report(const ReportOptions& options) const {
    return data_of(read_file(write_report(options)));
  }
  json report() const { return report({.run = temp_ / "run"}); }
  static std::vector<std::string> notes(const json& data) { return data.at("runs")[0].at("notes"); }
  void append(const std::string& text) const {
    std::ofstream(temp_ / "run/metrics.jsonl", std::ios::app) << text;
  }

  TempFolder temp_;
};

TEST_F(Report, HasEveryNumberOfTheMetrics) {
  run().write();
  append("{\"step\":6,\"actor/grad_norm\":\"nan\",\"actor/lr\":1.2345678901234567e-300}\n");
  const json data = report();
  const auto lines = parsed_lines(temp_ / "run/metrics.jsonl");
  ASSERT_EQ(lines.size(), 6u);
  expect_same_numbers(lines, data.at("runs")[0]);
  EXPECT_THAT(notes(data), IsEmpty());
  EXPECT_EQ(data.at("runs")[0].at("total_steps"), 5);
  EXPECT_EQ(data.at("live"), false);
  EXPECT_THAT(data.at("runs")[0].at("config"), testing::Contains(json{"run.seed", "7"}));
}

TEST_F(Report, HasTheCaptionsOfEveryStep) {
  run().write();
  const json captions = report().at("captions").at("rollouts");
  ASSERT_EQ(captions.at("groups").size(), 5u * 2u);
  EXPECT_EQ(captions.at("num_steps"), 5);
  for (size_t g = 0; g < 10; ++g) {
    const json& group = captions.at("groups")[g];
    const auto step = static_cast<int64_t>(g / 2 + 1);
    EXPECT_EQ(group.at("step"), step);
    ASSERT_EQ(group.at("captions").size(), 3u);
    EXPECT_EQ(
        group.at("questions"),
        json_of(R"([{"text":"What is 0?","options":[["A","red"],["B","blue"],["E","not said"]],
                               "right":"B","abstain":"E"},
                              {"text":"What is 1?","options":[["A","red"],["B","blue"],["E","not said"]],
                               "right":"B","abstain":"E"}])"));
    for (int64_t s = 0; s < 3; ++s) {
      const json& caption = group.at("captions")[s];
      const json record = run().record(step, static_cast<int64_t>(g % 2), s);
      std::string text;
      for (const json& token : caption.at("tokens")) text += token.get<std::string>();
      EXPECT_EQ(text, record.at("caption"));
      EXPECT_EQ(caption.at("reward"), record.at("reward"));
      EXPECT_EQ(caption.at("advantage"), record.at("advantage"));
      EXPECT_EQ(caption.at("stopped"), s != 1);
      for (size_t t = 0; t < 4; ++t)
        EXPECT_NEAR(caption.at("logprobs")[t].get<double>(), record.at("logprobs")[t].get<double>(),
                    5.01e-4);
      EXPECT_EQ(caption.at("answers")[1].at("given"), s == 0 ? "B" : "E");
      EXPECT_EQ(caption.at("answers")[1].at("question"), 1);
    }
  }
}

TEST_F(Report, OptionsAreThoseAtTheEndOfTheQuestion) {
  auto records = run().records(1);
  run().write();
  for (json& record : records)
    record.at("answers")[0].at("asked") =
        "Which line is wrong?\nA) one\nB) two\nA) int x;\nB) return\n  x;\nE) not said";
  write_jsonl_zst(run().rollouts(1), records);
  const json data = report();
  const json& question = data.at("captions").at("rollouts").at("groups")[0].at("questions")[0];
  EXPECT_EQ(question.at("text"), "Which line is wrong?\nA) one\nB) two");
  EXPECT_EQ(question.at("options"),
            json_of(R"([["A","int x;"],["B","return\n  x;"],["E","not said"]])"));
}

TEST_F(Report, LeavesOutAHalfWrittenLastLine) {
  run().write();
  const auto whole = parsed_lines(temp_ / "run/metrics.jsonl");
  append("{\"step\":6,\"actor/lr\":0.");
  const json data = report();
  expect_same_numbers(whole, data.at("runs")[0]);
  EXPECT_THAT(notes(data),
              testing::ElementsAre("Line 6 of metrics.jsonl is half-written and left out."));
}

TEST_F(Report, RefusesADamagedLine) {
  run().write();
  append("{\"step\":6,\"actor/lr\":0.\n{\"step\":7}\n");
  EXPECT_THAT(input_error([&] { report(); }),
              AllOf(HasSubstr("metrics.jsonl:6: "), HasSubstr("malformed JSON")));
  run().write();
  append("{\"step\":2}\n");
  EXPECT_THAT(input_error([&] { report(); }), HasSubstr("metrics.jsonl:6: step 2 after step 5"));
  run().write();
  append("{\"lr\":2}\n");
  EXPECT_THAT(input_error([&] { report(); }),
              HasSubstr("metrics.jsonl:6: expected a metrics line with a step"));
  EXPECT_FALSE(std::filesystem::exists(temp_ / "run/report.html"));
}

TEST_F(Report, RefusesWhatIsNoRun) {
  const auto refused = [&](const std::filesystem::path& folder) {
    return input_error([&] { write_report({.run = folder, .out = temp_ / "page.html"}); });
  };
  const std::string expected = ": expected a run's folder with metrics.jsonl, got ";
  EXPECT_EQ(refused("/nowhere"), "/nowhere" + expected + "nothing of that name");
  EXPECT_EQ(refused(temp_.path()), temp_.path().string() + expected + "a folder without");
  const auto file = temp_.write("file", "");
  EXPECT_EQ(refused(file), file.string() + expected + "a file");
  run().write();
  EXPECT_EQ(input_error([&] { write_report({.run = temp_ / "run", .compare = "/nowhere"}); }),
            "/nowhere" + expected + "nothing of that name");
  EXPECT_FALSE(std::filesystem::exists(temp_ / "run/report.html"));
}

TEST_F(Report, OfARunWithoutAnything) {
  std::filesystem::create_directories(temp_ / "run");
  append("");
  const json data = report();
  EXPECT_THAT(data.at("runs")[0].at("steps"), IsEmpty());
  EXPECT_THAT(notes(data), testing::ElementsAre(HasSubstr("config.yaml cannot be opened")));
  EXPECT_THAT(data.at("captions").at("rollouts").at("groups"), IsEmpty());
}

/// File access as a user without rights has it.
class AsNobody {
 public:
  AsNobody() : changed_(::geteuid() == 0 && ::seteuid(65534) == 0) {}
  ~AsNobody() {
    if (changed_ && ::seteuid(0) != 0) std::abort();
  }

 private:
  bool changed_;
};

TEST_F(Report, SaysThatAFolderIsReadOnly) {
  run().write();
  ::chmod(temp_.path().c_str(), 0755);
  ::chmod((temp_ / "run").c_str(), 0555);
  std::filesystem::create_directories(temp_ / "pages");
  ::chmod((temp_ / "pages").c_str(), 0777);
  {
    const AsNobody nobody;
    EXPECT_THAT(input_error([&] { report(); }),
                AllOf(HasSubstr((temp_ / "run").string() + ": Permission denied"),
                      HasSubstr("--out FILE")));
    EXPECT_EQ(write_report({.run = temp_ / "run", .out = temp_ / "pages/a.html"}),
              temp_ / "pages/a.html");
  }
  ::chmod((temp_ / "run").c_str(), 0755);
  EXPECT_TRUE(std::filesystem::exists(temp_ / "pages/a.html"));
  EXPECT_THAT(input_error([&] { report({.run = temp_ / "run", .out = temp_ / "no/a.html"}); }),
              HasSubstr("No such file or directory"));
  EXPECT_THAT(input_error([&] { report({.run = temp_ / "run", .out = temp_ / "pages"}); }),
              HasSubstr("got a folder"));
}

TEST_F(Report, SaysWhyAnImageIsNotShown) {
  SyntheticRun one = run();
  one.write();
  json group = report().at("captions").at("rollouts").at("groups")[0];
  EXPECT_EQ(group.at("no_image"), "The image file is not there (any more): /nowhere/picture.png");
  one.image = temp_.write("damaged.png", "\x89PNG and no more").string();
  one.write();
  const json data = report();
  EXPECT_THAT(data.at("captions").at("rollouts").at("groups")[0].at("no_image").get<std::string>(),
              AllOf(HasSubstr("The image cannot be shown: "), HasSubstr("damaged.png")));
  EXPECT_THAT(data.at("images"), IsEmpty());
}

TEST_F(Report, RecordsOfOtherVersions) {
  run().write();
  auto records = run().records(1);
  for (json& record : records) {
    for (const char* key : {"image", "row", "token_bytes"}) record.erase(key);
    for (json& answer : record.at("answers"))
      for (const char* key : {"asked", "labels", "abstain"}) answer.erase(key);
  }
  write_jsonl_zst(run().rollouts(1), records);
  write_jsonl_zst(run().rollouts(2), std::vector<json>{{{"prompt_id", 3}, {"answer", 42}}});
  std::ofstream(run().rollouts(3)) << "no JSON\n";
  std::ofstream(run().folder / "rollouts/other.txt") << "not a step\n";
  const json data = report();
  const json& groups = data.at("captions").at("rollouts").at("groups");
  ASSERT_EQ(groups.size(), 3u * 2u);
  const json& older = groups[0];
  EXPECT_EQ(older.at("no_image"), "The run's records do not name the image.");
  EXPECT_EQ(older.at("captions")[0].at("text"), records[0].at("caption"));
  EXPECT_EQ(older.at("questions")[1].at("text"), "Question 2 of the image");
  EXPECT_EQ(older.at("captions")[1].at("answers")[0].at("given"), "A");
  EXPECT_THAT(notes(data),
              testing::UnorderedElementsAre(
                  HasSubstr("rollouts/step_000002.jsonl.zst cannot be shown: it has another form"),
                  HasSubstr("rollouts/step_000003.jsonl.zst cannot be shown: ")));
}

TEST_F(Report, CaptionsAreNeverMarkup) {
  auto records = run().records(1);
  run().write();
  records[0]["caption"] = "</script><script>alert(1)</script><!--";
  records[0]["token_bytes"] = {1, 1, 1, 1};  // do not add up: the text is shown
  write_jsonl_zst(run().rollouts(1), records);
  const std::string page = read_file(write_report({.run = temp_ / "run"}));
  EXPECT_THAT(page, testing::Not(HasSubstr("<script>alert")));
  EXPECT_EQ(
      data_of(page).at("captions").at("rollouts").at("groups")[0].at("captions")[0].at("text"),
      records[0]["caption"]);
}

TEST_F(Report, NothingIsLoadedFromAnywhere) {
  run().write();
  const std::string page = read_file(write_report({.run = temp_ / "run"}));
  EXPECT_THAT(page, HasSubstr("default-src 'none'"));
  for (const char* link : {"src=\"http", "href=\"http", "url(", "@import", "{{"})
    EXPECT_THAT(page, testing::Not(HasSubstr(link)));
}

TEST_F(Report, ComparesTwoRuns) {
  run().write();
  SyntheticRun other = run();
  other.folder = temp_ / "other";
  other.steps = 3;
  other.write();
  const json data = report({.run = temp_ / "run", .compare = temp_ / "other/"});
  ASSERT_EQ(data.at("runs").size(), 2u);
  EXPECT_EQ(data.at("runs")[1].at("name"), "other");
  expect_same_numbers(parsed_lines(temp_ / "other/metrics.jsonl"), data.at("runs")[1]);
}

TEST_F(Report, AThousandSteps) {
  SyntheticRun big = run();
  big.steps = big.total_steps = 1000;
  big.groups = 2;
  big.captions = 8;
  big.tokens = 120;
  big.write_alike();
  const auto begin = std::chrono::steady_clock::now();
  const std::string page = read_file(write_report({.run = big.folder}));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
  EXPECT_LE(seconds.count(), CAPRL_SANITIZED ? 30 : 5);
  EXPECT_LE(page.size(), 5'000'000u);
  const json data = data_of(page);
  expect_same_numbers(parsed_lines(big.folder / "metrics.jsonl"), data.at("runs")[0]);
  std::vector<int64_t> steps;
  for (const json& group : data.at("captions").at("rollouts").at("groups"))
    steps.push_back(group.at("step"));
  EXPECT_EQ(steps.front(), 1);
  EXPECT_EQ(steps.back(), 1000);
  EXPECT_TRUE(std::ranges::is_sorted(steps));
  int64_t gap = 0;
  for (size_t i = 1; i < steps.size(); ++i) gap = std::max(gap, steps[i] - steps[i - 1]);
  EXPECT_LE(gap, 130);  // spread over the run
  RecordProperty("seconds", std::to_string(seconds.count()));
  RecordProperty("bytes", std::to_string(page.size()));
}

TEST_F(Report, OfLongRunsEverySoManySteps) {
  std::filesystem::create_directories(temp_ / "run");
  for (int step = 1; step <= 9001; ++step)
    append(fmt::format("{{\"step\":{},\"{}\":1}}\n", step,
                       step == 7 ? "val/reward/mean" : "actor/lr"));
  const json data = report();
  const json& steps = data.at("runs")[0].at("steps");
  EXPECT_LE(steps.size(), 2001u);
  EXPECT_GE(steps.size(), 1500u);
  EXPECT_EQ(steps.back(), 9001);
  EXPECT_THAT(steps, testing::Contains(7));
  EXPECT_THAT(notes(data), testing::Contains(
                               HasSubstr("Of the 9001 lines of metrics.jsonl every 5th is shown")));
}

TEST_F(Report, FollowsARunToItsEnd) {
  SyntheticRun one = run();
  one.steps = 3;
  std::filesystem::create_directories(one.folder);
  const auto page = temp_ / "run/report.html";
  std::thread follower([&] {
    follow_report(
        {.run = one.folder}, [] { return false; }, std::chrono::milliseconds(20));
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(120));  // models are being loaded
  EXPECT_FALSE(std::filesystem::exists(page));
  one.write();
  const auto wait_for = [&](int64_t step, bool live) {
    for (int i = 0; i < 400; ++i) {
      if (std::filesystem::exists(page)) {
        const json data = data_of(read_file(page));
        if (data.at("runs")[0].at("steps").back() == step && data.at("live") == live) return true;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  };
  EXPECT_TRUE(wait_for(3, true));
  append(SyntheticRun::metrics_line(4).dump() + "\n{\"step\":5,\"act");
  EXPECT_TRUE(wait_for(4, true));
  std::filesystem::resize_file(one.folder / "metrics.jsonl",
                               std::filesystem::file_size(one.folder / "metrics.jsonl") - 14);
  append(SyntheticRun::metrics_line(5).dump() + "\n");
  EXPECT_TRUE(wait_for(5, false));
  follower.join();
}

TEST_F(Report, FollowingEndsWhenItIsTold) {
  SyntheticRun one = run();
  one.steps = 3;
  one.write();
  std::atomic<bool> stop = false;
  std::thread follower([&] { follow_report({.run = one.folder}, [&] { return stop.load(); }); });
  const auto page = temp_ / "run/report.html";
  for (int i = 0; i < 400 && !std::filesystem::exists(page); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  stop = true;
  follower.join();
  EXPECT_EQ(data_of(read_file(page)).at("live"), false);
}

class ReportOfTraining : public TinyRun {};

TEST_F(ReportOfTraining, ShowsWhatWasSampled) {
  GrpoConfig config = grpo("trained", 2);
  config.eval.freq = 1;
  GrpoTrainer(config, "auto").run();
  const json data = data_of(read_file(write_report({.run = folder_ / "trained"})));
  expect_same_numbers(parsed_lines(folder_ / "trained/metrics.jsonl"), data.at("runs")[0]);
  EXPECT_TRUE(data.at("runs")[0].at("metrics").contains("reward_std"));
  EXPECT_THAT(data.at("runs")[0].at("notes"), IsEmpty());
  EXPECT_EQ(data.at("captions").at("eval").at("num_steps"), 3);
  for (const char* kind : {"rollouts", "eval"}) {
    const json& groups = data.at("captions").at(kind).at("groups");
    ASSERT_EQ(groups.size(), kind == std::string("eval") ? 3u * 4u : 2u * 5u);
    for (const json& group : groups) {
      EXPECT_THAT(data.at("images").at(group.at("image").get<size_t>()).get<std::string>(),
                  testing::StartsWith("data:image/"));
      ASSERT_THAT(group.at("questions"), testing::Not(IsEmpty()));
      for (const json& question : group.at("questions")) {
        EXPECT_GE(question.at("options").size(), 2u) << question;
        EXPECT_EQ(question.at("text").get<std::string>().find('\n'), std::string::npos);
      }
      for (const json& caption : group.at("captions"))
        EXPECT_EQ(caption.at("tokens").size(), caption.at("logprobs").size());
    }
  }
  // A group's captions were asked the same questions: each is there once.
  const auto records = lines(folder_ / "trained/rollouts/step_000001.jsonl.zst");
  EXPECT_EQ(data.at("captions").at("rollouts").at("groups")[0].at("questions").size(),
            records[0].at("answers").size());
}

TEST_F(ReportOfTraining, OfSupervisedTraining) {
  SftTrainer(sft("supervised", "captioner", 2), "auto").run();
  const json data = data_of(read_file(write_report({.run = folder_ / "supervised"})));
  EXPECT_TRUE(data.at("runs")[0].at("metrics").contains("train/loss"));
  EXPECT_THAT(data.at("captions").at("rollouts").at("groups"), IsEmpty());
}

}  // namespace
}  // namespace caprl
