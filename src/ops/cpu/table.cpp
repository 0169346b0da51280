#include "ops/cpu/isa.h"

#define CAPRL_TEXT_OF(x) #x
#define CAPRL_TEXT(x) CAPRL_TEXT_OF(x)

namespace caprl::ops::cpu::CAPRL_ISA {

const Kernels kTable = {
    .name = CAPRL_TEXT(CAPRL_ISA),
    .product_f32 = product<float, float>,
    .product_bf16 = product<Bf16, Bf16>,
    .product_bf16_f32 = product<Bf16, float>,
    .norm_f32 = norm<float>,
    .norm_bf16 = norm<Bf16>,
    .gate_f32 = gate<float>,
    .gate_bf16 = gate<Bf16>,
    .turn_f32 = turn<float, float>,
    .turn_bf16 = turn<Bf16, Bf16>,
    .attend_f32 = attend<float>,
    .attend_bf16 = attend<Bf16>,
};

}  // namespace caprl::ops::cpu::CAPRL_ISA
