"""Whole networks."""

from __future__ import annotations

from portml.nn.models.autoencoder import (
    Autoencoder,
    VariationalAutoencoder,
    VariationalOutput,
    negative_evidence_lower_bound,
)
from portml.nn.models.encoder_decoder import EncoderDecoder
from portml.nn.models.gan import ImageDiscriminator, ImageGenerator
from portml.nn.models.gpt import GPT
from portml.nn.models.lenet import LeNet5
from portml.nn.models.mlp import MLP
from portml.nn.models.recurrent_classifier import RecurrentClassifier
from portml.nn.models.recurrent_language_model import RecurrentLanguageModel
from portml.nn.models.resnet import BasicBlock, ResNet
from portml.nn.models.siamese import SiameseNetwork
from portml.nn.models.transformer_classifier import TransformerClassifier
from portml.nn.models.unet import UNet

__all__ = [
    "GPT",
    "MLP",
    "Autoencoder",
    "BasicBlock",
    "EncoderDecoder",
    "ImageDiscriminator",
    "ImageGenerator",
    "LeNet5",
    "RecurrentClassifier",
    "RecurrentLanguageModel",
    "ResNet",
    "SiameseNetwork",
    "TransformerClassifier",
    "UNet",
    "VariationalAutoencoder",
    "VariationalOutput",
    "negative_evidence_lower_bound",
]
