"""The parameters of a released generator, by the text of its release."""


def released_shapes(config):
    """`{path: shape}` of all parameters, written down one after the other."""
    cond, width = config["cond_dim"], config["hidden_size"]
    patch = config["patch_size"] ** 2
    shapes = {"Embed_0/embedding": (config["num_classes"], cond)}
    if config["noise_classes"]:
        for k in range(config["noise_coords"]):
            table = (config["noise_classes"], cond)
            shapes[f"noise_embeds_{k}/embedding"] = table
    shapes |= dense("TimestepEmbedder_0/TorchLinear_0", 256, cond)
    shapes |= dense("TimestepEmbedder_0/TorchLinear_1", cond, cond)
    shapes["RMSNorm_0/weight"] = (cond,)
    network = dense("TorchLinear_0", patch * config["in_channels"], width)
    tokens = (config["input_size"] // config["patch_size"]) ** 2
    network["pos_embed"] = (1, tokens, width)
    if config["n_cls_tokens"]:
        network |= dense("TorchLinear_1", cond, width)
        network["cls_embed"] = (1, config["n_cls_tokens"], width)
    for i in range(config["depth"]):
        network |= within(f"blocks_{i}", block(config))
    last = dense("TorchLinear_0", cond, 2 * width)
    last |= dense("TorchLinear_1", width, patch * config["out_channels"])
    if config["use_rmsnorm"]:
        last["RMSNorm_0/weight"] = (width,)
    network |= within("FinalLayer_0", last)
    return shapes | within("LightningDiT_0", network)


def block(config):
    width = config["hidden_size"]
    shapes = dense("TorchLinear_0", config["cond_dim"], 6 * width)
    shapes |= dense("Attention_0/TorchLinear_0", width, 3 * width)
    shapes |= dense("Attention_0/TorchLinear_1", width, width)
    if config["use_rmsnorm"]:
        shapes |= {f"RMSNorm_{i}/weight": (width,) for i in (0, 1)}
    if config["use_qknorm"]:
        names = ("weight",) if config["use_rmsnorm"] else ("scale", "bias")
        head = (width // config["num_heads"],)
        for name in names:
            shapes |= {f"Attention_0/{x}_norm/{name}": head for x in "qk"}
    hidden = int(width * config["mlp_ratio"])
    if not config["use_swiglu"]:
        shapes |= dense("StandardMLP_0/TorchLinear_0", width, hidden)
        return shapes | dense("StandardMLP_0/TorchLinear_1", hidden, width)
    hidden = (int(2 / 3 * hidden) + 31) // 32 * 32
    for i in (0, 1):
        shapes |= dense(f"SwiGLUFFN_0/TorchLinear_{i}", width, hidden)
    return shapes | dense("SwiGLUFFN_0/TorchLinear_2", hidden, width)


def dense(name, inputs, outputs):
    return within(
        f"{name}/Dense_0", {"kernel": (inputs, outputs), "bias": (outputs,)}
    )


def within(name, shapes):
    return {f"{name}/{path}": shape for path, shape in shapes.items()}
