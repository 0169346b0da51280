// What reward servers and their clients say to requests and replies that they cannot take, word for
// word, and what comes through unchanged.
#include "reward/wire.h"

#include <gtest/gtest.h>

#include <limits>

#include "support/errors.h"
#include "support/json.h"

namespace caprl {
namespace {

using Json = nlohmann::json;

struct Row {
  std::string body, message;
};

const std::string kDeep = std::string(300, '[') + std::string(300, ']');

TEST(GetReward, RefusesBadRequests) {
  const std::vector<Row> rows{
      {"", "the request: malformed JSON: the text is empty"},
      {" \n", "the request: malformed JSON: the text is empty"},
      {R"({"prompts": [)",
       "the request: malformed JSON: syntax error while parsing value - unexpected end of input; "
       "expected '[', '{', or a literal at byte 14"},
      {R"({"prompts": []} {})",
       "the request: malformed JSON: syntax error while parsing value - unexpected '{'; expected "
       "end of input at byte 17"},
      {R"({"prompts": [],})",
       "the request: malformed JSON: syntax error while parsing object key - unexpected '}'; "
       "expected string literal at byte 16"},
      {"{\"prompts\": [[\"a\xff\", []]]}",
       "the request: malformed JSON: syntax error while parsing value - invalid string: ill-formed "
       "UTF-8 byte at byte 17"},
      {R"({"prompts": [["\ud800", []]]})",
       "the request: malformed JSON: syntax error while parsing value - invalid string: surrogate "
       "U+D800..U+DBFF must be followed by U+DC00..U+DFFF at byte 22"},
      {R"({"labels": [1e999]})",
       "the request: malformed JSON: number overflow parsing '1e999' at byte 17"},
      {R"({"prompts": [], "prompts": []})",
       "the request: key \"prompts\" occurs twice in one object"},
      {R"({"prompts": [], "labels": {"a": 1, "a": 2}})",
       "the request: key \"a\" occurs twice in one object"},
      {kDeep, "the request: JSON is nested deeper than 256 levels"},
      {R"({"prompts": [], "query": )" + kDeep + "}",
       "the request: JSON is nested deeper than 256 levels"},
      {"[]", "the request: expected an object, got array"},
      {"null", "the request: expected an object, got null"},
      {R"("prompts")", "the request: expected an object, got string"},
      {"{}", "the request: 'prompts' is missing"},
      {R"({"Prompts": []})", "the request: 'prompts' is missing"},
      {R"({"prompts": {}})", "prompts: expected a list, got object"},
      {R"({"prompts": null})", "prompts: expected a list, got null"},
      {R"({"prompts": "a"})", "prompts: expected a list, got string"},
      {R"({"prompts": ["a"]})", "prompts[0]: expected [caption, questions], got string"},
      {R"({"prompts": [{"a": 1, "b": 2}]})",
       "prompts[0]: expected [caption, questions], got object"},
      {R"({"prompts": [[]]})", "prompts[0]: expected [caption, questions], got a list of 0"},
      {R"({"prompts": [["a"]]})", "prompts[0]: expected [caption, questions], got a list of 1"},
      {R"({"prompts": [["a", [], 1]]})",
       "prompts[0]: expected [caption, questions], got a list of 3"},
      {R"({"prompts": [[null, []]]})", "prompts[0][0]: expected a text, got null"},
      {R"({"prompts": [["a", {}]]})", "prompts[0][1]: expected a list, got object"},
      {R"({"prompts": [["a", []]]})",
       "prompts[0][1]: expected at least one question, got an empty list"},
      {R"({"prompts": [["a", [["What?\nA) 1\nB) 2", "A"]]], ["b", []]]})",
       "prompts[1][1]: expected at least one question, got an empty list"},
  };
  for (const Row& row : rows)
    EXPECT_EQ(input_error([&] { parse_get_reward(row.body); }), row.message) << row.body;
}

