"""Floor 5. The papers' ideas as tools: curvature of the loss along the input."""

from .curvature import Curvature, curvature, linearity_error, power_iteration, top_eigenvalue

__all__ = ["Curvature", "curvature", "linearity_error", "power_iteration", "top_eigenvalue"]
