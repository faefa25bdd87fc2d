"""What PyTorch users run instead of a loop: Lightning, and pipelines of Hugging Face transformers."""

import contextlib
import io
import logging
import warnings

import numpy as np
import torch


def lightning_predict(model, loader):
    """Return a contestant: ``Trainer.predict`` over a loader."""
    import lightning

    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)

    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.model = model

        def predict_step(self, batch, batch_idx):
            return self.model(batch[0]).softmax(-1)

    module = Module()

    def run(folder):
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")  # it recommends more workers
            trainer = lightning.Trainer(
                accelerator="cpu",
                devices=1,
                logger=False,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                default_root_dir=folder,
            )
            return torch.cat(trainer.predict(module, loader)).numpy()

    return run


def hugging_face_pipeline(model, dataset, batch):
    """Return a contestant: a pipeline that prepares and finishes each item alone and runs the model in batches."""
    import transformers
    from transformers.modeling_outputs import ImageClassifierOutput

    class Model(transformers.PreTrainedModel):
        config_class = transformers.PreTrainedConfig

        def __init__(self, config):
            super().__init__(config)
            self.inner = model
            self.post_init()

        def _init_weights(self, module):
            """Keep the weights: they are there already."""

        def forward(self, pixel_values):
            return ImageClassifierOutput(logits=self.inner(pixel_values))

    class Classification(transformers.Pipeline):
        def _sanitize_parameters(self, **parameters):
            return {}, {}, {}

        def preprocess(self, item):
            return {"pixel_values": item[0][None]}

        def _forward(self, inputs):
            return self.model(**inputs)

        def postprocess(self, outputs):
            return outputs.logits[0].softmax(-1).numpy()

    processor = transformers.BaseImageProcessor()  # without one, pipelines take no batches
    pipeline = Classification(Model(transformers.PreTrainedConfig()).eval(), image_processor=processor, device=-1)

    def run(folder):
        return np.stack(list(pipeline(dataset, batch_size=batch, num_workers=0)))

    return run
