// Work on many items that servers share, a few items a request.
#pragma once
#include <algorithm>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "caprl/core/error.h"
#include "caprl/core/log.h"
#include "caprl/reward/servers.h"

namespace caprl {

/// How such work is sent and spoken of.
struct PartsToAsk {
  std::string_view path;     // "/answer"
  std::string_view section;  // of the config, for warnings
  std::string_view nobody;   // begins the Error if no request got through: "… no server answered"
  size_t items_per_request = 1;
};

/// Posts write(part) for consecutive parts of `items` and gives the answers' bodies to read(part,
/// body), in order. An answer that did not come, or that read() throws InputError for, is logged,
/// and its part is left as it is. Error if that is every part.
template <class Item, class Write, class Read>
void ask_in_parts(ServerPool& servers, const PartsToAsk& how, std::span<const Item> items,
                  Write write, Read read) {
  std::vector<std::span<const Item>> parts;
  std::vector<std::string> bodies;
  for (size_t begin = 0; begin < items.size(); begin += how.items_per_request) {
    parts.push_back(items.subspan(begin, std::min(how.items_per_request, items.size() - begin)));
    bodies.push_back(write(parts.back()));
  }
  const auto results = servers.post(std::string(how.path), bodies);
  size_t num_failed = 0;
  for (size_t p = 0; p < parts.size(); ++p) {
    try {
      if (!results[p].ok()) throw InputError("{}", results[p].describe());
      read(parts[p], results[p].body);
    } catch (const InputError& error) {
      ++num_failed;
      log_warning("{}: {} captions are left without a reward: {}", how.section, parts[p].size(),
                  error.what());
    }
  }
  if (num_failed > 0 && num_failed == parts.size())
    throw Error("{} any of {} requests; the last one: {}", how.nobody, num_failed,
                results.back().describe());
}

}  // namespace caprl
