#include "caprl/dist/group.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "caprl/core/pulse.h"
#include "dist/backend.h"
#include "dist/run_store.h"

namespace caprl {

struct Group::Backends {
  BackendPtr host, device;  // the same on a CPU
  int rank;
};

namespace {

c10d::ReduceOp::RedOpType reduce_op(Reduction reduction) {
  switch (reduction) {
    case Reduction::kSum:
      return c10d::ReduceOp::SUM;
    case Reduction::kMax:
      return c10d::ReduceOp::MAX;
    case Reduction::kMin:
      return c10d::ReduceOp::MIN;
  }
  throw Error("[all_reduce] unknown reduction");
}

/// Begins a collective. `keep`: tensors that must live as long as it.
template <class Begin>
Pending begin(const char* name, int rank, std::vector<at::Tensor> keep, Begin start) {
  const std::string what = fmt::format("{} of rank {}", name, rank);
  const auto checked = [what](const auto& call) {
    const Waiting waiting;  // NCCL connects within the first call
    try {
      return with_c10d(what, call);
    } catch (const Error& error) {
      throw CollectiveError("{}", error.what());
    }
  };
  auto work = checked(start);
  return Pending(
      [work, checked, keep = std::move(keep)] { checked([&] { return work->wait(); }); });
}

void check_parts(const char* name, const at::Tensor& whole, const at::Tensor& part, int size) {
  if (whole.numel() != part.numel() * size || whole.scalar_type() != part.scalar_type() ||
      !whole.is_contiguous() || !part.is_contiguous())
    throw Error("[{}] expected {} contiguous values of {}, got {} of {}", name, part.numel() * size,
                c10::toString(part.scalar_type()), whole.numel(),
                c10::toString(whole.scalar_type()));
}

}  // namespace

Group::Group() = default;

const Group& Group::alone() {
  static const Group group;
  return group;
}

Group Group::connect(const Launch& launch, const RunStore& store, at::Device device,
                     std::chrono::milliseconds collective_timeout) {
  Group group;
  group.launch_ = launch;
  group.store_ = store;
  if (launch.world_size == 1 && launch.launcher == "none") return group;
  const std::string what =
      fmt::format("rank {} of {}: meeting the others", launch.rank, launch.world_size);
  const Waiting waiting;
  with_c10d(what, [&] {
    const StorePtr& c10d_store = store.impl().store;
    const BackendPtr host = make_gloo(c10d_store, launch, collective_timeout);
    const BackendPtr on_device =
        device.is_cuda() ? make_nccl(c10d_store, launch, collective_timeout) : host;
    group.backends_ = std::make_shared<Backends>(Backends{host, on_device, launch.rank});
  });
  return group;
}

Pending Group::all_reduce(at::Tensor values, Reduction reduction) const {
  if (!backends_) return {};
  return begin("all_reduce", rank(), {values}, [&] {
    std::vector<at::Tensor> tensors = {values};
    c10d::AllreduceOptions options;
    options.reduceOp = reduce_op(reduction);
    return backends_->device->allreduce(tensors, options);
  });
}

Pending Group::reduce_scatter(at::Tensor part, at::Tensor whole) const {
  check_parts("reduce_scatter", whole, part, size());
  if (!backends_) {
    part.copy_(whole);
    return {};
  }
  return begin("reduce_scatter", rank(), {part, whole},
               [&] { return backends_->device->_reduce_scatter_base(part, whole); });
}

Pending Group::all_gather(at::Tensor whole, at::Tensor part) const {
  check_parts("all_gather", whole, part, size());
  if (!backends_) {
    if (whole.data_ptr() != part.data_ptr()) whole.copy_(part);
    return {};
  }
  return begin("all_gather", rank(), {whole, part},
               [&] { return backends_->device->_allgather_base(whole, part); });
}

Pending Group::broadcast(at::Tensor values, int root) const {
  if (!backends_) return {};
  return begin("broadcast", rank(), {values}, [&] {
    std::vector<at::Tensor> tensors = {values};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    return backends_->device->broadcast(tensors, options);
  });
}

std::vector<std::string> Group::gather_bytes(const std::string& mine) const {
  if (!backends_) return {mine};
  const auto gather = [&](at::Tensor part) {
    at::Tensor whole = at::empty({size() * part.numel()}, part.options());
    begin("gather", rank(), {whole, part}, [&] {
      return backends_->host->_allgather_base(whole, part);
    }).wait();
    return whole;
  };
  const at::Tensor sizes = gather(at::tensor({static_cast<int64_t>(mine.size())}, at::kLong));
  const int64_t longest = std::max<int64_t>(sizes.max().item<int64_t>(), 1);
  at::Tensor padded = at::zeros({longest}, at::kByte);
  std::memcpy(padded.data_ptr(), mine.data(), mine.size());
  const at::Tensor all = gather(padded);
  std::vector<std::string> texts;
  for (int r = 0; r < size(); ++r)
    texts.emplace_back(static_cast<const char*>(all.data_ptr()) + r * longest,
                       sizes[r].item<int64_t>());
  return texts;
}

SideChannel::SideChannel(const Group& group, std::string name)
    : rank_(group.rank()),
      size_(group.size()),
      name_(std::move(name)),
      store_(group.store().clone()) {}

std::string SideChannel::key(int64_t round, int rank) const {
  return fmt::format("{}/{}/{}", name_, round, rank);
}

std::string SideChannel::wait(const std::string& key) {
  const Waiting waiting;
  // By asking again and again: a call that waits could not be given up.
  constexpr auto kLongest = std::chrono::milliseconds(100);
  for (auto pause = std::chrono::milliseconds(1);; pause = std::min(2 * pause, kLongest)) {
    if (auto value = store_.find(key)) return *value;
    if (abandoned_) throw Error("{}: a rank is gone", name_);
    std::this_thread::sleep_for(pause);
  }
}

std::vector<std::string> SideChannel::gather(const std::string& mine) {
  if (size_ == 1) return {mine};
  store_.set(key(round_, rank_), mine);
  std::vector<std::string> all;
  for (int r = 0; r < size_; ++r) all.push_back(wait(key(round_, r)));
  // All have written this round, so all have read the one before.
  if (round_ > 0) store_.remove(key(round_ - 1, rank_));
  ++round_;
  return all;
}

std::vector<std::vector<double>> gather_numbers(const Group& group,
                                                const std::vector<double>& mine) {
  std::vector<std::vector<double>> all;
  for (const std::string& bytes : group.gather_bytes(
           {reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(double)})) {
    std::memcpy(all.emplace_back(mine.size()).data(), bytes.data(), bytes.size());
  }
  return all;
}

void require_equal(const Group& group, const std::string& what, const std::string& value) {
  const auto all = group.gather_bytes(value);
  for (size_t r = 1; r < all.size(); ++r)
    if (all[r] != all[0])
      throw InputError("{}: rank {} has '{}', rank 0 has '{}'; expected the same on all ranks",
                       what, r, all[r], all[0]);
}

}  // namespace caprl
