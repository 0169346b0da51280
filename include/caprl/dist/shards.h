// How the ranks divide a flat buffer among themselves (ZeRO, arXiv 1910.02054).
#pragma once
#include <cstdint>
#include <vector>

namespace caprl {

struct Extent {
  int64_t begin = 0, size = 0;
  int64_t end() const { return begin + size; }
  bool operator==(const Extent&) const = default;
};

/// What two ranges share; size 0 if nothing.
Extent intersect(const Extent& a, const Extent& b);

/// A buffer of `num_values`, extended to a multiple of the ranks, in buckets; each bucket in equal
/// parts, one a rank. A bucket is what one collective carries.
class Shards {
 public:
  /// One rank, one bucket: everything.
  explicit Shards(int64_t num_values) : Shards(num_values, 1, num_values) {}
  /// `bucket_values` is rounded up to a multiple of the ranks. Error if a number is not positive
  /// (`num_values` may be 0).
  Shards(int64_t num_values, int ranks, int64_t bucket_values);

  int64_t num_values() const { return num_values_; }
  int ranks() const { return ranks_; }
  int64_t bucket_values() const { return bucket_values_; }
  int64_t padded() const { return padded_; }              // num_values and at most ranks − 1 more
  int64_t part_size() const { return padded_ / ranks_; }  // what one rank holds in all

  /// In order, without gaps, up to padded().
  const std::vector<Extent>& buckets() const { return buckets_; }
  /// Rank r's part of a bucket.
  Extent part(const Extent& bucket, int rank) const;

  /// One rank's part of one bucket: its place in the buffer, and in what the rank holds.
  struct Piece {
    Extent range;  // of the buffer; ends at num_values
    int64_t local;
  };
  /// In order; those that are padding alone are left out.
  std::vector<Piece> pieces(int rank) const;

 private:
  int64_t num_values_, bucket_values_, padded_;
  int ranks_;
  std::vector<Extent> buckets_;
};

}  // namespace caprl
