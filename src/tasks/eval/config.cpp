#include "caprl/core/error.h"
#include "caprl/tasks/eval.h"
#include "tasks/config_checks.h"
#include "tasks/eval/forms.h"
#include "tasks/eval/prompt.h"

namespace caprl {

void EvalDataConfig::fields(ConfigVisitor& v) {
  v.field("files", files,
          "benchmarks: JSONL and Parquet files of items, or FORM:PATH for published files, and "
          "patterns of them (docs/EVAL.md)");
  v.field("image_folder", image_folder, "where images are; empty: beside the file that names them");
  v.field("prompt", prompt, "what the captioner is asked; the image comes first");
  v.field("max_prompt_length", max_prompt_length,
          "longest prompt in tokens, image tokens included; an item with a longer one is skipped "
          "or stops the run",
          Range{1, 1e9});
  v.field("batch_items", batch_items,
          "items that are captioned and asked about at a time, and lost at most by a kill",
          Range{1, 1e6});
  v.choice("bad_rows", bad_rows, {{"stop", BadRows::kStop}, {"skip", BadRows::kSkip}},
           "whether a bad row or image stops the run or is skipped and counted");
}

void EvalAnswererConfig::fields(ConfigVisitor& v) {
  v.field("model", model, "Hugging Face directory of the text LLM");
  v.field("dtype", dtype, "float32, bfloat16 or float64");
  v.field("temperature", temperature, "0: greedy", Range{0, 100});
  v.field("top_p", top_p, "sample among the likeliest that make up this probability; 1: off",
          Range{1e-6, 1});
  v.field("max_new_tokens", max_new_tokens, "longest answer in tokens", Range{1, 1e6});
  v.choice(
      "answer", answer,
      {{"tagged", AnswerForm::kTagged},
       {"boxed", AnswerForm::kBoxed},
       {"letter", AnswerForm::kLetter},
       {"text", AnswerForm::kText}},
      "where the answer is. tagged: \\boxed{} within <answer> after </think>, as published; "
      "boxed: the last \\boxed{}; letter: the first letter from A to I; text: all that is said");
  limits.fields(v);
  v.field("chat_template", chat_template,
          "Jinja file in place of the model directory's chat template");
  v.field("system_prompt", system_prompt, "empty: the chat template's default");
  v.field("prompt", prompt, "text with {caption} and {question}; empty: the built-in prompt");
  v.field("assistant_prefix", assistant_prefix, "what the answerer's turn begins with");
}

void EvalReportConfig::fields(ConfigVisitor& v) {
  v.field("confidence", confidence, "of the intervals", Range{0.5, 0.999});
  v.field("resamples", resamples, "of the items, for bootstrap intervals", Range{100, 1e6});
}

PrismConfig::PrismConfig() {
  sampling.n = 4;
  sampling.response_length = 2048;
}

void PrismConfig::fields(ConfigVisitor& v) {
  v.section("run", run, "folder, seed and device");
  v.section("captioner", captioner, "the model that captions");
  v.section("data", data, "benchmarks");
  v.section("sampling", sampling, "how captions are sampled");
  v.section("answerer", answerer, "the text LLM that answers from captions");
  v.section("report", report, "intervals");
}

void PrismConfig::validate() const {
  require_set(run.dir, "run.dir");
  require_set(captioner.model, "captioner.model");
  require_set(answerer.model, "answerer.model");
  if (data.files.empty()) throw InputError("config: 'data.files' names no file");
  for (const std::string& file : data.files) split_form(file);
  parse_dtype(captioner.dtype, "config: 'captioner.dtype'");
  parse_dtype(answerer.dtype, "config: 'answerer.dtype'");
  check_prompt(answerer.prompt);
}

}  // namespace caprl
