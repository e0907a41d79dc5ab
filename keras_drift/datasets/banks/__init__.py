"""Memory banks of a stream of samples, and the batches drawn from them."""
