"""Reads published weights of other libraries."""
