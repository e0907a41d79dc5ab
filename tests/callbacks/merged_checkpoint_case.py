"""What any backend reads of a merged checkpoint: `sharded_checkpoint_test`."""

import json
import sys

import keras

import keras_drift as kd


def main():
    model = kd.DriftModel(kd.generators.MLP(2, hidden_dims=(16, 16)), seed=0)
    model.compile(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9))
    epoch = kd.callbacks.TrainingCheckpoint(sys.argv[1]).restore(model)
    variables = [*model.variables, *model.optimizer.variables]
    values = [keras.ops.convert_to_numpy(v).tolist() for v in variables]
    print(json.dumps({"epoch": epoch, "values": values}))


if __name__ == "__main__":
    main()
