#include "sft_rows.h"

#include <fmt/format.h>

#include <array>

#include "caprl/text/placeholders.h"
#include "datasets.h"
#include "examples.h"
#include "output_file.h"

namespace caprl::demo {

using json = nlohmann::ordered_json;

void write_answerer_rows(const std::filesystem::path& path, Split split, int64_t count, double told,
                         uint64_t seed, bool with_responses) {
  OutputFile rows(path);
  for (int64_t i = 0; i < count; ++i) {
    Draws draws(seed, split, i);
    int64_t place = 0;
    for (const AnswererExample& example :
         draw_answerer_examples(kExamplesPerCaption, draws, told)) {
      const json content = json::array({{{"type", "text"}, {"text", example.prompt}}});
      json row = {{"id", fmt::format("{:06}-{}", i, place++)}, {"messages", user_turn(content)}};
      if (with_responses) row["response"] = example.response;
      rows.line(row);
    }
  }
  rows.close();
}

void write_judge_rows(const std::filesystem::path& path, const ImageSet& set, int64_t per_image,
                      Split split, uint64_t seed,
                      const std::function<std::string(const Scene&, Draws&)>& caption,
                      const std::function<int64_t(const Caption&, const Scene&)>& score) {
  OutputFile rows(path);
  for_each_variant(set, per_image, split, seed,
                   [&](int64_t i, int64_t variant, const Scene& scene, Draws& draws) {
                     const std::string said = caption(scene, draws);
                     const std::array<Filling, 1> fillings{{{"{caption}", said}}};
                     const int64_t digit = score(parse_caption(said), scene);
                     rows.line(image_row(set, i, variant, fill_in(kJudgePrompt, fillings),
                                         std::to_string(digit)));
                   });
  rows.close();
}

}  // namespace caprl::demo
