"""SLDA: streaming linear discriminant analysis on the pretrained embedding.

Hayes and Kanan, CVPR workshops 2020, arXiv 1909.01520.

    score = e^T Sigma'^-1 mu_c - mu_c^T Sigma'^-1 mu_c / 2        Sigma' = (1 - s) Sigma + s t I      (eq. 2 - 4)

Sigma is the covariance within classes of all support clips so far. Different from the paper, which shrinks by s = 1e-4
to the identity (`shrinkage: 1e-4, target: identity`): with five shots this Sigma has a rank far below its size, and
s = 1e-4 loses to the class means alone. So t is the mean variance, and s is chosen by leave-one-out.
"""

from trainables.learners.discriminant_learner import DiscriminantLearner, DiscriminantSettings


class SLDASettings(DiscriminantSettings):
    """Settings of SLDA."""


class SLDA(DiscriminantLearner):
    """Linear discriminant analysis of e(x) = mean LN(P(x))."""

    name = "slda"
    version = 1
    summary = "class means and one shrunk covariance of the frozen embedding"
    paper = "Hayes and Kanan 2020, arXiv 1909.01520"
    Settings = SLDASettings
    published = {"shrinkage": 1e-4, "target": "identity"}
