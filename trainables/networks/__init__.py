"""Backbones, front ends and heads."""
