#include <algorithm>
#include <nlohmann/json.hpp>

#include "caprl/core/error.h"
#include "caprl/core/log.h"
#include "caprl/io/json.h"
#include "caprl/reward/servers.h"
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
    std::vector<std::span<const Place>> parts;
    std::vector<std::string> bodies;
    const auto size = static_cast<size_t>(servers_.captions_per_request);
    for (size_t begin = 0; begin < places.size(); begin += size) {
      parts.push_back(std::span(places).subspan(begin, std::min(size, places.size() - begin)));
      bodies.push_back(request(groups, parts.back()));
    }
    const auto results = pool_->post("/score", bodies);
    size_t num_failed = 0;
    for (size_t p = 0; p < parts.size(); ++p) num_failed += !take(results[p], parts[p], values);
    if (num_failed > 0 && num_failed == parts.size())
      throw Error("reward.external: no server scored any of {} requests; the last one: {}",
                  num_failed, results.back().describe());
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

  static bool take(const HttpResult& result, std::span<const Place> places, TermValues& values) {
    try {
      if (!result.ok()) throw InputError("{}", result.describe());
      const auto mine = parse_values(result.body, places.size());
      for (size_t i = 0; i < places.size(); ++i)
        values[places[i].group][places[i].caption] = mine[i];
      return true;
    } catch (const InputError& error) {
      log_warning("reward.external: {} captions are left without a reward: {}", places.size(),
                  error.what());
      return false;
    }
  }

  ServersConfig servers_;
  std::shared_ptr<ServerPool> pool_;
};

}  // namespace

std::unique_ptr<RewardTerm> make_external_term() { return std::make_unique<ExternalTerm>(); }

}  // namespace caprl
