"""Decide whether a hand-derived gradient is right."""

from gdjax.verification.report import Branch, Component, Finding, Input, Report, VerificationError

__all__ = ["Branch", "Component", "Finding", "Input", "Report", "VerificationError"]
