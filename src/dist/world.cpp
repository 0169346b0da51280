#include "caprl/dist/world.h"

#include <c10/util/Exception.h>

#include "caprl/core/error.h"

namespace caprl {

World::World()
    : watchdog_(std::make_unique<Watchdog>(Launch{}, RunStore(), std::chrono::milliseconds(0))) {}

World::World(const Launch& launch, at::Device device, std::chrono::milliseconds timeout,
             std::chrono::milliseconds collective_timeout) {
  const RunStore store = RunStore::connect(launch, timeout);
  watchdog_ = std::make_unique<Watchdog>(launch, store, timeout);
  run([&] { group_ = Group::connect(launch, store, device, collective_timeout); });
}

void World::run(const std::function<void()>& work) {
  const auto fail = [&](const char* message, int exit_code) {
    const auto verdict = watchdog_->fail(message, exit_code);
    if (!verdict) return;
    const std::string why = (verdict->mine ? "" : "the run ends: ") + verdict->message;
    if (verdict->exit_code == 2) throw InputError("{}", why);
    if (verdict->exit_code == 3) throw Stopped("{}", why);
    throw Error("{}", why);
  };
  try {
    work();
  } catch (const Error& error) {
    fail(error.what(), error.exit_code());
    throw;
  } catch (const c10::Error& error) {
    fail(error.what_without_backtrace(), 1);
    throw;
  } catch (const std::exception& error) {
    fail(error.what(), 1);
    throw;
  }
}

}  // namespace caprl
