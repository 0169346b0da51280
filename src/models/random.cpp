#include <ATen/ATen.h>

#include "adapters.h"
#include "architecture.h"
#include "caprl/core/error.h"
#include "caprl/core/parallel.h"
#include "caprl/core/philox.h"
#include "name_hash.h"
#include "random.h"

namespace caprl {

at::Tensor random_values(const ParameterSpec& spec, double deviation, uint64_t seed) {
  if (spec.shape.size() == 1)
    return spec.name.ends_with(".bias") ? at::zeros(spec.shape) : at::ones(spec.shape);
  at::Tensor values = at::empty(spec.shape, at::kFloat);
  float* out = values.mutable_data_ptr<float>();
  const CounterRng rng(seed, RandomPurpose::kInitialization, {hash_name(spec.name)});
  parallel_for(0, values.numel(), 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i)
      out[i] = static_cast<float>(deviation * rng.normal(static_cast<uint64_t>(i)));
  });
  return values;
}

std::unique_ptr<Model> Model::random(const nlohmann::json& config, uint64_t seed,
                                     const ModelOptions& options) {
  Architecture architecture = describe_architecture(config, "config");
  architecture.set_tied(architecture.tied.value_or(false));
  if (!architecture.traits.image_token_id && !architecture.image_token.empty())
    throw InputError("config: the id of {} is missing (img_context_token_id)",
                     architecture.image_token);
  Parameters parameters = architecture.parameters(options);
  parameters.fill([&](const ParameterSpec& spec) {
    return is_adapter_name(spec.name) ? first_adapter_values(spec, options.seed)
                                      : random_values(spec, architecture.initializer_range, seed);
  });
  auto model = architecture.build(architecture.traits, std::move(parameters));
  model->set_recompute(options.recompute);
  return model;
}

}  // namespace caprl
