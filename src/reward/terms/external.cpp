#include <algorithm>
#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "caprl/io/json.h"
#include "caprl/reward/servers.h"
#include "reward/ask_in_parts.h"
#include "reward/terms/terms.h"

namespace caprl {
namespace {

using nlohmann::json;

/// A caption's place among the groups.
struct Place {
  size_t group = 0, caption = 0;
};

/// InputError if the reply has not one number or null for each of `count` captions.
std::vector<std::optional<double>> parse_values(const std::string& body, size_t count) {
  const json reply = parse_json(body, "the answer");
  if (!reply.is_object() || !reply.contains("values") || !reply["values"].is_array())
    throw InputError("the answer: expected an object with a list 'values'");
  if (reply["values"].size() != count)
    throw InputError("values: expected {} of them, got {}", count, reply["values"].size());
  std::vector<std::optional<double>> values;
  for (const json& value : reply["values"]) {
    if (!value.is_null() && !value.is_number())
      throw InputError("values[{}]: expected a number or null, got {}", values.size(),
                       value.type_name());
    values.push_back(value.is_null() ? std::nullopt : std::optional(value.get<double>()));
  }
  return values;
}

/// Values from somebody else's service. What it does not give is absent, never a zero.
class ExternalTerm : public TermOf<ExternalTerm, RewardTerm> {
 public:
  std::string_view name() const override { return "external"; }
  std::string_view doc() const override {
    return "numbers from servers of your own: POST /score {\"captions\": [{\"prompt_id\", "
           "\"sample\", \"caption\", \"num_tokens\"}]} → {\"values\": [number or null]}";
  }
  bool needs_more_than_text() const override { return true; }
  void term_fields(ConfigVisitor& v) override { servers_.fields(v); }
  void validate() const override {
    if (servers_.url.empty()) throw InputError("config: 'reward.external.url' must name a server");
  }
  void open(const TermContext& context) override {
    pool_ = std::make_shared<ServerPool>(servers_, "reward.external", context.seed);
  }

  TermValues score(std::span<const GroupToScore> groups, const GroupScores&,
                   uint64_t) const override {
    TermValues values;
    std::vector<Place> places;
    for (size_t g = 0; g < groups.size(); ++g) {
      values.emplace_back(groups[g].captions.size());
      for (size_t i = 0; i < groups[g].captions.size(); ++i) places.push_back({g, i});
    }
    ask_in_parts(
        *pool_,
        {"/score", "reward.external", "reward.external: no server scored",
         static_cast<size_t>(servers_.captions_per_request)},
        std::span<const Place>(places),
        [&](std::span<const Place> part) { return request(groups, part); },
        [&](std::span<const Place> part, const std::string& body) {
          const auto mine = parse_values(body, part.size());
          for (size_t i = 0; i < part.size(); ++i) values[part[i].group][part[i].caption] = mine[i];
        });
    return values;
  }

 private:
  static std::string request(std::span<const GroupToScore> groups, std::span<const Place> places) {
    json captions = json::array();
    for (const Place& place : places) {
      const CaptionToScore& caption = groups[place.group].captions[place.caption];
      captions.push_back({{"prompt_id", groups[place.group].prompt_id},
                          {"sample", place.caption},
                          {"caption", caption.text},
                          {"num_tokens", caption.num_tokens}});
    }
    return json{{"captions", std::move(captions)}}.dump(-1, ' ', false,
                                                        json::error_handler_t::replace);
  }

  ServersConfig servers_;
  std::shared_ptr<ServerPool> pool_;
};

}  // namespace

std::unique_ptr<RewardTerm> make_external_term() { return std::make_unique<ExternalTerm>(); }

}  // namespace caprl
