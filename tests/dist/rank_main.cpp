// One rank of the tests' runs: dist_rank SCENARIO TIMEOUT_MS [COLLECTIVE_TIMEOUT_MS]. Leaves with 0
// if what it sees is right.
#include <ATen/ATen.h>
#include <signal.h>

#include <cstdlib>
#include <iostream>
#include <thread>

#include "caprl/core/pulse.h"
#include "support/rank_program.h"

namespace caprl {
namespace {

void expect(bool right, const std::string& what) {
  if (!right) throw Error("unexpected: {}", what);
}

at::Tensor values_of(int rank, int64_t count, at::ScalarType dtype) {
  return at::arange(count, at::kDouble).add(rank * 10).to(dtype);
}

void check_collectives(const Group& group, at::ScalarType dtype) {
  const int size = group.size();
  constexpr int64_t kPart = 5;
  const auto of = [&](int r) { return values_of(r, size * kPart, dtype); };
  at::Tensor sum = at::zeros_like(of(0)), max = of(0);
  for (int r = 0; r < size; ++r) {
    sum += of(r);
    max = at::maximum(max, of(r));
  }

  at::Tensor reduced = of(group.rank());
  group.all_reduce(reduced).wait();
  expect(reduced.equal(sum), "all_reduce, sum");
  reduced = of(group.rank());
  group.all_reduce(reduced, Reduction::kMax).wait();
  expect(reduced.equal(max), "all_reduce, maximum");

  at::Tensor part = at::empty({kPart}, sum.options());
  group.reduce_scatter(part, of(group.rank())).wait();
  expect(part.equal(sum.narrow(0, group.rank() * kPart, kPart)), "reduce_scatter");

  at::Tensor whole = at::zeros({size * kPart}, sum.options());
  const at::Tensor own = whole.narrow(0, group.rank() * kPart, kPart);
  own.copy_(values_of(group.rank(), kPart, dtype));
  group.all_gather(whole, own).wait();  // in place
  for (int r = 0; r < size; ++r)
    expect(whole.narrow(0, r * kPart, kPart).equal(values_of(r, kPart, dtype)), "all_gather");

  at::Tensor sent = of(group.rank());
  group.broadcast(sent, size - 1).wait();
  expect(sent.equal(of(size - 1)), "broadcast");
}

void check_bytes(const Group& group) {
  const auto bytes_of = [](int r) { return std::string(static_cast<size_t>(r * 3000), 'a' + r); };
  const auto all = group.gather_bytes(bytes_of(group.rank()));
  expect(static_cast<int>(all.size()) == group.size(), "number of texts");
  for (int r = 0; r < group.size(); ++r)
    expect(all[static_cast<size_t>(r)] == bytes_of(r), "bytes of a rank");
  group.barrier();
}

void check_store(const Group& group) {
  RunStore store = group.store();
  store.add("count", group.rank() + 1);
  const std::string first = store.set_once("who", std::to_string(group.rank()));
  group.barrier();
  expect(store.add("count", 0) == group.size() * (group.size() + 1) / 2, "sum in the store");
  expect(store.find("who") == first, "the first value stays");
  expect(!store.find("nobody"), "a key that is not set");
}

void run(const std::string& scenario, World& world, std::chrono::milliseconds timeout) {
  const Group& group = world.group();
  const bool bad = group.rank() == group.size() - 1;
  if (scenario == "collectives") {
    for (const auto dtype : {at::kFloat, at::kDouble, at::kLong}) check_collectives(group, dtype);
    check_bytes(group);
    check_store(group);
    return;
  }
  if (scenario == "broken_pipe") ::raise(SIGPIPE);  // as writing to a rank that has died
  world.at("step 1");
  group.barrier();
  if (scenario == "barriers") {
    std::cout << "begun" << std::endl;
    for (;;) group.barrier();
  }
  if (scenario == "throw" && bad) throw Error("the disk is on fire");
  if (scenario == "input" && bad) throw InputError("rows.jsonl:3: no image");
  if (scenario == "first" && group.is_first()) throw Error("rank 0 is on fire");
  if (scenario == "exit" && bad) std::_Exit(9);
  if (scenario == "stop" && bad) {
    std::this_thread::sleep_for(std::chrono::seconds(1));  // idle for longer than silent
    ::raise(SIGSTOP);
  }
  if (scenario == "stop_first" && group.is_first()) ::raise(SIGSTOP);
  // Lives, but never comes to the collective.
  if (scenario == "stuck_first" ? group.is_first() : scenario == "stuck" && bad)
    std::this_thread::sleep_for(std::chrono::hours(1));
  world.at("step 2");
  if (scenario == "busy" && bad) {  // slower than the others' patience with idle ones
    std::cout << "begun" << std::endl;
    for (int i = 0; i < 30; ++i) {
      pulse();
      std::this_thread::sleep_for(timeout / 20);
    }
  }
  // Without c10d's collectives, nothing but the watchdog can notice.
  const Waiting waiting;
  if (scenario.starts_with("stop")) std::this_thread::sleep_for(std::chrono::hours(1));
  group.barrier();
}

int main_of(const std::string& scenario, std::chrono::milliseconds timeout,
            std::chrono::milliseconds collective_timeout) {
  const Launch launch = read_launch();
  if (scenario == "dies_before_connecting" && launch.rank == launch.world_size - 1) {
    const RunStore store = RunStore::connect(launch, timeout);
    std::_Exit(9);
  }
  return run_as_rank(timeout, collective_timeout,
                     [&](World& world) { run(scenario, world, timeout); });
}

}  // namespace
}  // namespace caprl

int main(int count, char** arguments) {
  const auto milliseconds = [&](int i) {
    return std::chrono::milliseconds(std::atoi(arguments[i]));
  };
  return caprl::main_of(arguments[1], milliseconds(2), milliseconds(count > 3 ? 3 : 2));
}
