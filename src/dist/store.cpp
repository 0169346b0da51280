#include "caprl/dist/store.h"

#include <fmt/ranges.h>

#include <csignal>
#include <thread>
#include <torch/csrc/distributed/c10d/HashStore.hpp>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "caprl/core/pulse.h"
#include "dist/run_store.h"

namespace caprl {
namespace {

std::vector<uint8_t> bytes(const std::string& text) { return {text.begin(), text.end()}; }
std::string text(const std::vector<uint8_t>& bytes) { return {bytes.begin(), bytes.end()}; }

std::vector<int> missing_ranks(RunStore& store, int world_size) {
  std::vector<int> missing;
  for (int r = 0; r < world_size; ++r)
    if (!store.find(fmt::format("here/{}", r))) missing.push_back(r);
  return missing;
}

/// Returns when every rank has come.
void await_all(RunStore& store, const Launch& launch, std::chrono::milliseconds timeout) {
  store.set(fmt::format("here/{}", launch.rank), "");
  if (store.add("number here", 1) == launch.world_size) store.set("all here", "");
  if (store.wait_for("all here", timeout)) return;
  throw Error("rank {} of {}: within {:.1f} s the ranks {} have not come", launch.rank,
              launch.world_size, std::chrono::duration<double>(timeout).count(),
              fmt::join(missing_ranks(store, launch.world_size), ", "));
}

}  // namespace

RunStore::RunStore()
    : impl_(std::make_shared<Impl>(Impl{c10::make_intrusive<c10d::HashStore>(), ""})) {}

RunStore RunStore::connect(const Launch& launch, std::chrono::milliseconds timeout) {
  if (launch.world_size == 1) return {};
  // c10d and Gloo write to sockets whose other end may have died, and count on Python's handling.
  std::signal(SIGPIPE, SIG_IGN);
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(launch.master_port);
  options.isServer = launch.rank == 0 && !launch.store_is_running;
  options.numWorkers = launch.world_size;
  options.waitWorkers = false;
  options.timeout = timeout / 2;  // it tries again once or twice
  const std::string what = fmt::format(
      "rank {} of {} {} at {}:{} (MASTER_ADDR, MASTER_PORT)", launch.rank, launch.world_size,
      options.isServer ? "cannot open the store" : "cannot reach rank 0", launch.master_addr,
      launch.master_port);
  RunStore connected = with_c10d(what, [&] {
    auto store = c10::make_intrusive<c10d::TCPStore>(launch.master_addr, options);
    return RunStore(std::make_shared<Impl>(
        Impl{c10::make_intrusive<c10d::PrefixStore>(launch.store_prefix, std::move(store)),
             fmt::format("rank {} of {}: the run's store cannot be reached any more; rank 0 may "
                         "have ended",
                         launch.rank, launch.world_size)}));
  });
  await_all(connected, launch, timeout);
  return connected;
}

RunStore RunStore::clone() const {
  return with_c10d(impl_->lost, [&] {
    return RunStore(std::make_shared<Impl>(Impl{impl_->store->clone(), impl_->lost}));
  });
}

void RunStore::set(const std::string& key, const std::string& value) {
  with_c10d(impl_->lost, [&] { impl_->store->set(key, bytes(value)); });
}

std::string RunStore::set_once(const std::string& key, const std::string& value) {
  return with_c10d(impl_->lost,
                   [&] { return text(impl_->store->compareSet(key, bytes(""), bytes(value))); });
}

bool RunStore::wait_for(const std::string& key, std::chrono::milliseconds timeout) {
  const Waiting waiting;
  const auto until = std::chrono::steady_clock::now() + timeout;
  while (!find(key)) {
    if (std::chrono::steady_clock::now() > until) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  return true;
}

std::optional<std::string> RunStore::find(const std::string& key) {
  return with_c10d(impl_->lost, [&]() -> std::optional<std::string> {
    if (!impl_->store->check({key})) return std::nullopt;
    return text(impl_->store->get(key));
  });
}

void RunStore::remove(const std::string& key) {
  with_c10d(impl_->lost, [&] { impl_->store->deleteKey(key); });
}

int64_t RunStore::add(const std::string& key, int64_t amount) {
  return with_c10d(impl_->lost, [&] { return impl_->store->add(key, amount); });
}

}  // namespace caprl