TEST(GetReward, RefusesBadQuestions) {
  const std::string none = "expected a question followed by lines 'A) …', 'B) …', got none in ";
  const std::string order = "expected the choices' labels in order, ";
  std::string wide;
  for (int i = 0; i < 40; ++i) wide += "图";
  const std::vector<Row> rows{
      {R"("What?")", ": expected [question, answer], got string"},
      {R"(["What?\nA) 1\nB) 2"])", ": expected [question, answer], got a list of 1"},
      {R"(["What?\nA) 1\nB) 2", "A", "B"])", ": expected [question, answer], got a list of 3"},
      {R"([1, "A"])", "[0]: expected a text, got number"},
      {R"(["What?\nA) 1\nB) 2", 0])", "[1]: expected a text, got number"},
      {R"(["What?\nA) 1\nB) 2", ["A"]])", "[1]: expected a text, got array"},
      {R"(["", "A"])", ": " + none + "''"},
      {R"(["What?", "A"])", ": " + none + "'What?'"},
      {R"(["What?\nA) 1", "A"])", ": " + none + "'What?\nA) 1'"},
      {R"(["What?\nB) 1\nA) 2", "A"])", ": " + none + "'What?\nB) 1\nA) 2'"},
      // Long texts are cut between characters.
      {"[\"" + wide + R"(", "A"])", ": " + none + "'" + wide.substr(0, 26 * 3) + "…'"},
      {"[\"ab" + wide + R"(", "A"])", ": " + none + "'ab" + wide.substr(0, 26 * 3) + "…'"},
      {R"(["A) 1\nB) 2", "A"])", ": a question has choices but no text"},
      {R"(["What?\nA) 1\nC) 2\nB) 3", "A"])", ": " + order + "'B' next, got 'C) 2'"},
      {R"(["What?\nA) 1\nB) 2\n  D、3", "A"])", ": " + order + "'C' next, got 'D、3'"},
      {R"(["What?\nA) 1\nB) 2\nB) 3", "A"])", ": " + order + "'C' next, got 'B) 3'"},
      {R"(["What?\nA) 1\nB) 2\nA) 3", "A"])", ": " + order + "'C' next, got 'A) 3'"},
      {R"(["?\nA) 1\nB) 2\nC) 3\nD) 4\nE) 5\nF) 6\nG) 7\nH) 8\nI) 9", "A"])",
       ": expected 2 to 8 choices, got 9"},
      {R"(["What?\nA)\nB) 2", "A"])", ": choice 1 of a question is empty"},
      {R"(["What?\nA) 1\nB. \n\n", "A"])", ": choice 2 of a question is empty"},
      {R"(["What?\nA) 1\nB) 2\nC)  1 ", "A"])",
       ": choices 1 and 3 of a question are the same: '1'"},
      {R"(["What?\nA) 1\nB) 2", ""])", ": the answer '' of a question is none of its 2 choices"},
      {R"(["What?\nA) 1\nB) 2", "C"])", ": the answer 'C' of a question is none of its 2 choices"},
      {R"(["What?\nA) 1\nB) 2", "AB"])",
       ": the answer 'AB' of a question is none of its 2 choices"},
      {R"(["What?\nA) 1\nB) 2", "A) 2"])",
       ": the answer 'A) 2' of a question is none of its 2 choices"},
      {R"(["What?\nA) 1\nB) 2", "Ａ"])",
       ": the answer 'Ａ' of a question is none of its 2 choices"},
  };
  for (const Row& row : rows) {
    const std::string body =
        R"({"prompts": [["a", [["What?\nA) 1\nB) 2", "A"], )" + row.body + "]]]}";
    EXPECT_EQ(input_error([&] { parse_get_reward(body); }), "prompts[0][1][1]" + row.message)
        << body;
  }
}

TEST(GetReward, TakesWhatElseIsInTheRequest) {
  EXPECT_TRUE(parse_get_reward(R"({"prompts": []})").empty());
  const auto captions = parse_get_reward(
      R"({"query": null, "prompts": [["", [["What?\nA) 1\nB) 2", "B"]]]], "labels": [{}], "x": 1})");
  ASSERT_EQ(captions.size(), 1u);
  EXPECT_EQ(captions[0].caption, "");
  ASSERT_EQ(captions[0].questions.size(), 1u);
  EXPECT_EQ(captions[0].questions[0].answer, 1);
}

