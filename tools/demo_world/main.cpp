// caprl-demo-world: makes the demonstration's data and checks captions against it.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "datasets.h"
#include "facts.h"
#include "model_dirs.h"
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
