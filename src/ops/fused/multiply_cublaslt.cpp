// Matrix products through cuBLASLt, which adds to fp32 results in place and multiplies bf16 with
// fp32 results.
#include <ATen/ATen.h>
#include <cublasLt.h>

#include <array>
#include <map>
#include <mutex>

#include "caprl/core/error.h"
#include "ops/fused/device.h"

namespace caprl::ops::fused {
namespace {

void check(cublasStatus_t status, const char* what) {
  if (status != CUBLAS_STATUS_SUCCESS)
    throw Error("[multiply] {}: {}", what, cublasLtGetStatusString(status));
}

/// Owns a handle of cuBLASLt.
template <class Handle, cublasStatus_t (*Destroy)(Handle)>
class Owned {
 public:
  Owned() = default;
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() {
    if (handle_) Destroy(handle_);
  }
  Handle* out() { return &handle_; }
  Handle get() const { return handle_; }

 private:
  Handle handle_ = nullptr;
};
using Layout = Owned<cublasLtMatrixLayout_t, cublasLtMatrixLayoutDestroy>;
using Description = Owned<cublasLtMatmulDesc_t, cublasLtMatmulDescDestroy>;
using Preference = Owned<cublasLtMatmulPreference_t, cublasLtMatmulPreferenceDestroy>;

/// A row-major matrix as cuBLAS sees it: its transpose in columns.
struct Operand {
  cublasOperation_t operation;
  int64_t rows, columns, stride;
  cudaDataType_t type;
};

cudaDataType_t type_of(const at::Tensor& matrix) {
  if (matrix.scalar_type() == at::kFloat) return CUDA_R_32F;
  if (matrix.scalar_type() == at::kBFloat16) return CUDA_R_16BF;
  throw Error("[multiply] expected float or bfloat16, got {}", c10::toString(matrix.scalar_type()));
}

Operand operand(const at::Tensor& matrix) {
  const int64_t rows = matrix.size(0), columns = matrix.size(1);
  const auto type = type_of(matrix);
  if (matrix.stride(1) == 1 && (rows == 1 || matrix.stride(0) >= columns))
    return {CUBLAS_OP_N, columns, rows, std::max(columns, matrix.stride(0)), type};
  if (matrix.stride(0) == 1 && (columns == 1 || matrix.stride(1) >= rows))
    return {CUBLAS_OP_T, rows, columns, std::max(rows, matrix.stride(1)), type};
  throw Error("[multiply] expected a matrix with unit stride, got strides {}",
              c10::str(matrix.strides()));
}

void describe(const Operand& operand, Layout& layout) {
  check(cublasLtMatrixLayoutCreate(layout.out(), operand.type, static_cast<uint64_t>(operand.rows),
                                   static_cast<uint64_t>(operand.columns), operand.stride),
        "layout");
}

/// One product's shapes and how to compute it.
struct Plan {
  Description description;
  Layout a, b, d;
  cublasLtMatmulAlgo_t algorithm;
};

using Key = std::array<int64_t, 13>;

class Planner {
 public:
  Planner() { check(cublasLtCreate(handle_.out()), "create"); }

  const Plan& plan(const Operand& first, const Operand& second, const Operand& result,
                   bool accumulate) {
    const Key key = {first.operation,
                     first.rows,
                     first.columns,
                     first.stride,
                     first.type,
                     second.operation,
                     second.rows,
                     second.columns,
                     second.stride,
                     result.rows,
                     result.columns,
                     result.stride,
                     result.type * 2 + static_cast<int64_t>(accumulate)};
    const std::lock_guard lock(mutex_);
    auto& plan = plans_[key];
    if (!plan) plan = make_plan(first, second, result);
    return *plan;
  }
  cublasLtHandle_t handle() const { return handle_.get(); }

 private:
  std::unique_ptr<Plan> make_plan(const Operand& first, const Operand& second,
                                  const Operand& result) const {
    auto plan = std::make_unique<Plan>();
    check(cublasLtMatmulDescCreate(plan->description.out(), CUBLAS_COMPUTE_32F, CUDA_R_32F),
          "description");
    const auto set = [&](cublasLtMatmulDescAttributes_t attribute, cublasOperation_t operation) {
      check(cublasLtMatmulDescSetAttribute(plan->description.get(), attribute, &operation,
                                           sizeof operation),
            "transposition");
    };
    set(CUBLASLT_MATMUL_DESC_TRANSA, first.operation);
    set(CUBLASLT_MATMUL_DESC_TRANSB, second.operation);
    describe(first, plan->a);
    describe(second, plan->b);
    describe(result, plan->d);
    Preference preference;
    check(cublasLtMatmulPreferenceCreate(preference.out()), "preference");
    const size_t bytes = kProductWorkspace;
    check(cublasLtMatmulPreferenceSetAttribute(
              preference.get(), CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &bytes, sizeof bytes),
          "preference");
    cublasLtMatmulHeuristicResult_t found;
    int count = 0;
    check(cublasLtMatmulAlgoGetHeuristic(handle_.get(), plan->description.get(), plan->a.get(),
                                         plan->b.get(), plan->d.get(), plan->d.get(),
                                         preference.get(), 1, &found, &count),
          "choice of an algorithm");
    if (count == 0) throw Error("[multiply] cuBLASLt has no algorithm for these matrices");
    plan->algorithm = found.algo;
    return plan;
  }

  Owned<cublasLtHandle_t, cublasLtDestroy> handle_;
  std::mutex mutex_;
  std::map<Key, std::unique_ptr<Plan>> plans_;
};

/// One for each device: a handle belongs to the device that is current at its creation.
Planner& planner(at::Device device) {
  static std::mutex mutex;
  static std::map<at::DeviceIndex, std::unique_ptr<Planner>> planners;
  const std::lock_guard lock(mutex);
  auto& found = planners[device.index()];
  if (!found) found = std::make_unique<Planner>();
  return *found;
}

}  // namespace

void multiply(const at::Tensor& a, const at::Tensor& b, at::Tensor& d, bool accumulate) {
  if (a.dim() != 2 || b.dim() != 2 || d.dim() != 2 || a.size(1) != b.size(0) ||
      d.size(0) != a.size(0) || d.size(1) != b.size(1))
    throw Error("[multiply] expected [M, K] · [K, N] → [M, N], got {} · {} → {}",
                c10::str(a.sizes()), c10::str(b.sizes()), c10::str(d.sizes()));
  if (d.numel() == 0) return;
  if (a.size(1) == 0) {
    if (!accumulate) d.zero_();
    return;
  }
  // In columns, dᵀ = bᵀ · aᵀ.
  const Operand first = operand(b), second = operand(a), result = operand(d);
  if (result.operation != CUBLAS_OP_N) throw Error("[multiply] expected rows of unit stride in d");
  Planner& device = planner(d.device());
  const Plan& plan = device.plan(first, second, result, accumulate);
  const at::Tensor workspace = at::empty({kProductWorkspace}, d.options().dtype(at::kByte));
  const float alpha = 1, beta = accumulate ? 1 : 0;
  check(cublasLtMatmul(device.handle(), plan.description.get(), &alpha, b.const_data_ptr(),
                       plan.a.get(), a.const_data_ptr(), plan.b.get(), &beta, d.data_ptr(),
                       plan.d.get(), d.data_ptr(), plan.d.get(), &plan.algorithm,
                       workspace.data_ptr(), kProductWorkspace, stream_of(d)),
        "product");
}

}  // namespace caprl::ops::fused
