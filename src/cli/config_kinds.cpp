#include "cli/config_kinds.h"

#include "caprl/core/error.h"
#include "caprl/reward/server.h"
#include "caprl/tasks/caption.h"
#include "caprl/tasks/eval.h"
#include "caprl/tasks/qa.h"
#include "caprl/train/config.h"

namespace caprl {
namespace {

template <class S>
struct Values {
  S values;
};
template <class S>
struct Owned : Values<S>, ConfigOf<S> {
  Owned() : ConfigOf<S>(this->values) {}
};

template <class S>
std::unique_ptr<ConfigRoot> make() {
  return std::make_unique<Owned<S>>();
}

struct Kind {
  const char* command;
  std::unique_ptr<ConfigRoot> (*make)();
};
constexpr Kind kKinds[] = {
    {"train", make<GrpoConfig>},      {"sft", make<SftConfig>},
    {"caption", make<CaptionConfig>}, {"qa", make<QaConfig>},
    {"eval", make<PrismConfig>},      {"serve-reward", make<RewardServerConfig>}};

}  // namespace

std::vector<std::string> config_commands() {
  std::vector<std::string> names;
  for (const Kind& kind : kKinds) names.emplace_back(kind.command);
  return names;
}

std::unique_ptr<ConfigRoot> default_config(std::string_view command) {
  for (const Kind& kind : kKinds)
    if (command == kind.command) return kind.make();
  throw InputError("caprl {} has no configuration", command);
}

}  // namespace caprl
