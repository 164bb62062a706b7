"""Runs sent to an experiment tracker: MLflow or TensorBoard.

Only where the user asks for it. A tracker that fails is a warning: the run and its folder stay what they are without.
"""
