#include "kernels/embedding_gradient.h"

#include <ATen/ATen.h>

#include "ops/elements.h"
#include "ops/fused/device.h"
#include "ops/fused/kernels.h"

namespace caprl::ops::fused {

void embedding_gradient(const at::Tensor& d_rows, const at::Tensor& ids, int64_t placeholder,
                        at::Tensor& gradient) {
  const at::Tensor rows = d_rows.contiguous(), tokens = ids.contiguous();
  const at::Tensor order = std::get<1>(at::sort(tokens, /*stable=*/true, 0, false));
  with_element(rows.scalar_type(), [&](auto element) {
    using T = decltype(element);
    kernels::EmbeddingGradient<T> work;
    work.d_out = data<T>(rows);
    work.ids = data<int64_t>(tokens);
    work.order = data<int64_t>(order);
    work.num_tokens = rows.size(0);
    work.width = rows.size(1);
    work.skip_id = placeholder;
    work.d_weight = data<float>(gradient);
    kernels::embedding_gradient(work, stream_of(rows));
  });
}

}  // namespace caprl::ops::fused
