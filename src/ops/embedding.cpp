#include "caprl/ops/embedding.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cstring>

#include "caprl/core/parallel.h"
#include "ops/cpu/operations.h"
#include "ops/fused/kernels.h"

namespace caprl::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

void add_rows(const at::Tensor& d_rows, const at::Tensor& ids, int64_t placeholder,
              at::Tensor& gradient) {
  if (fused::runs_on(d_rows)) return fused::embedding_gradient(d_rows, ids, placeholder, gradient);
  gradient.index_add_(0, ids, d_rows.to(gradient.scalar_type()));
}

/// The gradient goes where it is summed, autograd gets none.
struct Embedding : torch::autograd::Function<Embedding> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& weight,
                            const at::Tensor& ids, const at::Tensor& gradient,
                            int64_t placeholder) {
    context->saved_data["ids"] = ids;
    context->saved_data["gradient"] = gradient;
    context->saved_data["placeholder"] = placeholder;
    return at::embedding(weight, ids);
  }

  static variable_list backward(AutogradContext* context, variable_list gradients) {
    at::Tensor gradient = context->saved_data["gradient"].toTensor();
    add_rows(gradients[0], context->saved_data["ids"].toTensor(),
             context->saved_data["placeholder"].toInt(), gradient);
    return {at::Tensor(), at::Tensor(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor take_rows(const at::Tensor& rows, const at::Tensor& ids) {
  if (!cpu::runs_without_gradients(rows) || !rows.is_contiguous() || !ids.is_cpu())
    return at::embedding(rows, ids);
  const int64_t bytes = rows.size(1) * rows.itemsize();
  const at::Tensor places = ids.contiguous();
  at::Tensor taken = at::empty({ids.size(0), rows.size(1)}, rows.options());
  const auto* place = places.const_data_ptr<int64_t>();
  const auto* from = static_cast<const char*>(rows.const_data_ptr());
  auto* to = static_cast<char*>(taken.mutable_data_ptr());
  parallel_for_pieces(0, ids.size(0), 64, [&](int64_t first, int64_t last) {
    for (int64_t i = first; i < last; ++i) {
      TORCH_CHECK_INDEX(place[i] >= 0 && place[i] < rows.size(0), "[take_rows] id ", place[i],
                        " of ", rows.size(0));
      std::memcpy(to + i * bytes, from + place[i] * bytes, bytes);
    }
  });
  return taken;
}

at::Tensor look_up(const at::Tensor& weight, const at::Tensor& ids, const at::Tensor& gradient,
                   int64_t placeholder) {
  TORCH_CHECK(weight.dim() == 2 && ids.dim() == 1 && ids.scalar_type() == at::kLong,
              "[look_up] expected weight [V, H] and int64 ids [N], got ", weight.sizes(), " and ",
              ids.sizes(), " of ", ids.scalar_type());
  if (!at::GradMode::is_enabled() || !weight.requires_grad() || !gradient.defined())
    return take_rows(weight, ids);
  TORCH_CHECK(gradient.sizes() == weight.sizes() && gradient.is_contiguous(),
              "[look_up] expected a contiguous gradient of ", weight.sizes(), ", got ",
              gradient.sizes());
  return Embedding::apply(weight, ids, gradient, placeholder);
}

}  // namespace caprl::ops
