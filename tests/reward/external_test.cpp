// Rewards of somebody else's servers.
#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <atomic>

#include "caprl/http/server.h"
#include "test_answerer.h"

namespace caprl {
namespace {

using nlohmann::json;
using testing::HasSubstr;

/// Scores a caption by its length; `status` and `reply`, if set, are what it says instead.
class Scorer {
 public:
  std::string url() const { return server_.url(); }
  std::atomic<int> status = 200;
  std::atomic<int64_t> num_requests = 0;
  std::string reply;

 private:
  void score(HttpRequest&& request, HttpResponder&& responder) {
    ++num_requests;
    json values = json::array();
    const json asked = json::parse(request.body);
    for (const json& caption : asked.at("captions")) {
      const auto text = caption.at("caption").get<std::string>();
      values.push_back(text == "unknowable" ? json() : json(static_cast<double>(text.size())));
    }
    responder.answer({status, reply.empty() ? json{{"values", values}}.dump() : reply});
  }
  HttpServer server_{HttpServerConfig{},
                     {{"POST", "/score", [this](HttpRequest&& request, HttpResponder&& responder) {
                         score(std::move(request), std::move(responder));
                       }}}};
};

RewardConfig external(const std::vector<std::string>& urls) {
  const TempFolder folder;
  write_file_atomic(folder.path() / "reward.yaml", "scale: 0\n");
  std::string list;
  for (const std::string& url : urls) list += (list.empty() ? "" : ", ") + url;
  RewardConfig config;
  load_config(
      folder.path() / "reward.yaml",
      {"external.weight=2", "external.url=[" + list + "]", "external.captions_per_request=2",
       "external.retry.max_attempts=3", "external.retry.first_delay_s=0.01"},
      config);
  return config;
}

const std::vector<GroupToScore> kGroups{{1, nullptr, {{"a"}, {"bbb"}, {"unknowable"}}},
                                        {2, nullptr, {{""}, {"cc"}}}};

TEST(ExternalTerm, PutsValuesWhereTheyBelong) {
  Scorer scorer;
  const RewardModel model(external({scorer.url()}), 1, at::kCPU);
  const auto scores = model.score(kGroups, 1);
  EXPECT_EQ(scores[0][0].value, 2.0);
  EXPECT_EQ(scores[0][1].value, 6.0);
  EXPECT_EQ(scores[0][2].value, std::nullopt);
  EXPECT_EQ(scores[1][0].value, 0.0);
  EXPECT_EQ(scores[1][1].value, 4.0);
  EXPECT_EQ(scorer.num_requests, 3);
}

TEST(ExternalTerm, GoesOnWithTheOtherServer) {
  Scorer good, bad;
  bad.status = 503;
  const RewardModel model(external({bad.url(), "http://127.0.0.1:1", good.url()}), 1, at::kCPU);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(model.score(kGroups, 1)[1][1].value, 4.0);
  EXPECT_EQ(good.num_requests, 9);
  EXPECT_LE(bad.num_requests, 2) << "a server that failed is left alone";
}

TEST(ExternalTerm, WhatCannotBeReadIsAbsentOrAnError) {
  for (const char* reply :
       {"", "{", "[]", R"({"values": 3})", R"({"values": []})", R"({"values": ["a", 1]})"}) {
    Scorer scorer;
    scorer.reply = reply[0] ? reply : " ";
    const RewardModel model(external({scorer.url()}), 1, at::kCPU);
    EXPECT_THAT(message_of<Error>([&] { model.score(kGroups, 1); }),
                HasSubstr("no server scored any of 3 requests"))
        << reply;
  }
  Scorer scorer;
  scorer.reply = R"({"values": [1]})";  // right for the last request alone
  const auto scores = RewardModel(external({scorer.url()}), 1, at::kCPU).score(kGroups, 1);
  EXPECT_EQ(scores[0][0].value, std::nullopt);
  EXPECT_EQ(scores[1][1].value, 2.0);
}

TEST(ExternalTerm, NeedsAServer) {
  EXPECT_EQ(message_of<InputError>([] { external({}).validate(); }),
            "config: 'reward.external.url' must name a server");
}

}  // namespace
}  // namespace caprl
