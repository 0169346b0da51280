// caprl-demo-world: makes the demonstration's data and checks captions against it.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "answers.h"
#include "caprl/core/error.h"
#include "datasets.h"
#include "facts.h"
#include "model_dirs.h"
#include "pipeline_commands.h"
#include "summary.h"
#include "words.h"

namespace {

using namespace caprl;

int run(int argc, char** argv) {
  CLI::App app("The demonstration's world");
  app.require_subcommand(1);
  const auto is_count = CLI::Range(int64_t{1}, int64_t{1'000'000});

  std::filesystem::path dir;
  uint64_t seed = 1;
  demo::DatasetSizes sizes;
  CLI::App* make = app.add_subcommand("make", "write images, questions and training data");
  make->add_option("--out", dir, "folder to write to")->required();
  make->add_option("--seed", seed, "everything is a function of it")->capture_default_str();
  make->add_option("--train", sizes.train_images, "training images")
      ->check(is_count)
      ->capture_default_str();
  make->add_option("--heldout", sizes.heldout_images, "held-out images")
      ->check(is_count)
      ->capture_default_str();
  make->add_option("--captions-per-image", sizes.captions_per_image,
                   "vague captions for the captioner")
      ->check(is_count)
      ->capture_default_str();
  make->add_option("--answerer-captions", sizes.answerer_captions, "captions, eight examples each")
      ->check(is_count)
      ->capture_default_str();
  make->add_option("--answerer-test", sizes.answerer_test_captions, "the same for the test")
      ->check(is_count)
      ->capture_default_str();

  std::filesystem::path captions, truth;
  CLI::App* facts = app.add_subcommand("facts", "share of the stated facts that are true, as JSON");
  facts->add_option("--captions", captions, "lines {\"id\", \"caption\"}")->required();
  facts->add_option("--truth", truth, "truth.jsonl of the data")->required();

  std::filesystem::path model_out;
  uint64_t model_seed = 1;
  CLI::App* models =
      app.add_subcommand("models", "write the untrained models, captioner/ and answerer/");
  models->add_option("--out", model_out, "folder to write to")->required();
  models->add_option("--seed", model_seed, "of the random weights")->capture_default_str();

  std::filesystem::path expected, given;
  CLI::App* answers = app.add_subcommand(
      "answers", "share of an answerer's right answers and abstentions, as JSON");
  answers->add_option("--expected", expected, "answerer_test.jsonl of the data")->required();
  answers->add_option("--given", given, "output of caprl score --greedy")->required();

  std::filesystem::path run_dir, run_truth;
  CLI::App* summary =
      app.add_subcommand("summary", "a run's held-out reward and facts before and after, as JSON");
  summary->add_option("--run", run_dir, "run folder")->required();
  summary->add_option("--truth", run_truth, "truth.jsonl of the data")->required();

  demo::add_pipeline_commands(app);

  CLI::App* words = app.add_subcommand("words", "the closed vocabulary, one word a line");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }

  if (make->parsed()) demo::write_datasets(dir, sizes, seed);
  if (facts->parsed()) {
    const demo::FactCount count = demo::count_facts(captions, truth);
    const nlohmann::ordered_json result = {{"captions", count.num_captions},
                                           {"facts", count.num_facts},
                                           {"true", count.num_true},
                                           {"malformed", count.num_malformed},
                                           {"share", count.share()}};
    std::printf("%s\n", result.dump().c_str());
  }
  if (models->parsed()) {
    demo::write_captioner(model_out / "captioner", model_seed);
    demo::write_answerer(model_out / "answerer", model_seed);
  }
  if (answers->parsed()) {
    const demo::AnswerCount count = demo::count_answers(expected, given);
    const auto share = [](int64_t part, int64_t whole) {
      return whole ? static_cast<double>(part) / static_cast<double>(whole) : 0.0;
    };
    const nlohmann::ordered_json result = {
        {"answerable", count.num_answerable},
        {"right", share(count.num_right, count.num_answerable)},
        {"unanswerable", count.num_unanswerable},
        {"abstained", share(count.num_abstained, count.num_unanswerable)}};
    std::printf("%s\n", result.dump().c_str());
  }
  if (summary->parsed()) std::printf("%s\n", demo::summarize(run_dir, run_truth).dump().c_str());
  if (words->parsed())
    for (const std::string& word : demo::all_words()) std::printf("%s\n", word.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const Error& error) {
    std::fprintf(stderr, "caprl-demo-world: %s\n", error.what());
    return error.exit_code();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "caprl-demo-world: %s\n", error.what());
    return 1;
  }
}
