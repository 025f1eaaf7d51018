"""Train each network to its own convergence, or take the weights of an earlier run."""

from __future__ import annotations

from pathlib import Path

import keras
import tensorflow as tf

from demo_data import SEED, Digits, Preprocess
from demo_networks import Network

MAX_EPOCHS = 800
BATCH = 32


def make_repeatable() -> None:
    """Fix seeds and ask TensorFlow for deterministic kernels."""
    keras.utils.set_random_seed(SEED)
    tf.config.experimental.enable_op_determinism()


def trained(network: Network, digits: Digits, weights_folder: Path) -> keras.Model:
    """Return the trained model; weights are kept as `<name>.weights.h5` and reused if there."""
    keras.utils.set_random_seed(SEED)  # so that one network does not depend on those before it
    model = network.model()
    path = weights_folder / f"{network.name}.weights.h5"
    if path.exists():
        model.load_weights(path)
    else:
        _fit(model, network, digits)
        model.save_weights(path)
    return model


def _fit(model: keras.Model, network: Network, digits: Digits) -> None:
    prepare = Preprocess((network.side, network.side)).apply
    model.compile(
        optimizer=keras.optimizers.Adam(network.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    history = model.fit(
        prepare(digits.train_images),
        digits.train_labels,
        validation_data=(prepare(digits.validation_images), digits.validation_labels),
        epochs=MAX_EPOCHS,
        batch_size=BATCH,
        verbose=0,
        callbacks=[
            keras.callbacks.ReduceLROnPlateau(
                "val_loss", factor=0.5, patience=network.patience // 3, min_lr=1e-5
            ),
            keras.callbacks.EarlyStopping(
                "val_loss", patience=network.patience, restore_best_weights=True
            ),
        ],
    ).history
    losses = history["val_loss"]
    print(f"  {network.name}: {len(losses)} epochs, validation loss {min(losses):.4f}", flush=True)
