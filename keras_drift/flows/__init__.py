"""Particle flows: simulations of a drift without a generator."""

from keras_drift.flows.particle_flow import ParticleFlow

__all__ = ["ParticleFlow"]
