"""Classical models, trained on small data with fixed seeds and converted to ONNX.

A maker gives an ONNX model and the examples that it is run on.
"""

import warnings

import numpy as np
from onnx import helper
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as ToolsFloats
from skl2onnx import to_onnx
from sklearn import (
    cluster,
    compose,
    decomposition,
    discriminant_analysis,
    ensemble,
    gaussian_process,
    impute,
    linear_model,
    mixture,
    multiclass,
    naive_bayes,
    neighbors,
    neural_network,
    pipeline,
    preprocessing,
    svm,
    tree,
)
from sklearn.datasets import make_classification, make_regression

warnings.filterwarnings("ignore")


def plain(make):
    """skl2onnx gives arrays and truth values as attributes, which onnx takes no longer."""

    def made(key, value, *more, **options):
        value = value.tolist() if isinstance(value, np.ndarray) else value
        if isinstance(value, (list, tuple)):
            value = [int(item) if isinstance(item, (bool, np.bool_)) else item for item in value]
        return make(key, value, *more, **options)

    return made


helper.make_attribute = plain(helper.make_attribute)
ROWS = 16
OPSETS = {"": 17, "ai.onnx.ml": 3}


def classes(count, features=8):
    x, y = make_classification(
        400, features, n_informative=6, n_redundant=0, n_classes=count, random_state=count
    )
    return x.astype(np.float32), y


def numbers(targets=1):
    x, y = make_regression(400, 8, n_informative=6, n_targets=targets, noise=3.0, random_state=targets)
    return x.astype(np.float32), y / 50


def gaps(x):
    """Some numbers are missing."""
    x = x.copy()
    x[np.random.default_rng(1).random(x.shape) < 0.15] = np.nan
    return x


def sklearn(model, data, prepare=lambda x: x, names=None, **options):
    def make():
        x, y = data
        x = prepare(x)
        fitted = model.fit(x, y if names is None else np.array(names)[y])
        return to_onnx(fitted, x[:1], target_opset=OPSETS, **options), x[:ROWS]

    return make


def lightgbm(name, data, prepare=lambda x: x, **parameters):
    def make():
        import lightgbm

        x, y = data
        x = prepare(x)
        settings = {"n_estimators": 30, "num_leaves": 15, "verbose": -1, "random_state": 1, **parameters}
        model = getattr(lightgbm, name)(**settings)
        model.fit(x, y)
        kind = [("x", ToolsFloats([None, x.shape[1]]))]
        return convert_lightgbm(model, initial_types=kind, target_opset=15), x[:ROWS]

    return make


def xgboost(name, data, prepare=lambda x: x, **parameters):
    def make():
        import xgboost

        x, y = data
        x = prepare(x)
        settings = {"n_estimators": 30, "max_depth": 4, "random_state": 1, **parameters}
        model = getattr(xgboost, name)(**settings)
        model.fit(x, y)
        kind = [("x", ToolsFloats([None, x.shape[1]]))]
        return convert_xgboost(model, initial_types=kind, target_opset=15), x[:ROWS]

    return make


def pipe(*steps):
    return pipeline.make_pipeline(*steps)


TWO, THREE, FIVE, ONE, MANY = classes(2), classes(3), classes(5), numbers(), numbers(3)
COUNTS = np.abs(THREE[0]).round(), THREE[1]
CATEGORIES = (np.random.default_rng(2).integers(0, 5, (400, 3)).astype(np.int64), TWO[1])
NAMES = ["ash", "beech", "cedar"]
FOREST = {"n_estimators": 40, "max_depth": 8, "random_state": 1}
mixed = compose.ColumnTransformer(
    [("scaled", preprocessing.StandardScaler(), [0, 1, 2]), ("limited", preprocessing.MinMaxScaler(), [3, 4])]
)

