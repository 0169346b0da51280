// What every instruction set's build of the kernels defines.
#pragma once
#include "ops/cpu/kernels.h"

namespace caprl::ops::cpu::CAPRL_ISA {

template <class T>
void pack(const Packing<T>& p, int64_t first, int64_t last);
template <class T, class Out>
void product(const Product<T, Out>& p, int64_t first, int64_t last);
template <class T>
void gated_product(const GatedProduct<T>& p, int64_t first, int64_t last);
template <class T>
void norm(const NormRows<T>& p, int64_t first, int64_t last);
template <class T>
void norm_backward(const NormGradients<T>& p, int64_t first, int64_t last, float* d_weight);
template <class T>
void gate(const GateValues<T>& p, int64_t first, int64_t last);
template <class T>
void gate_backward(const GateGradients<T>& p, int64_t first, int64_t last);
template <class T, class Table>
void turn(const TurnRows<T, Table>& p, int64_t first, int64_t last);
template <class T>
void attend(const PagedRows<T>& p, const TokenBlock& block, const Heads& heads, float* scratch);
template <class T>
void attend_group(const GroupRows<T>& p, const GroupSequence& sequence, int64_t first,
                  int64_t count, int64_t kv_head, float* scratch);
template <class T>
void attend_group_backward(const GroupRows<T>& p, const GroupGradients<T>& to,
                           const GroupSequence& sequence, int64_t kv_head, float* scratch);
void adamw(const kernels::AdamWRun& run, const kernels::AdamWCoefficients& c, int64_t first,
           int64_t last);
void softmax(const SoftmaxRows& p, int64_t first, int64_t last);
void softmax_backward(const SoftmaxGradients& p, int64_t first, int64_t last);

extern const Kernels kTable;

}  // namespace caprl::ops::cpu::CAPRL_ISA
