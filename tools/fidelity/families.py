"""Tiny models of every family that caprl knows, for models.py."""
import json
import pathlib
from dataclasses import dataclass, field

import safetensors.torch
import torch
import transformers

VOCAB, WORDS = 96, 80
IDS = {"vision_start_token_id": 88, "vision_end_token_id": 89, "vision_token_id": 90, "image_token_id": 91, "video_token_id": 92}
TEXT = {"vocab_size": VOCAB, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 2048, "rms_norm_eps": 1e-6, "eos_token_id": 93, "bos_token_id": 94,
        "pad_token_id": 93}


@dataclass
class Family:
    name: str
    model_class: str
    config_class: str
    options: dict
    image_ids: bool = False
    preprocessor: dict = field(default_factory=dict)
    renames: dict = field(default_factory=dict)  # prefix in memory → prefix on disk
    num_words: int = WORDS

    def config(self):
        return getattr(transformers, self.config_class)(**self.options)

    def save(self, model, folder: pathlib.Path) -> None:
        model.save_pretrained(folder)
        if self.preprocessor:
            (folder / "preprocessor_config.json").write_text(json.dumps(self.preprocessor))

    def image_processor(self, folder: pathlib.Path):
        return transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")

    def image_tokens(self, inputs) -> list[list[int]]:
        merged = self.preprocessor["merge_size"] ** 2
        return [[IDS["vision_start_token_id"]] + [IDS["image_token_id"]] * (int(grid.prod()) // merged) + [IDS["vision_end_token_id"]]
                for grid in inputs["image_grid_thw"]]

    def model_inputs(self, ids: torch.Tensor, inputs: dict) -> dict:
        if not inputs:
            return {}
        return {"pixel_values": inputs["pixel_values"], "image_grid_thw": inputs["image_grid_thw"],
                "mm_token_type_ids": (ids == IDS["image_token_id"]).int()}

    def gradients(self, model) -> dict:
        """By the names of published checkpoints."""
        return {self.stored_name(n): p.grad if p.grad is not None else torch.zeros_like(p) for n, p in model.named_parameters()}

    def assign(self, model, values) -> None:
        """Fills the parameters with values(name, shape), by the names that `gradients` uses."""
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                parameter.copy_(values(self.stored_name(name), parameter.shape))

    def stored_name(self, name: str) -> str:
        for memory, disk in self.renames.items():
            if name.startswith(memory):
                return disk + name[len(memory):]
        return name


class InternLm2(Family):
    """transformers has no such class: a Llama model whose projections are written packed and renamed, as the published code reads them."""

    RENAMES = {"model.embed_tokens.": "model.tok_embeddings.", "lm_head.": "output.", "self_attn.o_proj.": "attention.wo.",
               "mlp.gate_proj.": "feed_forward.w1.", "mlp.up_proj.": "feed_forward.w3.", "mlp.down_proj.": "feed_forward.w2.",
               "input_layernorm.": "attention_norm.", "post_attention_layernorm.": "ffn_norm."}

    def packed(self, tensors: dict) -> dict:
        result, heads = {}, TEXT["num_key_value_heads"]
        for name, tensor in tensors.items():
            if "k_proj" in name or "v_proj" in name:
                continue
            if "q_proj" in name:
                q, k, v = (tensors[name.replace("q_proj", f"{x}_proj")] for x in "qkv")
                parts = [x.reshape(heads, -1, x.shape[-1]) for x in (q, k, v)]
                result[name.replace("self_attn.q_proj", "attention.wqkv")] = torch.cat(parts, 1).flatten(0, 1)
                continue
            for theirs, ours in self.RENAMES.items():
                name = name.replace(theirs, ours)
            result[name] = tensor
        return result

    def save(self, model, folder: pathlib.Path) -> None:
        folder.mkdir(parents=True)
        config = {**TEXT, "architectures": ["InternLM2ForCausalLM"], "model_type": "internlm2", "hidden_act": "silu", "bias": False,
                  "rope_theta": 10000, "rope_scaling": {"type": "dynamic", "factor": 2.0}, "tie_word_embeddings": False}
        (folder / "config.json").write_text(json.dumps(config))
        state = {n: t.contiguous() for n, t in self.packed(dict(model.named_parameters())).items()}
        safetensors.torch.save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    def assign(self, model, values) -> None:
        super().assign(model, values)
        parameters = dict(model.named_parameters())
        for name, q in parameters.items():
            if "q_proj" not in name:
                continue
            k, v = (parameters[name.replace("q_proj", f"{x}_proj")] for x in "kv")
            heads, size = TEXT["num_key_value_heads"], k.shape[0] // TEXT["num_key_value_heads"]
            packed = values(name.replace("q_proj", "qkv_proj"), (q.shape[0] + 2 * k.shape[0], q.shape[1]))
            parts = packed.view(heads, -1, size, q.shape[1])
            with torch.no_grad():
                for target, part in ((q, parts[:, :-2]), (k, parts[:, -2]), (v, parts[:, -1])):
                    target.copy_(part.reshape(target.shape))

    def gradients(self, model) -> dict:
        return {self.canonical(n): g for n, g in self.packed(super().gradients(model)).items()}

    def canonical(self, name: str) -> str:
        """The names by which caprl reports gradients."""
        for theirs, ours in self.RENAMES.items():
            name = name.replace(ours, theirs)
        return name.replace("attention.wqkv.", "self_attn.qkv_proj.")


class InternVl(Family):
    """Tiles; the class of the processor, not its file, asks to cut them."""

    TILE, MERGED = 56, 4

    def image_processor(self, folder: pathlib.Path):
        processor = super().image_processor(folder)
        return lambda images, return_tensors: processor(images=images, return_tensors=return_tensors, crop_to_patches=True)

    def image_tokens(self, inputs) -> list[list[int]]:
        return [[IDS["vision_start_token_id"]] + [IDS["image_token_id"]] * (int(tiles) * self.MERGED) + [IDS["vision_end_token_id"]]
                for tiles in inputs["num_patches"]]

    def model_inputs(self, ids: torch.Tensor, inputs: dict) -> dict:
        return {"pixel_values": inputs["pixel_values"]} if inputs else {}


class InternVlChat(InternVl):
    """The original layout, which transformers reads by remote code only: the same weights under the published names."""

    BLOCK = {"attention.projection_layer.": "attn.proj.", "layernorm_before.": "norm1.", "layernorm_after.": "norm2.",
             "lambda_1": "ls1", "lambda_2": "ls2"}
    NAMES = {"model.vision_tower.encoder.layer.": "vision_model.encoder.layers.",
             "model.vision_tower.embeddings.cls_token": "vision_model.embeddings.class_embedding",
             "model.vision_tower.embeddings.patch_embeddings.projection.": "vision_model.embeddings.patch_embedding.",
             "model.vision_tower.embeddings.position_embeddings": "vision_model.embeddings.position_embedding",
             "model.multi_modal_projector.layer_norm.": "mlp1.0.", "model.multi_modal_projector.linear_1.": "mlp1.1.",
             "model.multi_modal_projector.linear_2.": "mlp1.3.", "model.language_model.": "language_model.model.",
             "lm_head.": "language_model.lm_head."}
    REPORTED = {"vision_model.encoder.layers.": "visual.blocks.", "vision_model.embeddings.class_embedding": "visual.cls_token",
                "vision_model.embeddings.patch_embedding.": "visual.patch_embed.",
                "vision_model.embeddings.position_embedding": "visual.pos_embed", "mlp1.": "visual.merger.",
                "language_model.model.": "model.", "language_model.lm_head.": "lm_head."}

    def packed(self, tensors: dict) -> dict:
        result = {}
        for name, tensor in tensors.items():
            if "vision_tower" in name and ("k_proj" in name or "v_proj" in name):
                continue
            if "vision_tower" in name and "q_proj" in name:
                tensor = torch.cat([tensors[name.replace("q_proj", f"{x}_proj")] for x in "qkv"])
                name = name.replace("attention.q_proj", "attn.qkv")
            for theirs, ours in self.NAMES.items():
                if name.startswith(theirs):
                    name = ours + name[len(theirs):]
                    break
            if name.startswith("vision_model."):
                for theirs, ours in self.BLOCK.items():
                    name = name.replace(theirs, ours)
            result[name] = tensor
        return result

    def save(self, model, folder: pathlib.Path) -> None:
        folder.mkdir(parents=True)
        vision = self.options["vision_config"]
        config = {"architectures": ["InternVLChatModel"], "model_type": "internvl_chat", "downsample_ratio": 0.5, "ps_version": "v2",
                  "force_image_size": self.TILE, "min_dynamic_patch": 1, "max_dynamic_patch": 6, "dynamic_image_size": True,
                  "use_thumbnail": True, "select_layer": -1, "tie_word_embeddings": False,
                  "llm_config": {**TEXT, "architectures": ["Qwen3ForCausalLM"], "head_dim": 24, "rope_theta": 1e6},
                  "vision_config": {**{k: v for k, v in vision.items() if k not in ("attention_bias", "use_mean_pooling")},
                                    "image_size": self.TILE, "patch_size": 14, "qkv_bias": True, "hidden_act": "gelu"}}
        (folder / "config.json").write_text(json.dumps(config))
        (folder / "added_tokens.json").write_text(json.dumps({"<IMG_CONTEXT>": IDS["image_token_id"]}))
        state = {n: t.contiguous() for n, t in self.packed(dict(model.named_parameters())).items()}
        safetensors.torch.save_file(state, folder / "model.safetensors", metadata={"format": "pt"})

    def image_processor(self, folder: pathlib.Path):
        (folder / "preprocessor_config.json").write_text(json.dumps(self.preprocessor))
        processor = super().image_processor(folder)
        (folder / "preprocessor_config.json").unlink()
        return processor

    def reported(self, name: str) -> str:
        for stored, ours in self.REPORTED.items():
            if name.startswith(stored):
                return ours + name[len(stored):]
        return name

    def gradients(self, model) -> dict:
        return {self.reported(n): g for n, g in self.packed(super().gradients(model)).items()}

    def assign(self, model, values) -> None:
        parameters = dict(model.named_parameters())
        with torch.no_grad():
            for name, tensor in self.packed(parameters).items():
                value = values(self.reported(name), tensor.shape)
                if "attn.qkv" not in name:
                    tensor.copy_(value)  # a parameter itself; packed ones are copies
            for name, parameter in parameters.items():
                if "vision_tower" in name and "q_proj" in name:
                    index = name.split("layer.")[1].split(".")[0]
                    q, k, v = (parameters[name.replace("q_proj", f"{x}_proj")] for x in "qkv")
                    shape = (3 * q.shape[0], *q.shape[1:])
                    packed = values(f"visual.blocks.{index}.attn.qkv.{name.rsplit('.')[-1]}", shape)
                    for target, part in zip((q, k, v), packed.chunk(3)):
                        target.copy_(part)


INTERNVL_IMAGES = {"image_processor_type": "GotOcr2ImageProcessorFast", "size": {"height": 56, "width": 56}, "crop_to_patches": False,
                   "min_patches": 1, "max_patches": 6, "resample": 3, "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225]}
INTERNVL_VISION = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 48, "image_size": [56, 56],
                   "patch_size": [14, 14], "attention_bias": True, "use_mean_pooling": True}
INTERNVL_NAMES = {"model.vision_tower.encoder.layer.": "visual.blocks.", "model.vision_tower.embeddings.cls_token": "visual.cls_token",
                  "model.vision_tower.embeddings.patch_embeddings.projection.": "visual.patch_embed.",
                  "model.vision_tower.embeddings.position_embeddings": "visual.pos_embed",
                  "model.multi_modal_projector.": "visual.merger.", "model.language_model.": "model."}
QWEN2_VL_IMAGES = {"image_processor_type": "Qwen2VLImageProcessor", "patch_size": 14, "temporal_patch_size": 2, "merge_size": 2,
                   "min_pixels": 3136, "max_pixels": 12845056, "image_mean": [0.48145466, 0.4578275, 0.40821073],
                   "image_std": [0.26862954, 0.26130258, 0.27577711]}
QWEN_VL_NAMES = {"model.visual.": "visual.", "model.language_model.": "model."}
FAMILIES = [
    Family("Qwen2.5", "Qwen2ForCausalLM", "Qwen2Config", {**TEXT, "rope_theta": 1e4, "tie_word_embeddings": False}),
    Family("Qwen3", "Qwen3ForCausalLM", "Qwen3Config", {**TEXT, "head_dim": 24, "rope_theta": 1e6, "tie_word_embeddings": True}),
    Family("Llama", "LlamaForCausalLM", "LlamaConfig", {**TEXT, "rope_theta": 1e5, "tie_word_embeddings": True}),
    Family("Llama, attention biases", "LlamaForCausalLM", "LlamaConfig", {**TEXT, "attention_bias": True}),
    Family("Llama 2, linear scaling", "LlamaForCausalLM", "LlamaConfig", {**TEXT, "rope_scaling": {"type": "linear", "factor": 4.0}}),
    Family("Llama 3, scaled rotary", "LlamaForCausalLM", "LlamaConfig",
           {**TEXT, "rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                                                        "original_max_position_embeddings": 16}}),
    Family("Mistral", "MistralForCausalLM", "MistralConfig", {**TEXT, "sliding_window": None, "head_dim": 24}),
    InternLm2("InternLM2", "LlamaForCausalLM", "LlamaConfig", {**TEXT}),
    Family("Qwen2-VL", "Qwen2VLForConditionalGeneration", "Qwen2VLConfig",
           {**IDS, "tie_word_embeddings": False,
            "text_config": {**TEXT, "rope_theta": 1e6, "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}},
            "vision_config": {"depth": 3, "embed_dim": 32, "mlp_ratio": 2, "hidden_size": 64, "num_heads": 2, "patch_size": 14}},
           image_ids=True, renames=QWEN_VL_NAMES, preprocessor=QWEN2_VL_IMAGES),
    Family("Qwen2.5-VL", "Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLConfig",
           {**IDS, "tie_word_embeddings": True,
            "text_config": {**TEXT, "rope_theta": 1e6, "rope_scaling": {"type": "mrope", "mrope_section": [2, 3, 3]}, "tie_word_embeddings": True},
            "vision_config": {"depth": 3, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 64, "patch_size": 14,
                              "spatial_merge_size": 2, "temporal_patch_size": 2, "window_size": 56, "fullatt_block_indexes": [1],
                              "hidden_act": "silu", "in_channels": 3}},
           image_ids=True, renames=QWEN_VL_NAMES,
           preprocessor=QWEN2_VL_IMAGES),
    Family("Qwen3-VL", "Qwen3VLForConditionalGeneration", "Qwen3VLConfig",
           {**{k: v for k, v in IDS.items() if k != "vision_token_id"}, "tie_word_embeddings": True,
            "text_config": {**TEXT, "num_hidden_layers": 4, "head_dim": 24, "tie_word_embeddings": True,
                            "rope_parameters": {"rope_type": "default", "rope_theta": 5e6, "mrope_section": [4, 4, 4], "mrope_interleaved": True}},
            "vision_config": {"depth": 5, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2, "out_hidden_size": 64, "patch_size": 16,
                              "num_position_embeddings": 49, "deepstack_visual_indexes": [0, 2, 3]}},
           image_ids=True, renames=QWEN_VL_NAMES,
           preprocessor={"image_processor_type": "Qwen2VLImageProcessorFast", "patch_size": 16, "temporal_patch_size": 2, "merge_size": 2,
                         "size": {"shortest_edge": 4096, "longest_edge": 16777216}, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}),
    InternVl("InternVL, -HF layout, Qwen2.5", "InternVLForConditionalGeneration", "InternVLConfig",
             {"image_token_id": IDS["image_token_id"], "tie_word_embeddings": False,
              "text_config": {**TEXT, "model_type": "qwen2", "rope_theta": 1e6, "tie_word_embeddings": False}, "vision_config": INTERNVL_VISION},
             image_ids=True, renames=INTERNVL_NAMES, preprocessor=INTERNVL_IMAGES),
    InternVlChat("InternVL, original layout, Qwen3", "InternVLForConditionalGeneration", "InternVLConfig",
                 {"image_token_id": IDS["image_token_id"], "tie_word_embeddings": False,
                  "text_config": {**TEXT, "model_type": "qwen3", "head_dim": 24, "rope_theta": 1e6, "tie_word_embeddings": False},
                  "vision_config": INTERNVL_VISION},
                 image_ids=True, preprocessor=INTERNVL_IMAGES),
]
