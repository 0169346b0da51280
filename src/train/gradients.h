// The gradients of a model's trainable weights, summed over backward passes and over ranks.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <deque>
#include <vector>

#include "caprl/dist/group.h"
#include "caprl/dist/shards.h"
#include "caprl/models/parameters.h"
#include "caprl/train/parallel.h"

namespace caprl {

/// fp32 whatever the weights are (fp64 for fp64 weights). Autograd adds fp32 gradients in place;
/// those of bf16 weights are moved as soon as a backward pass has them; an operation may add its
/// own (Parameters::weight).
///
/// Several ranks: the buffer is cut into buckets, which are summed over the ranks last to first, as
/// backward passes complete them, in the same order on every rank. ZeRO stage 0 keeps all sums on
/// all ranks. Stages 1 and 2 leave each rank the sums of its part: stage 1 keeps a buffer for all
/// gradients until the step's last pass, stage 2 sums after every pass and keeps only the buckets
/// that operations add to themselves.
class Gradients {
 public:
  /// `parameters` and `group` must outlive this.
  Gradients(Parameters& parameters, const Group& group, const ParallelConfig& config);
  ~Gradients();
  Gradients(const Gradients&) = delete;
  Gradients& operator=(const Gradients&) = delete;

  /// What a rank holds of weights and optimizer state.
  const Shards& shards() const { return shards_; }
  int shard() const { return shards_.ranks() > 1 ? group_.rank() : 0; }
  /// The sums of this rank's part, in the shards' local order (one shard: [num_trainable]);
  /// complete after finish().
  const at::Tensor& mine() const { return mine_; }

  /// Starts from zero. This rank will make `passes` backward passes, other ranks as many as they
  /// like.
  void begin(int64_t passes);
  void begin_pass();
  void end_pass();
  void finish();

  /// Euclidean norm over all ranks, summed in double: finite exactly if every entry is.
  double norm() const;

 private:
  struct Bucket {
    Extent range;
    int64_t local;        // of this rank's part, in mine_
    bool kept = false;    // over the passes of a step
    at::Tensor values;    // [range.size]; of a bucket that is not kept, while it is in use
    int64_t missing = 0;  // parameters of it that the pass has not come to
  };
  struct Slot {
    at::Tensor parameter;
    Extent range;
    size_t first, last;     // buckets
    bool in_place = false;  // autograd adds to the buckets' memory itself
  };
  struct Hook;
  /// A bucket on its way.
  struct Sent {
    Pending pending;
    at::Tensor sums, target;
    bool adds;  // to the target; otherwise becomes it
  };

  bool reduces() const { return group_.size() > 1; }
  void make_buckets(int64_t bucket_values);
  void make_slots();
  /// Gives the buckets from `first` to `last` memory of their own, in one piece.
  void keep(size_t first, size_t last);
  void keep_what_operations_add_to();
  void arrived(Slot& slot);
  void move_to_buckets(Slot& slot);
  void send_complete();
  void send(Bucket& bucket);
  void receive_oldest();

  Parameters& parameters_;
  const Group& group_;
  at::TensorOptions options_;
  at::ScalarType reduce_dtype_;
  bool everything_;  // all sums on all ranks
  Shards shards_;    // of what a rank holds
  at::Tensor mine_;
  std::vector<Bucket> buckets_;
  std::vector<Slot> slots_;
  std::deque<Sent> sent_;
  int64_t rounds_left_ = 0;  // sums over the ranks that this step still has
  int64_t next_ = -1;        // bucket that is sent next; −1: no pass is under way
};

}  // namespace caprl
