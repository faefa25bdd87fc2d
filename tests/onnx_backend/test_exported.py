"""Models that were exported from scikit-learn and torch agree with them."""

import numpy as np
import onnxruntime
import pytest

from probly.data_generator import FirstOrderDataGenerator
from tests.conftest import BACKENDS
from tests.onnx_backend.runs import check, refused, run

if "sklearn" in BACKENDS:
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.datasets import load_iris
    from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    FLOWERS, SPECIES = load_iris(return_X_y=True)
    FLOWERS = FLOWERS.astype(np.float32)
    NAMES = np.array(["setosa", "virginica", "versicolor"])[SPECIES]  # not in the order of their numbers
    CLASSIFIERS = [
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=500)),
        RandomForestClassifier(5, random_state=0),
        GradientBoostingClassifier(n_estimators=3, random_state=0),
        GaussianNB(),
        KNeighborsClassifier(),
        CalibratedClassifierCV(GaussianNB(), cv=3),
    ]

    @pytest.mark.filterwarnings("ignore::DeprecationWarning:skl2onnx", "ignore::DeprecationWarning:onnx")
    @pytest.mark.parametrize("maps", [True, False], ids=["zipmap", "arrays"])
    @pytest.mark.parametrize(
        "labels", [NAMES, SPECIES * 10 - 10, (SPECIES > 0).astype(np.int64)], ids=["text", "numbers", "two"]
    )
    @pytest.mark.parametrize("classifier", CLASSIFIERS, ids=lambda classifier: type(classifier).__name__)
    def test_exported_scikit_learn_models_agree_with_scikit_learn(classifier, labels, maps, tmp_path):
        from skl2onnx import to_onnx

        classifier.fit(FLOWERS, labels)
        path = tmp_path / "model.onnx"
        path.write_bytes(to_onnx(classifier, FLOWERS[:1], options={"zipmap": maps}).SerializeToString())
        for model in (path, onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])):
            distributions = run(model, (FLOWERS, SPECIES))
            check(distributions, classifier.predict_proba(FLOWERS), 1e-5)
            assert distributions.class_names == [str(name) for name in classifier.classes_]
            assert distributions.meta["output_mode"] == "probs"

    def test_an_output_per_class_is_a_column_or_is_stacked_by_the_user():
        from skl2onnx import to_onnx

        classifier = CLASSIFIERS[0].fit(FLOWERS, SPECIES)
        model = to_onnx(classifier, FLOWERS[:1], options={"zipmap": "columns"})
        check(run(model, FLOWERS), classifier.predict_proba(FLOWERS), 1e-5)

        def stack(outputs):
            return np.stack([outputs[name] for name in outputs if name != "output_label"], axis=1)

        check(run(model, FLOWERS, output_transform=stack), classifier.predict_proba(FLOWERS), 1e-5)

    def test_a_table_with_a_column_per_input_goes_in_by_name():
        import pandas as pd
        import pyarrow as pa
        from skl2onnx import to_onnx
        from skl2onnx.common.data_types import FloatTensorType
        from sklearn.compose import ColumnTransformer

        table = pd.DataFrame(FLOWERS, columns=list("abcd"))
        scaled = ColumnTransformer([("scaled", StandardScaler(), list("abcd"))])
        classifier = make_pipeline(scaled, LogisticRegression(max_iter=500)).fit(table, SPECIES)
        types = [(name, FloatTensorType([None, 1])) for name in "abcd"]
        model = to_onnx(classifier, initial_types=types, options={"zipmap": False})
        expected = classifier.predict_proba(table)
        check(run(model, table), expected, 1e-5)
        check(run(model, table[list("dcba")]), expected, 1e-5)
        check(run(model, pa.table({name: table[name] for name in "cdba"})), expected, 1e-5)
        refused(ValueError, "missing 'a'", model, table[list("bcd")])
        assert FirstOrderDataGenerator(model, backend="onnx").loaded_model.feature_names == list("abcd")


if "torch" in BACKENDS:
    import torch

    class ConvNet(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.features = torch.nn.Sequential(
                torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU(), torch.nn.MaxPool2d(2)
            )
            self.head = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Dropout(0.5), torch.nn.Linear(8 * 3 * 3, 4))

        def forward(self, images):
            return self.head(self.features(images))

    @pytest.mark.filterwarnings("ignore:::torch", "ignore:::onnxscript", "ignore:::copyreg")
    @pytest.mark.parametrize("rows", ["any", "fixed"])
    def test_an_exported_torch_cnn_agrees_with_the_torch_backend(rows, tmp_path):
        torch.manual_seed(0)
        network = ConvNet()
        network(torch.randn(64, 3, 8, 8))  # so that the batch statistics are not the initial ones
        network.eval()
        dynamic = {"dynamic_shapes": ({0: torch.export.Dim("N")},)} if rows == "any" else {}
        path = tmp_path / "network.onnx"
        example = torch.randn(5, 3, 8, 8)
        torch.onnx.export(network, (example,), path, dynamo=True, external_data=True, verbose=False, **dynamic)
        dataset = torch.utils.data.TensorDataset(torch.randn(70, 3, 8, 8), torch.arange(70) % 4)
        theirs = FirstOrderDataGenerator(network, batch_size=16).generate_distributions(dataset, progress=False)
        ours = run(path, dataset)
        check(ours, theirs.probabilities, 1e-5)
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        loader = torch.utils.data.DataLoader(dataset, batch_size=16, shuffle=True)
        check(run(path, loader), theirs.probabilities, 1e-5)
