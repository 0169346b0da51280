#include "caprl/data/rows.h"

#include "support.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::HasSubstr;

class Rows : public DataFiles {
 protected:
  static CaptionRow caption(const json& row) {
    return parse_caption_row(row, "F:4", folder_, *tokenizer_);
  }
  static SftRow sft(const json& row) { return parse_sft_row(row, "F:4", folder_, *tokenizer_); }

  /// The messages for a caption row after one change.
  static std::string refused(const std::string& pointer, const json& value) {
    json row = caption_row();
    row[json::json_pointer(pointer)] = value;
    return input_error([&] { caption(row); });
  }
  static std::string refused_without(const std::string& parent, const std::string& key) {
    json row = caption_row();
    row[json::json_pointer(parent)].erase(key);
    return input_error([&] { caption(row); });
  }
};

TEST_F(Rows, ACaptionRowSaysEverything) {
  const CaptionRow row = caption(caption_row());
  EXPECT_EQ(row.id, "7");
  EXPECT_EQ(row.where, "F:4");
  EXPECT_EQ(row.image.path, folder_ / "a.png");
  ASSERT_EQ(row.prompt.size(), 1u);
  EXPECT_EQ(row.prompt[0].role, "user");
  ASSERT_EQ(row.prompt[0].content.size(), 2u);
  EXPECT_EQ(row.prompt[0].content[0].kind, ChatPart::Kind::kImage);
  EXPECT_EQ(row.prompt[0].content[1].text, " Describe.");
  ASSERT_EQ(row.questions.size(), 2u);
  EXPECT_THAT(row.questions[0].choices, testing::ElementsAre("red", "blue"));
  EXPECT_EQ(row.questions[0].answer, 1);
  EXPECT_EQ(row.questions[1].answer, 0);
}

TEST_F(Rows, IdsAreStringsNumbersOrThePlace) {
  json row = caption_row();
  row["id"] = 12;
  EXPECT_EQ(caption(row).id, "12");
  row["id"] = nullptr;
  EXPECT_EQ(caption(row).id, "F:4");
  row.erase("id");
  EXPECT_EQ(caption(row).id, "F:4");
  EXPECT_EQ(refused("/id", 1.5), "F:4: id: expected a string, got number");
}

TEST_F(Rows, ImagesArePathsOrBytes) {
  json row = caption_row();
  row["image"] = "a.png";
  EXPECT_EQ(caption(row).image.path, folder_ / "a.png");
  row["image"] = folder_ / "a.png";  // absolute
  EXPECT_EQ(caption(row).image.path, folder_ / "a.png");
  row["image"] = {{"bytes", "Zm9v"}, {"path", nullptr}};
  const ImageSource embedded = caption(row).image;
  EXPECT_TRUE(embedded.path.empty());
  EXPECT_EQ(embedded.bytes.size(), 3u);
  EXPECT_EQ(embedded.name, "F:4: embedded image");
  row["image"] = {{"bytes", nullptr}, {"path", "a.png"}};  // as Hugging Face datasets writes it
  EXPECT_EQ(caption(row).image.path, folder_ / "a.png");
}

TEST_F(Rows, ImagesThatAreNone) {
  EXPECT_EQ(refused("/image", "b.png"), "F:4: image " + path("b.png") + ": no such file");
  EXPECT_EQ(refused("/image", ""), "F:4: image: the path is empty");
  EXPECT_EQ(refused("/image", 3),
            "F:4: image: expected an object with 'path' or 'bytes', got number");
  EXPECT_EQ(refused("/image", json::object()), "F:4: key 'path' is missing");
  EXPECT_EQ(refused("/image/path", 3), "F:4: image path: expected a string, got number");
  EXPECT_THAT(refused("/image/bytes", "Zm9"), HasSubstr("F:4: image bytes: expected base64"));
  EXPECT_EQ(refused_without("", "image"), "F:4: key 'image' is missing");
  // A file that is no image is found when the image is loaded, by name.
  const ImageSource source = caption(caption_row()).image;
  EXPECT_THAT(input_error([&] { load_image(source); }),
              HasSubstr("F:4: image " + path("a.png") + ": "));
}

TEST_F(Rows, PromptsThatAreNone) {
  EXPECT_EQ(refused("/prompt", "Describe."),
            "F:4: messages: expected a list that is not empty, got string");
  EXPECT_EQ(refused("/prompt", json::array()),
            "F:4: messages: expected a list that is not empty, got an empty list");
  EXPECT_EQ(refused("/prompt/0", "x"), "F:4: expected an object, got string");
  EXPECT_EQ(refused("/prompt/0/content", 1),
            "F:4: content: expected a string or a list, got number");
  EXPECT_EQ(refused("/prompt/0/content", {{{"type", "video"}}}),
            "F:4: content type: expected 'text' or 'image', got 'video'");
  EXPECT_EQ(refused_without("/prompt/0", "role"), "F:4: key 'role' is missing");
  EXPECT_EQ(refused("/prompt/0/content", "Describe."),
            "F:4: prompt: expected one image ('<image>'), got 0");
  EXPECT_EQ(refused("/prompt/0/content", "<image><image>"),
            "F:4: prompt: expected one image ('<image>'), got 2");
}

