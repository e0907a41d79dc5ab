"""Samples that follow a drift themselves, without a generator."""

from keras_drift.flows.particle_flow import ParticleFlow

__all__ = ["ParticleFlow"]
