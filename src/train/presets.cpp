#include "caprl/train/presets.h"

namespace caprl {
namespace {

// Sources as in src/reward/presets.cpp. The paper prints no hyperparameters: its column is the
// release's where it names nothing else.
constexpr PresetRow kTrainingPresets[] = {
    {"policy.train", "all", "all", "all", "launchers: nothing frozen; not stated in the paper"},
    {"policy.dtype", "bfloat16", "bfloat16", "bfloat16", "launchers"},
    {"data.train_batch_size", "128", "128", "128", "launchers"},
    {"data.max_prompt_length", "4096", "4096", "4096", "launchers"},
    {"rollout.n", "8", "8", "8", "launchers"},
    {"rollout.temperature", "1.0", "1.0", "1.0", "launchers"},
    {"rollout.response_length", "4096", "4096", "4096", "launchers"},
    {"algorithm.adv_estimator", "rloo", "grpo", "rloo",
     "paper §3.2: group mean and variance; launchers: rloo"},
    {"algorithm.use_kl_loss", "false", "true", "false",
     "paper: KL penalty; launchers: init_kl_coef 0, use_kl_loss false"},
    {"algorithm.kl_loss_type", "k3", "k3", "k3", "not published; GRPO's estimator"},
    {"algorithm.kl_loss_coef", "0.001", "0.001", "0.001", "not published; verl's default"},
    {"algorithm.loss_agg_mode", "token-mean", "token-mean", "seq-mean-token-mean",
     "CapRL++ launcher; OpenRLHF's default for the release"},
    {"optimizer.lr", "1e-6", "1e-6", "1e-5", "launchers"},
    {"optimizer.lr_scheduler_type", "constant", "constant", "constant", "CapRL++ launcher"},
    {"optimizer.lr_warmup_steps", "20", "20", "20", "launchers"},
    {"train.ppo_epochs", "1", "1", "1", "launchers: one update a rollout"},
    {"train.ppo_mini_batches", "1", "1", "1", "launchers: train batch 1024 = 128 × 8"},
    {"checkpoint.save_freq", "50", "50", "50", "launchers"},
};

}  // namespace

std::span<const PresetRow> training_presets() { return kTrainingPresets; }

}  // namespace caprl
