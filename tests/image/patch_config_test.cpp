#include <gmock/gmock.h>

#include <unistd.h>

#include <fstream>

#include "test_support.h"

namespace caprl {
namespace {

using testing::HasSubstr;

class PatchConfigTest : public testing::Test {
 protected:
  PatchConfigTest() {
    folder_ = std::filesystem::temp_directory_path() /
              fmt::format("caprl_patch_config_{}_{}", ::getpid(),
                          testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(folder_);
  }
  ~PatchConfigTest() override { std::filesystem::remove_all(folder_); }

  void write(const std::string& file, const std::string& content) {
    std::ofstream(folder_ / file) << content;
  }
  PatchConfig load(const std::string& content) {
    write("preprocessor_config.json", content);
    return PatchConfig::load(folder_);
  }
  std::string error(const std::string& fields) {
    const std::string kind = R"({"image_processor_type": "Qwen2VLImageProcessor", )";
    return input_error([&] { load(kind + fields + "}"); });
  }

  std::filesystem::path folder_;
};

TEST_F(PatchConfigTest, PublishedForm) {
  const PatchConfig config = load(R"({
    "min_pixels": 3136, "max_pixels": 12845056, "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2,
    "image_mean": [0.48145466, 0.4578275, 0.40821073], "image_std": [0.26862954, 0.26130258, 0.27577711],
    "image_processor_type": "Qwen2VLImageProcessor", "processor_class": "Qwen2_5_VLProcessor"})");
  EXPECT_EQ(config.max_pixels, 12845056);
  EXPECT_EQ(config.mean[2], 0.40821073f);
}

TEST_F(PatchConfigTest, FormOfTransformers5) {
  const PatchConfig config = load(R"({
    "do_convert_rgb": true, "do_normalize": true, "do_rescale": true, "do_resize": true, "resample": 3,
    "rescale_factor": 0.00392156862745098, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.25, 1],
    "image_processor_type": "Qwen2VLImageProcessorFast", "patch_size": 16, "merge_size": 2, "temporal_patch_size": 2,
    "size": {"longest_edge": 16777216, "shortest_edge": 65536}, "min_pixels": null})");
  EXPECT_EQ(config.patch_size, 16);
  EXPECT_EQ(config.min_pixels, 65536);
  EXPECT_EQ(config.max_pixels, 16777216);
  EXPECT_EQ(config.std[1], 0.25f);
}

TEST_F(PatchConfigTest, PixelCountsOverrideSize) {
  const PatchConfig config = load(R"({"image_processor_type": "Qwen2VLImageProcessor",
    "size": {"longest_edge": 1000000, "shortest_edge": 5000}, "max_pixels": 200000})");
  EXPECT_EQ(config.min_pixels, 5000);
  EXPECT_EQ(config.max_pixels, 200000);
}

TEST_F(PatchConfigTest, SilentFileGetsTheProcessorsDefaults) {
  const PatchConfig config = load(R"({"image_processor_type": "Qwen2VLImageProcessor"})");
  EXPECT_EQ(config.min_pixels, 3136);
  EXPECT_EQ(config.max_pixels, 1003520);
  EXPECT_EQ(config.patch_size, 14);
}

TEST_F(PatchConfigTest, NestedFormIsPreferred) {
  write(
      "processor_config.json",
      R"({"image_processor": {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 7}})");
  EXPECT_EQ(PatchConfig::load(folder_).patch_size, 7);  // without the other file too
  EXPECT_EQ(load(R"({"image_processor_type": "Qwen2VLImageProcessor"})").patch_size, 7);
  write("processor_config.json", R"({"processor_class": "Qwen2_5_VLProcessor"})");
  EXPECT_EQ(PatchConfig::load(folder_).patch_size, 14);
}

TEST_F(PatchConfigTest, MissingFileIsNamed) {
  EXPECT_THAT(input_error([&] { PatchConfig::load(folder_); }),
              HasSubstr((folder_ / "preprocessor_config.json").string()));
}

TEST_F(PatchConfigTest, WrongKind) {
  const std::string where = (folder_ / "preprocessor_config.json").string();
  EXPECT_EQ(input_error([&] { load(R"({"image_processor_type": "CLIPImageProcessor"})"); }),
            where +
                ": image_processor_type: expected Qwen2VLImageProcessor or GotOcr2ImageProcessor, "
                "got \"CLIPImageProcessor\"");
  EXPECT_EQ(input_error([&] { load("{}"); }), where +
                                                  ": image_processor_type: missing; expected "
                                                  "Qwen2VLImageProcessor or GotOcr2ImageProcessor");
  EXPECT_EQ(input_error([&] { load("[]"); }), where + ": expected an object, got array");
}

TEST_F(PatchConfigTest, IllTypedAndUnsupportedFields) {
  EXPECT_THAT(error(R"("patch_size": "14")"),
              HasSubstr("patch_size: expected an integer from 1 to 1024, got \"14\""));
  EXPECT_THAT(error(R"("merge_size": 0)"),
              HasSubstr("merge_size: expected an integer from 1 to 1024, got 0"));
  EXPECT_THAT(error(R"("patch_size": 14.5)"), HasSubstr("got 14.5"));
  EXPECT_THAT(error(R"("size": 224)"), HasSubstr("size: expected an object, got number"));
  EXPECT_THAT(error(R"("size": {"shortest_edge": -1})"),
              HasSubstr("size: shortest_edge: expected an integer"));
  EXPECT_THAT(error(R"("image_mean": [0.5, 0.5])"),
              HasSubstr("image_mean: expected three numbers, got [0.5,0.5]"));
  EXPECT_THAT(error(R"("image_std": [0.5, 0, 0.5])"),
              HasSubstr("image_std: expected three positive numbers"));
  EXPECT_THAT(error(R"("do_resize": false)"),
              HasSubstr("do_resize: only true is supported, got false"));
  EXPECT_THAT(error(R"("resample": 2)"), HasSubstr("resample: only 3 is supported, got 2"));
  EXPECT_THAT(error(R"("rescale_factor": 1)"), HasSubstr("rescale_factor: only 0.00392"));
  EXPECT_THAT(error(R"("min_pixels": 5000, "max_pixels": 4000)"),
              HasSubstr("min_pixels 5000 is above max_pixels 4000"));
}

}  // namespace
}  // namespace caprl
