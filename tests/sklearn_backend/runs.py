"""The data, estimators and runs that the tests of scikit-learn share."""

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from probly.data_generator import FirstOrderDataGenerator

X, Y = load_iris(return_X_y=True)
SPECIES = np.array(["setosa", "versicolor", "virginica"])[Y]
DECISIONS = {"options": {"scores": "decision_function"}, "output_mode": "logits"}

CLASSIFIERS = {
    "linear": LogisticRegression(max_iter=500),
    "pipeline": make_pipeline(StandardScaler(), LogisticRegression()),
    "search": GridSearchCV(DecisionTreeClassifier(random_state=0), {"max_depth": [1, 2]}, cv=3),
    "search in a pipeline": make_pipeline(
        StandardScaler(), GridSearchCV(GaussianNB(), {"var_smoothing": [1e-9, 1e-3]})
    ),
    "calibrated": CalibratedClassifierCV(LinearSVC(), cv=3),
    "frozen and calibrated": CalibratedClassifierCV(FrozenEstimator(RidgeClassifier().fit(X, SPECIES))),
    "forest": RandomForestClassifier(10, random_state=0, n_jobs=2),
    "boosting": HistGradientBoostingClassifier(max_iter=5),
    "neighbours": KNeighborsClassifier(),
    "vote": VotingClassifier([("a", GaussianNB()), ("b", DecisionTreeClassifier())], voting="soft"),
    "network": MLPClassifier(8, solver="lbfgs", max_iter=2000, alpha=1.0, random_state=0),
    "one against the rest": OneVsRestClassifier(GaussianNB()),
}


def run(model, data=(X, SPECIES), **options):
    """Return the distributions of one run."""
    options = {"batch_size": 32, "backend": "sklearn", **options}
    return FirstOrderDataGenerator(model, **options).generate_distributions(data, progress=False)