TEST(GetReward, IdsAreOfTheContentAlone) {
  const auto id = [](const std::string& entry) {
    return parse_get_reward("{\"prompts\": [" + entry + "]}").at(0).id;
  };
  const uint64_t plain = id(R"(["é/", [["What?\nA) 1\nB) 2", "A"]]])");
  EXPECT_EQ(id(R"( [ "\u00e9\/",[ ["\u0057hat?\nA) 1\nB) 2","A"]] ] )"), plain);
  EXPECT_NE(id(R"(["é", [["What?\nA) 1\nB) 2", "A"]]])"), plain);
  EXPECT_NE(id(R"(["é/", [["What?\nA) 1\nB) 2", "B"]]])"), plain);
  EXPECT_NE(id(R"(["é/", [["What?\nA) 1\nB) 2", "A"], ["What?\nA) 1\nB) 2", "A"]]])"), plain);
}

TEST(GetReward, AnswersWithNumbersOrNull) {
  EXPECT_EQ(get_reward_answer({}), R"({"rewards":[]})");
  EXPECT_EQ(get_reward_answer({0.0, std::nullopt, 2.0 / 3, -0.5}),
            R"({"rewards":[0.0,null,0.6666666666666666,-0.5]})");
}

struct Change {
  std::string pointer, value, message;  // value: JSON; empty: removed
};

/// `parse` takes `good` and refuses it with each of the changes.
template <class Parse>
void expect_refusals(const Json& good, const std::vector<Change>& changes, Parse parse) {
  parse(good.dump());
  for (const Change& change : changes) {
    Json json = good;
    const Json::json_pointer place(change.pointer);
    Json& parent = json.at(place.parent_pointer());
    if (!change.value.empty())
      json[place] = json_of(change.value);
    else if (parent.is_array())
      parent.erase(parent.size() - 1);
    else
      parent.erase(place.back());
    EXPECT_EQ(input_error([&] { parse(json.dump()); }), change.message) << json;
  }
}

