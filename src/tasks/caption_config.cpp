#include "caprl/core/error.h"
#include "caprl/tasks/caption.h"
#include "tasks/config_checks.h"

namespace caprl {

void CaptionerConfig::fields(ConfigVisitor& v) {
  v.field("model", model, "Hugging Face directory of the captioner");
  v.field("dtype", dtype, "float32, bfloat16 or float64");
  v.field("chat_template", chat_template,
          "Jinja file in place of the model directory's chat template");
}

void CaptionDataConfig::fields(ConfigVisitor& v) {
  v.field(
      "files", files,
      "JSONL and Parquet files and WebDataset archives (.tar), and patterns of them, of rows with "
      "image, and perhaps id and prompt");
  v.field("images", images,
          "image files, patterns of them, and folders whose .jpg, .jpeg, .png and .webp files are "
          "used");
  v.field("prompt", prompt,
          "what images, and rows without a prompt, are asked; the image comes first");
  v.field("max_prompt_length", max_prompt_length,
          "longest prompt in tokens, image tokens included; a longer one is a bad row, never cut",
          Range{1, 1e9});
  v.choice(
      "duplicates", duplicates,
      {{"name", DuplicateKey::kName}, {"content", DuplicateKey::kContent}},
      "which items are another one, and are left out. name: rows with the same id, images with "
      "the same path; content: images with the same bytes, each of which is read beforehand");
  v.field("shard", shard,
          "which part of the data this process does, from 0, where no launcher starts several",
          Range{0, 1e6});
  v.field("num_shards", num_shards, "parts that the data is divided into", Range{1, 1e6});
  v.choice("bad_rows", bad_rows, {{"stop", BadRows::kStop}, {"skip", BadRows::kSkip}},
           "whether a bad row or image stops the run or is set aside in quarantine.jsonl");
}

void CaptionOutputConfig::fields(ConfigVisitor& v) {
  v.choice("format", format,
           {{"jsonl", CaptionFormat::kJsonl}, {"parquet", CaptionFormat::kParquet}},
           "of the captions' files");
  v.choice("records", records,
           {{"detailed", CaptionRecords::kDetailed}, {"pairs", CaptionRecords::kPairs}},
           "detailed: all captions of an image, their lengths and why they ended; pairs: image and "
           "caption, as in CapRL-2M, of one caption an image");
  v.field("embed_images", embed_images,
          "puts the images' bytes into the records: where they came in Parquet files or archives, "
          "training on the captions (caprl data convert --captions) has no other place for them");
  v.field("rows_per_shard", rows_per_shard,
          "images of one file; 0: all that a process does are in one", Range{0, 1e9});
}

void CaptionSamplingConfig::fields(ConfigVisitor& v) {
  v.field("n", n, "captions per image", Range{1, 4096});
  v.field("temperature", temperature, "0: greedy", Range{0, 100});
  v.field("top_k", top_k, "sample among the likeliest; 0: off", Range{0, 1e9});
  v.field("top_p", top_p, "sample among the likeliest that make up this probability; 1: off",
          Range{1e-6, 1});
  v.field("repetition_penalty", repetition_penalty,
          "divides the logits of what the prompt or the caption has already (multiplies negative "
          "ones); 1: off",
          Range{1e-3, 1000});
  v.field("stop", stop, "texts that end a caption and are not part of it");
  v.field("response_length", response_length, "longest caption in tokens", Range{1, 1e6});
  limits.fields(v);
}

SamplingParams CaptionSamplingConfig::params(const PromptBuilder& prompts,
                                             const ModelTraits& traits, int64_t seed) const {
  SamplingParams params;
  params.temperature = temperature;
  params.top_k = top_k;
  params.top_p = top_p;
  params.repetition_penalty = repetition_penalty;
  params.stop_texts = stop;
  params.tokenizer = prompts.shared_tokenizer();
  params.max_new_tokens = response_length;
  params.stop_ids = prompts.chat().stop_ids();
  params.banned_ids = traits.vision_token_ids;
  params.seed = static_cast<uint64_t>(seed);
  return params;
}

void CaptionConfig::fields(ConfigVisitor& v) {
  v.section("run", run, "folder, seed and device");
  v.section("captioner", captioner, "the model that captions");
  v.section("data", data, "images");
  v.section("sampling", sampling, "how captions are sampled");
  v.section("output", output, "files of captions");
}

void CaptionConfig::validate() const {
  require_set(run.dir, "run.dir");
  require_set(captioner.model, "captioner.model");
  require_images(data);
  if (data.shard >= data.num_shards)
    throw InputError("config: 'data.shard': expected less than data.num_shards, {}, got {}",
                     data.num_shards, data.shard);
  if (output.records == CaptionRecords::kPairs && sampling.n != 1)
    throw InputError(
        "config: 'output.records': pairs have one caption an image, but 'sampling.n' is {}",
        sampling.n);
  require_format(output.format == CaptionFormat::kParquet);
}

}  // namespace caprl
