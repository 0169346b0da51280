#include "caprl/core/error.h"
#include "caprl/tasks/qa.h"
#include "caprl/text/placeholders.h"
#include "tasks/config_checks.h"

namespace caprl {

void QaDataConfig::fields(ConfigVisitor& v) {
  v.field(
      "files", files,
      "JSONL and Parquet files and WebDataset tars, and patterns of them, of rows with image, and "
      "with the questions where given_questions says so (docs/QA.md)");
  v.field("images", images,
          "image files, patterns of them, and folders whose .jpg, .jpeg, .png and .webp files are "
          "used");
  v.field(
      "given_questions", given_questions,
      "the rows of data.files bring questions, or a model's text with some; no model writes any");
  v.field("max_prompt_length", max_prompt_length,
          "longest prompt in tokens, image tokens included; an image with a longer one cannot be "
          "used, it is never cut",
          Range{1, 1e9});
  v.field("batch_items", batch_items,
          "images that are worked on at a time, and lost at most by a kill", Range{1, 1e6});
  v.choice("bad_rows", bad_rows, {{"stop", BadRows::kStop}, {"skip", BadRows::kSkip}},
           "whether a bad row or image stops the run or is left out, said and counted");
}

void QaModelConfig::fields(ConfigVisitor& v) {
  v.field("model", model, "Hugging Face directory of a vision-language model");
  v.field("dtype", dtype, "float32, bfloat16 or float64");
  v.field("chat_template", chat_template,
          "Jinja file in place of the model directory's chat template");
  v.field("temperature", temperature, "0: greedy", Range{0, 100});
  v.field("top_p", top_p, "sample among the likeliest that make up this probability; 1: off",
          Range{1e-6, 1});
  v.field("repetition_penalty", repetition_penalty,
          "divides the logits of what the prompt or the text has already (multiplies negative "
          "ones); 1: off",
          Range{1e-3, 1000});
  v.field("max_new_tokens", max_new_tokens, "longest text in tokens", Range{1, 1e6});
  limits.fields(v);
}

void QaWriterConfig::fields(ConfigVisitor& v) {
  QaModelConfig::fields(v);
  v.field("num_questions", num_questions, "asked for per image: {count} in the prompts",
          Range{1, 100});
  v.field(
      "system_prompt", system_prompt,
      "text, perhaps with {count}; empty: the built-in one, which says the form; with a prompt of "
      "one's own: none");
  v.field("prompt", prompt,
          "what follows the image; text, perhaps with {count}; empty: the built-in one");
}

void QaFilterConfig::fields(ConfigVisitor& v) {
  QaModelConfig::fields(v);
  v.field("system_prompt", system_prompt, "empty: the chat template's default");
  v.field("prompt", prompt,
          "text with {question}, with and without the image; empty: the built-in one");
  v.field("rotations", rotations,
          "times each question is asked with the image, and without; the options move on by one "
          "place each time",
          Range{1, 26});
  v.field(
      "abstain_choice", abstain_choice,
      "text of an option that is appended where there is the image, and never right; empty: none");
  v.field("min_visual_accuracy", min_visual_accuracy,
          "share of right answers with the image above which a question is kept; null: any",
          Range{0, 1});
  v.field("max_text_accuracy", max_text_accuracy,
          "share of right answers without the image below which a question is kept; null: any",
          Range{0, 1});
}

void QaOutputConfig::fields(ConfigVisitor& v) {
  v.choice("format", format, {{"jsonl", QaFormat::kJsonl}, {"parquet", QaFormat::kParquet}},
           "of the training rows: questions.jsonl or questions.parquet");
  v.field("embed_images", embed_images,
          "puts the images' bytes into the rows, in place of absolute paths");
  v.field("prompt", prompt, "the rows' prompt for the captioner; <image> is the image's place");
  v.field("data_source", data_source, "the rows' data_source");
}

void QaConfig::fields(ConfigVisitor& v) {
  v.section("run", run, "folder, seed and device");
  v.section("data", data, "images, or images with questions");
  v.section("writer", writer, "the vision-language model that writes questions");
  v.section("filter", filter, "the vision-language model that answers them, and what is kept");
  v.section("output", output, "rows of the training schema");
}

void QaConfig::validate() const {
  require_set(run.dir, "run.dir");
  require_images(data);
  if (data.given_questions && !data.images.empty())
    throw InputError(
        "config: 'data.images' are images without questions, but 'data.given_questions' is true");
  if (!data.given_questions && writer.model.empty())
    throw InputError(
        "config: 'writer.model' is not set; expected a model that writes questions, or rows that "
        "bring them ('data.given_questions')");
  require_set(filter.model, "filter.model");
  if (!filter.prompt.empty())
    require_placeholder(filter.prompt, "{question}", "config: 'filter.prompt'");
  constexpr std::string_view kImage = "<image>";
  const size_t image = output.prompt.find(kImage);
  if (image == std::string::npos ||
      output.prompt.find(kImage, image + kImage.size()) != std::string::npos)
    throw InputError("config: 'output.prompt': expected '<image>' once, got '{}'", output.prompt);
  require_format(output.format == QaFormat::kParquet);
  if (!data.given_questions) parse_dtype(writer.dtype, "config: 'writer.dtype'");
  parse_dtype(filter.dtype, "config: 'filter.dtype'");
}

}  // namespace caprl
