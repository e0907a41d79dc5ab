"""The command `keras-drift`.

Beside the package `keras_drift` and not in it: importing that imports Keras,
which fails where its backend is missing, and the command helps there.
"""
