#include "pipeline_commands.h"

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "caprl/core/files.h"
#include "curation.h"
#include "orderings.h"
#include "pipeline_data.h"

namespace caprl::demo {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

void add_data_command(CLI::App& app) {
  struct Options {
    fs::path dir;
    uint64_t seed = 1;
    PipelineSizes sizes;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("pipeline", "add what tools/demo --full needs to a world");
  command->add_option("--out", options->dir, "folder that `make` has written")->required();
  command->add_option("--seed", options->seed, "of the world")->capture_default_str();
  const auto count = [&](const char* name, int64_t& value, const char* what) {
    command->add_option(name, value, what)
        ->check(CLI::Range(int64_t{1}, int64_t{1'000'000}))
        ->capture_default_str();
  };
  count("--taught", options->sizes.taught_images, "training images for curator and rater");
  count("--rows-per-image", options->sizes.rows_per_image, "rows of each for either");
  count("--answerer-captions", options->sizes.answerer_captions, "captions, eight rows each");
  count("--pool", options->sizes.pool_images, "images that questions are written about");
  count("--annotated", options->sizes.annotated_images, "images to be captioned");
  command->callback(
      [options] { write_pipeline_data(options->dir, options->sizes, options->seed); });
}

void add_curation_command(CLI::App& app) {
  struct Options {
    fs::path flaws, kept;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("curation", "questions written and kept by what is wrong with them");
  command->add_option("--flaws", options->flaws, "pool_flaws.jsonl of the data")->required();
  command->add_option("--kept", options->kept, "rows that caprl qa kept")->required();
  command->callback([options] {
    ordered_json result;
    for (const auto& [flaw, count] : count_flaws(options->flaws, options->kept))
      result[flaw] = {{"written", count.written}, {"kept", count.kept}};
    std::printf("%s\n", result.dump().c_str());
  });
}

void add_orderings_command(CLI::App& app) {
  struct Options {
    std::vector<std::tuple<std::string, std::string, std::string>> claims;
    fs::path json;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand(
      "orderings", "which of two evaluations is better; exit code 1 if a claim does not hold");
  command
      ->add_option("--claim", options->claims,
                   "text, folder of the better and of the worse run of caprl eval")
      ->required();
  command->add_option("--json", options->json, "a file for the numbers");
  command->callback([options] {
    std::vector<Ordering> orderings;
    ordered_json numbers = ordered_json::array();
    bool all_hold = true;
    for (const auto& [text, better, worse] : options->claims) {
      const Ordering& one = orderings.emplace_back(measure({text, better, worse}));
      numbers.push_back({{"claim", text},
                         {"better", one.better},
                         {"worse", one.worse},
                         {"standard_error", one.standard_error},
                         {"holds", one.holds()}});
      all_hold = all_hold && one.holds();
    }
    std::printf("%s", ordering_table(orderings).c_str());
    if (!options->json.empty()) write_file_atomic(options->json, numbers.dump(2) + "\n");
    if (!all_hold) throw Error("not all orderings hold");
  });
}

}  // namespace

void add_pipeline_commands(CLI::App& app) {
  add_data_command(app);
  add_curation_command(app);
  add_orderings_command(app);
}

}  // namespace caprl::demo
