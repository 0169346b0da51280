#include "caprl/dist/shards.h"

#include <algorithm>

#include "caprl/core/error.h"

namespace caprl {
namespace {

int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

}  // namespace

Extent intersect(const Extent& a, const Extent& b) {
  const int64_t begin = std::max(a.begin, b.begin);
  return {begin, std::max<int64_t>(std::min(a.end(), b.end()) - begin, 0)};
}

Shards::Shards(int64_t num_values, int ranks, int64_t bucket_values)
    : num_values_(num_values), ranks_(ranks) {
  if (num_values < 0 || ranks < 1 || (bucket_values < 1 && num_values > 0))
    throw Error("[Shards] expected values, ranks and values of a bucket, got {}, {} and {}",
                num_values, ranks, bucket_values);
  bucket_values_ = round_up(std::max<int64_t>(bucket_values, 1), ranks);
  padded_ = round_up(num_values, ranks);
  for (int64_t begin = 0; begin < padded_; begin += bucket_values_)
    buckets_.push_back({begin, std::min(bucket_values_, padded_ - begin)});
}

Extent Shards::part(const Extent& bucket, int rank) const {
  const int64_t size = bucket.size / ranks_;
  return {bucket.begin + rank * size, size};
}

std::vector<Shards::Piece> Shards::pieces(int rank) const {
  std::vector<Piece> pieces;
  int64_t local = 0;
  for (const Extent& bucket : buckets_) {
    const Extent whole = part(bucket, rank);
    const Extent used = intersect(whole, {0, num_values_});
    if (used.size > 0) pieces.push_back({used, local});
    local += whole.size;
  }
  return pieces;
}

}  // namespace caprl
