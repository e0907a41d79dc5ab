"""Rematerialization on TensorFlow, of a network on parts of a batch."""

import keras
import tensorflow as tf


class RecomputedParts:
    """A function of parts of a batch, with the memory of one part.

    `tf.recompute_grad` loses the gradients of enclosed tensors, and a
    `tf.while_loop` keeps what the gradient of each iteration needs. Here, the
    gradient is a second loop, which calls the function again.

    Args:
        function: callable from a part, a nest of tensors, to a nest of tensors.
        network: the `keras.Model` whose variables it reads.
        scan: `keras_drift.backend.scan`.
    """

    def __init__(self, function, network, scan):
        self._function = function
        self._scan = scan
        self._trained = list(network.trainable_variables)
        ids = set(map(id, self._trained))
        self._frozen = [v for v in network.variables if id(v) not in ids]

    def __call__(self, parts):
        """Applies the function to the slices along the first axes."""
        # As tensors: `custom_gradient` must be given all that it has gradients
        # for, and may read no variable that can be trained.
        trained, frozen = (
            [tf.convert_to_tensor(v.value) for v in variables]
            for variables in (self._trained, self._frozen)
        )
        flat, structure = keras.tree.flatten(parts), []

        @tf.custom_gradient
        def in_sequence(*tensors):
            inputs = list(tensors[: len(flat)])
            weights = list(tensors[len(flat) :])
            inputs = keras.tree.pack_sequence_as(parts, inputs)
            _, results = self._scan(
                lambda index, carry, part: (carry, self._call(part, weights)),
                (),
                inputs,
                static_first=False,
            )
            structure.append(results)

            def gradient(*upstream):
                # Else TensorFlow computes the first part again at once, and
                # keeps its activations until the gradients are there.
                with tf.control_dependencies(upstream):
                    again = [tf.identity(x) for x in tensors[: len(flat)]]
                again = keras.tree.pack_sequence_as(parts, again)
                return self._gradients(again, weights, list(upstream))

            return keras.tree.flatten(results), gradient

        results = in_sequence(*flat, *trained, *frozen)
        return keras.tree.pack_sequence_as(structure[0], list(results))

    def _call(self, part, weights):
        variables = [*self._trained, *self._frozen]
        mapping = list(zip(variables, weights, strict=True))
        with keras.StatelessScope(state_mapping=mapping):
            return self._function(part)

    def _gradients(self, inputs, weights, upstream):
        """The gradients of all arguments of `custom_gradient`."""

        def backward(index, sums, part_and_upstream):
            del index
            of_inputs, of_weights = self._part_gradients(
                *part_and_upstream, weights
            )
            sums = [s + g for s, g in zip(sums, of_weights, strict=True)]
            return sums, of_inputs

        zeros = [tf.zeros_like(w) for w in weights[: len(self._trained)]]
        sums, of_inputs = self._scan(
            backward, zeros, (inputs, upstream), static_first=False
        )
        of_inputs = iter(of_inputs)
        return [
            *(
                next(of_inputs) if x.dtype.is_floating else None
                for x in keras.tree.flatten(inputs)
            ),
            *sums,
            *[None] * len(self._frozen),
        ]

    def _part_gradients(self, part, upstream, weights):
        """Gradients for the inputs that are floats, and for the weights."""
        inputs = [x for x in keras.tree.flatten(part) if x.dtype.is_floating]
        sources = [inputs, weights[: len(self._trained)]]
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(sources)
            results = keras.tree.flatten(self._call(part, weights))
        return tape.gradient(
            results,
            sources,
            output_gradients=upstream,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
