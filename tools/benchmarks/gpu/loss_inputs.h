// The problem that caprl's loss head and its peers are measured on. peer side: loss_inputs.py.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

namespace caprl::bench {

struct LossShape {
  int64_t rows = 32768, hidden = 2048, vocab = 151936;
};

/// Hidden states of unit variance and a head that gives logits of standard deviation 4 (an entropy
/// near 4 nats); targets drawn from the softmax; advantages of groups of 8 sequences of 1024
/// tokens; log-probabilities of a reference model that differs by 0.1.
///
/// Both sides make hidden states and head from one seed with the same PyTorch, which gives the same
/// bits; targets and reference go through files.
struct LossInputs {
  at::Tensor hidden;      // [rows, H] bfloat16
  at::Tensor weight;      // [V, H] bfloat16
  at::Tensor targets;     // [rows] int64
  at::Tensor advantages;  // [rows] float
  at::Tensor reference;   // [rows] float

  static LossInputs make(const LossShape& shape);
  /// Writes FOLDER/targets.i64 and FOLDER/reference.f32.
  void write(const std::string& folder) const;
};

/// Σ of the bits of all values as integers: equal on both sides if the values are.
int64_t checksum(const at::Tensor& bfloat16_values);

/// The values as they lie in memory.
void write_raw(const std::string& path, const at::Tensor& values);

/// Rows, and rows of the head, whose gradients are compared with fp64: evenly spaced rows; their
/// targets and evenly spaced ids.
at::Tensor checked_rows(int64_t rows, at::TensorOptions options);
at::Tensor checked_ids(const at::Tensor& targets, int64_t rows, int64_t vocab);

}  // namespace caprl::bench
