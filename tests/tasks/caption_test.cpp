#include "caprl/tasks/caption.h"

#include <set>

#include "caption_run.h"
#include "support/errors.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::HasSubstr;

TEST_F(CaptionImages, EveryRowGetsItsCaptions) {
  CaptionConfig c = config("rows");
  c.sampling.n = 3;
  c.sampling.limits.max_num_seqs = 4;
  const CaptionCounts counts = caption_images(c);
  EXPECT_EQ(counts.captioned, 12);
  EXPECT_EQ(counts.found + counts.skipped, 0);
  const auto done = captions("rows");
  ASSERT_EQ(done.size(), 12u);
  std::set<std::string> ids;
  for (const auto& [index, line] : done) {
    ids.insert(line.at("id").get<std::string>());
    EXPECT_TRUE(std::filesystem::exists(line.at("image").get<std::string>()));
    ASSERT_EQ(line.at("captions").size(), 3u);
    for (const json& caption : line.at("captions")) {
      EXPECT_LE(caption.at("num_tokens").get<int>(), 6);
      EXPECT_EQ(caption.at("finish_reason") == "length", caption.at("num_tokens") == 6) << line;
      EXPECT_TRUE(caption.at("text").is_string());
    }
  }
  EXPECT_EQ(ids.size(), 12u);
}

TEST_F(CaptionImages, GoesOnWhereItStopped) {
  CaptionConfig c = config("whole");
  caption_images(c);
  const auto whole = captions("whole");
  // As a kill leaves it: some lines, the last one half-written.
  c.run.dir = path("cut");
  caption_images(c);
  const auto file = folder_ / "cut" / "captions.jsonl";
  const std::string content = read_file(file);
  std::filesystem::resize_file(file, content.find('\n', content.size() / 2) + 20);
  const CaptionCounts counts = caption_images(c);
  EXPECT_GT(counts.found, 3);
  EXPECT_GT(counts.captioned, 2);
  EXPECT_EQ(counts.found + counts.captioned, 12);
  EXPECT_EQ(captions("cut"), whole);
  EXPECT_EQ(caption_images(c).captioned, 0);
  // Other limits and another device are the same captions, another seed is not.
  c.sampling.limits.max_num_seqs = 1;
  EXPECT_EQ(caption_images(c).found, 12);
  c.run.seed = 2;
  EXPECT_THAT(input_error([&] { caption_images(c); }),
              HasSubstr("was begun with another model, data or sampling"));
}

TEST_F(CaptionImages, ShardsDivideTheData) {
  std::map<int64_t, json> all;
  for (const int64_t shard : {0, 1, 2}) {
    CaptionConfig c = config("shards");
    c.data.num_shards = 3;
    c.data.shard = shard;
    EXPECT_EQ(caption_images(c).captioned, 4);
    all.merge(captions("shards", fmt::format("captions-{:05}-of-00003.jsonl", shard)));
  }
  CaptionConfig c = config("unsharded");
  caption_images(c);
  EXPECT_EQ(all, captions("unsharded"));
}

TEST_F(CaptionImages, StopTextsEndCaptions) {
  CaptionConfig c = config("endless");
  c.sampling.response_length = 12;
  caption_images(c);
  c.run.dir = path("stopped");
  c.sampling.stop = {"e", "a"};
  c.sampling.repetition_penalty = 1.0;
  caption_images(c);
  const auto endless = captions("endless"), stopped = captions("stopped");
  for (const auto& [index, line] : stopped) {
    const std::string whole = endless.at(index).at("captions")[0].at("text").get<std::string>();
    EXPECT_EQ(line.at("captions")[0].at("text"), whole.substr(0, whole.find_first_of("ea")));
  }
  c.run.dir = path("penalised");
  c.sampling.repetition_penalty = 5.0;
  caption_images(c);
  EXPECT_NE(captions("penalised"), stopped);
}

TEST_F(CaptionImages, FoldersAndFilesOfImages) {
  CaptionConfig c = config("folder");
  const json first = lines(folder_ / "world/train.jsonl").front();
  const std::string image =
      std::filesystem::absolute(folder_ / "world" / first.at("image").at("path").get<std::string>())
          .string();
  std::filesystem::create_directories(folder_ / "images/below");
  std::filesystem::copy_file(
      image, folder_ / ("images/b" + std::filesystem::path(image).extension().string()));
  std::filesystem::copy_file(
      image, folder_ / ("images/below/a" + std::filesystem::path(image).extension().string()));
  write_file_atomic(folder_ / "images/notes.txt", "no image");
  c.data.files.clear();
  c.data.images = {path("images"), image};
  c.data.prompt = "describe";
  EXPECT_EQ(caption_images(c).captioned, 3);
  const auto done = captions("folder");
  EXPECT_THAT(done.at(0).at("id").get<std::string>(), HasSubstr("images/b."));
  EXPECT_THAT(done.at(1).at("id").get<std::string>(), HasSubstr("images/below/a."));
  EXPECT_EQ(done.at(2).at("image"), image);
}

TEST_F(CaptionImages, BadRowsStopOrAreCounted) {
  std::filesystem::create_directories(folder_ / "images_bad");
  write_file_atomic(folder_ / "images_bad/broken.png", "no image");
  CaptionConfig c = config("bad");
  c.data.files.clear();
  c.data.images = {path("images_bad")};
  c.data.prompt = "describe";
  EXPECT_THAT(input_error([&] { caption_images(c); }), HasSubstr("images_bad/broken.png"));
  c.data.bad_rows = BadRows::kSkip;
  EXPECT_EQ(caption_images(c).skipped, 1);
  EXPECT_EQ(std::filesystem::file_size(folder_ / "bad/captions.jsonl"), 0u);
  EXPECT_THAT(lines(folder_ / "bad/quarantine.jsonl").at(0).at("reason").get<std::string>(),
              HasSubstr("broken.png"));
  EXPECT_EQ(caption_images(c).found, 1);
}

TEST_F(CaptionImages, WrongConfigsAreRefusedBeforeAnyWork) {
  const auto error_of = [&](auto change) {
    CaptionConfig c = config("refused");
    change(c);
    const std::string message = input_error([&] { caption_images(c); });
    EXPECT_FALSE(std::filesystem::exists(folder_ / "refused"));
    return message;
  };
  EXPECT_THAT(error_of([](auto& c) { c.run.dir.clear(); }), HasSubstr("'run.dir' is not set"));
  EXPECT_THAT(error_of([](auto& c) { c.data.files.clear(); }),
              HasSubstr("neither 'data.files' nor 'data.images'"));
  EXPECT_THAT(error_of([](auto& c) { c.data.shard = 1; }),
              HasSubstr("expected less than data.num_shards, 1, got 1"));
  EXPECT_THAT(error_of([](auto& c) { c.data.images = {"nowhere"}; }),
              HasSubstr("nowhere: no such file or folder"));
  EXPECT_THAT(error_of([](auto& c) { c.data.prompt = "a <|image_pad|>"; }),
              HasSubstr("reserved token '<|image_pad|>'"));
  EXPECT_THAT(error_of([](auto& c) { c.captioner.model = path("answerer"); }),
              HasSubstr("expected a vision-language model"));
}

}  // namespace
}  // namespace caprl
