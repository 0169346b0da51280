#include "ops/cpu/isa.h"
#include "ops/cpu/sums.h"

#define CAPRL_TEXT_OF(x) #x
#define CAPRL_TEXT(x) CAPRL_TEXT_OF(x)

namespace caprl::ops::cpu::CAPRL_ISA {

template <class T>
constexpr TypedKernels<T> typed() {
  return {.values_of_word = Words<T>::kValues,
          .pack = pack<T>,
          .product = product<T, T>,
          .gated_product = gated_product<T>,
          .norm = norm<T>,
          .norm_backward = norm_backward<T>,
          .gate = gate<T>,
          .gate_backward = gate_backward<T>,
          .turn = turn<T, T>,
          .attend = attend<T>,
          .attend_group = attend_group<T>,
          .attend_group_backward = attend_group_backward<T>};
}

const Kernels kTable = {
    .name = CAPRL_TEXT(CAPRL_ISA),
    .f32 = typed<float>(),
    .bf16 = typed<Bf16>(),
    .product_bf16_f32 = product<Bf16, float>,
    .adamw = adamw,
    .softmax = softmax,
    .softmax_backward = softmax_backward,
};

}  // namespace caprl::ops::cpu::CAPRL_ISA