TEST(AnswerRequest, RefusesBadRequests) {
  const Json good = json_of(R"({"inquiries": [{
      "caption": "a", "prompt_id": 1, "sample": 2, "seed": 3, "step": 4, "questions": [
      {"text": "?", "num_options": 5, "right": "D", "abstain": "F"}]}]})");
  const std::string one = "/inquiries/0", question = one + "/questions/0";
  const std::string where = "inquiries[0]", place = where + ".questions[0]";
  const std::string whole = ": expected a whole number from 0, got ";
  const std::vector<Change> changes{
      {"/inquiries", "", "the request: 'inquiries' is missing"},
      {"/inquiries", "{}", "inquiries: expected a list, got object"},
      {one, "[]", where + ": expected an object, got array"},
      {one, "7", where + ": expected an object, got number"},
      {one + "/caption", "", where + ": 'caption' is missing"},
      {one + "/caption", "null", where + ".caption: expected a text, got null"},
      {one + "/prompt_id", "", where + ": 'prompt_id' is missing"},
      {one + "/prompt_id", "-1", where + ".prompt_id" + whole + "-1"},
      {one + "/prompt_id", "18446744073709551616",
       where + ".prompt_id" + whole + "1.8446744073709552e+19"},
      {one + "/sample", "1.5", where + ".sample" + whole + "1.5"},
      {one + "/sample", "2.0", where + ".sample" + whole + "2.0"},
      {one + "/seed", "\"3\"", where + ".seed" + whole + "string"},
      {one + "/seed", "[3]", where + ".seed" + whole + "array"},
      {one + "/step", "true", where + ".step" + whole + "boolean"},
      {one + "/step", "", where + ": 'step' is missing"},
      {one + "/questions", "", where + ": 'questions' is missing"},
      {one + "/questions", "\"?\"", where + ".questions: expected a list, got string"},
      {one + "/questions", "[]", where + ".questions: expected at least one, got an empty list"},
      {question, "\"?\"", place + ": expected an object, got string"},
      {question + "/text", "", place + ": 'text' is missing"},
      {question + "/text", "1", place + ".text: expected a text, got number"},
      {question + "/num_options", "", place + ": 'num_options' is missing"},
      {question + "/num_options", "-2", place + ".num_options" + whole + "-2"},
      {question + "/num_options", "1", place + ".num_options: expected 2 to 9, got 1"},
      {question + "/num_options", "10", place + ".num_options: expected 2 to 9, got 10"},
      {question + "/right", "", place + ": 'right' is missing"},
      {question + "/right", "1", place + ".right: expected a text, got number"},
      {question + "/right", "\"\"", place + ".right: expected one of ABCD, got ''"},
      {question + "/right", "\"E\"", place + ".right: expected one of ABCD, got 'E'"},
      {question + "/right", "\"F\"", place + ".right: expected one of ABCD, got 'F'"},
      {question + "/right", "\"d\"",
       place + ".right: expected a letter from A to I or '', got 'd'"},
      {question + "/right", "\"J\"",
       place + ".right: expected a letter from A to I or '', got 'J'"},
      {question + "/right", "\"AB\"",
       place + ".right: expected a letter from A to I or '', got 'AB'"},
      {question + "/abstain", "", place + ": 'abstain' is missing"},
      {question + "/abstain", "null", place + ".abstain: expected a text, got null"},
      {question + "/abstain", "\"F)\"",
       place + ".abstain: expected a letter from A to I or '', got 'F)'"},
      {question + "/abstain", "\"D\"",
       place + ".abstain: expected a letter behind ABCD or '', got 'D'"},
  };
  expect_refusals(good, changes, [](const std::string& body) { parse_answer_request(body); });
  EXPECT_EQ(input_error([] { parse_answer_request("[1]"); }),
            "the request: expected an object, got array");
}

std::vector<Inquiry> some_inquiries() {
  const Question question{"What?\n图", {"$a$", "b\n  c", "\"\\"}, 2};
  const uint64_t most = std::numeric_limits<uint64_t>::max();
  Inquiry first{"a ball\t\"🐶\"",
                {ask(question, 0, {}, {}), ask(question, 1, {2, 0, 1}, {"none", "F"})},
                most,
                3,
                {most, 1}};
  Inquiry second{"", {ask(question, 0, {1, 2, 0}, {"none", ""})}, 0, 0, {}};
  return {first, second};
}

TEST(AnswerRequest, ComesBackAsItWas) {
  const auto sent = some_inquiries();
  const auto read = parse_answer_request(answer_request(sent));
  ASSERT_EQ(read.size(), sent.size());
  for (size_t i = 0; i < sent.size(); ++i) {
    EXPECT_EQ(read[i].caption, sent[i].caption);
    EXPECT_EQ(read[i].prompt_id, sent[i].prompt_id);
    EXPECT_EQ(read[i].sample, sent[i].sample);
    EXPECT_EQ(read[i].key, sent[i].key);
    ASSERT_EQ(read[i].questions.size(), sent[i].questions.size());
    for (size_t q = 0; q < sent[i].questions.size(); ++q) {
      EXPECT_EQ(read[i].questions[q].text, sent[i].questions[q].text);
      EXPECT_EQ(read[i].questions[q].labels(), sent[i].questions[q].labels());
      EXPECT_EQ(read[i].questions[q].right, sent[i].questions[q].right);
      EXPECT_EQ(read[i].questions[q].abstain, sent[i].questions[q].abstain);
    }
  }
  EXPECT_EQ(answer_request(read), answer_request(sent));
  EXPECT_TRUE(parse_answer_request(answer_request({})).empty());
}