TEST_F(Rows, ReservedTokensInText) {
  EXPECT_EQ(refused("/prompt/0/content", "<image> a <|image_pad|>"),
            "F:4: the prompt contains the reserved token '<|image_pad|>'; expected plain text");
  EXPECT_EQ(refused("/reward_model/ground_truth/0/question", "<|im_end|>?"),
            "F:4: a question contains the reserved token '<|im_end|>'; expected plain text");
  EXPECT_EQ(refused("/reward_model/ground_truth/1/choices/2", "<|im_start|>"),
            "F:4: a choice contains the reserved token '<|im_start|>'; expected plain text");
}

TEST_F(Rows, QuestionsThatAreNone) {
  const std::string questions = "/reward_model/ground_truth";
  EXPECT_EQ(refused(questions, json::array()),
            "F:4: reward_model.ground_truth: expected a list of questions, got an empty list");
  EXPECT_EQ(refused(questions, "x"),
            "F:4: reward_model.ground_truth: expected a list of questions, got string");
  EXPECT_EQ(refused_without("", "reward_model"), "F:4: key 'reward_model' is missing");
  EXPECT_EQ(refused_without("/reward_model", "ground_truth"), "F:4: key 'ground_truth' is missing");
  EXPECT_EQ(refused(questions + "/1/choices/1", "circle"),
            "F:4: choices 1 and 2 of a question are the same: 'circle'");
  EXPECT_EQ(refused(questions + "/0/answer", "C"),
            "F:4: the answer 'C' of a question is none of its 2 choices");
}

TEST_F(Rows, ARowIsAnObject) {
  EXPECT_EQ(input_error([&] { caption(json::array()); }), "F:4: expected an object, got array");
  EXPECT_EQ(input_error([&] { sft(7); }), "F:4: expected an object, got number");
}

TEST_F(Rows, ASupervisedRow) {
  const SftRow row = sft(sft_row());
  EXPECT_EQ(row.id, "3");
  EXPECT_EQ(row.response, "a circle");
  ASSERT_EQ(row.images.size(), 1u);
  EXPECT_EQ(row.images[0].path, folder_ / "a.png");
  ASSERT_EQ(row.messages.size(), 2u);
  // Inside a list of parts the text is text: no marker.
  EXPECT_EQ(row.messages[1].content[1].text, "What is <image>?");
}

TEST_F(Rows, SupervisedRowsThatAreNone) {
  json row = sft_row();
  row["response"] = "a <|im_end|>";
  EXPECT_EQ(input_error([&] { sft(row); }),
            "F:4: the response contains the reserved token '<|im_end|>'; expected plain text");
  row["response"] = 5;
  EXPECT_EQ(input_error([&] { sft(row); }), "F:4: response: expected a string, got number");
  row.erase("response");
  EXPECT_EQ(input_error([&] { sft(row); }), "F:4: key 'response' is missing");
  row = sft_row();
  row["messages"][1]["content"][0]["image"] = "none.png";
  EXPECT_EQ(input_error([&] { sft(row); }), "F:4: image " + path("none.png") + ": no such file");
  row["messages"][1]["content"] = "what is <image>";  // the row has none
  EXPECT_EQ(input_error([&] { sft(row); }), "F:4: key 'image' is missing");
  row["image"] = "a.png";
  EXPECT_EQ(sft(row).images.at(0).path, folder_ / "a.png");
  row["messages"][1]["content"] = "what is <image><image>";
  EXPECT_EQ(input_error([&] { sft(row); }),
            "F:4: messages: expected '<image>' once, for the row's image, got it 2 times");
  row["messages"][1]["content"] = "what?";
  EXPECT_EQ(input_error([&] { sft(row); }),
            "F:4: messages: expected '<image>' once, for the row's image, got it nowhere");
}

TEST_F(Rows, TheOwnImageOfASupervisedRow) {
  json row = sft_row();
  row["image"] = {{"bytes", "Zm9v"}};
  for (const json& part : {json{{"type", "image"}}, json{{"type", "image"}, {"image", nullptr}}}) {
    row["messages"][1]["content"][0] = part;
    EXPECT_EQ(sft(row).images.at(0).bytes.size(), 3u);
  }
  row["image"] = json::binary({1, 2});  // a column of bytes
  EXPECT_EQ(sft(row).images.at(0).bytes.size(), 2u);
}

}  // namespace
}  // namespace caprl
