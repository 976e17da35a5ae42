"""Evaluation for a while: what happens inside, and that every module gets its own mode back."""

from __future__ import annotations

import numpy as np
import pytest

from portml import nn
from portml.errors import RangeError
from portml.nn.evaluation_mode import evaluating

TOKENS = np.asarray([[1, 2, 3], [4, 2, 0]])
CLASSIFIERS = [nn.models.RecurrentClassifier, nn.models.TransformerClassifier]


def test_inside_nothing_is_recorded_and_every_part_evaluates(backend):
    model = nn.Sequential(nn.Dropout(0.5, rng=0), nn.Linear(3, 2, rng=0, backend=backend))
    with evaluating(model):
        assert not any(module.training for module in model.modules())
        assert not hasattr(model(backend.full((1, 3), 1.0)), "requires_grad")
    assert all(module.training for module in model.modules())


def test_modes_come_back_after_an_error_too():
    model = nn.Sequential(nn.Dropout(0.5, rng=0), nn.Tanh())
    model[1].eval()
    with pytest.raises(KeyError), evaluating(model):
        raise KeyError
    assert [module.training for module in model.modules()] == [True, True, False]


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_probabilities_leave_frozen_parts_in_evaluation(backend, kind):
    model = kind(9, rng=0, backend=backend)
    model.embedding.eval()
    model.predict_proba(backend.asarray(TOKENS))
    assert (model.training, model.embedding.training, model.dropout.training) == (True, False, True)


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_symbol_that_is_refused_leaves_the_model_in_training(kind):
    model = kind(9, rng=0, backend="numpy")
    with pytest.raises(RangeError, match="got 13"):
        model.predict_proba(TOKENS + 9)
    assert all(module.training for module in model.modules())


@pytest.mark.parametrize("use", ["stream", "beam"])
def test_writing_leaves_frozen_parts_in_evaluation(backend, use):
    model = nn.models.GPT(9, 8, dim=8, n_heads=2, n_layers=1, rng=0, backend=backend)
    model.blocks[0].eval()
    if use == "stream":
        list(model.stream([1], 2, rng=0))
    else:
        model.beam_search([1], 2)
    assert (model.training, model.norm.training, model.blocks[0].dropout1.training) == (True, True, False)


def test_translating_leaves_frozen_parts_in_evaluation(backend):
    model = nn.models.EncoderDecoder(9, dim=8, n_heads=2, n_layers=1, max_len=4, rng=0, backend=backend)
    model.transformer.encoder.eval()
    model.translate(TOKENS, start=1, stop=2)
    assert (model.training, model.transformer.encoder.training, model.transformer.training) == (True, False, True)
