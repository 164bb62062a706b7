"""Ridge regression on features, in closed form, with its answers to patients left out."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from penlight.models.axes import STRENGTHS, WORSE, Floats, Rows, Turned, parts_of, summed, times
from penlight.models.feature_classifiers import rows_of_several


@dataclass(frozen=True)
class Ridge:
    """Ridge regression of indicators `y` (N, C), whose rows count by `weight` (N,). Rows of `turned` and `target` are
    multiplied by `root`, the roots of their weights; `blocks` are the rows of patients with several images."""

    turned: Turned
    y: NDArray[np.uint8]
    root: Floats
    target: Floats
    blocks: list[Rows]

    @classmethod
    def of(cls, z: NDArray[np.floating], y: NDArray[np.uint8], weight: Floats, patients: Rows) -> "Ridge":
        """Prepare a regression on features (N, F) of images of `patients` (N,)."""
        # What does not count is answered too, by a weight that changes nothing.
        root = np.sqrt(np.maximum(weight, 1e-9))[:, None]
        turned = Turned.of(z, root[:, 0] ** 2)
        for part, own in zip(parts_of(turned.z), parts_of(root.astype(np.float32)), strict=True):
            part *= own
        # Without the only patient nothing is left to learn from.
        several = rows_of_several(patients) if np.ptp(patients) else []
        return cls(turned, y, root, root * (y - np.average(y, axis=0, weights=root[:, 0] ** 2)), several)

    def choose(self) -> float:
        """Choose the strength whose answers to patients left out have the least squared error."""
        errors: list[float] = []
        for strength in STRENGTHS:
            errors.append(float((self._left_out(strength) ** 2).sum()))
            if len(errors) - 1 - int(np.argmin(errors)) >= WORSE:
                break
        return STRENGTHS[int(np.argmin(errors))]

    def fit(self, strength: float) -> tuple[Floats, Floats, Floats]:
        """Give weights (F, C) and biases (C,) of features, and the answers (N, C) to patients left out."""
        mean = np.average(self.y, axis=0, weights=self.root[:, 0] ** 2)
        weights, bias = self.turned.of_features((self._weights(strength), mean))
        return weights, bias, self.y - self._left_out(strength) / self.root

    def _shrunk(self, strength: float) -> Floats:
        return np.asarray(1 / (self.turned.variance * (self.root**2).sum() + 1 / strength))

    def _weights(self, strength: float) -> Floats:
        return summed(self.turned.z, self.target) * self._shrunk(strength)[:, None]

    def _left_out(self, strength: float) -> Floats:
        """Give the residuals (N, C) when the patient is left out: those of the fit, by the inverse of one less its
        block of the hat matrix (Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, 5.4.2).

        The means of `y` are those of all rows: without a row its own label could be told from them.
        """
        z, shrunk = self.turned.z, self._shrunk(strength)
        rest = self.target - times(z, self._weights(strength))
        out: Floats = rest / (1 - np.concatenate([part**2 @ shrunk for part in parts_of(z)]))[:, None]
        for rows in self.blocks:
            own = z[rows].astype(np.float64)
            if len(rows) <= len(shrunk):
                out[rows] = np.linalg.solve(np.eye(len(rows)) - own * shrunk @ own.T, rest[rows])
            else:
                within = np.linalg.solve(np.diag(1 / shrunk) - own.T @ own, own.T @ rest[rows])
                out[rows] = rest[rows] + own @ within
        return out
