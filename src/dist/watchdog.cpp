#include "caprl/dist/watchdog.h"

#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <nlohmann/json.hpp>
#include <thread>

#include "caprl/core/error.h"
#include "caprl/core/log.h"
#include "caprl/core/pulse.h"
#include "dist/signs.h"

namespace caprl {
namespace {

constexpr const char* kVerdict = "verdict";

std::string host_name() {
  char name[256] = "";
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "unknown host";
}

std::string sign_key(int rank) { return fmt::format("alive/{}", rank); }
std::string goodbye_key(int rank) { return fmt::format("goodbye/{}", rank); }

double seconds(Milliseconds time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

struct Watchdog::Impl {
  int rank, size;
  Milliseconds timeout, interval;
  RunStore store;          // the thread's
  RunStore callers_store;  // of fail() and the destructor
  std::mutex mutex;        // of what follows
  std::condition_variable wake;
  bool stopping = false, failed = false;
  Sign sign;
  int64_t told = 0;            // progress that the others can know of
  std::vector<LastSeen> seen;  // of every rank
  Suspension suspension;       // of the thread that listens to them
  std::string store_address;
  Clock::time_point last_answer = Clock::now();  // of the store
  bool done = false;
  std::thread thread, guard;

  Impl(const Launch& launch, const RunStore& run_store, Milliseconds timeout)
      : rank(launch.rank),
        size(launch.world_size),
        timeout(timeout),
        interval(std::clamp(timeout / 10, Milliseconds(20), Milliseconds(1000))),
        store(run_store.clone()),
        callers_store(run_store.clone()),
        seen(static_cast<size_t>(size)) {
    sign.host = host_name();
    sign.place = "start";
    store_address = fmt::format("{}:{}", launch.master_addr, launch.master_port);
    thread = std::thread([this] { watch(); });
    guard = std::thread([this] { watch_store(); });
  }
  ~Impl() {
    {
      const std::lock_guard lock(mutex);
      done = true;
    }
    wake.notify_all();
    guard.join();
  }

  /// Calls to a store behind a broken network may never return: this thread makes none.
  void watch_store() {
    Suspension of_guard;
    std::unique_lock lock(mutex);
    while (!wake.wait_for(lock, interval, [&] { return done; })) {
      const auto now = Clock::now();
      last_answer = std::min(now, last_answer + of_guard.since_last(now, moment()));
      if (now - last_answer > 2 * timeout)
        end_because(fmt::format("{}: the run's store at {} has not answered for {:.1f} s",
                                name(rank, sign), store_address, seconds(2 * timeout)),
                    1);
    }
  }

  void note_answer() {
    const std::lock_guard lock(mutex);
    last_answer = Clock::now();
  }

  void watch() {
    for (;;) {
      try {
        tell();
        listen();
        if (const auto verdict = store.find(kVerdict)) end(*verdict);
        note_answer();
      } catch (const std::exception& error) {
        end_because(error.what(), 1);
      }
      std::unique_lock lock(mutex);
      wake.wait_for(lock, interval, [&] { return stopping || sign.progress != told; });
      if (stopping) return;
    }
  }

  void tell() {
    std::string text;
    {
      const std::lock_guard lock(mutex);
      ++sign.beat;
      sign.pulses = num_pulses();
      sign.waiting = is_waiting();
      told = sign.progress;
      text = sign.text();
    }
    store.set(sign_key(rank), text);
  }

  /// Gives the verdict on ranks that have been silent, or done nothing, for too long. Rank 0
  /// listens to all, and all to rank 0.
  void listen() {
    const auto now = Clock::now();
    const auto suspended = suspension.since_last(now, moment());
    std::vector<int> idle;
    for (int r = rank == 0 ? 1 : 0; r < (rank == 0 ? size : 1); ++r) {
      LastSeen& last = seen[static_cast<size_t>(r)];
      last.alive += suspended;
      last.working += suspended;
      if (const auto text = store.find(sign_key(r))) last.note(Sign::parse(*text), now);
      const bool silent = now - last.alive >= timeout;
      // Rank 0 knows better who of several keeps the others waiting: it is judged last.
      // One that was idle before it fell silent will be found silent.
      const bool is_idle = now - last.alive < moment() &&
                           now - last.working >= (rank == 0 ? timeout : timeout + moment());
      if ((!silent && !is_idle) || store.find(goodbye_key(r))) continue;
      if (silent)
        condemn(fmt::format("{} has not been heard of for {:.1f} s", name(r, last.sign),
                            seconds(timeout)));
      else
        idle.push_back(r);
    }
    if (!idle.empty()) condemn_idle(std::move(idle));
  }

  /// Of `idle`, those that have come least far: the others may wait for them in a place that does
  /// not say so, as for the end of a collective on a GPU.
  void condemn_idle(std::vector<int> idle) {
    const auto sign_of = [&](int r) -> const Sign& { return seen[static_cast<size_t>(r)].sign; };
    const auto progress = [&](int r) { return sign_of(r).progress; };
    const int64_t least = progress(*std::ranges::min_element(idle, {}, progress));
    std::erase_if(idle, [&](int r) { return progress(r) > least; });
    std::string names;
    for (const int r : idle)
      names += fmt::format("{}{}", names.empty() ? "" : ", ", name(r, sign_of(r)));
    condemn(fmt::format("{} {} done nothing for {:.1f} s, though alive", names,
                        idle.size() == 1 ? "has" : "have", seconds(timeout)));
  }

  void condemn(const std::string& message) { store.set_once(kVerdict, verdict_text(message, 1)); }

  static std::string verdict_text(const std::string& message, int exit_code) {
    return nlohmann::json({{"message", message}, {"exit_code", exit_code}})
        .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

  static Verdict parse_verdict(const std::string& text, bool mine) {
    const auto json = nlohmann::json::parse(text);
    return {json.at("message"), json.at("exit_code"), mine};
  }

  [[noreturn]] void end(const std::string& text) {
    const Verdict verdict = parse_verdict(text, false);
    try {
      store.set(goodbye_key(rank), "");
      if (rank == 0) wait_for_others(store, moment());
    } catch (const std::exception&) {
      // The store is gone: the others end by that.
    }
    end_because("the run ends: " + verdict.message, verdict.exit_code);
  }

  [[noreturn]] static void end_because(const std::string& message, int exit_code) {
    log_error("{}", message);
    std::_Exit(exit_code);
  }

  /// Long enough for the others to read a verdict; one of them may never do so.
  Milliseconds moment() const { return 4 * interval; }

  /// Until the others have read the verdict, or are done.
  void wait_for_others(RunStore& connection, Milliseconds limit) const {
    const auto until = Clock::now() + limit;
    for (int r = 1; r < size; ++r)
      while (!connection.find(goodbye_key(r)) && Clock::now() < until)
        std::this_thread::sleep_for(interval / 4);
  }

  /// Ranks that have not come as far as this one.
  std::string those_behind() {
    std::string text;
    for (int r = 0; r < size; ++r) {
      const auto found = callers_store.find(sign_key(r));
      if (!found) continue;
      const Sign other = Sign::parse(*found);
      if (r != rank && other.progress < sign.progress)
        text += fmt::format("{} {}", text.empty() ? "; behind it:" : ",", name(r, other));
    }
    return text;
  }

  void stop() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    wake.notify_all();
    if (thread.joinable()) thread.join();
  }
};

Watchdog::Watchdog(const Launch& launch, const RunStore& store, std::chrono::milliseconds timeout) {
  if (launch.world_size > 1) impl_ = std::make_unique<Impl>(launch, store, timeout);
}

Watchdog::~Watchdog() {
  if (!impl_) return;
  impl_->stop();
  impl_->note_answer();
  try {
    impl_->callers_store.set(goodbye_key(impl_->rank), "");
    if (impl_->rank == 0)
      impl_->wait_for_others(impl_->callers_store,
                             impl_->failed ? impl_->moment() : impl_->timeout);
  } catch (const std::exception& error) {
    log_warning("rank {}: {}", impl_->rank, error.what());
  }
}

void Watchdog::at(const std::string& place) {
  if (!impl_) return;
  {
    const std::lock_guard lock(impl_->mutex);
    impl_->sign.place = place;
    ++impl_->sign.progress;
  }
  impl_->wake.notify_all();
}

std::optional<Watchdog::Verdict> Watchdog::fail(const std::string& message, int exit_code) {
  if (!impl_) return std::nullopt;
  impl_->stop();
  impl_->note_answer();  // from now on for the calls below
  impl_->failed = true;
  try {
    const std::string mine = Impl::verdict_text(
        name(impl_->rank, impl_->sign) + ": " + message + impl_->those_behind(), exit_code);
    const std::string first = impl_->callers_store.set_once(kVerdict, mine);
    return Impl::parse_verdict(first, first == mine);
  } catch (const std::exception& error) {
    log_warning("rank {}: {}", impl_->rank, error.what());
    return Verdict{message, exit_code, true};
  }
}

}  // namespace caprl