MODELS = {
    "LinearRegression": sklearn(linear_model.LinearRegression(), ONE),
    "LinearRegression, 3 targets": sklearn(linear_model.LinearRegression(), MANY),
    "Ridge": sklearn(linear_model.Ridge(), ONE),
    "Lasso": sklearn(linear_model.Lasso(0.1), ONE),
    "ElasticNet": sklearn(linear_model.ElasticNet(0.1), ONE),
    "BayesianRidge": sklearn(linear_model.BayesianRidge(), ONE),
    "PoissonRegressor": sklearn(linear_model.PoissonRegressor(), (ONE[0], np.abs(ONE[1]))),
    "LogisticRegression": sklearn(linear_model.LogisticRegression(), TWO),
    "LogisticRegression, 3 classes": sklearn(linear_model.LogisticRegression(), THREE),
    "LogisticRegression, names": sklearn(linear_model.LogisticRegression(), THREE, names=NAMES),
    "LogisticRegression, no ZipMap": sklearn(linear_model.LogisticRegression(), THREE, options={"zipmap": False}),
    "RidgeClassifier": sklearn(linear_model.RidgeClassifier(), THREE),
    "SGDClassifier": sklearn(linear_model.SGDClassifier(loss="log_loss", random_state=1), THREE),
    "Perceptron": sklearn(linear_model.Perceptron(random_state=1), TWO),
    "LinearSVC": sklearn(svm.LinearSVC(), THREE),
    "SVC, rbf": sklearn(svm.SVC(), TWO),
    "SVC, rbf, 3 classes": sklearn(svm.SVC(), THREE),
    "SVC, probabilities": sklearn(svm.SVC(probability=True, random_state=1), THREE),
    "SVC, polynomial": sklearn(svm.SVC(kernel="poly"), TWO),
    "SVC, sigmoid": sklearn(svm.SVC(kernel="sigmoid"), TWO),
    "NuSVC": sklearn(svm.NuSVC(nu=0.3), TWO),
    "SVR": sklearn(svm.SVR(), ONE),
    "SVR, linear": sklearn(svm.SVR(kernel="linear"), ONE),
    "NuSVR": sklearn(svm.NuSVR(), ONE),
    "OneClassSVM": sklearn(svm.OneClassSVM(), ONE),
    "DecisionTreeClassifier": sklearn(tree.DecisionTreeClassifier(max_depth=6), THREE),
    "DecisionTreeRegressor": sklearn(tree.DecisionTreeRegressor(max_depth=6), ONE),
    "DecisionTreeRegressor, 3 targets": sklearn(tree.DecisionTreeRegressor(max_depth=6), MANY),
    "ExtraTreeClassifier": sklearn(tree.ExtraTreeClassifier(max_depth=6, random_state=1), THREE),
    "RandomForestClassifier": sklearn(ensemble.RandomForestClassifier(**FOREST), TWO),
    "RandomForestClassifier, 5 classes": sklearn(ensemble.RandomForestClassifier(**FOREST), FIVE),
    "RandomForestClassifier, names": sklearn(ensemble.RandomForestClassifier(**FOREST), THREE, names=NAMES),
    "RandomForestRegressor": sklearn(ensemble.RandomForestRegressor(**FOREST), ONE),
    "RandomForestRegressor, 3 targets": sklearn(ensemble.RandomForestRegressor(**FOREST), MANY),
    "ExtraTreesClassifier": sklearn(ensemble.ExtraTreesClassifier(**FOREST), THREE),
    "ExtraTreesRegressor": sklearn(ensemble.ExtraTreesRegressor(**FOREST), ONE),
    "GradientBoostingClassifier": sklearn(ensemble.GradientBoostingClassifier(n_estimators=30), TWO),
    "GradientBoostingClassifier, 3 classes": sklearn(ensemble.GradientBoostingClassifier(n_estimators=30), THREE),
    "GradientBoostingRegressor": sklearn(ensemble.GradientBoostingRegressor(n_estimators=30), ONE),
    "HistGradientBoostingClassifier": sklearn(ensemble.HistGradientBoostingClassifier(max_iter=30), TWO, gaps),
    "HistGradientBoostingClassifier, 3 classes": sklearn(
        ensemble.HistGradientBoostingClassifier(max_iter=30), THREE
    ),
    "HistGradientBoostingRegressor": sklearn(ensemble.HistGradientBoostingRegressor(max_iter=30), ONE, gaps),
    "AdaBoostClassifier": sklearn(ensemble.AdaBoostClassifier(n_estimators=10, random_state=1), THREE),
    "AdaBoostRegressor": sklearn(ensemble.AdaBoostRegressor(n_estimators=10, random_state=1), ONE),
    "BaggingClassifier": sklearn(ensemble.BaggingClassifier(n_estimators=5, random_state=1), THREE),
    "VotingClassifier": sklearn(
        ensemble.VotingClassifier(
            [("tree", tree.DecisionTreeClassifier(max_depth=4)), ("line", linear_model.LogisticRegression())],
            voting="soft",
            flatten_transform=False,
        ),
        THREE,
    ),
    "StackingRegressor": sklearn(
        ensemble.StackingRegressor([("tree", tree.DecisionTreeRegressor(max_depth=4)), ("ridge", linear_model.Ridge())]),
        ONE,
    ),
    "IsolationForest": sklearn(ensemble.IsolationForest(n_estimators=20, random_state=1), ONE),
    "OneVsRestClassifier": sklearn(multiclass.OneVsRestClassifier(linear_model.LogisticRegression()), THREE),
    "KMeans": sklearn(cluster.KMeans(5, random_state=1, n_init=3), THREE),
    "MiniBatchKMeans": sklearn(cluster.MiniBatchKMeans(5, random_state=1, n_init=3), THREE),
    "KNeighborsClassifier": sklearn(neighbors.KNeighborsClassifier(), THREE),
    "KNeighborsRegressor": sklearn(neighbors.KNeighborsRegressor(), ONE),
    "GaussianNB": sklearn(naive_bayes.GaussianNB(), THREE),
    "MultinomialNB": sklearn(naive_bayes.MultinomialNB(), COUNTS),
    "BernoulliNB": sklearn(naive_bayes.BernoulliNB(), THREE),
    "ComplementNB": sklearn(naive_bayes.ComplementNB(), COUNTS),
    "LinearDiscriminantAnalysis": sklearn(discriminant_analysis.LinearDiscriminantAnalysis(), THREE),
    "QuadraticDiscriminantAnalysis": sklearn(discriminant_analysis.QuadraticDiscriminantAnalysis(), THREE),
    "MLPClassifier": sklearn(neural_network.MLPClassifier((20, 10), max_iter=100, random_state=1), THREE),
    "MLPRegressor": sklearn(neural_network.MLPRegressor(hidden_layer_sizes=(20, 10), max_iter=100, random_state=1), ONE),
    "GaussianProcessRegressor": sklearn(gaussian_process.GaussianProcessRegressor(alpha=1.0), ONE),
    "GaussianMixture": sklearn(mixture.GaussianMixture(3, random_state=1), THREE),
    "PCA": sklearn(decomposition.PCA(4), THREE),
    "TruncatedSVD": sklearn(decomposition.TruncatedSVD(4, random_state=1), THREE),
    "KernelPCA": sklearn(decomposition.KernelPCA(3, kernel="rbf"), THREE),
    "StandardScaler, LogisticRegression": sklearn(
        pipe(preprocessing.StandardScaler(), linear_model.LogisticRegression()), TWO
    ),
    "MinMaxScaler, SVC": sklearn(pipe(preprocessing.MinMaxScaler(), svm.SVC()), TWO),
    "MaxAbsScaler, Ridge": sklearn(pipe(preprocessing.MaxAbsScaler(), linear_model.Ridge()), ONE),
    "RobustScaler, Ridge": sklearn(pipe(preprocessing.RobustScaler(), linear_model.Ridge()), ONE),
    "Normalizer, KNeighborsClassifier": sklearn(
        pipe(preprocessing.Normalizer(), neighbors.KNeighborsClassifier()), THREE
    ),
    "Binarizer, BernoulliNB": sklearn(pipe(preprocessing.Binarizer(), naive_bayes.BernoulliNB()), THREE),
    "SimpleImputer, RandomForestClassifier": sklearn(
        pipe(impute.SimpleImputer(), ensemble.RandomForestClassifier(**FOREST)), TWO, gaps
    ),
    "OneHotEncoder, LogisticRegression": sklearn(
        pipe(preprocessing.OneHotEncoder(), linear_model.LogisticRegression()), CATEGORIES
    ),
    "OrdinalEncoder, DecisionTreeClassifier": sklearn(
        pipe(preprocessing.OrdinalEncoder(), tree.DecisionTreeClassifier(max_depth=4)), CATEGORIES
    ),
    "PolynomialFeatures, Ridge": sklearn(pipe(preprocessing.PolynomialFeatures(2), linear_model.Ridge()), ONE),
    "KBinsDiscretizer, Ridge": sklearn(
        pipe(preprocessing.KBinsDiscretizer(4, encode="onehot-dense"), linear_model.Ridge()), ONE
    ),
    "PowerTransformer, Ridge": sklearn(pipe(preprocessing.PowerTransformer(), linear_model.Ridge()), ONE),
    "PCA, LogisticRegression": sklearn(pipe(decomposition.PCA(4), linear_model.LogisticRegression()), THREE),
    "ColumnTransformer, LogisticRegression": sklearn(pipe(mixed, linear_model.LogisticRegression()), TWO),
    "LightGBM": lightgbm("LGBMRegressor", ONE),
    "LightGBM, missing": lightgbm("LGBMRegressor", ONE, gaps),
    "LightGBM, 2 classes": lightgbm("LGBMClassifier", TWO),
    "LightGBM, 5 classes": lightgbm("LGBMClassifier", FIVE),
    "LightGBM, random forest": lightgbm("LGBMRegressor", ONE, boosting_type="rf", bagging_freq=1, bagging_fraction=0.6),
    "XGBoost": xgboost("XGBRegressor", ONE),
    "XGBoost, missing": xgboost("XGBRegressor", ONE, gaps),
    "XGBoost, 2 classes": xgboost("XGBClassifier", TWO),
    "XGBoost, 5 classes": xgboost("XGBClassifier", FIVE),
    "XGBoost, random forest": xgboost("XGBRFRegressor", ONE),
}