TEST(AnswerRequest, BytesThatAreNoUtf8BecomeReplacementCharacters) {
  auto inquiries = some_inquiries();
  inquiries[0].caption =
      "a\xff"
      "b\xe5\x9b";  // the second one is cut off
  inquiries[1].questions[0].text = "\x80?";
  const auto read = parse_answer_request(answer_request(inquiries));
  EXPECT_EQ(read[0].caption, "a\uFFFDb\uFFFD");
  EXPECT_EQ(read[1].questions[0].text, "\uFFFD?");
  const auto answers =
      parse_answers(answers_to_json({{{true, "\xc3", 0, 0}, {}}, {{}}}), inquiries);
  EXPECT_EQ(answers[0][0].output, "\uFFFD");
}

TEST(Answers, ComeBackAsTheyWere) {
  const std::vector<std::vector<Answer>> sent{{{true, " B) \"图\"\n", 'B', 1.0 / 3}, {}},
                                              {{true, "", 0, 1}}};
  const auto read = parse_answers(answers_to_json(sent), some_inquiries());
  ASSERT_EQ(read.size(), sent.size());
  for (size_t i = 0; i < sent.size(); ++i) {
    ASSERT_EQ(read[i].size(), sent[i].size());
    for (size_t q = 0; q < sent[i].size(); ++q) {
      EXPECT_EQ(read[i][q].valid, sent[i][q].valid);
      EXPECT_EQ(read[i][q].output, sent[i][q].output);
      EXPECT_EQ(read[i][q].given, sent[i][q].given);
      EXPECT_EQ(read[i][q].right_probability, sent[i][q].right_probability);
    }
  }
  EXPECT_TRUE(parse_answers(answers_to_json({}), {}).empty());
}

TEST(Answers, RefusesBadReplies) {
  const auto inquiries = some_inquiries();
  const Json good = json_of(answers_to_json({{{true, "B", 'B', 0.5}, {}}, {{}}}));
  const std::string answer = "/answers/0/1", where = "answers[0][1]";
  const std::string range = where + ".right_probability: expected a number from 0 to 1, got ";
  const std::vector<Change> changes{
      {"/answers", "", "the answer: 'answers' is missing"},
      {"/answers", "3", "answers: expected a list, got number"},
      {"/answers", "[]", "answers: expected 2 lists, got 0"},
      {"/answers/1", "", "answers: expected 2 lists, got 1"},
      {"/answers/2", "[]", "answers: expected 2 lists, got 3"},
      {"/answers/0", "{}", "answers[0]: expected a list, got object"},
      {"/answers/0", "[]", "answers[0]: expected 2 answers, got 0"},
      {"/answers/1/1", "{}", "answers[1]: expected 1 answers, got 2"},
      {answer, "\"B\"", where + ": expected an object, got string"},
      {answer + "/valid", "", where + ": 'valid' is missing"},
      {answer + "/valid", "1", where + ".valid: expected true or false, got number"},
      {answer + "/output", "", where + ": 'output' is missing"},
      {answer + "/output", "null", where + ".output: expected a text, got null"},
      {answer + "/given", "", where + ": 'given' is missing"},
      {answer + "/given", "0", where + ".given: expected a text, got number"},
      {answer + "/given", "\"b\"", where + ".given: expected a letter from A to I or '', got 'b'"},
      {answer + "/given", "\"图\"",
       where + ".given: expected a letter from A to I or '', got '图'"},
      {answer + "/right_probability", "", where + ": 'right_probability' is missing"},
      {answer + "/right_probability", "null", range + "null"},
      {answer + "/right_probability", "\"1\"", range + "string"},
      {answer + "/right_probability", "-0.5", range + "-0.5"},
      {answer + "/right_probability", "2", range + "2"},
  };
  expect_refusals(good, changes, [&](const std::string& body) { parse_answers(body, inquiries); });
  EXPECT_EQ(
      input_error([&] { parse_answers("<html>", inquiries); }),
      "the answer: malformed JSON: syntax error while parsing value - invalid literal at byte 1");
}

}  // namespace
}  // namespace caprl
